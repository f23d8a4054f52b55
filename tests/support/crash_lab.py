"""Worlds to crash in: passes run in processes that may die, and the end states are compared."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from archiver.core import naming
from archiver.core.lifecycle import MOVES
from archiver.core.model import State
from archiver.simulator import Account
from tests.support.crash_main import Order
from tests.support.crash_wire import ANY, Point
from tests.support.postgres import admin, url_of
from tests.support.simulator import NOON, Clock, StartSimulator
from tests.support.stores import StoreServer
from tests.support.world import LONG_AGO, World, world_maker

KILLED = -9
_numbers = itertools.count(1)
Event = Callable[["Experiment"], Awaitable[None]]


MakeDatabase = Callable[[], AbstractContextManager[str]]
Record = Mapping[str, list[Mapping[str, object]]]

# attempts count crashes, and where one was the last the problem says so; the rest of a row may not differ
RECORD = """select json_build_object(
    'recordings', coalesce((select json_agg(
        to_jsonb(r) - 'attempts' - 'next_attempt_at' - case state when 'failed' then 'problem' else '' end
        order by recording_id) from recordings r), '[]'),
    'gaps', coalesce((select json_agg(
        to_jsonb(g) - 'id' - 'seen_run' - case kind when 'failed' then 'reason' else '' end
        order by kind, fingerprint) from gaps g), '[]'),
    'accounts', coalesce((select json_agg(to_jsonb(a) - 'ledger_position' order by account) from accounts a), '[]'),
    'days', coalesce((select json_agg(d order by day) from (
        select day, said, doubt, proved_at is not null as proved, stale from days) d), '[]'),
    'ledger', coalesce((select json_agg(l order by day) from (
        select distinct on (day) day, state, counts, missing from ledger order by day, id desc) l), '[]'),
    'history', coalesce((select json_agg(h order by id) from history h), '[]'))"""


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
    policies: Mapping[str, object] = field(default_factory=dict)
    sync: Mapping[str, object] = field(default_factory=dict)
    before: tuple[Event, ...] = ()
    command: str = "sync"


@dataclass(frozen=True, kw_only=True)
class EndState:
    """Everything that must be the same whether there was a crash or not."""

    recordings: list[Mapping[str, object]]
    gaps: list[Mapping[str, object]]
    accounts: list[Mapping[str, object]]
    days: list[Mapping[str, object]]
    ledger: list[Mapping[str, object]]
    objects: Mapping[str, str]  # SHA-256 by key
    deleted: list[int]  # ids that were deleted at the source, as often as a DELETE came
    uploads: list[str]  # keys of multipart uploads that are neither complete nor aborted


@dataclass(frozen=True)
class Twin:
    """What a scenario comes to without a crash, and the steps (moment, step) of that pass."""

    end: EndState
    steps: tuple[tuple[str, str], ...]


TWINS: dict[tuple[object, ...], Twin] = {}


@dataclass(kw_only=True)
class Experiment:
    """One world in which passes run, each in a process of its own."""

    scenario: Scenario
    world: World
    forge: Forge
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

    async def _sessions_closed(self) -> None:
        """Wait until the database has noticed that the process is gone: until then it holds its locks."""
        others = "datname = current_database() and pid <> pg_backend_pid() and application_name = 'archiver'"
        while await self.world.query(f"select 1 from pg_stat_activity where {others}"):
            pass

    async def check_order(self) -> None:
        """Check what always holds: bytes before sidecar before row, row before DELETE, rows before watermark."""
        record = await self._record()
        keys = set(await asyncio.to_thread(self._keys))
        deleted = {str(identity) for identity in self.world.simulator.requests.deletes}
        for row in record["recordings"]:
            state = State(str(row["state"]))
            if row["key"] is not None and state is not State.QUARANTINED:
                assert {row["key"], naming.sidecar_key(str(row["key"]))} <= keys, f"{row['recording_id']} is {state}"
            if row["recording_id"] in deleted:
                assert state is State.PURGING or row["purged_at"] is not None
        assert {key.replace(".json", ".mp3") for key in keys if key.endswith(".json")} <= keys
        check_history(record)
        self._check_watermark(record)

    def _check_watermark(self, record: Record) -> None:
        known = {str(row["recording_id"]) for row in record["recordings"]}
        known |= {str(item["id"]) for gap in record["gaps"] if (item := item_of(gap)) is not None}
        for account in record["accounts"]:
            passed = datetime.fromisoformat(str(account["watermark"] or LONG_AGO))
            behind = [one for one in self.scenario.account.recordings if one.start < passed]
            assert {str(one.overlay.get("id", one.id)) for one in behind} <= known

    async def end_state(self) -> EndState:
        """Look at everything from outside."""
        record = await self._record()
        check_history(record)
        bodies = await self.world.objects()
        return EndState(
            recordings=record["recordings"],
            gaps=record["gaps"],
            accounts=record["accounts"],
            days=record["days"],
            ledger=record["ledger"],
            objects={key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()},
            deleted=sorted(self.world.simulator.requests.deletes),
            uploads=await asyncio.to_thread(self._uploads),
        )

    async def _record(self) -> Record:
        ((record,),) = await self.world.query(RECORD)
        return cast("Record", record)

    def _keys(self) -> list[str]:
        found = self.world.store.client.list_objects_v2(Bucket=self.world.bucket)
        return [item["Key"] for item in found.get("Contents", [])]

    def _uploads(self) -> list[str]:
        found = self.world.store.client.list_multipart_uploads(Bucket=self.world.bucket)
        return [upload["Key"] for upload in found.get("Uploads", [])]


def written(journal: Path) -> tuple[tuple[tuple[str, str], ...], str]:
    """Read the steps (moment, step) and the log of a pass."""
    lines = (line.partition(" ") for line in journal.read_text().splitlines())
    return tuple((moment, step) for moment, _, step in lines), Path(f"{journal}.log").read_text()


def item_of(gap: Mapping[str, object]) -> Mapping[str, object] | None:
    """The unreadable item that a gap is about, if it is about one."""
    raw = gap["raw"]
    return raw["item"] if isinstance(raw, dict) else None


def check_history(record: Record) -> None:
    """Check that every recording's history is a walk of the lifecycle, without a hole, up to its present state."""
    walks: dict[object, list[tuple[str | None, str]]] = {row["recording_id"]: [] for row in record["recordings"]}
    for row in record["history"]:
        walks[row["recording_id"]].append((cast("str | None", row["before"]), str(row["after"])))
    for row in record["recordings"]:
        walk = walks[row["recording_id"]]
        assert walk[0] == (None, "discovered")
        assert walk[-1][1] == row["state"]
        for (_, then), (before, after) in pairwise(walk):
            assert before == then, f"hole in the history of {row['recording_id']}: {walk}"
            assert after == before or State(after) in MOVES[State(before)]


class Lab:
    """Makes worlds, and remembers the end states of those in which nothing crashed."""

    def __init__(self, forge: Forge, make_database: MakeDatabase, start: StartSimulator, clock: Clock) -> None:
        """All parts are the caller's to stop."""
        self._forge, self._make_database, self._start, self._clock = forge, make_database, start, clock

    @asynccontextmanager
    async def world(self, scenario: Scenario, store: StoreServer) -> AsyncIterator[Experiment]:
        """Make a fresh world, with what happens in it beforehand."""
        self._clock.now = NOON
        with self._make_database() as url, tempfile.TemporaryDirectory(prefix="archiver-crash-") as folder:
            make = world_maker(self._start, store, url, Path(folder), self._clock)
            world = await make(scenario.account, sync={"concurrency": 1, "lookback": "0s", **scenario.sync})
            world.policies = dict(scenario.policies)
            experiment = Experiment(scenario=scenario, world=world, forge=self._forge)
            for event in scenario.before:
                await event(experiment)
            yield experiment

    async def twin(self, scenario: Scenario, store: StoreServer, *crashes: Point) -> Twin:
        """What a scenario comes to, and the steps of its last pass. Computed once for each worker."""
        name = (scenario.name, store.name, *crashes)
        if name not in TWINS:
            async with self.world(scenario, store) as experiment:
                for point in crashes:
                    await experiment.crash(point)
                await experiment.settle()
                TWINS[name] = Twin(await experiment.end_state(), experiment.steps)
        return TWINS[name]

    async def survives(self, scenario: Scenario, store: StoreServer, *points: Point) -> None:
        """Crash at each point in turn, then let one pass through: everything is as if nothing had happened."""
        twin = await self.twin(scenario, store)
        async with self.world(scenario, store) as experiment:
            for point in points:
                await experiment.crash(point)
            await experiment.settle()
            assert await experiment.end_state() == twin.end


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """A process that runs passes in children."""
    command = [sys.executable, "-m", "tests.support.crash_main"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Forge(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def lab(forge: Forge, postgres: str, template: str, simulator: StartSimulator, clock: Clock) -> Lab:
    """Worlds to crash in."""

    @contextmanager
    def make_database() -> Iterator[str]:
        name = f"crash_{uuid.uuid4().hex}"
        admin(postgres, f"create database {name} template {template}")
        try:
            yield url_of(postgres, name)
        finally:
            admin(postgres, f"drop database {name} with (force)")

    return Lab(forge, make_database, simulator, clock)
