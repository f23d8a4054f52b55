"""Expire: delete in the archive what a plan names, each copy checked again just before. The tombstone stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from archiver.core import naming
from archiver.core.decision import Reason
from archiver.core.model import Entry, State
from archiver.core.plan import PlanItem
from archiver.core.policy import Mode
from archiver.core.retention import decide_archive, decide_erasure
from archiver.errors import NotFound
from archiver.stages.absence import not_listed
from archiver.stages.inspection import inspect_copy
from archiver.stages.last_check import LastCheck, rule_for, why_not
from archiver.stages.workers import Feed, run_workers

log = structlog.get_logger()

#: What a tombstone no longer says: people's numbers and names. Ids, times, key, size and digest stay.
FORGOTTEN: Mapping[str, object] = {
    "caller_id": None, "dnis": None, "cnam": None, "file_name": None, "raw": {}, "earlier": [],
}  # fmt: skip


def came_from(entry: Entry) -> State:
    """Where a recording stood before its deletion in the archive had begun."""
    return State.VERIFIED if entry.purged_at is None else State.PURGED


@dataclass(slots=True, kw_only=True)
class Expire:
    """The stage for one account. Only for the holder of the account's expire lock."""

    check: LastCheck
    mode: Mode  # of deletion in the archive
    concurrency: int
    under: Mapping[str, object] = field(default_factory=dict)  # the plan and who approved it, for the history

    async def finish_interrupted(self, *, may_delete: bool) -> None:
        """Take up what a killed process left between its mark and the last removal.

        Without `may_delete` (they are more than a run may delete) what is still whole is handed back.
        """
        feed = Feed(self.check.reads.entries(self.check.context.account, [State.EXPIRING]))
        heard = False

        async def work() -> None:
            nonlocal heard
            while not self.check.context.stopping() and (entry := await feed.next()) is not None:
                if not heard:
                    await self.check.hear_clock()
                    heard = True
                await self.check.guarded(entry.id, self._resume(entry, may_delete=may_delete))

        await run_workers(self.concurrency, work)

    async def run(self, items: Iterable[PlanItem]) -> None:
        """Delete the planned copies for good; what no longer qualifies is kept, with its reason."""
        await self.check.hear_clock()
        await self.check.each(items, self.concurrency, self._expire_planned)

    async def _expire_planned(self, item: PlanItem) -> None:
        check = self.check
        entry = await check.planned(item)
        if entry is None or not await check.free_in_bucket(entry):
            return
        if entry.at_source or (entry.purged_at is None and not await self._source_lacks(entry)):
            check.keep(Reason.STILL_AT_SOURCE, "the source still has it: its deletion there comes first")
            return
        word = await check.word(entry, rule_for(item))  # once more: proving the copy may have taken a while
        if not word.permits:
            check.keep(word.kind, word.sentence)
            return
        key, fixity = entry.require_copy()
        checked = {"copy": key, "sha256": fixity.sha256, "size": fixity.size, **self.under}
        mark = check.context.mark(word.sentence, **checked)
        await check.catalogue.advance(entry, State.EXPIRING, replace(mark, decided=word.decided))
        await self._remove(replace(entry, state=State.EXPIRING))

    async def _resume(self, entry: Entry, *, may_delete: bool) -> None:
        """Finish what was begun. What is still there is asked about anew; what is half gone cannot come back."""
        check, before = self.check, replace(entry, state=came_from(entry))
        whole = await self._both_stand(entry)
        word = await check.word(before, decide_archive if whole else decide_erasure)
        if word.pause is not None:
            check.keep(word.kind, word.sentence)
        elif whole and (self.mode is not Mode.AUTOMATIC or not word.permits or not may_delete):
            await self._back(entry, why_not(word, may_delete=may_delete))
        elif whole and not (verdict := await inspect_copy(check.store, entry)).good:
            await self._back(entry, verdict.problem or "")  # verify will see to it
        elif not word.permits:
            check.keep(word.kind, f"half deleted: {word.sentence}")
        elif await check.free_in_bucket(entry):
            await self._remove(entry)

    async def _both_stand(self, entry: Entry) -> bool:
        """Whether audio and sidecar are there. The present version goes last, so nothing of them is lost then."""
        key, _ = entry.require_copy()
        sizes = [await self.check.store.size(one) for one in (key, naming.sidecar_key(key))]
        return None not in sizes

    async def _back(self, entry: Entry, why: str) -> None:
        reason = f"not deleted after all: {why}"
        await self.check.catalogue.advance(entry, came_from(entry), self.check.context.mark(reason))
        self.check.keep("handed_back", reason)

    async def _source_lacks(self, entry: Entry) -> bool:
        """Ask the source about a recording that it has deleted by itself."""
        try:
            await self.check.source.get(entry.id)
        except NotFound:
            return await not_listed(self.check.source, entry)
        return False

    async def _remove(self, entry: Entry) -> None:
        """Delete audio, then sidecar, then say so. The row says expiring already: it can be taken up at any point.

        The tombstone comes in between: whenever the catalogue is lost, one of both tells what stood there.
        """
        check = self.check
        key, fixity = entry.require_copy()
        await check.locks.remove(key)
        mark = check.context.mark("deleted in the archive, all versions", copy=key, sha256=fixity.sha256, **self.under)
        await check.notes.leave(replace(entry, expired_at=mark.at), State.EXPIRED, mark)
        await check.locks.remove(naming.sidecar_key(key))
        await check.catalogue.advance(entry, State.EXPIRED, mark, expired_at=mark.at, problem=None, **FORGOTTEN)
        check.context.report.expired += 1
        log.info("recording_expired")
