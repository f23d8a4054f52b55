"""Tells people and dead-man switches how the archive does, beside the work: it never waits for them, nor fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from archiver.adapters import heartbeat as heartbeats
from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.adapters.notice_rows import NoticeRows
from archiver.app import open_engine
from archiver.core.health import Level
from archiver.core.report import PassReport
from archiver.errors import AccountBusy, ArchiverError
from archiver.logs import Redactor
from archiver.scheduler import INTERRUPTED
from archiver.settings import Settings
from archiver.watch.channels import messengers, teller, usable
from archiver.watch.look import Watch, look
from archiver.watch.news import News, Work
from archiver.watch.pinger import Making, Pinger
from archiver.watch.teller import Teller

log = structlog.get_logger()

PATIENCE = timedelta(seconds=30)  # for one message
LAST_WORDS = timedelta(seconds=5)  # for one of a process that was asked to stop
GOOD = frozenset({0, 3})  # exit codes of passes that came to their end


class Notifier:
    """Tells of one process: a daemon, or a single pass."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime], watch: Watch, outcomes: Counter[tuple[str, str]],
        patience: timedelta = PATIENCE,
    ) -> None:  # fmt: skip
        """`watch` looks at the archive; `outcomes` counts what was sent; a message has `patience`."""
        self._settings, self._clock, self._watch, self._outcomes = settings, clock, watch, outcomes
        self._patience = patience
        self._redactor = Redactor(settings.secrets())
        self._news, self._tellers, self._pingers = News(self._redactor.text), list[Teller](), list[Pinger]()
        self._catalogue = AsyncExitStack()  # closes what `_rows` has opened
        self._wake, self._leaving = asyncio.Event(), False
        self._active = False  # somebody is to be told
        self._alarmed = False  # the switches know of a failure

    def awaits(self) -> None:
        """The daemon waits for a neighbour before it can begin."""
        self._news.awaits = True
        self._wake.set()

    def started(self) -> None:
        """The daemon is at work."""
        self._news.started()
        self._wake.set()

    async def renew(self, settings: Settings) -> None:
        """Use new secrets: those of the catalogue, and the addresses that have changed and can be used."""
        before, self._settings = self._settings, settings
        self._redactor.learn(settings.secrets())
        if not self._active:
            return
        if settings.database != before.database:
            rows = await self._rows()
            for one in self._tellers:
                one.rows = rows
        if settings.notifications != before.notifications:
            await self._readdress(settings)

    async def _readdress(self, settings: Settings) -> None:
        ready, problems = await asyncio.to_thread(usable, settings)
        if problems:
            log.error("configuration_refused", problems=[f"{place}: {why}" for place, why in problems])
        for one in self._tellers:
            one.messenger = ready.get(one.name, one.messenger)
        for pinger, ping in zip(self._pingers, settings.notifications.pings, strict=True):
            pinger.heartbeat.renew(ping.url.get_secret_value())

    def pass_begins(self) -> None:
        """A pass begins."""
        self._ping(partial(_say, Sign.START, ""))

    def pass_ended(self, code: int, work: Work) -> None:
        """A pass has ended. After one that was interrupted the switches notice when no other follows."""
        if not self._active:
            return
        elsewhere = code == AccountBusy.exit_code and work.refusal is None  # another archiver does the work
        whole = code != INTERRUPTED
        self._news.pass_ended(work, whole=whole and not elsewhere)
        if whole:
            good = code in GOOD or elsewhere
            self._alarmed = not good
            self._ping(partial(self._verdict, self._summary(code, work.reports), good=good))
        self._wake.set()

    @asynccontextmanager
    async def at_work(self, *, once: bool, asked: asyncio.Event) -> AsyncIterator[None]:
        """Tell as long as the context lasts, and how it ended. Raises ConfigError.

        `once`: a single pass, no daemon; `asked` is set when it is asked to stop.
        """
        if not self._settings.notifications.addresses():
            yield
            return
        async with AsyncExitStack() as stack:
            await self._open(stack, once=once)
            self._active = True
            pinging = [asyncio.create_task(pinger.work()) for pinger in self._pingers]
            telling = None if once else asyncio.create_task(self._keep_telling())
            try:
                yield
                if not once:
                    self._news.stopped()
            except Exception as error:
                self._end(error)
                raise
            finally:
                await self._part(pinging, telling, asked)

    async def _open(self, stack: AsyncExitStack, *, once: bool) -> None:
        channels, pings = self._settings.notifications.channels, self._settings.notifications.pings
        ready = await asyncio.to_thread(messengers, self._settings)
        stack.push_async_callback(lambda: self._catalogue.aclose())  # noqa: PLW0108 - the one that is open by then
        stack.push_async_callback(self._watch.close)
        rows = await self._rows(once=once)
        for name in (*(one.name for one in channels), *(one.name for one in pings)):
            self._outcomes.update({(name, "sent"): 0, (name, "failed"): 0})  # an alert must see the first one come
        self._tellers = [
            teller(self._settings, channel, ready[channel.name], rows, self._outcomes, self._clock)
            for channel in channels
        ]
        for ping in pings:
            patience = min(self._patience.total_seconds(), heartbeats.PATIENCE)
            heartbeat = Heartbeat(ping.url.get_secret_value(), ping.style, patience=patience)
            stack.push_async_callback(heartbeat.aclose)
            self._pingers.append(Pinger(ping.name, heartbeat, self._outcomes))

    async def _rows(self, *, once: bool = False) -> NoticeRows | None:
        """Open the catalogue as the settings have it now, and close what was open before."""
        stack, rows = AsyncExitStack(), None
        with suppress(ArchiverError):  # an embedded Postgres that does not start: whoever works with it says so
            engine = await stack.enter_async_context(open_engine(self._settings))
            rows = NoticeRows(engine)
            if once:  # by then the pass has closed what it worked with, and nobody else waits for an answer
                self._watch.wait = self._patience.total_seconds()
                self._watch.take = lambda: look(self._settings, engine, {}, self._clock())
        earlier, self._catalogue = self._catalogue, stack
        await earlier.aclose()
        return rows

    async def _keep_telling(self) -> None:
        while not self._leaving:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.notifications.every.total_seconds())
            self._wake.clear()
            if not self._leaving:
                await self._tell(self._patience)

    async def _tell(self, patience: timedelta, *, parting: bool = False, looking: bool = True) -> None:
        try:
            seen = self._news.seen(await self._watch.now() if looking else None)
            seconds = patience.total_seconds()
            await asyncio.gather(*(one.tell(seen, patience=seconds, parting=parting) for one in self._tellers))
        except Exception:
            log.exception("bug")

    def _end(self, error: Exception) -> None:
        why = str(error) if isinstance(error, ArchiverError) else f"a bug ({type(error).__name__})"
        self._news.ended(why)
        if not self._alarmed:
            self._ping(partial(_say, Sign.FAILURE, self._redactor.text(why)))

    async def _part(
        self, pinging: list[asyncio.Task[None]], telling: asyncio.Task[None] | None, asked: asyncio.Event
    ) -> None:
        """Say the last words: few where something may wait to kill the process, none after it was asked meanwhile."""
        self._leaving = True
        self._wake.set()
        self._ping(None)
        brief = telling is not None or asked.is_set()
        grace = min(LAST_WORDS, self._settings.sync.shutdown_grace) if brief else self._patience
        last = asyncio.create_task(self._last_words(telling, grace))
        tasks = [*pinging, last, *([telling] if telling else [])]
        longest = 1.5 * grace.total_seconds()  # with what is read and written beside
        await _ended(tasks, longest, asyncio.Event() if brief else asked)

    async def _last_words(self, telling: asyncio.Task[None] | None, grace: timedelta) -> None:
        if telling is not None:
            await telling
        await self._tell(grace, parting=True, looking=telling is None)

    def _ping(self, making: Making | None) -> None:
        for pinger in self._pingers:
            pinger.push(making)

    async def _verdict(self, summary: str, *, good: bool) -> tuple[Sign, str]:
        """Judge a pass that has ended: a good one leaves no archive that is ill, as far as that can be seen."""
        look = await self._watch.fresh(self._patience.total_seconds())
        ill = [self._news.words(one) for one in look.reasons if one.level >= Level.CRITICAL] if look else []
        return Sign.SUCCESS if good and not ill else Sign.FAILURE, "\n".join([summary, *ill])

    def _summary(self, code: int, reports: Mapping[str, PassReport]) -> str:
        counted = [
            f"{name}: {one.listed} listed, {one.archived} archived, {one.verified} verified, "
            f"{one.deleted} deleted at the source, {one.expired} in the archive, {one.failures.total()} failed"
            + (f"; stopped: {self._redactor.text(one.stopped)}" if one.stopped else "")
            for name, one in reports.items()
        ]
        return "\n".join([f"exit code {code}", *counted])


async def _say(sign: Sign, body: str) -> tuple[Sign, str]:
    return sign, body


async def _ended(tasks: Sequence[asyncio.Task[None]], longest: float, cut: asyncio.Event) -> None:
    """Wait until they are done, but no longer than `longest` seconds, nor than until `cut` is set."""
    began = time.monotonic()
    cutting: asyncio.Future[Any] = asyncio.create_task(cut.wait())
    done: asyncio.Future[Any] = asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.wait((cutting, done), timeout=longest, return_when=asyncio.FIRST_COMPLETED)
    late = [task for task in tasks if not task.done()]
    if late:
        log.warning("notifications_cut", waited=round(time.monotonic() - began, 1))
    for task in (cutting, *late):
        task.cancel()
    await asyncio.wait((cutting, done))
