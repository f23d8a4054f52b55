"""A web server on localhost that takes messages and signs of life, as a chat and a dead-man switch would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

UUID = "3f0c8a52-77aa-4e5b-9c0d-canarycanary"  # the secret part of addresses
LONGEST = 60.0  # seconds that a test waits for something


@dataclass(frozen=True, slots=True)
class Message:
    """What a webhook got."""

    title: str
    body: str
    tone: str


@dataclass(slots=True)
class Receiver:
    """What came, and how it is answered."""

    port: int = 0
    status: int = 200
    hangs: bool = False
    messages: list[Message] = field(default_factory=list)
    signs: list[tuple[str, str]] = field(default_factory=list)  # path behind the address, body
    refused: int = 0  # requests that were answered with an error, or not at all
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def channel(self) -> dict[str, object]:
        """A channel of the configuration that leads here."""
        return {"name": "desk", "url": f"json://127.0.0.1:{self.port}/hook/{UUID}", "level": "info"}

    @property
    def switch(self) -> dict[str, object]:
        """A ping of the configuration that leads here."""
        return {"name": "switch", "url": f"http://127.0.0.1:{self.port}/ping/{UUID}"}

    @property
    def paths(self) -> list[str]:
        """Signs of life by their path: /start, nothing or /fail."""
        return [path for path, _ in self.signs]

    async def until(self, arrived: Callable[[Receiver], bool]) -> None:
        """Wait until what came is as expected."""
        async with self._news, asyncio.timeout(LONGEST):
            await self._news.wait_for(lambda: arrived(self))

    async def take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        text = await request.text()
        if self.hangs or self.status != web.HTTPOk.status_code:
            await self._noted(lambda: setattr(self, "refused", self.refused + 1))
            if self.hangs:
                await self._released.wait()
            return web.Response(status=self.status)
        if request.path.startswith("/hook/"):
            document = await request.json()
            message = Message(document["title"], document["message"], document["type"])
            await self._noted(lambda: self.messages.append(message))
        else:
            sign = request.path.removeprefix(f"/ping/{UUID}") + (
                f"?{request.query_string}" * bool(request.query_string)
            )
            await self._noted(lambda: self.signs.append((sign, text)))
        return web.Response()

    async def _noted(self, note: Callable[[], object]) -> None:
        async with self._news:
            note()
            self._news.notify_all()

    def release(self) -> None:
        """Let go of all that hang."""
        self._released.set()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run one."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.release()
        await runner.cleanup()
