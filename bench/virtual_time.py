"""One clock for a whole world, archiver and source alike: it stands still, but where everybody waits."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

LULL = 10  # turns of the event loop in which nothing is under way
LONGEST_LULL = 0.2  # real seconds: a request may be held open by the very one who sleeps


@dataclass(slots=True, kw_only=True)
class VirtualTime:
    """The time of day (`now`), the same as seconds since 1970 (`seconds`), and the `sleep` that moves it.

    Where several sleep, time goes on to the first of them to wake; never while a request is `busy`.
    """

    start: datetime
    busy: Callable[[], bool] = lambda: False
    _seconds: float = field(init=False)
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _alarms: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _mover: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._seconds = self.start.timestamp()

    def now(self) -> datetime:
        """Tell the time of day."""
        return datetime.fromtimestamp(self._seconds, UTC)

    def seconds(self) -> float:
        """Tell the time in seconds since 1970."""
        return self._seconds

    def at(self, moment: datetime, call: Callable[[], None]) -> None:
        """Call something when time comes by that moment. Moves no time."""
        heapq.heappush(self._alarms, (moment.timestamp(), next(self._numbers), call))

    async def sleep(self, seconds: float) -> None:
        """Wait, and so let time go on."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + max(seconds, 0.0), next(self._numbers), woken))
        if self._mover is None or self._mover.done():
            self._mover = asyncio.create_task(self._move())
        await woken

    async def _move(self) -> None:
        while self._sleepers:
            await self._settled()
            wakes, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # else its sleeper was cancelled
                self._go_on_to(wakes)
                woken.set_result(None)

    async def _settled(self) -> None:
        """Let all that is under way come to its end, or to a sleep of its own."""
        quiet, patience = 0, time.monotonic() + LONGEST_LULL
        while quiet < LULL and time.monotonic() < patience:
            busy = self.busy()
            await asyncio.sleep(0.001 if busy else 0)
            quiet = 0 if busy else quiet + 1

    def _go_on_to(self, seconds: float) -> None:
        while self._alarms and self._alarms[0][0] <= seconds:
            moment, _, call = heapq.heappop(self._alarms)
            self._seconds = max(moment, self._seconds)
            call()
        self._seconds = max(seconds, self._seconds)
