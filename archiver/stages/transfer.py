"""Transfer: what was discovered goes into the bucket. Bytes and comparison first, then the sidecar, then the row."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from archiver.core import backoff, naming, sidecar
from archiver.core.candidates import candidate
from archiver.core.clocks import latest
from archiver.core.danger import SourceRetention
from archiver.core.holds import holding
from archiver.core.model import Entry, State
from archiver.core.retention import excluded_by
from archiver.core.rulebook import Rulebook
from archiver.errors import (
    ArchiverError,
    Conflict,
    NotFound,
    ObjectExists,
    SkipItem,
    StopDaemon,
    StopStage,
    Throttled,
    Transient,
    Unreachable,
)
from archiver.stages.budget import ByteBudget
from archiver.stages.context import Context
from archiver.stages.deposit import Deposit, Deposited, Place
from archiver.stages.ports import Catalogue, CatalogueReads, ObjectStore
from archiver.stages.retention_ports import Controls
from archiver.stages.workers import run_workers

log = structlog.get_logger()

UNLUCKY_STREAK = 20  # failures in a row, none succeeding between: a neighbour is down, not a recording bad


@dataclass(slots=True, kw_only=True)
class Transfer:
    """The stage for one account. Only for the holder of the account's transfer lock."""

    context: Context
    deposit: Deposit
    store: ObjectStore
    catalogue: Catalogue
    reads: CatalogueReads
    rules: Rulebook
    controls: Controls
    budget: ByteBudget
    prefix: str
    concurrency: int
    attempts: int  # tries before a recording goes on the gap list
    retention: SourceRetention | None = None  # None: the source deletes nothing by itself
    claimed: deque[Entry] = field(default_factory=deque)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    streak: int = 0

    async def run(self) -> None:
        """Transfer everything that is due, `concurrency` at a time."""
        context, account = self.context, self.context.account
        orphans = context.mark("the process that held it has ended")
        if lost := await self.catalogue.hand_back(account, orphans, forgive=False):
            log.warning("claims_recovered", recordings=lost)
        await self.catalogue.requeue_failed(account, context.mark("tried again after a day on the gap list"))
        changed = context.mark("the policies have changed")
        await self.catalogue.requeue_excluded(account, self.rules.policies.digest, changed)
        if self.retention is not None:
            await self._warn(self.retention)
        try:
            await run_workers(self.concurrency, self._work)
        finally:
            # also when cancelled: what was claimed and not finished is free again at once
            back = context.mark("handed back unfinished")
            await asyncio.shield(self.catalogue.hand_back(account, back, forgive=True))

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
            if not self.claimed and not self.context.stopping():
                self.claimed.extend(await self._claim())
            return None if self.context.stopping() or not self.claimed else self.claimed.popleft()

    async def _claim(self) -> list[Entry]:
        mark, limit = self.context.mark("claimed for transfer"), self.concurrency * 2
        first = None if self.retention is None else self.retention.endangered_before(self._latest())
        return await self.catalogue.claim(self.context.account, mark, limit=limit, first_before=first)

    async def _transfer(self, entry: Entry) -> None:
        try:
            await self._settle(entry)
        except Conflict as error:
            log.warning("claim_lost", reason=str(error))

    async def _settle(self, entry: Entry) -> None:
        """Move one claimed recording on, whatever comes of it. Raises Conflict when it is no longer ours."""
        policy = excluded_by(entry.recording, self.rules)
        if policy is not None and not await self._on_hold(entry):
            await self._exclude(entry, policy)
            return
        if entry.attempts > self.attempts:  # attempts of processes that died count: it may be what they died of
            await self._postpone(entry, SkipItem("the process died in the last attempt"))
            return
        try:
            await self._archive(entry)
        except ObjectExists as error:
            await self._quarantine(entry, str(error))
        except (Conflict, Throttled, StopStage, StopDaemon):
            raise
        except (Transient, SkipItem) as error:
            await self._postpone(entry, error)
            self._watch_streak(error)
        else:
            self.streak = 0

    async def _on_hold(self, entry: Entry) -> bool:
        """Whether a case holds it: that beats a policy that keeps it out of the archive."""
        terms = await self.controls.terms(self.context.clock())
        return bool(holding(candidate(entry), terms.holds))

    async def _archive(self, entry: Entry) -> None:
        recording = entry.recording
        key = naming.audio_key(self.prefix, recording)
        place = Place(key, self.rules.regime(recording).storage_class)
        part = self.store.part_size
        # twice: the pieces as they come and the part made of them
        async with self.budget.lend(2 * min(recording.size or part, part)):
            deposited = await self.deposit.bring(recording, place)
        await self._write_sidecar(entry, key, deposited)
        mark = self.context.mark("stored", key=key, sha256=deposited.fixity.sha256, size=deposited.fixity.size)
        await self.catalogue.advance(
            entry,
            State.STORED,
            mark,
            key=key,
            sha256=deposited.fixity.sha256,
            size=deposited.fixity.size,
            size_disagrees=deposited.size_disagrees,
            stored_at=mark.at,
            problem="the listed size is another one" if deposited.size_disagrees else None,
        )
        self._count(deposited)

    def _count(self, deposited: Deposited) -> None:
        report = self.context.report
        report.archived += 1
        report.bytes += deposited.fixity.size
        report.adopted += deposited.adopted
        report.disagreeing += deposited.size_disagrees
        if deposited.size_disagrees:
            log.warning("size_disagrees", size=deposited.fixity.size)
        log.debug("recording_stored", size=deposited.fixity.size, adopted=deposited.adopted)

    async def _write_sidecar(self, entry: Entry, key: str, deposited: Deposited) -> None:
        body = sidecar.render(
            entry.recording,
            key=key,
            fixity=deposited.fixity,
            size_disagrees=deposited.size_disagrees,
            listed_at=entry.listed_at,
        )
        beside = naming.sidecar_key(key)
        try:
            await self.store.create(beside, body, content_type=naming.SIDECAR_TYPE)
        except ObjectExists:
            if await self.store.read(beside, limit=sidecar.LIMIT) != body:
                await self.store.replace(beside, body, content_type=naming.SIDECAR_TYPE)

    async def _exclude(self, entry: Entry, policy: str) -> None:
        reason, digest = f"policy {policy} says archive: false", self.rules.policies.digest
        mark = self.context.mark(reason)
        await self.catalogue.advance(entry, State.EXCLUDED, mark, problem=reason, policies_digest=digest)
        self.context.report.excluded += 1
        log.info("recording_excluded", policy=policy)

    async def _quarantine(self, entry: Entry, reason: str) -> None:
        await self.catalogue.advance(entry, State.QUARANTINED, self.context.mark(reason), problem=reason)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", reason)
        log.error("recording_quarantined", reason=reason)

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
