"""Why a recording is kept or goes, and what would change that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given

from archiver.core.decision import Action, Candidate, Reason
from archiver.core.explanation import Explanation, explain
from archiver.core.holds import Hold, holding
from archiver.core.match import Match
from archiver.core.model import Lock, LockMode, State
from archiver.core.policy import Deletion, Mode, Policy, PolicySet
from archiver.core.retention import Earlier, Terms, decide, decide_archive, decide_erasure, wanted_lock
from archiver.core.rulebook import Bound, Rulebook
from tests.support.retention import DAY, ENDED, NOW, Sample, hold, policy, terms
from tests.support.retention_drawn import candidates, moments, tried
from tests.support.retention_drawn import terms as any_terms

MONTH = ENDED + 30 * DAY
NEEDS = Match(directions=("INBOUND",))


def changes(
    sample: Sample, *policies: Policy, holds: Sequence[Hold] = (), mode: Mode = Mode.AUTOMATIC, paused: bool = False
) -> tuple[str, ...]:
    deletion = Deletion(mode=mode, archive_mode=Mode.AUTOMATIC)
    rules = Rulebook(PolicySet(policies=policies, deletion=deletion))
    return explain(sample.candidate(), Terms(rules=rules, holds=tuple(holds)), NOW, paused=paused).changes


@tried(60)
@given(candidates(), any_terms(), moments())
def test_says_what_is_decided_elsewhere(candidate: Candidate, drawn: Terms, now: datetime) -> None:
    told = explain(candidate, drawn, now, paused=False)
    assert told.source == decide(candidate, drawn, now)
    assert told.archive == decide_archive(candidate, drawn, now)
    assert told.erasure == decide_erasure(candidate, drawn, now)
    assert told.holds == (() if candidate.state is State.EXPIRED else holding(candidate, drawn.holds))
    assert told.lock_wanted == wanted_lock(candidate, drawn.rules, now)
    assert told.lock == candidate.lock
    about = {one.name: one.match.fits(candidate).name.lower() for one in drawn.rules.policies.policies}
    assert dict(told.policies) == {name: fit for name, fit in about.items() if fit != "no"}


@tried(60)
@given(candidates(sound=True), any_terms(), moments())
def test_a_kept_recording_has_a_way_out_for_each_side_that_is_still_to_be_decided(
    candidate: Candidate, drawn: Terms, now: datetime
) -> None:
    told = explain(candidate, drawn, now, paused=False)
    done = {Reason.ALREADY_PURGED, Reason.PURGE_BEGUN, Reason.ALREADY_EXPIRED, Reason.EXPIRY_BEGUN}
    sides = {"at the source": told.source, "in the archive": told.archive}
    expected = [side for side, decision in sides.items() if decision.reason not in done]
    assert [one.split(":")[0] for one in told.changes] == expected
    assert not [one for one in told.changes if "None" in one or "{" in one]


@tried(60)
@given(candidates(sound=True), any_terms(), moments())
def test_what_is_dated_is_no_longer_so_on_its_date(candidate: Candidate, drawn: Terms, now: datetime) -> None:
    """`not_before` is when the reason ends: on that moment it is another one, or the deletion."""
    dated = (Reason.NOT_YET, Reason.INSIDE_FLOOR, Reason.COOLING_OFF, Reason.LOCKED)
    single = replace(drawn, earlier=_first_only(drawn), cooling_at=None)
    for side in (decide, decide_archive, decide_erasure):
        decision = side(candidate, single, now)
        if decision.reason in dated:
            assert decision.not_before is not None
            assert decision.not_before > now
            later = side(candidate, single, decision.not_before)
            assert later.reason is not decision.reason


def _first_only(drawn: Terms) -> dict[str, tuple[Earlier, ...]]:
    return {account: sets[:1] for account, sets in drawn.earlier.items()}


FULL = policy("desk", source="30d", floor="5y", ceiling="8y", lock=LockMode.GOVERNANCE)


def test_gathers_policies_dates_lock_and_holds() -> None:
    maybe = policy("perhaps", match=Match(directions=("INBOUND",)), floor="1d")
    lock = Lock(LockMode.COMPLIANCE, NOW)
    sample = Sample(direction=None, lock=lock).candidate()
    assert explain(sample, terms(FULL, maybe, holds=[hold()]), NOW, paused=False) == Explanation(
        policies=(("desk", "yes"), ("perhaps", "maybe")),
        holds=("case-1",),
        source_not_before=Bound(MONTH, "desk"),
        floor=Bound(datetime.fromisoformat("2030-01-01T00:10:00Z"), "desk"),
        ceiling=Bound(datetime.fromisoformat("2033-01-01T00:10:00Z"), "desk"),
        lock_wanted=Lock(LockMode.GOVERNANCE, datetime.fromisoformat("2030-01-01T00:10:00Z")),
        lock=lock,
        source=decide(sample, terms(FULL, holds=[hold()]), NOW),
        archive=decide(sample, terms(FULL, holds=[hold()]), NOW),
        erasure=decide(sample, terms(FULL, holds=[hold()]), NOW),
        changes=(
            "at the source: the release of case-1 by two people: archiver hold release",
            "in the archive: the release of case-1 by two people: archiver hold release",
        ),
    )


def test_never_leaves_no_date() -> None:
    never = policy("never", source="never", ceiling="never")
    told = explain(Sample().candidate(), terms(never, policy("other", source="1d", ceiling="1d")), NOW, paused=False)
    assert (told.source_not_before, told.ceiling, told.floor) == (None, None, None)
    assert told.changes == (
        "at the source: another source.delete_after in policy never",
        "in the archive: another archive.delete_after in policy never",
    )


@pytest.mark.parametrize(
    ("sample", "policies", "at_source", "in_archive"),
    [
        (Sample(), [], "a policy about it", "a policy about it"),
        (Sample(), [policy("p", floor="1d")], "a source.delete_after in a policy about it",
         "an archive.delete_after in a policy about it"),
        (Sample(direction=None), [policy("p", match=NEEDS, source="1d", ceiling="1d")],
         "a policy that does not ask for what the source left out",
         "a policy that does not ask for what the source left out"),
        (Sample(), [policy("p", source="1y", floor="1y", ceiling="2y")],
         "time, on 2026-01-01 00:10:00 UTC", "time, on 2026-01-01 00:10:00 UTC"),
        (Sample(at_source=False), [policy("p", source="1y", ceiling="2y")],
         "time, on 2026-01-01 00:10:00 UTC", "time, on 2027-01-01 00:10:00 UTC"),
        (Sample(), [policy("p", source="1d", ceiling="1d")],
         "the next pass deletes it", "its deletion at the source, which comes first"),
        (Sample(), [replace(FULL, delete_after=None)],
         "the lock, which the next pass sets, or says why not", "time, on 2030-01-01 00:10:00 UTC"),
        (Sample(direction=None), [policy("p", match=NEEDS, floor="90d"), policy("q", ceiling="1d")],
         "a source.delete_after in a policy about it",
         "an archive.delete_after that is not below the floor of policy p"),
        (Sample(state=State.STORED), [FULL], "archiving and verifying it: the next pass does, or says why not",
         "archiving and verifying it: the next pass does, or says why not"),
        (Sample(state=State.QUARANTINED), [FULL],
         "a good copy in the bucket: archiver verify ID, or archiver retry ID",
         "a good copy in the bucket: archiver verify ID, or archiver retry ID"),
        (Sample(state=State.EXCLUDED), [FULL], "policies that archive it", "policies that archive it"),
        (Sample(size_disagrees=True), [FULL], "a person's word that the copy is good: archiver accept ID",
         "a person's word that the copy is good: archiver accept ID"),
        (Sample(listed_at=NOW + DAY), [FULL], "time, or a clock that is set right",
         "time, or a clock that is set right"),
        (Sample(on_hold=True), [FULL], "the next pass, which takes the released hold out of the bucket",
         "the next pass, which takes the released hold out of the bucket"),
        (Sample(at_source=False, lock=Lock(LockMode.GOVERNANCE, NOW + DAY)), [policy("p", source="1d", ceiling="1d")],
         "the next pass deletes it", "time, on 2025-06-02 00:00:00 UTC"),
    ],
)  # fmt: skip
def test_says_what_would_change_it(sample: Sample, policies: list[Policy], at_source: str, in_archive: str) -> None:
    assert changes(sample, *policies) == (f"at the source: {at_source}", f"in the archive: {in_archive}")


@pytest.mark.parametrize("state", [State.PURGING, State.EXPIRING, State.EXPIRED])
def test_nothing_changes_what_has_begun_or_is_done(state: State) -> None:
    assert changes(Sample(state=state), FULL, paused=True) == ()


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (Mode.DISABLED, "nothing happens as long as deletion is disabled in the policies file"),
        (Mode.APPROVE, "it goes with the next plan that a second person approves: archiver plan, approve, apply"),
        (Mode.AUTOMATIC, "the next pass deletes it"),
    ],
)
def test_what_is_due_waits_for_the_mode_and_the_pause(mode: Mode, sentence: str) -> None:
    at_once = policy("p", source="1d", ceiling="1d")
    gone = Sample(state=State.PURGED)
    assert changes(gone, at_once, mode=mode) == (f"in the archive: {sentence}",)
    paused = "all deletion is paused: archiver resume"
    assert changes(gone, at_once, mode=mode, paused=True) == (f"in the archive: {sentence}", paused)
    assert changes(Sample(), policy("p", source="1y"), mode=mode, paused=True)[-1] != paused


def test_the_archive_goes_by_the_more_careful_mode() -> None:
    deletion = Deletion(mode=Mode.AUTOMATIC, archive_mode=Mode.APPROVE)
    rules = Rulebook(PolicySet(policies=(policy("p", source="1d", ceiling="1d"),), deletion=deletion))
    told = explain(Sample(at_source=False).candidate(), Terms(rules=rules), NOW, paused=False)
    assert told.source.action is Action.DELETE_AT_SOURCE
    assert told.changes == (
        "at the source: the next pass deletes it",
        "in the archive: it goes with the next plan that a second person approves: archiver plan, approve, apply",
    )


def test_several_cases_are_named_in_the_same_order_whatever_theirs() -> None:
    cases = [hold("b"), hold("a"), hold("elsewhere", accounts=("zenith",))]
    for order in (cases, cases[::-1]):
        assert changes(Sample(state=State.PURGED), FULL, holds=order) == (
            "in the archive: the release of a, b by two people: archiver hold release",
        )


def test_a_change_of_policies_is_waited_for_like_any_date() -> None:
    lax, strict = policy("lax", source="0s"), policy("strict", source="never")
    until = NOW + timedelta(days=3, seconds=5)
    told = explain(Sample().candidate(), terms(lax, earlier=[([strict], until)]), NOW, paused=False)
    assert told.changes[0] == "at the source: time, on 2025-06-04 00:00:05 UTC"
