"""Verify: compare what the bucket holds, audio and sidecar, with the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from archiver.core.candidates import candidate
from archiver.core.model import Entry, State
from archiver.core.protection import wanted
from archiver.errors import Conflict, SkipItem, Transient
from archiver.stages.context import Context
from archiver.stages.guarding import Guard, told
from archiver.stages.inspection import explained, inspect_copy
from archiver.stages.ports import Catalogue, ObjectStore
from archiver.stages.retention_ports import Controls
from archiver.stages.workers import Feed, run_workers

log = structlog.get_logger()


def after_good(entry: Entry) -> State:
    """Where a recording belongs whose copy is good. One that is being deleted is for the stage that does it to move."""
    if entry.state in (State.PURGING, State.EXPIRING, State.EXPIRED):
        return entry.state
    return State.PURGED if entry.purged_at is not None else State.VERIFIED


@dataclass(slots=True, kw_only=True)
class Verify:
    """The stage for one account, over whatever entries it is given. Only for the holder of the verify lock."""

    context: Context
    store: ObjectStore
    catalogue: Catalogue
    guard: Guard
    controls: Controls
    concurrency: int

    async def run(self, entries: AsyncIterator[Entry]) -> None:
        """Verify each entry, `concurrency` at a time; a bad copy goes into quarantine."""
        feed = Feed(entries)

        async def work() -> None:
            while not self.context.stopping() and (entry := await feed.next()) is not None:
                with structlog.contextvars.bound_contextvars(recording_id=entry.id):
                    await self._verify(entry)

        await run_workers(self.concurrency, work)

    async def _verify(self, entry: Entry) -> None:
        try:
            verdict = await inspect_copy(self.store, entry)
            await (self._good(entry) if verdict.good else self._bad(entry, verdict.problem or ""))
        except Conflict as error:
            log.info("verification_outrun", reason=str(error))
        except (Transient, SkipItem) as error:
            # neither proved nor disproved: it stays as it is, and the others get their turn
            self.context.report.fail(entry.id, type(error).__name__, str(error))
            log.warning("verification_failed", reason=str(error))

    async def _good(self, entry: Entry) -> None:
        """Lock and hold the copy as the terms ask, then say that it is good, in one change of its row."""
        after = after_good(entry)
        values, said = await self._protect(entry)
        mark = self.context.mark(f"the copy in the bucket is the one on record{said}")
        if entry.state is after:
            await self.catalogue.note(entry, mark, verified_at=mark.at, **values)
        else:
            problem = entry.problem if entry.size_disagrees else None
            await self.catalogue.advance(entry, after, mark, verified_at=mark.at, problem=problem, **values)
        self.context.report.verified += 1
        log.debug("recording_verified")

    async def _protect(self, entry: Entry) -> tuple[dict[str, object], str]:
        """Settle what holds the copy. Returns what to write down about it, and words for the history."""
        if entry.state in (State.PURGING, State.EXPIRING, State.EXPIRED):
            return {}, ""
        now = self.context.clock()
        wants = wanted(candidate(entry), await self.controls.terms(now), now)
        protection = await self.guard.settle(entry, wants)
        if protection == entry.protection:
            return {}, ""
        return {"protection": protection}, f"; {told(entry, wants, protection)}"

    async def _bad(self, entry: Entry, problem: str) -> None:
        now = self.context.clock()
        problem = explained(problem, entry, await self.controls.terms(now), now)
        mark = self.context.mark(problem)
        if entry.state is State.QUARANTINED:
            await self.catalogue.note(entry, mark, problem=problem)
        else:
            await self.catalogue.advance(entry, State.QUARANTINED, mark, problem=problem)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", problem)
        log.error("recording_quarantined", reason=problem)
