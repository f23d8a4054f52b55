"""Worlds for the command line: simulator, bucket, database and a TCP gate before it, for tests that are not async."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest

from archiver.adapters import database
from archiver.core.model import Entry
from archiver.simulator import Account, Behaviour, Credentials, Operation, Simulator
from archiver.simulator.behaviour import KIND
from archiver.simulator.server import utc_now
from tests.support.commands import ROOT, Done, Order, Process, Workshop
from tests.support.postgres import Databases
from tests.support.simulator import Clock
from tests.support.stores import StoreServer, free_port
from tests.support.world import World, calls, world_maker

T = TypeVar("T")
TOKEN = "tk-5f0c1e-canary"
PASSWORD = "pw-9ab2d7-canary"
DAILY: Mapping[str, object] = {"name": "old", "source": {"delete_after": "30d"}}
AT_ONCE: Mapping[str, object] = {"cooling_off": "0s"}


class Backstage:
    """An event loop in a thread: the servers live on it while a test waits for a command."""

    def __init__(self) -> None:
        """Start the thread."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="backstage", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine there to its end."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def do(self, action: Callable[[], T]) -> T:
        """Call a plain function there."""

        async def acting() -> T:
            return action()

        return self.call(acting())

    def stop(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Gate:
    """A TCP port before Postgres's socket file, that can be shut: then connections break and new ones are refused."""

    def __init__(self, database_url: str) -> None:
        """Shut at first."""
        parts = urlsplit(database_url)
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self.port = free_port()
        self.url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}{parts.path}"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Let everybody through."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(str(self._socket))
        self._open |= {writer, to_writer}
        try:
            await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
        finally:
            self._open -= {writer, to_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A world, and the commands of its operator."""

    world: World
    backstage: Backstage
    workshop: Workshop
    gate: Gate

    @property
    def simulator(self) -> Simulator:
        """The source."""
        return self.world.simulator

    @property
    def folder(self) -> Path:
        """Where the configuration is, and files may be put."""
        return self.world.folder

    def policies(self, *policies: Mapping[str, object], **deletion: object) -> None:
        """Write other policies. They count at once, unless the deletion says how long the earlier ones still bind."""
        self.world.policies = {"policies": [dict(one) for one in policies], "deletion": {**AT_ONCE, **deletion}}

    def run(self, *words: str, env: Mapping[str, str] | None = None, room: int | None = None) -> Done:
        """Run a command with the world's configuration to its end."""
        return self.bare("--config", str(self.world.write()), *words, env=env, room=room)

    def bare(self, *words: str, env: Mapping[str, str] | None = None, room: int | None = None) -> Done:
        """Run a command without any configuration."""
        out, err = self.folder / f"out-{uuid.uuid4().hex}", self.folder / f"err-{uuid.uuid4().hex}"
        code = self.workshop.run(Order(words=words, out=str(out), err=str(err), env=env or {}, room=room))
        return Done(code=code, out=out.read_text(), err=err.read_text())

    def does(self, *words: str) -> str:
        """Run a command that must go well; returns its answer."""
        done = self.run(*words)
        assert done.code == 0, done
        return done.out

    def refuses(self, code: int, *words: str) -> str:
        """Run a command that must be refused, without an answer; returns what it says about that."""
        done = self.run(*words)
        assert (done.code, done.out) == (code, ""), done
        assert "Traceback" not in done.err
        return done.err

    def start(self, *words: str) -> Process:
        """Start a command in an interpreter of its own."""
        return Process("--config", str(self.world.write()), *words)

    def entries(self) -> dict[str, Entry]:
        """All recordings of the catalogue, by id."""
        return self.backstage.call(self.world.entries())

    def states(self) -> dict[str, str]:
        """State of each recording."""
        return {identity: str(entry.state) for identity, entry in self.entries().items()}

    def objects(self) -> dict[str, bytes]:
        """Every object of the bucket."""
        return self.backstage.call(self.world.objects())

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the database directly."""
        return self.backstage.call(self.world.query(statement))

    def change(self, statement: str) -> None:
        """Change the database behind the archiver's back."""
        self.backstage.call(self.world.change(statement))

    def spoil(self, key: str, body: bytes = b"\xff\xfb\x90\x00" * 100) -> None:
        """Change an object behind the archiver's back."""
        self.world.store.client.put_object(Bucket=self.world.bucket, Key=key, Body=body)

    def arrived(self, operation: Operation, count: int = 1) -> None:
        """Wait until so many requests have come to the source."""
        self.backstage.call(self.simulator.arrived(operation, count))


class MakeDesk(Protocol):
    """Makes a desk around an account of the simulator."""

    def __call__(
        self,
        account: Account = ...,
        *,
        behaviour: Behaviour = ...,
        sync: Mapping[str, object] = ...,
        locks: bool = ...,
    ) -> Desk:
        """Return the desk; nothing was archived yet. `locks`: the bucket has object lock."""
        ...


Furnished = Callable[[StoreServer], AbstractContextManager[MakeDesk]]


@contextmanager
def desks(
    backstage: Backstage, workshop: Workshop, databases: Databases, locking: StoreServer, plain: StoreServer
) -> Iterator[MakeDesk]:
    """Yield a maker; everything that it made is gone afterwards. `locking`: the store of buckets with object lock."""
    with ExitStack() as stack:

        async def start(
            account: Account = Account(),  # noqa: B008 - frozen
            *,
            behaviour: Behaviour = KIND,
            credentials: Credentials = Credentials(token=TOKEN),  # noqa: B008 - frozen
            clock: Callable[[], datetime] = utc_now,
        ) -> Simulator:
            started = Simulator(account, behaviour=behaviour, credentials=credentials, clock=clock)
            await started.start()
            stack.callback(lambda: backstage.call(started.stop()))
            return started

        def make(
            account: Account = Account(recordings=calls(6)),  # noqa: B008 - frozen
            *,
            behaviour: Behaviour = KIND,
            sync: Mapping[str, object] = {},
            locks: bool = False,
        ) -> Desk:
            url = stack.enter_context(databases.lend())
            folder = Path(tempfile.mkdtemp(prefix="archiver-desk-"))
            stack.callback(shutil.rmtree, folder)
            store = locking if locks else plain
            eye = database.open_engine(url, pool_size=1)
            stack.callback(lambda: backstage.call(eye.dispose()))
            build = world_maker(start, store, url, eye, folder, Clock(), locks=locks)
            world = backstage.call(build(account, behaviour=behaviour, sync=sync))
            gate = Gate(url)
            backstage.call(gate.open())
            stack.callback(lambda: backstage.call(gate.shut()))
            world.document["database"] = {"url": gate.url}
            return Desk(world=world, backstage=backstage, workshop=workshop, gate=gate)

        yield make


@pytest.fixture(scope="session")
def backstage() -> Iterator[Backstage]:
    """The loop that servers live on."""
    started = Backstage()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """A process that runs commands in children."""
    command = [sys.executable, "-m", "tests.support.commands"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield Workshop(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def furnished(backstage: Backstage, workshop: Workshop, moto_store: StoreServer, databases: Databases) -> Furnished:
    """Give a function that takes the store of all buckets without object lock."""
    return partial(desks, backstage, workshop, databases, moto_store)


@pytest.fixture
def desk(furnished: Furnished, strict_store: StoreServer) -> Iterator[MakeDesk]:
    """A maker of worlds that live as long as the test."""
    with furnished(strict_store) as make:
        yield make


@pytest.fixture(scope="module")
def module_desk(furnished: Furnished, strict_server: StoreServer) -> Iterator[MakeDesk]:
    """A maker of worlds that the tests of a module share: they only look."""
    with furnished(strict_server) as make:
        yield make
