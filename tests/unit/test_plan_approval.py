"""Which plans may be approved and applied, and by whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.core.approval import needs_approval, require_permission, require_second_person, require_usable
from archiver.core.controls import PlanRecord
from archiver.core.decision import Action
from archiver.core.plan import Draft, PlanItem, erasure
from archiver.core.policy import Deletion, Mode, PolicySet
from archiver.core.retention import Terms, decide_erasure
from archiver.errors import SafetyLimit
from tests.support.retention import DAY, NOW, Sample, policy

POLICIES = PolicySet(policies=(policy("p", source="1d", ceiling="1d"),))
RECORD = PlanRecord(
    digest="d" * 64, author="Anna B", written_at=NOW, expires_at=NOW + DAY, purpose="monthly", counts={}
)
APPROVED = replace(RECORD, approved_by="Bob", approved_at=NOW)


def due(*samples: Sample) -> tuple[PlanItem, ...]:
    draft = Draft(terms=Terms.of(POLICIES), now=NOW)
    for sample in samples:
        draft.consider(sample.candidate())
    return draft.plan(author="Anna B").items


AT_SOURCE, IN_ARCHIVE = (tuple(one for one in due(Sample(at_source=False)) if one.action is action)
                         for action in (Action.DELETE_AT_SOURCE, Action.DELETE_IN_ARCHIVE))  # fmt: skip


def test_a_plan_of_this_archive_that_is_young_unused_and_of_these_policies_is_usable() -> None:
    assert require_usable(RECORD, POLICIES.digest, POLICIES, NOW + DAY - timedelta(microseconds=1)) == RECORD


@pytest.mark.parametrize(
    ("record", "digest", "late", "message"),
    [
        (None, POLICIES.digest, 0, "this plan was not written by this archive's plan command: nothing was deleted"),
        (replace(APPROVED, used_at=NOW), POLICIES.digest, 0, "this plan was used on 2025-06-01 00:00:00 UTC: nothing"),
        (APPROVED, POLICIES.digest, 1, "this plan expired on 2025-06-02 00:00:00 UTC: nothing was deleted"),
        (APPROVED, "0" * 64, 0, "this plan was made under other policies than the present ones: nothing was deleted"),
    ],
)
def test_any_other_is_refused(record: PlanRecord | None, digest: str, late: int, message: str) -> None:
    with pytest.raises(SafetyLimit, match=message) as refused:
        require_usable(record, digest, POLICIES, NOW + late * DAY)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("by", ["Anna B", "anna b.", "ANNAB", "anna-b"])
def test_nobody_approves_the_own_plan(by: str) -> None:
    with pytest.raises(SafetyLimit, match="Anna B has made this plan: somebody else must approve it"):
        require_second_person(RECORD, by)


def test_a_second_person_approves_once() -> None:
    require_second_person(RECORD, "Bob")
    with pytest.raises(SafetyLimit, match="this plan was approved by Bob already"):
        require_second_person(APPROVED, "Carla")


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("archive_mode", Mode)
@pytest.mark.parametrize("items", [AT_SOURCE, IN_ARCHIVE, (*AT_SOURCE, *IN_ARCHIVE)])
def test_each_side_goes_by_its_own_mode(items: tuple[PlanItem, ...], mode: Mode, archive_mode: Mode) -> None:
    deletion = Deletion(mode=mode, archive_mode=archive_mode)
    modes = {deletion.mode if one.action is Action.DELETE_AT_SOURCE else deletion.in_archive for one in items}
    assert needs_approval(items, deletion) is (Mode.APPROVE in modes)
    if Mode.DISABLED in modes:
        for record in (RECORD, APPROVED):
            with pytest.raises(SafetyLimit, match="is disabled: nothing was deleted"):
                require_permission(items, record, deletion)
        return
    require_permission(items, APPROVED, deletion)
    if Mode.APPROVE in modes:
        with pytest.raises(SafetyLimit, match="this plan is not approved: nothing was deleted"):
            require_permission(items, RECORD, deletion)
    else:
        require_permission(items, RECORD, deletion)


def test_an_erasure_needs_a_second_person_in_every_mode() -> None:
    terms, candidate = Terms.of(PolicySet()), Sample().candidate()
    items = erasure([(candidate, decide_erasure(candidate, terms, NOW))], terms, NOW, author="Anna B").items
    automatic = Deletion(mode=Mode.AUTOMATIC, archive_mode=Mode.AUTOMATIC)
    assert needs_approval(items, automatic)
    with pytest.raises(SafetyLimit, match="is not approved"):
        require_permission(items, RECORD, automatic)
    require_permission(items, APPROVED, automatic)


def test_an_empty_plan_needs_nobody() -> None:
    assert not needs_approval((), Deletion())
    require_permission((), RECORD, Deletion())
