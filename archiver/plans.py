"""The desk where plans are written down, approved by a second person, and used up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.controls import Controls
from archiver.adapters.database import exclusive
from archiver.core.approval import require_permission, require_second_person, require_usable
from archiver.core.controls import Control, Event, Kind, PlanRecord, plans_in
from archiver.core.plan import Plan, total_bytes
from archiver.core.plan_file import digest_of
from archiver.core.policy import PolicySet
from archiver.errors import AccountBusy, Conflict, SafetyLimit


async def register(controls: Controls, plan: Plan, text: str, purpose: str) -> None:
    """Write down that this archive has made a plan, and who asked for it. Only such a plan can be applied."""
    sides = {"source": plan.at_source(), "archive": plan.in_archive()}
    counts = {side: {"delete": len(items), "bytes": total_bytes(items)} for side, items in sides.items()}
    detail = {"expires_at": plan.expires_at.isoformat(), "policies_digest": plan.policies_digest, "counts": counts}
    await controls.record(_event(digest_of(text), Event.WRITTEN, plan.author, purpose, plan.created_at, **detail))


async def record_of(controls: Controls, digest: str) -> PlanRecord | None:
    """Return what is known of a plan; None: this archive has not written it."""
    return plans_in(await controls.log([Kind.PLAN], digest)).get(digest)


async def approve(
    controls: Controls, plan: Plan, text: str, policies: PolicySet, *, by: str, reason: str, now: datetime
) -> None:
    """Write down a second person's approval. Raises SafetyLimit where it is not theirs to give, or comes too late."""
    digest = digest_of(text)
    record = require_usable(await record_of(controls, digest), plan.policies_digest, policies, now)
    require_second_person(record, by)
    try:
        await controls.record(_event(digest, Event.APPROVED, by, reason, now))
    except Conflict as error:
        raise SafetyLimit(str(error)) from None


@asynccontextmanager
async def in_use(
    engine: AsyncEngine, controls: Controls, plan: Plan, text: str, policies: PolicySet, now: datetime
) -> AsyncIterator[PlanRecord]:
    """Hold a plan that may be applied, so that nobody else does at the same moment.

    Raises SafetyLimit, naming what forbids it, and AccountBusy. One at a time: the plan is looked at under the lock.
    """
    digest = digest_of(text)
    try:
        async with exclusive(engine, digest, "plan"):
            record = require_usable(await record_of(controls, digest), plan.policies_digest, policies, now)
            require_permission(plan.items, record, policies.deletion)
            yield record
    except AccountBusy as error:
        if digest not in str(error):
            raise
        msg = "another process is applying this plan at this moment"
        raise AccountBusy(msg, hint="wait for it to end; a plan is used once") from None


async def use_up(controls: Controls, record: PlanRecord, run: str, now: datetime) -> None:
    """Write down that a plan was carried out to its end: it cannot be applied again."""
    await controls.record(_event(record.digest, Event.USED, run, "applied to its end", now))


def _event(digest: str, event: Event, by: str, reason: str, at: datetime, **detail: object) -> Control:
    return Control(at=at, kind=Kind.PLAN, subject=digest, event=event, by=by, reason=reason, detail=detail)
