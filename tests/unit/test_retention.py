"""What must hold for every recording under any terms; the examples are in tests/golden/retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.duration import Duration, add
from archiver.core.match import Fit, Match
from archiver.core.model import Lock, LockMode, Recording, State
from archiver.core.policy import Policy, PolicySet, matching
from archiver.core.retention import (
    Terms,
    ask,
    counted_from,
    decide,
    decide_archive,
    decide_erasure,
    excluded_by,
    wanted_lock,
)
from archiver.core.rulebook import Rulebook
from tests.support.retention import DAY, FAR_FUTURE, NOW, Sample, hold, policy, terms
from tests.support.retention_drawn import candidates, moments, policy_sets, tried, waits
from tests.support.retention_drawn import terms as any_terms
from tests.support.retention_oracle import (
    floors,
    held,
    lacks_lock,
    locked,
    may_be_erased,
    may_go_at_source,
    may_go_in_archive,
    proved,
    whole_second,
)

LOCK = Lock(LockMode.COMPLIANCE, FAR_FUTURE)
AT_ONCE = policy("at-once", source="0s", ceiling="1s")


@tried(200)
@given(candidates(), any_terms(), moments())
def test_permits_exactly_what_the_rules_words_permit(candidate: Candidate, drawn: Terms, now: datetime) -> None:
    """On each side, and for an erasure: that action or none, and the reasons that go with them."""
    answers = (
        (decide(candidate, drawn, now), Action.DELETE_AT_SOURCE, Reason.DUE, may_go_at_source),
        (decide_archive(candidate, drawn, now), Action.DELETE_IN_ARCHIVE, Reason.DUE, may_go_in_archive),
        (decide_erasure(candidate, drawn, now), Action.ERASE, Reason.ERASURE_REQUESTED, may_be_erased),
    )
    for decision, action, reason, permitted in answers:
        assert decision.action is (action if permitted(candidate, drawn, now) else Action.KEEP)
        assert (decision.reason is reason) is (decision.action is action)
        assert len(decision.sentence) > 10
        assert "None" not in decision.sentence


@tried(60)
@given(candidates(), any_terms(), moments())
def test_never_destroys_what_is_held_doubtful_locked_or_inside_a_floor(
    candidate: Candidate, drawn: Terms, now: datetime
) -> None:
    policies = drawn.rules.policies
    sides = {decide(candidate, drawn, now).action, decide_archive(candidate, drawn, now).action}
    acts = (sides | {decide_erasure(candidate, drawn, now).action}) - {Action.KEEP}
    if held(candidate, drawn) or not proved(candidate, now):
        assert not acts
    if locked(candidate, now) or any(now < floor for floor in floors(candidate, policies)):
        assert acts <= {Action.DELETE_AT_SOURCE}
    if lacks_lock(candidate, policies, now):
        assert Action.DELETE_AT_SOURCE not in acts


@pytest.mark.parametrize(
    "barred",
    [
        *(Sample(state=state) for state in State if state not in (State.VERIFIED, State.PURGED)),
        Sample(size_disagrees=True),
        Sample(sha256=None),
        Sample(sha256=""),
        Sample(size=None),
        Sample(verified_at=None),
        Sample(verified_at=NOW + timedelta(microseconds=1)),
        Sample(listed_at=NOW + timedelta(microseconds=1)),
        Sample(on_hold=True),
    ],
)
@pytest.mark.parametrize("at_source", [True, False])
def test_whatever_the_policies_say_these_stay(barred: Sample, *, at_source: bool) -> None:
    candidate = replace(barred, at_source=at_source).candidate()
    for side in (decide, decide_archive, decide_erasure):
        assert side(candidate, terms(AT_ONCE), NOW).action is Action.KEEP


@tried()
@given(candidates(), moments())
def test_no_policies_delete_nothing(candidate: Candidate, now: datetime) -> None:
    assert decide(candidate, Terms.of(PolicySet()), now).action is Action.KEEP
    assert decide_archive(candidate, Terms.of(PolicySet()), now).action is Action.KEEP


@tried()
@given(candidates(), policy_sets())
def test_the_ceiling_that_applies_is_below_no_floor_and_the_earliest_such(
    candidate: Candidate, policies: PolicySet
) -> None:
    dates = ask(candidate, Terms.of(policies), NOW).dates
    ceiling, floor = dates.ceiling, dates.floor
    kept_until = floors(candidate, policies)
    assert (floor.at if floor else None) == max(kept_until, default=None)
    sure = {one.name: one.delete_after for one in matching(candidate, policies.policies)}
    ended = counted_from(candidate)
    ends = {name: add(ended, wait, policies.zone) for name, wait in sure.items() if isinstance(wait, Duration)}
    fitting = {name: at for name, at in ends.items() if all(at >= one for one in kept_until)}
    if ceiling is None:
        assert not fitting
    else:
        assert (ceiling.at, ends[ceiling.policy]) == (min(fitting.values()), ceiling.at)


@tried()
@given(waits(), waits(), waits())
def test_of_several_waits_and_floors_the_longest_counts(one: Duration, other: Duration, third: Duration) -> None:
    candidate = Sample(at_source=False).candidate()
    alone = [Policy(name=name, source_delete_after=each, keep_at_least=each) for name, each in
             (("a", one), ("b", other), ("c", third))]  # fmt: skip
    latest = max(add(counted_from(candidate), each) for each in (one, other, third))
    together = terms(*alone)
    dates = ask(candidate, together, NOW).dates
    wait, floor = dates.source, dates.floor
    assert wait is not None
    assert wait.at == latest
    assert wait == floor
    decision = decide(candidate, together, FAR_FUTURE)
    assert (decision.policy, decision.not_before) == (wait.policy, latest)


@tried()
@given(candidates(), policy_sets(), moments())
def test_a_lock_is_wanted_to_the_longest_floor_and_never_longer(
    candidate: Candidate, policies: PolicySet, now: datetime
) -> None:
    wanted = wanted_lock(candidate, Rulebook(policies), now)
    modes = [one.lock for one in policies.policies if one.lock and one.match.fits(candidate) is not Fit.NO]
    until = max(floors(candidate, policies), default=now)
    assert (wanted is not None) is (bool(modes) and until > now)
    if wanted is not None:
        assert wanted == Lock(max(modes, key=lambda mode: mode.strength), whole_second(until))


@tried()
@given(candidates(), policy_sets(), st.sampled_from(["direction", "extensions", "duration_ms", "rule_ids", "cnam"]))
def test_a_missing_fact_never_permits_what_the_fact_would_not(
    candidate: Candidate, policies: PolicySet, fact: str
) -> None:
    gone: dict[str, object] = {fact: () if fact in ("extensions", "rule_ids") else None}
    ended = counted_from(candidate)  # or else the wait would begin earlier without a duration
    candidate = replace(candidate, ended_at=ended)
    poorer = replace(candidate, **gone)  # type: ignore[arg-type]
    for side in (decide, decide_archive, decide_erasure):
        if side(poorer, Terms.of(policies), FAR_FUTURE).action is not Action.KEEP:
            assert side(candidate, Terms.of(policies), FAR_FUTURE).action is not Action.KEEP


@tried()
@given(candidates(), policy_sets())
def test_exclusion_is_sure_and_uncontested(candidate: Candidate, policies: PolicySet) -> None:
    name = excluded_by(candidate, Rulebook(policies))
    sure = {one.name: one.archive for one in matching(candidate, policies.policies)}
    wanted = [one for one in policies.policies if one.archive and one.match.fits(candidate) is not Fit.NO]
    refused = sorted(each for each, archive in sure.items() if archive is False)
    assert name == (refused[0] if refused and not wanted else None)


@tried()
@given(candidates())
def test_waiting_begins_no_earlier_than_any_end_that_the_record_allows(candidate: Candidate) -> None:
    began = counted_from(candidate)
    spoken = candidate.start + timedelta(milliseconds=candidate.duration_ms or 0)
    assert began >= max(candidate.start, candidate.ended_at, spoken)
    assert began in (candidate.start, candidate.ended_at, spoken)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")])
def test_an_absurd_duration_keeps_for_ever(zone: tzinfo) -> None:
    candidate = Sample(duration_ms=10**30, at_source=False).candidate()
    locking = policy("locking", source="0s", floor="1d", ceiling="1d", lock=LockMode.GOVERNANCE)
    for each in (AT_ONCE, locking):
        decision = decide(candidate, terms(each, zone=zone), FAR_FUTURE)
        assert decision.reason is Reason.NOT_YET
        assert decision.not_before == datetime.max.replace(tzinfo=UTC)
        assert decide_archive(candidate, terms(each, zone=zone), FAR_FUTURE).action is Action.KEEP
    wanted = wanted_lock(candidate, terms(locking, zone=zone).rules, FAR_FUTURE)
    assert wanted is not None
    assert wanted.until > datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize("side", [decide, decide_archive, decide_erasure])
def test_a_naive_now_is_refused(side: object) -> None:
    assert callable(side)
    with pytest.raises(ValueError, match="no time zone"):
        side(Sample().candidate(), terms(), datetime(2025, 1, 1))


def test_a_hold_is_named_before_any_other_reason() -> None:
    for sample in (Sample(), Sample(state=State.STORED), Sample(size_disagrees=True), Sample(on_hold=True)):
        for side in (decide, decide_archive, decide_erasure):
            decision = side(sample.candidate(), terms(AT_ONCE, holds=[hold("b"), hold("a")]), NOW)
            assert (decision.reason, decision.holds) == (Reason.ON_HOLD, ("a", "b"))
            in_bucket = side(Sample(on_hold=True).candidate(), terms(AT_ONCE), NOW)
            assert (in_bucket.reason, in_bucket.holds) == (Reason.ON_HOLD, ("in the bucket",))


def test_a_lock_delays_the_archive_and_never_the_source() -> None:
    locked_copy = Sample(lock=LOCK, at_source=False).candidate()
    assert decide(locked_copy, terms(AT_ONCE), NOW).action is Action.DELETE_AT_SOURCE
    for side in (decide_archive, decide_erasure):
        decision = side(locked_copy, terms(AT_ONCE), NOW)
        assert (decision.reason, decision.not_before) == (Reason.LOCKED, FAR_FUTURE)
        assert side(locked_copy, terms(AT_ONCE), FAR_FUTURE).action is not Action.KEEP


def test_every_reason_has_its_sentence() -> None:
    for reason in Reason:
        decision = Decision(action=Action.KEEP, reason=reason, policy="desk", not_before=NOW, holds=("case-1",))
        assert len(decision.sentence) > 10
        assert "{" not in decision.sentence
    due = Decision(action=Action.DELETE_AT_SOURCE, reason=Reason.DUE, policy="desk", not_before=NOW)
    assert due.sentence == "policy desk permits it since 2025-06-01 00:00:00 UTC"
    held_by = Decision(action=Action.KEEP, reason=Reason.ON_HOLD, holds=("case-1", "case-2"))
    assert held_by.sentence == "it is on legal hold: case-1, case-2"


def test_a_recording_as_listed_can_be_matched_too() -> None:
    recording = Recording(
        account="acme", id="7", start=NOW, end=None, duration_ms=None, size=None, call_id=None, direction="INBOUND",
        caller_id=None, dnis=None, cnam=None, extensions=("2101",), rule_ids=(), file_name=None, raw={},
    )  # fmt: skip
    rules = Rulebook(PolicySet(policies=(policy("not-these", match=Match(extensions=("21*",)), archive=False),)))
    assert excluded_by(recording, rules) == "not-these"
    assert excluded_by(replace(recording, extensions=()), rules) is None


def test_the_first_moment_of_a_deadline_is_due_and_the_last_one_before_it_is_not() -> None:
    sample = Sample(at_source=False, lock=Lock(LockMode.GOVERNANCE, NOW)).candidate()
    binding = terms(policy("desk", source="1d", floor="1d", ceiling="1d"))
    due, before = counted_from(sample) + DAY, counted_from(sample) + DAY - timedelta(microseconds=1)
    assert decide(sample, binding, due).reason is Reason.DUE
    assert decide(sample, binding, before).reason is Reason.NOT_YET
    assert decide_erasure(sample, binding, before).reason is Reason.INSIDE_FLOOR
    free = replace(sample, lock=None)
    assert [decide_archive(free, binding, at).reason for at in (before, due)] == [Reason.INSIDE_FLOOR, Reason.DUE]
    assert [decide_archive(sample, binding, at).reason for at in (due, NOW)] == [Reason.LOCKED, Reason.DUE]
