"""Sends signs of life to one dead-man switch, one after the other, beside the work and never in its way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.errors import ArchiverError

log = structlog.get_logger()

MOST_WAITING = 8  # the oldest is dropped: only the latest signs of life mean anything
Making = Callable[[], Awaitable[tuple[Sign, str]]]  # what to send, found out when its turn comes


class Pinger:
    """One dead-man switch."""

    def __init__(self, name: str, heartbeat: Heartbeat, outcomes: Counter[tuple[str, str]]) -> None:
        """`outcomes` counts what was sent and what failed."""
        self._name, self.heartbeat, self._outcomes = name, heartbeat, outcomes
        self._waiting: asyncio.Queue[Making | None] = asyncio.Queue(MOST_WAITING)

    def push(self, making: Making | None) -> None:
        """Let it be sent as soon as those before it are. None: nothing comes any more."""
        if self._waiting.full():
            self._waiting.get_nowait()
            self._failed("others came before it was sent")
        self._waiting.put_nowait(making)

    async def work(self) -> None:
        """Send until nothing comes any more."""
        while making := await self._waiting.get():
            try:
                await self.heartbeat.send(*await making())
                self._outcomes[self._name, "sent"] += 1
            except ArchiverError as error:
                self._failed(str(error))
            except Exception:
                log.exception("bug")

    def _failed(self, reason: str) -> None:
        self._outcomes[self._name, "failed"] += 1
        log.warning("ping_failed", ping=self._name, reason=reason)
