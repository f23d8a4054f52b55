"""How the archive does, looked at for health, metrics and `status --check`; not more often than it can bear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.health_reads import HealthReads
from archiver.adapters.quota import SharedQuota, Standing
from archiver.core.health import AccountFacts, Cause, Level, Limits, Reason, judge, worst
from archiver.errors import ArchiverError
from archiver.settings import Settings

BLIND = frozenset({Cause.STARTING, Cause.CATALOGUE})  # nothing is known of the archive
PASSES_MISSED = 4
SHORTEST = timedelta(hours=1)
PATIENCE = 180.0  # seconds for one look: a catalogue of tens of millions of rows takes them
WAIT = 5.0  # seconds that a question waits for it: those who ask wait 10 at most
KEPT = 10.0  # seconds that a look is good for, and at least:
SHARE = 20  # of the time, at most the 20th part is spent on looking
KEPT_BLIND = 2.0  # seconds that a look which saw nothing is good for


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The archive as it was at one moment."""

    at: datetime
    reasons: Sequence[Reason]
    accounts: Sequence[AccountFacts] = ()
    quotas: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """Level of it all."""
        return worst(self.reasons)

    def as_document(self) -> dict[str, object]:
        """Give it as JSON, for /healthz."""
        reasons = [reason.as_document() for reason in self.reasons]
        return {"status": self.level.name.lower(), "checked_at": self.at.isoformat(), "reasons": reasons}


def limits_of(settings: Settings) -> Limits:
    """Read the limits of the configuration."""
    health = settings.health
    return Limits(
        last_pass=health.last_pass or max(PASSES_MISSED * settings.sync.every, SHORTEST),
        pending=health.pending,
        gap=health.gap,
        fixity=health.fixity,
        newest_call=health.newest_call,
        source_retention={
            account.name: account.source_retention
            for account in settings.accounts
            if account.source_retention is not None
        },
    )


async def look(settings: Settings, engine: AsyncEngine, quotas: Mapping[str, SharedQuota], now: datetime) -> Look:
    """Look at the catalogue and judge what is there. Raises Unreachable, SchemaError or StopDaemon."""
    async with database.translated(), asyncio.timeout(PATIENCE):
        await database.require_schema(engine, warn=False)  # said when the daemon began
        names = [account.name for account in settings.accounts]
        accounts = await HealthReads(engine).facts(names, settings.sync.lookback)
        standings = {name: await quota.standing() for name, quota in quotas.items()}
    return Look(at=now, accounts=accounts, quotas=standings, reasons=judge(accounts, limits_of(settings), now))


def blind(cause: Cause, error: ArchiverError | str, now: datetime) -> Look:
    """Say that nothing can be seen, and why."""
    return Look(at=now, reasons=[Reason(level=Level.CRITICAL, cause=cause, message=str(error))])


@dataclass(slots=True, kw_only=True)
class Watch:
    """Keeps the last look, so that many questions cost the database one, and no question waits for long."""

    clock: Callable[[], datetime]
    take: Callable[[], Awaitable[Look]] | None = None  # looks at the catalogue; None: it is not open
    awaited: str = "the daemon is starting"  # why `take` is not there
    seconds: Callable[[], float] = time.monotonic
    wait: float = WAIT  # seconds of a question
    last: Look | None = None
    good_until: float = 0.0
    looking: asyncio.Task[None] | None = None  # there is one at a time
    generation: int = 0  # of what is looked at: a look that began in an earlier one is worth nothing

    async def now(self) -> Look:
        """Look, or give the last look: where it is good enough, and where a new one takes too long."""
        if self.take is None:
            return blind(Cause.STARTING, self.awaited, self.clock())
        found = await self.fresh(self.wait) or self.last
        return found or blind(Cause.CATALOGUE, "the database does not answer in time", self.clock())

    async def fresh(self, wait: float) -> Look | None:
        """Give a look that began after the last change; None: there is none within `wait` seconds, or nobody looks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self.take is not None and self.seconds() >= self.good_until:
                    task = self.looking = self.looking or asyncio.create_task(self._look(self.take))
                    await asyncio.wait({task})
                    if not task.cancelled():
                        task.result()  # a bug is told to whoever asks
        return self.last if self.take is not None and self.seconds() < self.good_until else None

    def forget(self) -> None:
        """Look anew at the next question: something has changed."""
        self.generation += 1
        self.good_until = 0.0

    async def close(self) -> None:
        """Look no more."""
        self.take, self.awaited = None, "the daemon is stopping"
        if self.looking is not None:
            self.looking.cancel()
            await asyncio.wait({self.looking})

    async def _look(self, take: Callable[[], Awaitable[Look]]) -> None:
        began, generation = self.seconds(), self.generation
        try:
            self.last = await take()
            kept = max(KEPT, SHARE * (self.seconds() - began))
        except ArchiverError as error:
            self.last, kept = blind(Cause.CATALOGUE, error, self.clock()), KEPT_BLIND
        finally:
            self.looking = None
        if generation == self.generation:
            self.good_until = self.seconds() + kept
