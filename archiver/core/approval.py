"""Whether a plan may be approved, and whether it may be applied: checked before anything is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from archiver.core.controls import PlanRecord
from archiver.core.decision import Action, Reason
from archiver.core.people import same_person
from archiver.core.plan import PlanItem
from archiver.core.policy import Deletion, Mode, PolicySet
from archiver.errors import SafetyLimit


def _refused(why: str) -> SafetyLimit:
    return SafetyLimit(f"{why}: nothing was deleted", hint="make a new one: archiver plan --out FILE")


def require_usable(record: PlanRecord | None, planned_under: str, policies: PolicySet, now: datetime) -> PlanRecord:
    """Return the plan's record. Raises SafetyLimit for one that is foreign, used, expired, or of other policies."""
    if record is None:
        raise _refused("this plan was not written by this archive's plan command")
    if record.used_at is not None:
        raise _refused(f"this plan was used on {record.used_at:%Y-%m-%d %H:%M:%S} UTC")
    if now >= record.expires_at:
        raise _refused(f"this plan expired on {record.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if planned_under != policies.digest:
        raise _refused("this plan was made under other policies than the present ones")
    return record


def require_second_person(record: PlanRecord, by: str) -> None:
    """Raise SafetyLimit where the author approves the own plan, or it is approved already."""
    if record.approved_by is not None:
        raise SafetyLimit(
            f"this plan was approved by {record.approved_by} already", hint="apply it: archiver apply PLAN"
        )
    if same_person(record.author, by):
        raise SafetyLimit(f"{record.author} has made this plan: somebody else must approve it")


def require_permission(items: Sequence[PlanItem], record: PlanRecord, deletion: Deletion) -> None:
    """Raise SafetyLimit unless the modes, or the approval that they ask for, permit what a plan holds."""
    for side, mode, some in _sides(items, deletion):
        if some and mode is Mode.DISABLED:
            raise SafetyLimit(
                f"deletion {side} is disabled: nothing was deleted",
                hint="set deletion.mode (and deletion.archive.mode) to approve or automatic in the policies file",
            )
    if record.approved_by is None and needs_approval(items, deletion):
        raise SafetyLimit(
            "this plan is not approved: nothing was deleted",
            hint="a second person reads and approves it: archiver approve PLAN --by NAME",
        )


def needs_approval(items: Sequence[PlanItem], deletion: Deletion) -> bool:
    """Whether a second person must approve a plan: for an erasure always, else where a mode asks for it."""
    asked = any(item.reason is Reason.ERASURE_REQUESTED for item in items)
    return asked or any(some and mode is Mode.APPROVE for _, mode, some in _sides(items, deletion))


def _sides(items: Sequence[PlanItem], deletion: Deletion) -> tuple[tuple[str, Mode, bool], ...]:
    actions = {item.action for item in items}
    return (
        ("at the source", deletion.mode, Action.DELETE_AT_SOURCE in actions),
        ("in the archive", deletion.in_archive, Action.DELETE_IN_ARCHIVE in actions),
    )
