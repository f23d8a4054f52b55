"""The HTTP endpoint of the daemon: /livez, /readyz, /healthz and /metrics. It answers, and changes nothing."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from archiver.core.health import Level
from archiver.errors import ConfigError
from archiver.settings.watching import address
from archiver.watch.look import BLIND, Look
from archiver.watch.metrics import Seen, render

log = structlog.get_logger()

AGAIN = 60.0  # seconds until a port that was taken is tried again


@asynccontextmanager
async def endpoint(
    listen: str | None, see: Callable[[], Awaitable[Seen]], *, again: float = AGAIN
) -> AsyncIterator[None]:
    """Answer as long as the context lasts. `listen`: address and port; None: nowhere. Raises ConfigError.

    A port that somebody else has is tried `again` after so many seconds: archiving does not depend on being watched.
    """
    if listen is None:
        yield
        return
    runner = web.AppRunner(_application(see), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    waiting = None if await _started(runner, listen) else asyncio.create_task(_keep_trying(runner, listen, again))
    try:
        yield
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
        await runner.cleanup()


async def _keep_trying(runner: web.AppRunner, listen: str, again: float) -> None:
    while True:
        await asyncio.sleep(again)
        if await _started(runner, listen):
            return


async def _started(runner: web.AppRunner, listen: str) -> bool:
    """Begin to listen. False: the port is taken. Raises ConfigError where waiting is no help."""
    host, port = address(listen)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = error.strerror or "no such address"
        if error.errno == errno.EADDRINUSE:
            hint = "does another archiver run here? Choose another http.listen, or null for none"
            log.error("http_unavailable", address=listen, reason=reason, hint=hint)
            return False
        msg = f"http.listen: {listen} cannot be listened at ({reason})"
        raise ConfigError(msg, hint="choose another address, or null for none") from None
    log.info("http_listening", address=f"{host}:{runner.addresses[0][1]}")
    return True


def _application(see: Callable[[], Awaitable[Seen]]) -> web.Application:
    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")  # whoever reads this has met a loop that turns

    async def readyz(_request: web.Request) -> web.Response:
        look = (await see()).look
        return _answer(look, well=all(reason.cause not in BLIND for reason in look.reasons))

    async def healthz(_request: web.Request) -> web.Response:
        look = (await see()).look
        return _answer(look, well=look.level < Level.CRITICAL)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=render(await see()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    for handler in (livez, readyz, healthz, metrics):
        application.router.add_get(f"/{handler.__name__}", handler)
    return application


def _answer(look: Look, *, well: bool) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.json_response(look.as_document(), status=200 if well else 503, headers=headers)
