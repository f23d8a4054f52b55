"""What is asked again about one recording, alone, just before it is deleted on either side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from archiver.core import clocks, naming
from archiver.core.candidates import candidate
from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.model import Entry, Protection, Slice, State
from archiver.core.plan import PlanItem
from archiver.core.protection import wanted
from archiver.core.retention import Terms, decide, decide_archive, decide_erasure
from archiver.errors import SkipItem, Throttled, Transient
from archiver.stages import clock
from archiver.stages.context import Context
from archiver.stages.inspection import explained, inspect_copy
from archiver.stages.noting import Notes
from archiver.stages.ports import Catalogue, CatalogueReads, ObjectStore, RecordingSource
from archiver.stages.retention_ports import Controls, ObjectLocks
from archiver.stages.workers import run_workers

log = structlog.get_logger()

Rule = Callable[[Candidate, Terms, datetime], Decision]


@dataclass(frozen=True, slots=True)
class LastWord:
    """A decision that was made by our clock, and the time by whichever of our clock and the source's is behind."""

    decision: Decision
    cautious: datetime
    decided: tuple[int, int] | None  # extent of the log of decisions that it rests on
    pause: str | None = None  # why all deletion is paused

    @property
    def permits(self) -> bool:
        """Whether the deletion may be done now, by either clock."""
        return self._due and not self._too_early and self.pause is None

    @property
    def kind(self) -> str:
        """The reason in one word."""
        if self.pause is not None:
            return "paused"
        return "clock_disagrees" if self._too_early else self.decision.reason

    @property
    def sentence(self) -> str:
        """The reason for a person to read."""
        if self.pause is not None:
            return self.pause
        but = f", but the source's clock says {self.cautious:%Y-%m-%d %H:%M:%S} UTC" if self._too_early else ""
        return self.decision.sentence + but

    @property
    def _due(self) -> bool:
        return self.decision.action is not Action.KEEP

    @property
    def _too_early(self) -> bool:
        # only the wait is asked of both: when a recording was listed and verified was told by our clock alone
        since = self.decision.not_before
        return self._due and since is not None and self.cautious < since


def why_not(word: LastWord, *, may_delete: bool) -> str:
    """Say why a deletion that was interrupted is not gone on with."""
    if not word.permits:
        return word.sentence
    return "it takes a plan to begin it again" if may_delete else "more had begun than one run may delete"


def rule_for(item: PlanItem) -> Rule:
    """Return the question that a planned deletion has to pass again."""
    if item.reason is Reason.ERASURE_REQUESTED:
        return decide_erasure
    return decide if item.action is Action.DELETE_AT_SOURCE else decide_archive


@dataclass(slots=True, kw_only=True)
class LastCheck:
    """The questions, and what is done with a recording that does not pass. For one account and one run."""

    context: Context
    source: RecordingSource
    store: ObjectStore
    locks: ObjectLocks
    catalogue: Catalogue
    reads: CatalogueReads
    controls: Controls
    notes: Notes
    skipped: str  # event that tells of a recording that was kept after all

    async def each(
        self, items: Iterable[PlanItem], concurrency: int, delete: Callable[[PlanItem], Awaitable[None]]
    ) -> None:
        """Do what a plan names, so many at a time."""
        waiting = iter(items)

        async def work() -> None:
            while not self.context.stopping() and (item := next(waiting, None)) is not None:
                await self.guarded(item.recording_id, delete(item))

        await run_workers(concurrency, work)

    async def guarded(self, recording_id: str, action: Awaitable[None]) -> None:
        """One recording that cannot be deleted now does not stop the others."""
        with structlog.contextvars.bound_contextvars(recording_id=recording_id):
            try:
                await action
            except Throttled:
                raise
            except (Transient, SkipItem) as error:
                self.context.report.fail(recording_id, type(error).__name__, str(error))
                self.keep(type(error).__name__, str(error))

    def keep(self, kind: str, reason: str) -> None:
        """Count a recording that stays, and say why."""
        self.context.report.kept[kind] += 1
        log.warning(self.skipped, kind=kind, reason=reason)

    async def word(self, entry: Entry, rule: Rule) -> LastWord:
        """Ask policies, holds and the pause as they stand now, by our clock and by the source's."""
        now = self.context.clock()
        cautious = clocks.cautious(now, self.source.clock_ahead)
        terms, pause = await self.controls.terms(cautious), await self.controls.paused()
        return LastWord(rule(candidate(entry), terms, now), cautious, terms.decided, pause)

    async def hear_clock(self) -> None:
        """Ask the source for its time, so that nothing is deleted by ours alone. Raises Unreachable and the like."""
        now = self.context.clock().replace(microsecond=0)
        await self.source.list_page(Slice(now, now), page=1, page_size=1)
        clock.watch(self.context, self.source)

    async def planned(self, item: PlanItem) -> Entry | None:
        """Find the planned recording, if it still qualifies and its copy is the planned one, proved just now."""
        entry = await self.reads.entry(item.account, item.recording_id)
        if entry is None:
            self.keep("unknown", "the catalogue has no such recording")
            return None
        word = await self.word(entry, rule_for(item))
        if not word.permits:
            self.keep(word.kind, word.sentence)
        elif entry.fixity is None or (entry.fixity.sha256, entry.fixity.size) != (item.sha256, item.size):
            self.keep("copy_changed", "the copy on record is not the one that was planned")
        elif await self.copy_is_good(entry):
            return entry
        return None

    async def copy_is_good(self, entry: Entry) -> bool:
        """Prove the copy once more; one that is not good goes into quarantine."""
        verdict = await inspect_copy(self.store, entry)
        if verdict.good:
            return True
        now = self.context.clock()
        reason = explained(verdict.problem or "", entry, await self.controls.terms(now), now)
        await self.catalogue.advance(entry, State.QUARANTINED, self.context.mark(reason), problem=reason)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", reason)
        log.error("recording_quarantined", reason=reason)
        return False

    async def held_in_bucket(self, entry: Entry) -> bool:
        """Compare lock and legal hold in the bucket with what the terms ask. True: the source must keep its copy."""
        now = self.context.clock()
        wants = wanted(candidate(replace(entry, state=State.VERIFIED)), await self.controls.terms(now), now)
        if wants.lock is None and not (await self.store.facts()).object_lock:
            return False
        key, _ = entry.require_copy()
        for one in (key, naming.sidecar_key(key)):
            found = await self.locks.protection(one)
            if found.on_hold:
                self.keep(Reason.ON_HOLD, f"the bucket has a legal hold on {one}")
                return True
            if wants.lock is not None and (found.lock is None or not found.lock.covers(wants.lock)):
                self.keep(Reason.NOT_LOCKED, f"the bucket does not lock {one} as a policy wants")
                return True
        return False

    async def free_in_bucket(self, entry: Entry) -> bool:
        """Whether no version of audio and sidecar is locked or on hold; the first that is, is the reason to keep."""
        now = self.context.clock()
        key, _ = entry.require_copy()
        for one in (key, naming.sidecar_key(key)):
            for found in await self.locks.protections(one):
                if (kind := _holder(found, now)) is not None:
                    self.keep(kind, f"the bucket holds a version of {one}")
                    return False
        return True


def _holder(found: Protection, now: datetime) -> Reason | None:
    if found.on_hold:
        return Reason.ON_HOLD
    return Reason.LOCKED if found.lock is not None and found.lock.until > now else None
