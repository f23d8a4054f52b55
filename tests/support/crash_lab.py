"""Worlds to crash in: passes run in processes that may die, and the end states are compared."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.simulator import Account, Behaviour
from archiver.simulator.behaviour import KIND
from tests.support import crash_state
from tests.support.crash_main import Order
from tests.support.crash_state import EndState, Record
from tests.support.crash_wire import ANY, Point
from tests.support.postgres import Databases
from tests.support.simulator import NOON, Clock, StartSimulator
from tests.support.stores import StoreServer
from tests.support.world import World, world_maker

KILLED = -9
_numbers = itertools.count(1)
Event = Callable[["Experiment"], Awaitable[None]]
MakeDatabase = Callable[[], AbstractContextManager[str]]


class Forge:
    """A process that forks one child for each pass."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """`process` runs `tests.support.crash_main`."""
        self._process = process

    def carry_out(self, order: Order) -> int:
        """Run one pass to its end, whichever that is. Blocks."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(order.text() + "\n")
        stdin.flush()
        return int(stdout.readline())


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A world and what happens in it; `before` happens in the crashed world and in its twin alike."""

    name: str
    account: Account
    behaviour: Behaviour = KIND
    policies: Mapping[str, object] = field(default_factory=dict)
    sync: Mapping[str, object] = field(default_factory=dict)
    before: tuple[Event, ...] = ()
    command: str = "sync"
    locks: bool = False  # the bucket has object lock, and so versions
    waits: bool = False  # passes wait for exports, so that a crash moves what is dated a little
    lock_first: bool = False  # the policies ask for a lock on everything, from the beginning


@dataclass(frozen=True)
class Twin:
    """What a scenario comes to without a crash, and the steps (moment, step) of that pass."""

    end: EndState
    steps: tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class Experiment:
    """One world in which passes run, each in a process of its own."""

    scenario: Scenario
    world: World
    forge: Forge
    engine: AsyncEngine  # of one connection, to look into the database
    steps: tuple[tuple[str, str], ...] = ()  # (moment, step) of the last pass
    log: str = ""  # of the last pass

    async def run(self, point: Point | None = None, *, command: str = "") -> int:
        """Run one pass, or another command; returns its exit code."""
        journal = self.world.folder / f"journal-{next(_numbers)}"
        order = Order(
            config=str(self.world.write()),
            now=self.world.clock().isoformat(),
            journal=str(journal),
            command=command or self.scenario.command,
            point=None if point is None else (point.step, point.moment, point.count),
        )
        code = await asyncio.to_thread(self.forge.carry_out, order)
        self.steps, self.log = await asyncio.to_thread(written, journal)
        await self._sessions_closed()
        return code

    async def crash(self, point: Point) -> None:
        """Run a pass that dies at the point."""
        code = await self.run(point)
        assert code == KILLED, f"the pass went on to exit code {code}\n{self.log}"
        moment, step = self.steps[-1]
        assert moment == point.moment
        assert point.step in {ANY, step}
        assert Counter(self.steps)[moment, step] == point.count or point.step == ANY
        await self.check_order()

    async def settle(self, command: str = "") -> None:
        """Let one pass through."""
        code = await self.run(command=command)
        assert code in {0, 3}, f"exit code {code}\n{self.log}"

    async def query(self, statement: str) -> Sequence[tuple[object, ...]]:
        """Ask the database."""
        async with self.engine.connect() as opened:
            return [tuple(row) for row in await opened.execute(text(statement))]

    async def _sessions_closed(self) -> None:
        """Wait until the database has noticed that the process is gone: until then it holds its locks."""
        others = "datname = current_database() and pid <> pg_backend_pid() and application_name = 'archiver'"
        while await self.query(f"select 1 from pg_stat_activity where {others}"):
            pass

    async def check_order(self) -> None:
        """Check what always holds: the order of writing, whatever was written last."""
        record, scenario, deleted = await self._record(), self.scenario, self.world.simulator.requests.deletes
        client, bucket = self.world.store.client, self.world.bucket
        crash_state.check_objects(record, await asyncio.to_thread(crash_state.keys_in, client, bucket))
        crash_state.check_deletes(record, deleted, locked=scenario.lock_first)
        if scenario.locks:
            versions = await asyncio.to_thread(crash_state.versions_in, client, bucket)
            crash_state.check_held(record, versions, locked=scenario.lock_first)
        crash_state.check_history(record)
        crash_state.check_exports(record, self.world.simulator.requests)
        crash_state.check_watermark(record, scenario.account.recordings)

    async def end_state(self) -> EndState:
        """Look at everything from outside."""
        record = await self._record()
        crash_state.check_closed(record)
        record = crash_state.by_the_hour(record) if self.scenario.waits else record
        return await crash_state.end_state(self.world, record, versioned=self.scenario.locks)

    async def _record(self) -> Record:
        ((record,),) = await self.query(crash_state.RECORD)
        return cast("Record", record)


def written(journal: Path) -> tuple[tuple[tuple[str, str], ...], str]:
    """Read the steps (moment, step) and the log of a pass."""
    lines = (line.partition(" ") for line in journal.read_text().splitlines())
    return tuple((moment, step) for moment, _, step in lines), Path(f"{journal}.log").read_text()


class Twins:
    """End states of worlds in which nothing crashed: each is computed once, for all workers of a test run."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the workers' common one."""
        self._folder = folder
        folder.mkdir(exist_ok=True)

    async def get(self, name: object, make: Callable[[], Awaitable[Twin]]) -> Twin:
        """Read a twin; whoever comes first makes it, and the others wait."""
        path = self._folder / hashlib.sha256(repr(name).encode()).hexdigest()
        with path.with_suffix(".lock").open("w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not path.exists():
                path.write_bytes(pickle.dumps(await make()))
        return cast("Twin", pickle.loads(path.read_bytes()))


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Makes worlds, and remembers the end states of those in which nothing crashed. All parts are the caller's."""

    forge: Forge
    twins: Twins
    make_database: MakeDatabase
    start: StartSimulator
    clock: Clock
    plain: StoreServer
    locking: StoreServer  # of scenarios whose bucket has object lock

    @asynccontextmanager
    async def world(self, scenario: Scenario) -> AsyncIterator[Experiment]:
        """Make a fresh world, with what happens in it beforehand."""
        self.clock.now, store = NOON, self._store_of(scenario)
        with self.make_database() as url, tempfile.TemporaryDirectory(prefix="archiver-crash-") as folder:
            engine = database.open_engine(url, pool_size=1)
            make = world_maker(self.start, store, url, engine, Path(folder), self.clock, locks=scenario.locks)
            sync = {"concurrency": 1, "lookback": "0s", **scenario.sync}
            world = await make(scenario.account, behaviour=scenario.behaviour, sync=sync)
            world.policies = dict(scenario.policies)
            experiment = Experiment(scenario=scenario, world=world, forge=self.forge, engine=engine)
            try:
                for event in scenario.before:
                    await event(experiment)
                yield experiment
            finally:
                await engine.dispose()

    async def twin(self, scenario: Scenario, *crashes: Point) -> Twin:
        """What a scenario comes to, and the steps of its last pass."""

        async def make() -> Twin:
            async with self.world(scenario) as experiment:
                for point in crashes:
                    await experiment.crash(point)
                await experiment.settle()
                return Twin(await experiment.end_state(), experiment.steps)

        return await self.twins.get((scenario.name, self._store_of(scenario).name, *crashes), make)

    async def survives(self, scenario: Scenario, *points: Point) -> None:
        """Crash at each point in turn, then let one pass through: everything is as if nothing had happened."""
        twin = await self.twin(scenario)
        async with self.world(scenario) as experiment:
            for point in points:
                await experiment.crash(point)
            await experiment.settle()
            assert await experiment.end_state() == twin.end

    def _store_of(self, scenario: Scenario) -> StoreServer:
        return self.locking if scenario.locks else self.plain


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """A process that runs passes in children."""
    command = [sys.executable, "-m", "tests.support.crash_main"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Forge(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """What was computed already, by any worker."""
    own = tmp_path_factory.getbasetemp()
    return Twins((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "crash-twins")


@pytest.fixture
def lab(
    forge: Forge,
    twins: Twins,
    databases: Databases,
    simulator: StartSimulator,
    strict_store: StoreServer,
    moto_store: StoreServer,
    clock: Clock,
) -> Lab:
    """Worlds to crash in. Their store checks no checksums: what is written is read back, in more steps."""
    strict_store.strict_state.checks = False
    return Lab(
        forge=forge,
        twins=twins,
        make_database=databases.lend,
        start=simulator,
        clock=clock,
        plain=strict_store,
        locking=moto_store,
    )
