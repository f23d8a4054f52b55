"""A byte budget that all transfers of a process share: memory stays flat whatever the sizes are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """At most `limit` bytes are lent at a time. First come, first served, so a large loan is never starved."""

    def __init__(self, limit: int) -> None:
        """A loan of more than `limit` is cut down to it."""
        self._limit = limit
        self._lent = 0
        self._queue = asyncio.Lock()
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def lend(self, size: int) -> AsyncIterator[None]:
        """Wait until `size` bytes are free, and hold them."""
        size = min(size, self._limit)
        async with self._queue:
            while self._lent + size > self._limit:
                self._returned.clear()
                await self._returned.wait()
            self._lent += size
        try:
            yield
        finally:
            self._lent -= size
            self._returned.set()
