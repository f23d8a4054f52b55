"""A recordings client against any base URL, in a time of its own, with everything that it wrote down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from archiver.adapters.http_client import make_client
from archiver.adapters.limiter import Limiter, OwnWindow
from archiver.adapters.recordings_api import RecordingsApi
from archiver.adapters.token import StaticToken, TokenProvider
from tests.support.fake_time import FakeTime

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The client and the time that it lives in."""

    api: RecordingsApi
    time: FakeTime


@asynccontextmanager
async def open_source(
    base_url: str,
    *,
    tokens: TokenProvider | None = None,
    per_minute: int = 10_000,
    account_id: str = "self",
    read_timeout: float = 5.0,
    time: FakeTime | None = None,
) -> AsyncIterator[Source]:
    """Open a client; all its waiting between requests takes no time."""
    time = time or FakeTime()
    async with make_client(read_timeout=read_timeout, connect_timeout=2.0) as client:
        api = RecordingsApi(
            base_url=base_url,
            account="acme",
            account_id=account_id,
            tokens=tokens or StaticToken("sim-token"),
            limiter=Limiter(OwnWindow(per_minute, clock=time.clock), clock=time.clock, sleep=time.sleep, now=time.now),
            client=client,
            sleep=time.sleep,
            clock=time.clock,
            now=time.now,
        )
        yield Source(api=api, time=time)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Answer every request on a free port with `handler`; yield the origin."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def always() -> None:
    """Nothing forbids a DELETE."""


class Recorder:
    """A server's behaviour, with every request that reached it."""

    def __init__(self, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self.answer = answer
        self.seen: list[web.Request] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.answer(request)

    def authorized(self) -> list[bool]:
        return ["Authorization" in request.headers for request in self.seen]


def replying(status: int, body: bytes = b"", /, **headers: str) -> Recorder:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return Recorder(answer)
