"""What a copy is to be held by, and the steps there: nothing is ever weakened, shortened or taken from others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Candidate, Reason
from archiver.core.holds import holding
from archiver.core.model import Lock, LockMode, Protection
from archiver.core.protection import Steps, Wanted, digest_of, satisfied, settled, steps, wanted
from archiver.core.retention import Terms, decide, wanted_lock
from tests.support.retention import DAY, NOW, Sample, hold, policy, terms
from tests.support.retention_drawn import candidates, locks, moments, tried
from tests.support.retention_drawn import terms as any_terms

GOVERNANCE, COMPLIANCE = LockMode
UNTIL = NOW + 30 * DAY


@tried(60)
@given(candidates(), any_terms(), moments())
def test_wants_the_lock_and_the_holds_of_the_terms(candidate: Candidate, drawn: Terms, now: datetime) -> None:
    wants = wanted(candidate, drawn, now)
    assert wants == Wanted(wanted_lock(candidate, drawn.rules, now), holding(candidate, drawn.holds))
    assert wants.nothing is (wants.lock is None and not wants.holds)


@tried(60)
@given(candidates(sound=True), any_terms(), moments())
def test_what_is_settled_waits_for_no_lock(candidate: Candidate, drawn: Terms, now: datetime) -> None:
    if settled(candidate, wanted(candidate, drawn, now)):
        assert decide(candidate, drawn, now).reason is not Reason.NOT_LOCKED


@tried(60)
@given(locks(), locks(), st.booleans(), st.booleans(), st.booleans())
def test_nothing_is_weakened_or_shortened_and_what_is_wanted_comes_about_or_is_said_not_to(
    wants: Lock | None, found: Lock | None, held: object, on_hold: object, ours: object
) -> None:
    asked = Wanted(wants, ("case-1",) if held else ())
    done = steps(asked, Protection(found, bool(on_hold)), ours=bool(ours))
    after = done.lock or found
    if found is not None:
        assert after is not None
        assert after.covers(found)
    if wants is not None and done.problem is None:
        assert after is not None
        assert after.covers(wants)
    if wants is None:
        assert (done.lock, done.problem) == (None, None)
    if done.lock is not None and wants is not None:
        assert done.lock.until == wants.until  # to the floor and never beyond
    holds_after = bool(on_hold) if done.hold is None else done.hold
    assert holds_after is (bool(held) or (bool(on_hold) and not ours))
    assert done.hold is None or done.hold is not bool(on_hold)


@pytest.mark.parametrize(
    ("wants", "found", "lock"),
    [
        (Lock(GOVERNANCE, UNTIL), None, Lock(GOVERNANCE, UNTIL)),
        (Lock(GOVERNANCE, UNTIL), Lock(GOVERNANCE, NOW), Lock(GOVERNANCE, UNTIL)),
        (Lock(COMPLIANCE, UNTIL), Lock(GOVERNANCE, UNTIL), Lock(COMPLIANCE, UNTIL)),
        (Lock(GOVERNANCE, UNTIL), Lock(COMPLIANCE, NOW), Lock(COMPLIANCE, UNTIL)),
        (Lock(GOVERNANCE, UNTIL), Lock(COMPLIANCE, UNTIL), None),
        (Lock(GOVERNANCE, UNTIL), Lock(GOVERNANCE, UNTIL + DAY), None),
    ],
)
def test_locks_are_set_extended_and_made_stronger(wants: Lock, found: Lock | None, lock: Lock | None) -> None:
    assert steps(Wanted(wants), Protection(found), ours=True) == Steps(lock=lock)


def test_a_weaker_lock_that_ends_beyond_the_floor_is_left_and_named() -> None:
    done = steps(Wanted(Lock(COMPLIANCE, UNTIL)), Protection(Lock(GOVERNANCE, UNTIL + DAY)), ours=True)
    assert done == Steps(problem="it is locked in governance mode until 2025-07-02, beyond its floor")


def test_settled_is_what_the_record_shows() -> None:
    wants = Wanted(Lock(GOVERNANCE, UNTIL), ("case-1",))
    sample = Sample(lock=Lock(COMPLIANCE, UNTIL), on_hold=True)
    assert settled(sample.candidate(), wants)
    for worse in (
        replace(sample, lock=None),
        replace(sample, on_hold=False),
        replace(sample, lock=Lock(GOVERNANCE, NOW)),
    ):
        assert not settled(worse.candidate(), wants)
    assert not settled(sample.candidate(), Wanted())  # it is on hold for no case any more
    assert settled(Sample(lock=Lock(COMPLIANCE, UNTIL)).candidate(), Wanted())


@pytest.mark.parametrize(
    ("wants", "found", "enough"),
    [
        (None, None, True),
        (Lock(GOVERNANCE, UNTIL), None, False),
        (Lock(GOVERNANCE, UNTIL), Lock(COMPLIANCE, UNTIL - DAY), False),
        (Lock(GOVERNANCE, UNTIL), Lock(GOVERNANCE, UNTIL), True),
        (Lock(COMPLIANCE, UNTIL), Lock(GOVERNANCE, UNTIL + DAY), True),  # it can become no stronger
    ],
)
def test_held_long_enough_is_held(wants: Lock | None, found: Lock | None, *, enough: bool) -> None:
    assert satisfied(Wanted(wants), Protection(found)) is enough


def test_other_terms_of_locks_or_holds_have_another_name() -> None:
    locking, plain = policy("p", floor="1y", lock=GOVERNANCE), policy("p", floor="1y")
    known = [
        terms(locking),
        terms(policy("p", floor="2y", lock=GOVERNANCE)),
        terms(plain),
        terms(plain, holds=[hold()]),
        terms(plain, holds=[hold(future=True)]),
        terms(plain, holds=[hold(at=NOW + timedelta(seconds=1))]),
        terms(plain, holds=[hold(ids=["7"])]),
        terms(plain, holds=[hold("case-2")]),
    ]
    assert len({digest_of(one) for one in known}) == len(known)
    assert digest_of(terms(plain)) == digest_of(terms(policy("p", floor="2y")))
