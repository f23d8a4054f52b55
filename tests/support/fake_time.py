"""Time that passes only because somebody sleeps in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class FakeTime:
    """A monotonic clock (`clock`), a time of day (`now`) and a `sleep` that moves both without waiting."""

    def __init__(self) -> None:
        """Begin at second 1000, 2024-03-01 12:00 UTC."""
        self.seconds = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Return seconds."""
        return self.seconds

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime(2024, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000.0)

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and others run."""
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)
