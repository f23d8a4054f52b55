"""A change of the policies: what the earlier ones keep stays, for as long as they bind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Action, Candidate, Reason
from archiver.core.model import Lock, LockMode
from archiver.core.policy import PolicySet
from archiver.core.retention import Earlier, Terms, decide, decide_archive, decide_erasure
from archiver.core.rulebook import Rulebook
from tests.support.retention import DAY, FAR_FUTURE, NOW, Sample, policy, terms
from tests.support.retention_drawn import candidates, moments, policy_sets, tried

SIDES = (decide, decide_archive, decide_erasure)
LAX = policy("lax", source="0s", ceiling="1s")
STRICT = policy("strict", source="never", floor="1y", ceiling="never")
LATER = NOW + 7 * DAY
gone = Sample(at_source=False).candidate()


def changed(old: PolicySet | None, new: PolicySet, until: datetime, account: str) -> Terms:
    before = (Earlier(None if old is None else Rulebook(old), until),)
    return Terms(rules=Rulebook(new), earlier={account: before})


@tried(60)
@given(candidates(sound=True), policy_sets(), policy_sets(), moments(), st.timedeltas(timedelta(0), 9 * DAY))
def test_what_the_earlier_policies_keep_is_kept_while_they_bind(
    candidate: Candidate, old: PolicySet, new: PolicySet, now: datetime, left: timedelta
) -> None:
    both = changed(old, new, now + left, candidate.account)
    for side in SIDES:
        before, after = (side(candidate, Terms.of(one), now) for one in (old, new))
        decision = side(candidate, both, now)
        if left and before.action is Action.KEEP and after.action is not Action.KEEP:
            expected = (Action.KEEP, Reason.COOLING_OFF, after.policy, now + left)
            assert (decision.action, decision.reason, decision.policy, decision.not_before) == expected
        else:
            assert decision == after


@tried(60)
@given(candidates(sound=True), policy_sets(), policy_sets(), moments())
def test_an_earlier_set_of_another_account_binds_nothing_here(
    candidate: Candidate, old: PolicySet, new: PolicySet, now: datetime
) -> None:
    other = changed(old, new, now + DAY, "another")
    for side in SIDES:
        assert side(candidate, other, now) == side(candidate, Terms.of(new), now)


@tried(60)
@given(candidates(sound=True), policy_sets(), moments())
def test_unreadable_earlier_policies_keep_everything(candidate: Candidate, new: PolicySet, now: datetime) -> None:
    for side in SIDES:
        assert side(candidate, changed(None, new, now + DAY, candidate.account), now).action is Action.KEEP
        over = changed(None, new, now, candidate.account)
        assert side(candidate, over, now) == side(candidate, Terms.of(new), now)


@pytest.mark.parametrize("side", [decide, decide_archive, decide_erasure])
def test_the_period_ends_to_the_microsecond(side: object) -> None:
    assert callable(side)
    binding = terms(LAX, earlier=[([STRICT], LATER)])
    assert side(gone, binding, LATER - timedelta(microseconds=1)).reason is Reason.COOLING_OFF
    assert side(gone, binding, LATER).action is not Action.KEEP


@pytest.mark.parametrize("side", [decide, decide_archive, decide_erasure])
def test_the_period_may_go_by_another_clock_than_the_dates(side: object) -> None:
    assert callable(side)
    binding = terms(LAX, earlier=[([STRICT], LATER)])
    behind = replace(binding, cooling_at=LATER - timedelta(microseconds=1))
    assert side(gone, behind, LATER + DAY).reason is Reason.COOLING_OFF
    assert side(gone, replace(binding, cooling_at=LATER), NOW).action is not Action.KEEP


def test_the_earlier_policies_own_dates_go_on_running() -> None:
    month = policy("month", source="30d")
    ended = NOW - 30 * DAY
    sample = Sample(ended_at=ended, verified_at=ended, listed_at=ended).candidate()
    binding = terms(LAX, earlier=[([month], LATER)])
    assert decide(sample, binding, NOW - timedelta(seconds=1)).reason is Reason.COOLING_OFF
    assert decide(sample, binding, NOW).reason is Reason.DUE


def test_where_the_new_policies_keep_it_they_are_named() -> None:
    binding = terms(STRICT, earlier=[([LAX], LATER), (None, LATER)])
    assert decide(gone, binding, NOW).reason is Reason.SOURCE_NEVER
    assert decide_archive(gone, binding, NOW).reason is Reason.ARCHIVE_NEVER


@pytest.mark.parametrize("old", [[], [policy("about-nothing-here", floor="1d")], [policy("elsewhere", archive=True)]])
def test_policies_that_permitted_nothing_go_on_permitting_nothing(old: list[object]) -> None:
    binding = terms(LAX, earlier=[(old, LATER)])  # type: ignore[list-item]
    assert decide(gone, binding, NOW).reason is Reason.COOLING_OFF
    assert decide_archive(gone, binding, NOW).reason is Reason.COOLING_OFF
    assert decide_erasure(gone, binding, NOW).action is Action.ERASE


def test_a_lock_that_the_earlier_policies_wanted_is_still_waited_for() -> None:
    locking = policy("locking", source="1d", floor="1y", lock=LockMode.GOVERNANCE)
    binding = terms(LAX, earlier=[([locking], LATER)])
    sample = Sample().candidate()
    assert decide(sample, binding, NOW).reason is Reason.COOLING_OFF
    locked = replace(sample, lock=Lock(LockMode.GOVERNANCE, FAR_FUTURE))
    assert decide(locked, binding, NOW).reason is Reason.DUE


def test_each_of_several_earlier_sets_binds_and_the_last_to_end_is_named() -> None:
    """`not_before` is when the reason ends, so of several periods the one that ends last."""
    for order in ([3, 9, 5], [9, 5, 3], [5, 3, 9]):
        binding = terms(LAX, earlier=[([STRICT], NOW + days * DAY) for days in order])
        for side in SIDES:
            decision = side(gone, binding, NOW)
            assert decision.reason is Reason.COOLING_OFF
            assert decision.not_before == NOW + 9 * DAY


def test_an_earlier_set_that_permits_hides_none_that_does_not() -> None:
    binding = terms(LAX, earlier=[([LAX], NOW + 9 * DAY), ([STRICT], NOW + 3 * DAY)])
    for side in SIDES:
        assert side(gone, binding, NOW).not_before == NOW + 3 * DAY
        assert side(gone, binding, NOW + 3 * DAY).action is not Action.KEEP
