"""Transfer: what was discovered goes into the bucket. Bytes and comparison first, then the sidecar, then the row."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from archiver.core import backoff
from archiver.core.clocks import latest
from archiver.core.danger import SourceRetention
from archiver.core.model import Entry, Recording, State
from archiver.errors import (
    ArchiverError,
    Conflict,
    NotFound,
    SkipItem,
    StopDaemon,
    StopStage,
    Throttled,
    Transient,
    Unreachable,
)
from archiver.stages.adopting import Adopter
from archiver.stages.archiving import Archivist
from archiver.stages.context import Context
from archiver.stages.deposit import Deposit, Deposited, Place
from archiver.stages.exporting import Exporting
from archiver.stages.ports import Catalogue, CatalogueReads
from archiver.stages.workers import run_workers

log = structlog.get_logger()

UNLUCKY_STREAK = 20  # failures in a row, none succeeding between: a neighbour is down, not a recording bad


@dataclass(slots=True, kw_only=True)
class Transfer:
    """The stage for one account. Only for the holder of the account's transfer lock."""

    context: Context
    deposit: Deposit
    adopter: Adopter
    archivist: Archivist
    exporting: Exporting
    catalogue: Catalogue
    reads: CatalogueReads
    concurrency: int
    attempts: int  # tries before a recording goes on the gap list
    room: Callable[[], Awaitable[int]]  # single requests that the quota allows in one round
    lookback: timedelta  # calls since then come before all history
    patience: timedelta  # with exports that are not ready, when there is nothing else to do
    until: datetime | None = None  # no round begins later: other work waits
    retention: SourceRetention | None = None  # None: the source deletes nothing by itself
    claimed: deque[Entry] = field(default_factory=deque)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    dry: bool = False  # nothing more was to be claimed in this round
    left: int = 0  # recordings that this round may still claim
    streak: int = 0

    async def run(self) -> None:
        """Transfer everything that is due: by exports where the quota is small, and by single requests."""
        await self._prepare()
        try:
            while await self._round():
                pass
        finally:
            # also when cancelled: what was claimed and not finished is free again at once
            back = self.context.mark("handed back unfinished")
            await asyncio.shield(self.catalogue.hand_back(self.context.account, back, forgive=True))

    async def _prepare(self) -> None:
        context, account = self.context, self.context.account
        orphans = context.mark("the process that held it has ended")
        if lost := await self.catalogue.hand_back(account, orphans, forgive=False):
            log.warning("claims_recovered", recordings=lost)
        await self.catalogue.requeue_failed(account, context.mark("tried again after a day on the gap list"))
        changed = context.mark("the policies have changed")
        await self.catalogue.requeue_excluded(account, self.archivist.rules.policies.digest, changed)
        if self.retention is not None:
            await self._warn(self.retention)

    async def _round(self) -> bool:
        """Order exports, fetch single recordings meanwhile, then fetch exports. True: there may be more to do."""
        room, closed = await self.room(), self.exporting.closed
        if not self.adopter.first:  # an export would fetch what the bucket holds
            await self.exporting.order(room)
        self.left, self.dry = max(room, 1), False
        allowed = self.left
        await run_workers(self.concurrency, self._work)
        limited = self.left <= 0
        await self.exporting.collect(None if limited else self._patience())
        moved = self.left < allowed or self.exporting.closed > closed
        return moved and not self.context.stopping() and not self._is_late()

    def _patience(self) -> datetime:
        """How long exports are waited for, when there is nothing else to do."""
        longest = self.context.clock() + self.patience
        return longest if self.until is None else min(longest, self.until)

    def _is_late(self) -> bool:
        return self.until is not None and self.context.clock() >= self.until

    async def _warn(self, retention: SourceRetention) -> None:
        """Say which recordings the source will soon delete by itself, archived or not."""
        now = self._latest()
        count, oldest = await self.reads.count_endangered(self.context.account, retention.endangered_before(now))
        self.context.report.endangered = count
        if oldest is None:
            return
        gone_at = retention.gone_at(oldest)
        if not retention.urgent(oldest, now):
            log.warning("recordings_endangered", count=count, oldest=oldest, gone_at=gone_at)
        else:
            log.error("recordings_endangered", count=count, oldest=oldest, gone_at=gone_at)

    def _latest(self) -> datetime:
        """The later of both clocks: the source deletes by its own."""
        return latest(self.context.clock(), self.deposit.source.clock_ahead)

    async def _work(self) -> None:
        while (entry := await self._next()) is not None:
            with structlog.contextvars.bound_contextvars(recording_id=entry.id):
                await self._transfer(entry)

    async def _next(self) -> Entry | None:
        async with self.claiming:
            if not self.claimed and not self.dry and not self.context.stopping() and self.left > 0:
                self.claimed.extend(await self._claim())
                self.left -= len(self.claimed)
                self.dry = not self.claimed
            return None if self.context.stopping() or not self.claimed else self.claimed.popleft()

    async def _claim(self) -> list[Entry]:
        mark, limit = self.context.mark("claimed for transfer"), min(self.concurrency * 2, self.left)
        first = None if self.retention is None else self.retention.endangered_before(self._latest())
        recent = mark.at - self.lookback
        return await self.catalogue.claim(
            self.context.account, mark, limit=limit, first_before=first, recent_since=recent
        )

    async def _transfer(self, entry: Entry) -> None:
        try:
            await self._settle(entry)
        except Conflict as error:
            log.warning("claim_lost", reason=str(error))

    async def _settle(self, entry: Entry) -> None:
        """Move one claimed recording on, whatever comes of it. Raises Conflict when it is no longer ours."""
        # attempts of processes that died count: it may be what they died of
        bring = self.adopter.bring if entry.attempts <= self.attempts else _deadly
        try:
            await self.archivist.archive(entry, bring)
        except (Conflict, Throttled, StopStage, StopDaemon):
            raise
        except (Transient, SkipItem) as error:
            await self._postpone(entry, error)
            if bring is not _deadly:
                self._watch_streak(error)
        else:
            self.streak = 0

    async def _postpone(self, entry: Entry, error: ArchiverError) -> None:
        context, reason = self.context, str(error)
        given_up = backoff.used_up(entry.attempts, self.attempts)
        mark = context.mark(reason)
        due = backoff.next_attempt(entry.attempts, self.attempts, mark.at)
        after = State.FAILED if given_up else State.DISCOVERED
        await self.catalogue.advance(entry, after, mark, problem=reason, next_attempt_at=due)
        context.report.fail(entry.id, type(error).__name__, reason)
        log.warning("transfer_failed", reason=reason, attempt=entry.attempts, given_up=given_up, next_attempt_at=due)

    def _watch_streak(self, error: ArchiverError) -> None:
        if isinstance(error, NotFound):  # a clear answer about this one recording
            return
        self.streak += 1
        if self.streak >= max(UNLUCKY_STREAK, 2 * self.concurrency):
            msg = f"{self.streak} transfers failed in a row, the last because: {error}"
            raise Unreachable(msg, hint="is the source or the bucket down? The next pass goes on")


async def _deadly(recording: Recording, place: Place) -> Deposited:  # noqa: ARG001 - as `Bring` is called
    raise SkipItem("the process died in the last attempt")
