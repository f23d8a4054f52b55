"""Tells people and dead-man switches how the archive does, beside the work: it never waits for them, nor fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from archiver.adapters import heartbeat as heartbeats
from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.adapters.messenger import Messenger, messenger
from archiver.adapters.notice_rows import NoticeRows
from archiver.app import open_engine
from archiver.core.health import Level
from archiver.core.notices import Rules
from archiver.core.report import PassReport
from archiver.errors import AccountBusy, ArchiverError, ConfigError
from archiver.logs import Redactor
from archiver.scheduler import INTERRUPTED
from archiver.settings import Channel, Settings
from archiver.watch.look import Watch, look
from archiver.watch.news import News, Work
from archiver.watch.pinger import Making, Pinger
from archiver.watch.teller import Teller

log = structlog.get_logger()

PATIENCE = timedelta(seconds=30)  # for one message
LAST_WORDS = timedelta(seconds=5)  # for one of a process that was asked to stop
GOOD = frozenset({0, 3})  # exit codes of passes that came to their end
LEVELS = {"critical": Level.CRITICAL, "warning": Level.WARNING, "info": Level.OK}


def messengers(settings: Settings) -> Mapping[str, Messenger]:
    """Make a messenger for each channel; takes a second. Raises ConfigError with every address that is wrong."""
    made, problems = {}, []
    for index, channel in enumerate(settings.notifications.channels):
        try:
            made[channel.name] = messenger(channel.url.get_secret_value(), allow_http=channel.allow_http)
        except ValueError as error:
            problems.append((f"notifications.channels[{index}].url", str(error)))
    if problems:
        msg = "a channel of the notifications cannot be used"
        raise ConfigError(msg, problems=tuple(problems), hint="see docs/operations.md, being told")
    return made


def archive_of(settings: Settings) -> str:
    """Name the archive in messages."""
    return f"{settings.vault.bucket}/{settings.vault.prefix}".rstrip("/")


class Notifier:
    """Tells of one process: a daemon, or a single pass."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime], watch: Watch, outcomes: Counter[tuple[str, str]],
        patience: timedelta = PATIENCE,
    ) -> None:  # fmt: skip
        """`watch` looks at the archive; `outcomes` counts what was sent; a message has `patience`."""
        self._settings, self._clock, self._watch, self._outcomes = settings, clock, watch, outcomes
        self._patience = patience
        self._redact = Redactor(settings.secrets()).text
        self._news, self._tellers, self._pingers = News(), list[Teller](), list[Pinger]()
        self._wake, self._leaving = asyncio.Event(), False
        self._active = False  # somebody is to be told
        self._brief = False  # something may wait to kill the process
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
        """Send to new addresses, where they have changed and can be used."""
        before, self._settings = self._settings, settings
        if not self._active or settings.notifications == before.notifications:
            return
        self._redact = Redactor((*before.secrets(), *settings.secrets())).text
        try:
            ready = await asyncio.to_thread(messengers, settings) if settings.notifications.channels else {}
        except ConfigError as error:
            log.error("configuration_refused", problems=[f"{place}: {why}" for place, why in error.problems])
            return
        for teller in self._tellers:
            teller.messenger, teller.redact = ready[teller.name], self._redact
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
        self._brief = self._brief or not whole
        if whole:
            good = code in GOOD or elsewhere
            self._alarmed = not good
            self._ping(partial(self._verdict, _summary(code, work.reports), good=good))
        self._wake.set()

    @asynccontextmanager
    async def at_work(self, *, once: bool) -> AsyncIterator[None]:
        """Tell as long as the context lasts, and how it ended. `once`: a single pass, no daemon. Raises ConfigError."""
        if not self._settings.notifications.addresses():
            yield
            return
        async with AsyncExitStack() as stack:
            await self._open(stack, once=once)
            self._active, self._brief = True, not once
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
                await self._part(pinging, telling)

    async def _open(self, stack: AsyncExitStack, *, once: bool) -> None:
        channels, pings = self._settings.notifications.channels, self._settings.notifications.pings
        ready = await asyncio.to_thread(messengers, self._settings) if channels else {}
        rows = None
        with suppress(ArchiverError):  # an embedded Postgres that does not start: whoever works with it says so
            engine = await stack.enter_async_context(open_engine(self._settings))
            rows = NoticeRows(engine)
            if once:  # by then the pass has closed what it worked with
                self._watch.take = lambda: look(self._settings, engine, {}, self._clock())
        for name in (*(one.name for one in channels), *(one.name for one in pings)):
            self._outcomes.update({(name, "sent"): 0, (name, "failed"): 0})  # an alert must see the first one come
        self._tellers = [self._teller(channel, ready[channel.name], rows) for channel in channels]
        for ping in pings:
            patience = min(self._patience.total_seconds(), heartbeats.PATIENCE)
            heartbeat = Heartbeat(ping.url.get_secret_value(), ping.style, patience=patience)
            stack.push_async_callback(heartbeat.aclose)
            self._pingers.append(Pinger(ping.name, heartbeat, self._outcomes))

    def _teller(self, channel: Channel, ready: Messenger, rows: NoticeRows | None) -> Teller:
        rules = Rules(
            level=LEVELS[channel.level],
            settle=self._settings.notifications.settle,
            quiet_for=channel.quiet_for,
            per_hour=channel.per_hour,
        )
        return Teller(
            name=channel.name,
            archive=archive_of(self._settings),
            rules=rules,
            messenger=ready,
            rows=rows,
            redact=self._redact,
            outcomes=self._outcomes,
            clock=self._clock,
        )

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
            telling = (
                teller.tell(seen, patience=patience.total_seconds(), parting=parting) for teller in self._tellers
            )
            await asyncio.gather(*telling)
        except Exception:
            log.exception("bug")

    def _end(self, error: Exception) -> None:
        why = str(error) if isinstance(error, ArchiverError) else f"a bug ({type(error).__name__})"
        self._news.ended(why)
        if not self._alarmed:
            self._ping(partial(_say, Sign.FAILURE, self._redact(why)))

    async def _part(self, pinging: list[asyncio.Task[None]], telling: asyncio.Task[None] | None) -> None:
        """Say the last words."""
        self._leaving = True
        self._wake.set()
        self._ping(None)
        grace = min(LAST_WORDS, self._settings.sync.shutdown_grace) if self._brief else self._patience
        last = asyncio.create_task(self._last_words(telling, grace))
        tasks = [*pinging, last, *([telling] if telling else [])]
        longest = 1.5 * grace.total_seconds()  # with what is read and written beside
        _, late = await asyncio.wait(tasks, timeout=longest)
        if late:
            log.warning("notifications_cut", waited=longest)
        for task in late:
            task.cancel()
        await asyncio.wait(tasks)

    async def _last_words(self, telling: asyncio.Task[None] | None, grace: timedelta) -> None:
        if telling is not None:
            await telling
        await self._tell(grace, parting=True, looking=telling is None)

    def _ping(self, making: Making | None) -> None:
        for pinger in self._pingers:
            pinger.push(making)

    async def _verdict(self, summary: str, *, good: bool) -> tuple[Sign, str]:
        """Judge a pass that has ended: a good one leaves no archive that is ill."""
        reasons = [one for one in (await self._watch.now()).reasons if one.level >= Level.CRITICAL]
        ill = [f"{one.account + ': ' if one.account else ''}{one.message}" for one in reasons]
        return Sign.SUCCESS if good and not ill else Sign.FAILURE, self._redact("\n".join([summary, *ill]))


async def _say(sign: Sign, body: str) -> tuple[Sign, str]:
    return sign, body


def _summary(code: int, reports: Mapping[str, PassReport]) -> str:
    counted = [
        f"{name}: {one.listed} listed, {one.archived} archived, {one.verified} verified, "
        f"{one.deleted} deleted at the source, {one.expired} in the archive, {one.failures.total()} failed"
        + (f"; stopped: {one.stopped}" if one.stopped else "")
        for name, one in reports.items()
    ]
    return "\n".join([f"exit code {code}", *counted])
