"""The HTTP endpoint of the daemon: /livez, /readyz, /healthz and /metrics. It answers, and changes nothing."""

from __future__ import annotations

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


@asynccontextmanager
async def endpoint(listen: str | None, see: Callable[[], Awaitable[Seen]]) -> AsyncIterator[None]:
    """Answer as long as the context lasts. `listen`: address and port; None: nowhere. Raises ConfigError."""
    if listen is None:
        yield
        return
    runner = web.AppRunner(_application(see), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        log.info("http_listening", address=await _start(runner, listen))
        yield
    finally:
        await runner.cleanup()


async def _start(runner: web.AppRunner, listen: str) -> str:
    host, port = address(listen)
    try:
        await web.TCPSite(runner, host, port, shutdown_timeout=1.0).start()
    except OSError as error:
        msg = f"http.listen: {listen} cannot be listened at ({error.strerror or 'no such address'})"
        raise ConfigError(msg, hint="does another archiver run here? Choose another port, or null for none") from None
    bound = runner.addresses[0]
    return f"{host}:{bound[1]}"


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
