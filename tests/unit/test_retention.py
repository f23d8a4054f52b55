"""What must hold for every recording and every policy set; the examples are in tests/golden/retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.duration import Duration
from archiver.core.model import Recording, State
from archiver.core.policy import NEVER, Match, Policy, PolicySet, matching
from archiver.core.retention import Action, Candidate, Decision, Reason, counted_from, decide, excluded_by, may_be_due
from tests.support.retention import NOW, Sample, candidates, durations, matches, moments, policy_sets

UNPERMITTED = {Reason.NO_POLICY, Reason.NO_SOURCE_RULE, Reason.MATCH_UNCERTAIN}
Wait = Duration | Literal["never"] | None
FAR_FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


@given(candidates(), policy_sets(), moments())
def test_deletes_only_a_verified_copy_under_a_policy_that_is_due(
    candidate: Candidate, policies: tuple[Policy, ...], now: datetime
) -> None:
    decision = decide(candidate, policies, now)
    if decision.action is Action.KEEP:
        assert decision.reason is not Reason.DUE
        return
    assert candidate.state is State.VERIFIED
    assert candidate.verified_at is not None
    assert candidate.verified_at <= now
    assert candidate.sha256 is not None
    assert candidate.size is not None
    assert not candidate.size_disagrees
    assert decision.not_before is not None
    assert candidate.ended_at <= decision.not_before <= now
    assert any(policy.source_delete_after not in (None, NEVER) for policy in matching(candidate, policies))


@given(candidates(), moments(), st.sampled_from(State), st.booleans())
def test_no_policy_can_delete_an_unverified_or_doubtful_copy(
    candidate: Candidate, now: datetime, state: State, doubtful: object
) -> None:
    barred = replace(candidate, state=state, size_disagrees=bool(doubtful) or state is State.VERIFIED)
    at_once = Policy(name="at-once", source_delete_after=Duration())
    assert decide(barred, (at_once,), now).action is Action.KEEP


@given(candidates(), moments())
def test_no_policies_delete_nothing(candidate: Candidate, now: datetime) -> None:
    assert decide(candidate, (), now).action is Action.KEEP


@given(candidates(), policy_sets(), matches(), durations() | st.just(NEVER) | st.none(), moments())
def test_a_further_policy_never_destroys_more_where_one_ruled_already(
    candidate: Candidate, policies: tuple[Policy, ...], match: Match, wait: Wait, now: datetime
) -> None:
    further = Policy(name="zz-further", match=match, source_delete_after=wait)
    before, after = decide(candidate, policies, now), decide(candidate, (*policies, further), now)
    if before.reason not in UNPERMITTED and before.action is Action.KEEP:
        assert after.action is Action.KEEP
    if before.not_before is not None and after.not_before is not None:
        assert after.not_before >= before.not_before


@given(durations(), durations())
def test_of_two_waits_the_longer_one_counts(one: Duration, other: Duration) -> None:
    candidate = Sample().candidate()
    policies = (Policy(name="a", source_delete_after=one), Policy(name="b", source_delete_after=other))
    waits = [decide(candidate, (policy,), NOW).not_before for policy in policies]
    assert decide(candidate, policies, NOW).not_before == max(wait for wait in waits if wait is not None)


@given(candidates(), policy_sets(), moments(), st.randoms(use_true_random=False))
def test_the_order_of_policies_means_nothing(
    candidate: Candidate, policies: tuple[Policy, ...], now: datetime, random: Random
) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)
    assert decide(candidate, tuple(shuffled), now) == decide(candidate, policies, now)
    assert excluded_by(candidate, tuple(shuffled)) == excluded_by(candidate, policies)
    assert PolicySet(policies=tuple(shuffled)).digest == PolicySet(policies=policies).digest


@given(candidates(), policy_sets(), moments(), st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_what_is_due_stays_due(
    candidate: Candidate, policies: tuple[Policy, ...], now: datetime, later: timedelta
) -> None:
    if decide(candidate, policies, now).action is Action.DELETE_AT_SOURCE:
        assert decide(candidate, policies, now + later).action is Action.DELETE_AT_SOURCE


@given(candidates(), policy_sets(), st.sampled_from(["direction", "extensions", "duration_ms"]))
def test_a_missing_fact_never_permits_what_the_fact_would_not(
    candidate: Candidate, policies: tuple[Policy, ...], fact: str
) -> None:
    poorer = {
        "direction": replace(candidate, direction=None),
        "extensions": replace(candidate, extensions=()),
        "duration_ms": replace(candidate, duration_ms=None),
    }[fact]
    if decide(poorer, policies, FAR_FUTURE).action is Action.DELETE_AT_SOURCE:
        assert decide(candidate, policies, FAR_FUTURE).action is Action.DELETE_AT_SOURCE


@given(candidates(), policy_sets(), moments())
def test_the_coarse_bound_never_hides_what_is_due(
    candidate: Candidate, policies: tuple[Policy, ...], now: datetime
) -> None:
    if decide(candidate, policies, now).action is Action.DELETE_AT_SOURCE:
        bound = may_be_due(policies, now)
        assert bound is not None
        assert candidate.start <= bound


@given(candidates(), policy_sets())
def test_exclusion_is_sure_and_uncontested(candidate: Candidate, policies: tuple[Policy, ...]) -> None:
    name = excluded_by(candidate, policies)
    if name is not None:
        about = {policy.name: policy.archive for policy in matching(candidate, policies)}
        assert about[name] is False
        assert True not in about.values()


@given(candidates())
def test_waiting_begins_no_earlier_than_any_end_that_the_record_allows(candidate: Candidate) -> None:
    began = counted_from(candidate)
    assert began >= candidate.start
    assert began >= candidate.ended_at
    assert began >= candidate.start + timedelta(milliseconds=candidate.duration_ms or 0)


def test_an_absurd_duration_keeps_for_ever() -> None:
    candidate = Sample(duration_ms=10**30).candidate()
    decision = decide(candidate, (Policy(name="at-once", source_delete_after=Duration()),), FAR_FUTURE)
    assert decision.reason is Reason.NOT_YET
    assert decision.not_before == datetime.max.replace(tzinfo=UTC)


def test_a_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        decide(Sample().candidate(), (), datetime(2025, 1, 1))


def test_every_reason_has_its_sentence() -> None:
    for reason in Reason:
        decision = Decision(action=Action.KEEP, reason=reason, policy="desk", not_before=NOW)
        assert len(decision.sentence) > 10
    due = Decision(action=Action.DELETE_AT_SOURCE, reason=Reason.DUE, policy="desk", not_before=NOW)
    assert due.sentence == "policy desk permits it since 2025-06-01 00:00:00 UTC"


def test_a_recording_as_listed_can_be_matched_too() -> None:
    recording = Recording(
        account="acme", id="7", start=NOW, end=None, duration_ms=None, size=None, call_id=None, direction="INBOUND",
        caller_id=None, dnis=None, cnam=None, extensions=("2101",), rule_ids=(), file_name=None, raw={},
    )  # fmt: skip
    policy = Policy(name="not-these", match=Match(extensions=("21*",)), archive=False)
    assert excluded_by(recording, (policy,)) == "not-these"


@pytest.mark.parametrize(
    ("pattern", "extension", "fits"),
    [
        ("21*", "21", True),
        ("21*", "2199", True),
        ("21*", "121", False),
        ("2?1", "2x1", True),
        ("2?1", "21", False),
        ("2.1", "2x1", False),
        ("[12]", "1", False),
        ("+91*", "+9122", True),
        ("a|b", "b", False),
        ("*", "0", True),
        ("*" * 60 + "x", "1" * 60, False),
    ],
)
def test_patterns_know_only_star_and_question_mark(pattern: str, extension: str, *, fits: bool) -> None:
    policy = Policy(name="p", match=Match(extensions=(pattern,)))
    assert bool(matching(Sample(extensions=(extension,)).candidate(), (policy,))) is fits
