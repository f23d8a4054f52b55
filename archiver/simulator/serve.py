"""Runs the simulator for as long as somebody wants it: in the foreground, or beside a program that is not async."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from archiver.simulator.account import Account
from archiver.simulator.behaviour import CREDENTIALS, KIND, Behaviour, Credentials
from archiver.simulator.server import Simulator, utc_now


async def serve(
    account: Account,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    behaviour: Behaviour = KIND,
    credentials: Credentials = CREDENTIALS,
    clock: Callable[[], datetime] = utc_now,
    ready: Callable[[Simulator], None] = lambda _simulator: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; call `ready` once the socket listens. Raises OSError if it cannot."""
    ended = stop or asyncio.Event()
    simulator = Simulator(account, behaviour=behaviour, credentials=credentials, clock=clock, host=host, port=port)
    async with simulator:
        with _signals_set(ended):
            ready(simulator)
            await ended.wait()


@contextmanager
def _signals_set(ended: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    taken = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not in the main thread
            loop.add_signal_handler(number, ended.set)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


@contextmanager
def in_thread(
    account: Account,
    *,
    behaviour: Behaviour = KIND,
    credentials: Credentials = CREDENTIALS,
    clock: Callable[[], datetime] = utc_now,
    port: int = 0,
) -> Iterator[Simulator]:
    """Run a simulator on an event loop of its own, for callers that have none. Its plain methods may be called."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    try:
        simulator = Simulator(account, behaviour=behaviour, credentials=credentials, clock=clock, port=port)
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result()
        try:
            yield simulator
        finally:
            asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
