"""Protect: after holds or policies have changed, bring the locks and legal holds of all copies up to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from archiver.core.candidates import candidate
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import Entry, Protection, State
from archiver.core.protection import Wanted, digest_of, satisfied, settled, wanted
from archiver.core.retention import Terms
from archiver.errors import Conflict, NotFound, SkipItem, Throttled, Transient
from archiver.stages.context import Context
from archiver.stages.guarding import Guard, told
from archiver.stages.ports import Catalogue, CatalogueReads
from archiver.stages.retention_ports import CandidateReads, Controls, Settled
from archiver.stages.workers import Feed, run_workers

log = structlog.get_logger()

CHECK_EVERY = timedelta(days=1)  # so often the bucket's legal holds are compared with the record
BEGUN = frozenset({State.PURGING, State.EXPIRING})
HELD = ARCHIVED - BEGUN


@dataclass(slots=True, kw_only=True)
class Protect:
    """The stage for one account. Only for the holder of the account's protect lock."""

    context: Context
    guard: Guard
    catalogue: Catalogue
    reads: CatalogueReads
    candidates: CandidateReads
    controls: Controls
    concurrency: int
    unsettled: int = field(default=0, init=False)

    async def run(self, *, recheck: bool = False) -> None:
        """Look at all copies where the terms are others than the last time; at those on hold once a day.

        `recheck`: compare everything that is to be held with the bucket now, whatever the record says.
        """
        account, now = self.context.account, self.context.clock()
        terms = await self.controls.terms(now)
        under, before = digest_of(terms), await self.catalogue.settled(account)
        if recheck or before.under != under:
            await self._check(terms, now, everything=True, recheck=recheck)
        elif before.checked_at is None or not timedelta(0) <= now - before.checked_at < CHECK_EVERY:
            await self._check(terms, now, everything=False)
        else:
            return
        await self._look_at_begun(terms, now)
        if not self.unsettled and not self.context.stopping():
            await self.catalogue.settle(account, Settled(under, now))

    async def _check(self, terms: Terms, now: datetime, *, everything: bool, recheck: bool = False) -> None:
        """Settle what is on hold, or was; `everything`: also what the terms newly ask to lock or to hold."""
        await self._each(self.reads.held_entries(self.context.account), terms, now)
        if everything and (terms.holds or terms.rules.policies.wants_locks):
            await self._each(self._lacking(terms, now, recheck=recheck), terms, now)

    async def _look_at_begun(self, terms: Terms, now: datetime) -> None:
        """Leave alone what is being deleted; should it be handed back, it has to be looked at then."""
        async for one in self.candidates.candidates(self.context.account, BEGUN):
            self.unsettled += not settled(one, wanted(one, terms, now))

    async def _lacking(self, terms: Terms, now: datetime, *, recheck: bool) -> AsyncIterator[Entry]:
        """Walk the recordings that are not yet held as wanted, as far as the record tells; or all to be held."""
        account = self.context.account
        async for one in self.candidates.candidates(account, HELD | {State.EXCLUDED}):
            wants = wanted(one, terms, now)
            if one.state is State.EXCLUDED and not wants.holds:
                continue
            if not settled(one, wants) or (recheck and not wants.nothing and not one.on_hold):
                entry = await self.reads.entry(account, one.recording_id)
                if entry is not None:
                    yield entry

    async def _each(self, entries: AsyncIterator[Entry], terms: Terms, now: datetime) -> None:
        feed = Feed(entries)

        async def work() -> None:
            while not self.context.stopping() and (entry := await feed.next()) is not None:
                with structlog.contextvars.bound_contextvars(recording_id=entry.id):
                    wants = wanted(candidate(entry), terms, now)
                    if entry.state in HELD:
                        await self._settle(entry, wants)
                    elif entry.state is State.EXCLUDED and wants.holds:
                        await self._bring_in(entry, wants)

        await run_workers(self.concurrency, work)

    async def _settle(self, entry: Entry, wants: Wanted) -> None:
        try:
            protection = await self.guard.settle(entry, wants)
            if protection != entry.protection:
                await self._note(entry, wants, protection)
            self.unsettled += not satisfied(wants, protection)
        except Throttled:
            raise
        except NotFound:
            await self._missing(entry)
        except Conflict as error:
            self.unsettled += 1  # looked at again in the next pass
            log.info("protection_outrun", reason=str(error))
        except (Transient, SkipItem) as error:
            self.unsettled += 1
            self.context.report.fail(entry.id, type(error).__name__, str(error))
            log.warning("protection_failed", reason=str(error))

    async def _missing(self, entry: Entry) -> None:
        """What is to be held is not there: a person must look."""
        reason = "the object, or its sidecar, is not in the bucket"
        await self.catalogue.advance(entry, State.QUARANTINED, self.context.mark(reason), problem=reason)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", reason)
        log.error("recording_quarantined", reason=reason)

    async def _bring_in(self, entry: Entry, wants: Wanted) -> None:
        """A case holds what a policy keeps out of the archive: a hold beats all, so it is archived after all."""
        mark = self.context.mark(f"to be archived after all, on legal hold: {', '.join(wants.holds)}")
        values = {"policies_digest": None, "problem": None, "next_attempt_at": mark.at, "attempts": 0}
        try:
            await self.catalogue.advance(entry, State.DISCOVERED, mark, **values)
        except Conflict as error:
            log.info("protection_outrun", reason=str(error))

    async def _note(self, entry: Entry, wants: Wanted, protection: Protection) -> None:
        mark = self.context.mark(told(entry, wants, protection))
        await self.catalogue.note(entry, mark, protection=protection)
        report = self.context.report
        report.locked += protection.lock is not None and protection.lock != entry.lock
        report.held += protection.on_hold and not entry.on_hold
        report.released += entry.on_hold and not protection.on_hold
        until = protection.lock and protection.lock.until
        log.info("recording_protected", on_hold=protection.on_hold, lock_until=until)
