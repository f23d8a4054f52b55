"""Purge: delete at the source what a plan names, each recording checked again just before its DELETE."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from archiver.core import clocks
from archiver.core.model import Entry, Mark, Recording, Slice, State
from archiver.core.plan import PlanItem
from archiver.core.policy import Mode, PolicySet
from archiver.core.retention import Action, Candidate, Decision, decide
from archiver.errors import Conflict, NotFound, SkipItem, StopStage, Throttled, Transient, Unreachable
from archiver.stages import clock
from archiver.stages.context import Context
from archiver.stages.inspection import inspect_copy
from archiver.stages.ports import Catalogue, CatalogueReads, ObjectStore, RecordingSource
from archiver.stages.workers import Feed, run_workers

log = structlog.get_logger()

SAME_SECOND = 100  # recordings asked for that began in the same second


def candidate(entry: Entry) -> Candidate:
    """Say of a row what the retention decision needs."""
    recording, fixity = entry.recording, entry.fixity
    return Candidate(
        account=recording.account,
        recording_id=recording.id,
        direction=recording.direction,
        extensions=recording.extensions,
        duration_ms=recording.duration_ms,
        start=recording.start,
        ended_at=recording.ended_at(entry.listed_at),
        state=entry.state,
        listed_at=entry.listed_at,
        verified_at=entry.verified_at,
        size_disagrees=entry.size_disagrees,
        sha256=fixity.sha256 if fixity else None,
        size=fixity.size if fixity else None,
    )


def changed_at_source(archived: Recording, now: Recording) -> str | None:
    """Name the first anchor in which the source's present description differs from the archived one."""
    anchors = (("call_id", archived.call_id, now.call_id), ("start", archived.start, now.start),
               ("size", archived.size, now.size))  # fmt: skip
    return next((name for name, before, after in anchors if before != after), None)


@dataclass(frozen=True, slots=True)
class LastWord:
    """A decision that was made by our clock, and the time by whichever of our clock and the source's is behind."""

    decision: Decision
    cautious: datetime

    @property
    def permits(self) -> bool:
        """Whether the recording may be deleted at the source now, by either clock."""
        return self.decision.action is Action.DELETE_AT_SOURCE and not self._too_early

    @property
    def kind(self) -> str:
        """The reason in one word."""
        return "clock_disagrees" if self._too_early else self.decision.reason

    @property
    def sentence(self) -> str:
        """The reason for a person to read."""
        but = f", but the source's clock says {self.cautious:%Y-%m-%d %H:%M:%S} UTC" if self._too_early else ""
        return self.decision.sentence + but

    @property
    def _too_early(self) -> bool:
        # only the wait is asked of both: when a recording was listed and verified was told by our clock alone
        due = self.decision.action is Action.DELETE_AT_SOURCE
        return due and (self.decision.not_before is None or self.cautious < self.decision.not_before)


@dataclass(slots=True, kw_only=True)
class Purge:
    """The stage for one account. Only for the holder of the account's purge lock."""

    context: Context
    source: RecordingSource
    store: ObjectStore
    catalogue: Catalogue
    reads: CatalogueReads
    policies: PolicySet
    concurrency: int

    async def finish_interrupted(self) -> None:
        """Take up what a killed process left between its mark and the source's answer."""
        feed = Feed(self.reads.entries(self.context.account, [State.PURGING]))

        async def work() -> None:
            while not self.context.stopping() and (entry := await feed.next()) is not None:
                await self._guarded(entry.id, self._resume(entry))

        await run_workers(self.concurrency, work)

    async def run(self, items: Iterable[PlanItem]) -> None:
        """Delete the planned items at the source; what no longer qualifies is kept, with its reason."""
        waiting = iter(items)

        async def work() -> None:
            while not self.context.stopping() and (item := next(waiting, None)) is not None:
                await self._guarded(item.recording_id, self._delete_planned(item))

        await run_workers(self.concurrency, work)

    async def _guarded(self, recording_id: str, action: Coroutine[None, None, None]) -> None:
        """One recording that cannot be deleted now does not stop the others."""
        with structlog.contextvars.bound_contextvars(recording_id=recording_id):
            try:
                await action
            except Throttled:
                raise
            except (Transient, SkipItem) as error:
                self.context.report.fail(recording_id, type(error).__name__, str(error))
                self._kept(type(error).__name__, str(error))

    def _kept(self, kind: str, reason: str) -> None:
        self.context.report.kept[kind] += 1
        log.warning("purge_skipped", kind=kind, reason=reason)

    async def _delete_planned(self, item: PlanItem) -> None:
        entry = await self.reads.entry(item.account, item.recording_id)
        if entry is None:
            self._kept("unknown", "the catalogue has no such recording")
            return
        decision = self._decide(entry)
        if not decision.permits:
            self._kept(decision.kind, decision.sentence)
        elif entry.fixity is None or (entry.fixity.sha256, entry.fixity.size) != (item.sha256, item.size):
            self._kept("copy_changed", "the copy on record is not the one that was planned")
        elif await self._copy_is_good(entry):
            await self._delete_checked(entry)

    async def _resume(self, entry: Entry) -> None:
        """Finish a purge that was marked before: if the source still has it, everything is asked again."""
        if not await self._source_is_unchanged(entry):
            return
        decision = self._decide(replace(entry, state=State.VERIFIED))
        if self.policies.deletion.mode is not Mode.AUTOMATIC or not decision.permits:
            await self._back(entry, f"not deleted after all: {decision.sentence}")
        elif await self._copy_is_good(entry):
            await self._delete(entry)

    def _decide(self, entry: Entry) -> LastWord:
        """Ask the policies, by our clock and by the source's: to be asked again once the source has answered."""
        now = self.context.clock()
        decision = decide(candidate(entry), self.policies.policies, now)
        return LastWord(decision, clocks.cautious(now, self.source.clock_ahead))

    async def _copy_is_good(self, entry: Entry) -> bool:
        verdict = await inspect_copy(self.store, entry)
        if verdict.good:
            return True
        reason = verdict.problem or ""
        await self.catalogue.advance(entry, State.QUARANTINED, self.context.mark(reason), problem=reason)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", reason)
        log.error("recording_quarantined", reason=reason)
        return False

    async def _source_is_unchanged(self, entry: Entry) -> bool:
        """Read the source's description again. Gone there: recorded as purged. Changed: kept."""
        try:
            described = await self.source.get(entry.id)
        except NotFound:
            await self._missing(entry)
            return False
        clock.watch(self.context, self.source)
        anchor = changed_at_source(entry.recording, described)
        if anchor is None:
            return True
        reason = f"the source now gives another {anchor} than when it was archived"
        if entry.state is State.PURGING:
            await self._back(entry, reason)
        else:
            self._kept("changed_at_source", reason)
        return False

    async def _missing(self, entry: Entry) -> None:
        """Believe a 404 only beside a listing that works: a wrong address answers 404 to everything."""
        second = Slice(entry.recording.start, entry.recording.start)
        page = await self.source.list_page(second, page=1, page_size=SAME_SECOND)
        listed = {recording.id for recording in (*page.recordings, *await self._page_zero(second))}
        if entry.id in listed or (page.total_items or 0) > len(listed):
            self._kept("contradiction", "the source answers 404 for it and still lists it, or lists only a part")
        else:
            await self._gone(entry, "the source no longer has it (404, and not listed)", deleted=False)

    async def _page_zero(self, second: Slice) -> tuple[Recording, ...]:
        """List the first page of a source that counts from 0; one that counts from 1 may refuse it."""
        try:
            return (await self.source.list_page(second, page=0, page_size=SAME_SECOND)).recordings
        except Unreachable:
            raise
        except (SkipItem, StopStage):
            return ()

    async def _delete_checked(self, entry: Entry) -> None:
        if not await self._source_is_unchanged(entry):
            return
        decision = self._decide(entry)
        if not decision.permits:
            self._kept(decision.kind, decision.sentence)
            return
        key, fixity = entry.require_copy()
        checked = {"sha256": fixity.sha256, "size": fixity.size, "source": "call_id, start and size as archived"}
        await self.catalogue.advance(entry, State.PURGING, self.context.mark(decision.sentence, copy=key, **checked))
        await self._delete(replace(entry, state=State.PURGING))

    async def _delete(self, entry: Entry) -> None:
        """Send the DELETE. The row says purging already: whatever happens now can be taken up again."""
        deleted = await self.source.delete(entry.id)
        reason = "deleted at the source" if deleted else "the source had no copy any more (404)"
        await self._gone(entry, reason, deleted=deleted)

    async def _gone(self, entry: Entry, reason: str, *, deleted: bool) -> None:
        if entry.state is not State.PURGING:
            await self.catalogue.advance(entry, State.PURGING, self.context.mark(reason))
            entry = replace(entry, state=State.PURGING)
        mark = self.context.mark(reason)
        try:
            await self.catalogue.advance(entry, State.PURGED, mark, purged_at=mark.at)
        except Conflict:
            await self._note_gone(entry, mark)
        self.context.report.deleted += 1
        self.context.report.already_gone += not deleted
        log.info("recording_purged", reason=reason)

    async def _note_gone(self, entry: Entry, mark: Mark) -> None:
        """Somebody has moved the row on (a copy found bad): that the source has none is true all the same."""
        stands = await self.reads.entry(entry.recording.account, entry.id)
        if stands is not None and stands.purged_at is None:
            await self.catalogue.note(stands, mark, purged_at=mark.at)

    async def _back(self, entry: Entry, reason: str) -> None:
        await self.catalogue.advance(entry, State.VERIFIED, self.context.mark(reason))
        self._kept("handed_back", reason)
