"""When things happen: a pass now and again, one at a time; a signal ends it in order, a second one at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from archiver.errors import ArchiverError, StopDaemon, Transient, Unreachable

log = structlog.get_logger()
T = TypeVar("T")

BY_SIGNAL = 128  # the shell's convention for exit codes: plus the signal's number
INTERRUPTED = 130  # a command that was asked to stop before it was done
FIRST_WAIT = 2.0  # seconds before a neighbour out of reach is asked again; doubling
LONGEST_WAIT = 300.0
OUT_OF_REACH = 5  # the exit code of a pass that met a neighbour out of reach


@dataclass(slots=True)
class Interrupt:
    """Whether a person or the container asked the process to stop."""

    grace: timedelta
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)  # the pass is to end in order, for another to begin

    def stopping(self) -> bool:
        """Asked between items: no new work is begun any more."""
        return self.asked.is_set() or self.again.is_set()

    def catch(self) -> None:
        """Listen to SIGTERM and SIGINT. Only inside a running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if self.asked.is_set():
            log.error("stopped_at_once", signal=number)
            os._exit(BY_SIGNAL + number)  # claims need no goodbye: the next process recovers them
        log.info("stopping", signal=number, grace=self.grace.total_seconds())
        self.asked.set()

    async def sleep(self, seconds: float | None) -> None:
        """Wait, but not longer than until a signal comes, or a pass is to begin."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.asked, self.again)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def finish(self, work: Coroutine[None, None, T]) -> T | None:
        """Run `work` to its end. After a signal it has the grace period; then it is cancelled: None."""
        task, asked = asyncio.ensure_future(work), asyncio.ensure_future(self.asked.wait())
        await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not task.done():
            await asyncio.wait([task], timeout=self.grace.total_seconds())
        if not task.done():
            log.warning("grace_over", grace=self.grace.total_seconds())
            task.cancel()  # hands back what it has claimed
            await asyncio.wait([task])
        return None if task.cancelled() else task.result()


async def patiently(
    open_it: Callable[[], Awaitable[T]], interrupt: Interrupt, tell: Callable[[ArchiverError], None]
) -> T | None:
    """Call until the neighbours are in reach, with growing pauses, and tell why. None: a signal came first."""
    wait = FIRST_WAIT
    while not interrupt.asked.is_set():
        try:
            return await open_it()
        except (Unreachable, Transient) as error:
            log.warning("neighbour_awaited", reason=str(error), hint=error.hint, seconds=wait)
            tell(error)
        await interrupt.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Runs a pass at once and then every `every`, with jitter.

    Sooner while a neighbour is out of reach, and at once when `interrupt.again` says so.
    """

    work: Callable[[], Coroutine[None, None, int]]  # one pass; returns its exit code
    interrupt: Interrupt
    every: timedelta
    clock: Callable[[], datetime]
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    fatal: StopDaemon | None = None

    async def run(self) -> None:
        """Return when a signal came and the pass in flight has ended or was handed back.

        Raises StopDaemon when a pass finds that going on would be wrong: a newer schema, say.
        """
        self.idle.set()
        scheduler = AsyncIOScheduler(timezone="UTC")
        seconds = max(1, int(self.every.total_seconds()))
        trigger = IntervalTrigger(seconds=seconds, jitter=max(1, seconds // 20), timezone="UTC")

        async def once() -> None:
            if not self.idle.is_set():  # both the schedule and a change of secrets may ask for a pass
                return
            job.pause()  # a pass that takes longer than `every` is no reason for a warning
            await self._once()
            job.resume()

        job = scheduler.add_job(
            once, trigger, max_instances=1, coalesce=True, misfire_grace_time=None, next_run_time=self.clock()
        )
        scheduler.start()
        while not self.interrupt.asked.is_set():
            await self.interrupt.sleep(None)
            await self.idle.wait()
            if self.interrupt.again.is_set():
                await once()
        scheduler.shutdown(wait=False)
        if self.fatal is not None:
            raise self.fatal

    async def _once(self) -> None:
        self.idle.clear()
        try:
            wait = FIRST_WAIT
            while not self.interrupt.asked.is_set():
                code = await self._pass(wait)
                if self.interrupt.again.is_set():
                    wait = FIRST_WAIT
                elif code == OUT_OF_REACH:
                    await self.interrupt.sleep(self._pause(wait))
                    wait = min(wait * 2, LONGEST_WAIT)
                else:
                    return
        finally:
            self.idle.set()

    def _pause(self, wait: float) -> float:
        return min(wait, self.every.total_seconds())

    async def _pass(self, wait: float) -> int | None:
        try:
            return await self.interrupt.finish(self.work())
        except (Unreachable, Transient) as error:
            log.warning("neighbour_awaited", reason=str(error), hint=error.hint, seconds=self._pause(wait))
            return OUT_OF_REACH
        except StopDaemon as error:
            self.fatal = error
            self.interrupt.asked.set()
        except Exception:
            log.exception("bug")
        return None
