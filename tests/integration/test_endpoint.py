"""The endpoint of the daemon, by itself."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta

import httpx
from structlog.testing import capture_logs

from archiver.core.health import Limits
from archiver.watch.endpoint import endpoint
from archiver.watch.look import Look
from archiver.watch.metrics import Seen
from archiver.watch.tally import Tally
from tests.support.simulator import NOON

DAY = timedelta(days=1)


async def see() -> Seen:
    limits = Limits(last_pass=DAY, pending=DAY, gap=DAY)
    return Seen(look=Look(at=NOON, reasons=[]), tally=Tally(), sources={}, limits=limits)


async def status(client: httpx.AsyncClient, url: str) -> object:
    """What it answers, as soon as it does."""
    async with asyncio.timeout(20):
        while True:
            with suppress(httpx.ConnectError):
                return (await client.get(url)).json()["status"]
            await asyncio.sleep(0.01)


async def test_a_port_that_becomes_free_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with capture_logs() as logs:
            async with endpoint(f"127.0.0.1:{port}", see, again=0.01), httpx.AsyncClient() as client:
                other.close()
                assert await status(client, f"http://127.0.0.1:{port}/healthz") == "ok"
    assert logs[0]["event"] == "http_unavailable"
