"""One account's quota: at most so many requests in any minute, and the pauses that the source asks for."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from archiver.core import quota
from archiver.errors import Throttled

Clock = Callable[[], float]  # seconds, monotonic
Sleep = Callable[[float], Awaitable[None]]

PATIENCE = 900.0  # seconds: a longer pause is handed to the caller instead of waited for
LONGEST_PAUSE = 3600.0  # seconds: whatever the source asks for, the account is tried again after an hour
_WINDOW = 61.0  # seconds: a minute, and a second for requests that travel at different speeds
_FIRST_PAUSE, _LAST_PAUSE = 5.0, 60.0  # seconds, when the source does not say how long
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def utc_now() -> datetime:
    """Tell the time of day."""
    return datetime.now(UTC)  # noqa: TID251 - a default; everything that needs the time takes it as an argument


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or HTTP-date, as seconds from `now`; None where it says nothing usable."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" in the header
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_PAUSE)


class Window(Protocol):
    """Counts the requests of the last minute, for one process or for all."""

    async def take(self, share: float) -> float:
        """Take one request; return 0, or in how many seconds to ask again. `share`: of the quota, at most so much."""
        ...

    async def refused(self, pause: float, refused: int) -> None:
        """Learn from a refusal: pause so many seconds; `refused` requests of the last minute met the quota's end."""
        ...


class OwnWindow:
    """The requests of this process alone. A sliding window, so that no minute of the gateway is ever overrun."""

    def __init__(self, per_minute: int, *, clock: Clock = time.monotonic) -> None:
        """`per_minute` is the account's quota, at least 1."""
        self._clock, self._per_minute = clock, max(per_minute, 1)
        self._sent: deque[float] = deque(maxlen=self._per_minute)

    async def take(self, share: float) -> float:
        """Take one request; return 0, or in how many seconds to ask again."""
        now, allowed = self._clock(), quota.share_of(self._per_minute, share)
        if len(self._sent) >= allowed and (wait := self._sent[-allowed] + _WINDOW - now) > 0:
            return wait
        self._sent.append(now)
        return 0.0

    async def refused(self, pause: float, refused: int) -> None:
        """Learn nothing: the limiter itself pauses, and what lives so shortly needs no memory."""


class Limiter:
    """First come, first served: hands out turns, and heeds the pauses that the source asks for."""

    def __init__(
        self,
        window: Window,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`clock`, `sleep` and `now` are the time."""
        self._window, self._clock, self._sleep, self._now = window, clock, sleep, now
        self._turn = asyncio.Lock()  # hands out turns in the order of asking, and survives a cancelled waiter
        self._paused_until = float("-inf")
        self._throttled_at = float("-inf")
        self._in_a_row = 0
        self._refused: deque[float] = deque(maxlen=1000)  # when, in the last minute

    async def acquire(self, share: float = 1.0) -> float:
        """Wait for a turn; return when (by the clock) it was given. Raises Throttled when a pause is too long.

        `share`: of the quota, at most so much for this kind of request.
        """
        async with self._turn:
            since = self._clock()
            while (wait := self.paused_for() or await self._window.take(share)) > 0:
                if share < 1 and self._clock() - since > PATIENCE:
                    raise Throttled("other work takes the whole quota", retry_after=wait)
                if wait > PATIENCE:
                    self.pause(wait)  # it may be another process that was told to
                    raise Throttled("the source asked for a long pause", retry_after=wait)
                await self._sleep(wait)
            return self._clock()

    def paused_for(self) -> float:
        """Seconds that are left of the pause in force; 0 without one."""
        return max(self._paused_until - self._clock(), 0.0)

    def pause(self, seconds: float) -> None:
        """Hold every request of the account back. Never shortens a pause, never longer than an hour."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, LONGEST_PAUSE))

    async def throttled(self, sent_at: float, retry_after: str | None, *, teaches: bool = True) -> float:
        """Pause because the request sent at `sent_at` was refused; return the pause in seconds.

        `teaches`: the refusal is about the quota (429), not about a gateway that cannot answer now.

        Without a usable Retry-After the pause doubles from one refusal to the next, not within one burst.
        """
        now = self._clock()
        if sent_at > self._throttled_at:
            calm = now - self._throttled_at > _WINDOW + _LAST_PAUSE
            self._in_a_row = 1 if calm else self._in_a_row + 1
            self._throttled_at = now
        growing = min(_FIRST_PAUSE * 2.0 ** min(self._in_a_row - 1, 10), _LAST_PAUSE)
        seconds = parse_retry_after(retry_after, self._now()) or growing
        if teaches:
            self._refused.append(now)
        refused = sum(now - at < _WINDOW for at in self._refused) if teaches else 0
        try:  # the others first: once this process knows, a stage that stops may cancel this call
            await self._window.refused(min(seconds, LONGEST_PAUSE), refused)
        finally:
            self.pause(seconds)
        return seconds
