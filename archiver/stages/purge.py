"""Purge: delete at the source what a plan names, each recording checked again just before its DELETE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from archiver.core.decision import Reason
from archiver.core.model import Entry, Mark, Recording, State
from archiver.core.plan import PlanItem
from archiver.core.policy import Mode
from archiver.core.retention import decide
from archiver.errors import Conflict, NotFound, SkipItem, Withheld
from archiver.stages import clock
from archiver.stages.absence import not_listed
from archiver.stages.last_check import LastCheck, Rule, rule_for, why_not
from archiver.stages.workers import Feed, run_workers

log = structlog.get_logger()


def changed_at_source(archived: Recording, now: Recording) -> str | None:
    """Name the first anchor in which the source's present description differs from the archived one."""
    anchors = (("call_id", archived.call_id, now.call_id), ("start", archived.start, now.start),
               ("size", archived.size, now.size))  # fmt: skip
    return next((name for name, before, after in anchors if before != after), None)


@dataclass(slots=True, kw_only=True)
class Purge:
    """The stage for one account. Only for the holder of the account's purge lock."""

    check: LastCheck
    mode: Mode
    concurrency: int
    under: Mapping[str, object] = field(default_factory=dict)  # the plan and who approved it, for the history

    async def finish_interrupted(self, *, may_delete: bool) -> None:
        """Take up what a killed process left between its mark and the source's answer.

        Without `may_delete` (they are more than a run may delete) what the source still has is handed back.
        """
        feed = Feed(self.check.reads.entries(self.check.context.account, [State.PURGING]))

        async def work() -> None:
            while not self.check.context.stopping() and (entry := await feed.next()) is not None:
                await self.check.guarded(entry.id, self._resume(entry, may_delete=may_delete))

        await run_workers(self.concurrency, work)

    async def run(self, items: Iterable[PlanItem]) -> None:
        """Delete the planned items at the source; what no longer qualifies is kept, with its reason."""
        await self.check.each(items, self.concurrency, self._delete_planned)

    async def _delete_planned(self, item: PlanItem) -> None:
        entry = await self.check.planned(item)
        if entry is None or await self.check.held_in_bucket(entry):
            return
        erased = item.reason is Reason.ERASURE_REQUESTED  # on both sides, or on none
        if erased and not await self.check.free_in_bucket(entry):
            return
        if await self._source_is_unchanged(entry):
            await self._delete_checked(entry, rule_for(item))

    async def _resume(self, entry: Entry, *, may_delete: bool) -> None:
        """Finish a purge that was marked before: if the source still has it, everything is asked again."""
        check = self.check
        if not await self._source_is_unchanged(entry):
            return
        word = await check.word(replace(entry, state=State.VERIFIED), decide)
        if word.pause is not None:
            check.keep(word.kind, word.sentence)
        elif self.mode is not Mode.AUTOMATIC or not word.permits or not may_delete:
            await self._back(entry, f"not deleted after all: {why_not(word, may_delete=may_delete)}")
        elif await check.copy_is_good(entry):
            if await check.held_in_bucket(entry):
                await self._back(entry, "not deleted after all: the bucket does not hold it as the terms ask")
            else:
                await self._delete(entry, decide)

    async def _source_is_unchanged(self, entry: Entry) -> bool:
        """Read the source's description again. Gone there: recorded as purged. Changed: kept."""
        check = self.check
        try:
            described = await check.source.get(entry.id)
        except NotFound:
            await self._missing(entry)
            return False
        clock.watch(check.context, check.source)
        anchor = changed_at_source(entry.recording, described)
        if anchor is None:
            return True
        reason = f"the source now gives another {anchor} than when it was archived"
        if entry.state is State.PURGING:
            await self._back(entry, reason)
        else:
            check.keep("changed_at_source", reason)
        return False

    async def _missing(self, entry: Entry) -> None:
        if await not_listed(self.check.source, entry):
            await self._gone(entry, "the source no longer has it (404, and not listed)", deleted=False)
        else:
            reason = "the source answers 404 for it and still lists it, or lists only a part"
            self.check.keep("contradiction", reason)

    async def _delete_checked(self, entry: Entry, rule: Rule) -> None:
        check = self.check
        word = await check.word(entry, rule)
        if not word.permits:
            check.keep(word.kind, word.sentence)
            return
        key, fixity = entry.require_copy()
        checked = {"sha256": fixity.sha256, "size": fixity.size, "source": "call_id, start and size as archived"}
        mark = check.context.mark(word.sentence, copy=key, **checked, **self.under)
        await check.catalogue.advance(entry, State.PURGING, replace(mark, decided=word.decided))
        await self._delete(replace(entry, state=State.PURGING), rule)

    async def _delete(self, entry: Entry, rule: Rule) -> None:
        """Send the DELETE. The row says purging already: whatever happens now can be taken up again."""

        async def still() -> None:
            word = await self.check.word(replace(entry, state=State.VERIFIED), rule)
            if not word.permits:
                raise Withheld(word.sentence)

        try:
            deleted = await self.check.source.delete(entry.id, still=still)
        except Withheld as error:
            await self._back(entry, f"not deleted after all: {error}")
            return
        except SkipItem as error:  # the source has refused it: a mark that stays would be carried out some other day
            await self._back(entry, f"not deleted after all: {error}")
            self.check.context.report.fail(entry.id, type(error).__name__, str(error))
            return
        reason = "deleted at the source" if deleted else "the source had no copy any more (404)"
        await self._gone(entry, reason, deleted=deleted)

    async def _gone(self, entry: Entry, reason: str, *, deleted: bool) -> None:
        if entry.state is not State.PURGING:
            await self.check.catalogue.advance(entry, State.PURGING, self.check.context.mark(reason))
            entry = replace(entry, state=State.PURGING)
        check, mark = self.check, self.check.context.mark(reason)
        await check.notes.leave(replace(entry, purged_at=mark.at), State.PURGED, mark)
        try:
            await check.catalogue.advance(entry, State.PURGED, mark, purged_at=mark.at)
        except Conflict:
            await self._note_gone(entry, mark)
        report = check.context.report
        report.deleted += 1
        report.already_gone += not deleted
        log.info("recording_purged", reason=reason)

    async def _note_gone(self, entry: Entry, mark: Mark) -> None:
        """Somebody has moved the row on (a copy found bad): that the source has none is true all the same."""
        stands = await self.check.reads.entry(entry.recording.account, entry.id)
        if stands is not None and stands.purged_at is None:
            await self.check.catalogue.note(stands, mark, purged_at=mark.at)

    async def _back(self, entry: Entry, reason: str) -> None:
        await self.check.catalogue.advance(entry, State.VERIFIED, self.check.context.mark(reason))
        self.check.keep("handed_back", reason)
