"""The simulator as a process, and `serve` as `archiver simulate` uses it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import httpx
import pytest

from archiver.simulator import Simulator, serve
from tests.support.simulator import Caller, holding, recording


async def test_serves_until_told_to_stop(http: httpx.AsyncClient) -> None:
    ready: asyncio.Future[Simulator] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.ensure_future(serve(holding(recording(7)), port=0, ready=ready.set_result, stop=stop))
    sim = await ready
    assert await Caller(http, sim).ids() == [7]
    stop.set()
    await asyncio.wait_for(serving, 10)


async def test_taken_port_is_an_error() -> None:
    async with Simulator(holding()) as taken:
        port = int(taken.origin.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await serve(holding(), port=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_process_ends_on_a_signal(http: httpx.AsyncClient, number: signal.Signals) -> None:
    command = (sys.executable, "-m", "archiver.simulator", "--account", "awkward", "--count", "25")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None
    urls = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    url = urls["base_url"] + "/api/accounts/self/company_call_recordings"
    page = (await http.get(url, headers={"Authorization": "Bearer sim-token"})).json()
    assert page["total_items"] == 24  # the late one is not there yet
    process.send_signal(number)
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, complaints) == (0, b"")
