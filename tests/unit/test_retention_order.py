"""What must make no difference: the order of policies and cases, how it is asked, and time for what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from archiver.core.contradictions import contradictions
from archiver.core.decision import Action, Candidate, Decision
from archiver.core.plan import ARCHIVE, SOURCE, Draft, planned
from archiver.core.policy import Policy, PolicySet
from archiver.core.retention import Terms, decide, decide_archive, decide_erasure, excluded_by
from archiver.core.rulebook import Rulebook
from tests.support.retention import DAY, NOW, Sample, policy, terms
from tests.support.retention_drawn import candidates, moments, policy_sets, steps, tried
from tests.support.retention_drawn import terms as any_terms

SIDES = (decide, decide_archive, decide_erasure)


def shuffled(drawn: Terms, random: Random) -> Terms:
    policies, holds = list(drawn.rules.policies.policies), list(drawn.holds)
    random.shuffle(policies)
    random.shuffle(holds)
    rules = Rulebook(replace(drawn.rules.policies, policies=tuple(policies)))
    return replace(drawn, rules=rules, holds=tuple(holds))


def contradicting(policies: PolicySet) -> list[tuple[str, str]]:
    """By the policies' names, not their positions."""
    return sorted((policies.policies[place].name, problem) for place, problem in contradictions(policies.policies))


@tried(60)
@given(candidates(), any_terms(), moments(), st.randoms(use_true_random=False))
def test_the_order_of_policies_and_holds_means_nothing(
    candidate: Candidate, drawn: Terms, now: datetime, random: Random
) -> None:
    other = shuffled(drawn, random)
    for side in SIDES:
        assert side(candidate, other, now) == side(candidate, drawn, now)
    assert excluded_by(candidate, other.rules) == excluded_by(candidate, drawn.rules)
    assert other.rules.regime(candidate) == drawn.rules.regime(candidate)


@tried(60)
@given(policy_sets(), st.randoms(use_true_random=False))
def test_neither_the_digest_nor_a_contradiction_knows_the_order(policies: PolicySet, random: Random) -> None:
    mixed = list(policies.policies)
    random.shuffle(mixed)
    other = replace(policies, policies=tuple(mixed))
    assert other.digest == policies.digest
    assert contradicting(other) == contradicting(policies)


@tried(60)
@given(st.lists(candidates(), min_size=2, max_size=8), any_terms(), moments())
def test_a_rulebook_answers_the_same_whomever_it_was_asked_about_before(
    rows: list[Candidate], drawn: Terms, now: datetime
) -> None:
    used = [[side(row, drawn, now) for side in SIDES] for row in (*rows, *reversed(rows))]
    fresh = replace(drawn, rules=Rulebook(drawn.rules.policies))
    assert used == [[side(row, replace(fresh), now) for side in SIDES] for row in (*rows, *reversed(rows))]


@tried(60)
@given(candidates(sound=True), any_terms(), moments(), steps())
def test_what_is_due_stays_due_as_time_passes(
    candidate: Candidate, drawn: Terms, now: datetime, later: timedelta
) -> None:
    for side in SIDES:
        before = side(candidate, drawn, now)
        if before.action is not Action.KEEP:
            assert side(candidate, drawn, now + later) == before


@tried(60)
@given(candidates(sound=True), policy_sets(), moments())
def test_the_coarse_bounds_never_hide_what_is_due(candidate: Candidate, policies: PolicySet, now: datetime) -> None:
    rules = Rulebook(policies)
    for side, bound in ((decide, rules.source_bound(now)), (decide_archive, rules.archive_bound(now))):
        if side(candidate, Terms(rules=rules), now).action is not Action.KEEP:
            assert bound is not None
            assert candidate.start <= bound <= now


def test_the_coarse_bounds_spare_a_pass_the_calls_that_are_surely_too_young() -> None:
    rules = Rulebook(PolicySet(policies=(policy("a", source="90d", ceiling="1y"), policy("b", source="1mo"))))
    assert rules.source_bound(NOW) == NOW - 26 * DAY
    assert rules.archive_bound(NOW) == NOW - (12 * 28 - 2) * DAY
    nothing = Rulebook(PolicySet(policies=(policy("c", source="never", floor="1y"),)))
    assert (nothing.source_bound(NOW), nothing.archive_bound(NOW)) == (None, None)
    assert Rulebook(PolicySet(policies=(policy("at-once", source="0s"),))).source_bound(NOW) == NOW


@tried(60)
@given(
    st.lists(candidates(), max_size=8, unique_by=lambda row: (row.account, row.recording_id)), any_terms(), moments()
)
def test_a_draft_holds_what_is_decided_for_each_alone(rows: list[Candidate], drawn: Terms, now: datetime) -> None:
    draft = Draft(terms=drawn, now=now)
    for row in rows:
        draft.consider(row)
    plan = draft.plan(author="Anna")
    decided: list[tuple[Candidate, str, Decision]] = []
    for row in rows:
        decided += [(row, SOURCE, decide(row, drawn, now)), (row, ARCHIVE, decide_archive(row, drawn, now))]
    acts = [planned(row, one, one.action) for row, _, one in decided if one.action is not Action.KEEP]
    assert plan.items == tuple(sorted(acts, key=lambda item: item.key))
    for side, counts in plan.kept.items():
        keeps = [one.reason for _, where, one in decided if where == side and one.action is Action.KEEP]
        assert {reason: keeps.count(reason) for reason in keeps} == counts


def test_equal_waits_name_the_first_policy_by_name_whatever_its_place() -> None:
    a, b = policy("a", source="1d", floor="1d", ceiling="1d"), policy("b", source="24h", floor="1d", ceiling="24h")
    for order in ((a, b), (b, a)):
        assert decide(Sample().candidate(), terms(*order), NOW).policy == "a"
        assert decide_archive(Sample(at_source=False).candidate(), terms(*order), NOW).policy == "a"
        inside = decide_archive(Sample(at_source=False).candidate(), terms(*order), Sample().ended_at + DAY / 2)
        assert inside.policy == "a"


def test_two_that_forbid_are_named_in_the_same_order_too() -> None:
    never: tuple[Policy, ...] = (
        policy("y", source="never", ceiling="never"),
        policy("x", source="never", ceiling="never"),
    )
    refusing = (policy("n", archive=False), policy("m", archive=False))
    candidate = Sample().candidate()
    for order in (never, never[::-1]):
        assert {side(candidate, terms(*order), NOW).policy for side in SIDES} == {"x"}
    for order in (refusing, refusing[::-1]):
        assert excluded_by(candidate, terms(*order).rules) == "m"
