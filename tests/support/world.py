"""A whole small world: simulator, bucket and database, with the real archiver in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from archiver.adapters.catalogue_reads import Reads, Search
from archiver.adapters.object_store_clients import Patience
from archiver.app import App, Waiting, new_run_id, open_app
from archiver.core.gaps import Gap
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import Entry, State
from archiver.core.plan import Plan
from archiver.core.rebuilding import RebuildReport
from archiver.passes import Pass
from archiver.rebuilding import Rebuilding
from archiver.settings import Settings, load
from archiver.simulator import Account, Behaviour, SimRecording, Simulator
from archiver.simulator.behaviour import KIND
from tests.support.fake_time import FakeTime
from tests.support.simulator import NOON, Clock, StartSimulator
from tests.support.stores import StoreServer

LONG_AGO = NOON - timedelta(days=60)
BRIEF = Patience(connect=1, idle=2, retries=1, retry_for=1)
#: Nothing is ever deleted, and what a test writes next is in force at once.
NO_POLICIES: Mapping[str, object] = {"deletion": {"cooling_off": "0s"}, "policies": []}


def calls(count: int, *, size: int = 2_000, days: float = 30, apart: float = 60) -> tuple[SimRecording, ...]:
    """Make recordings with the ids 1, 2, 3…, the first so many days before noon, the others `apart` seconds later."""
    first = NOON - timedelta(days=days)
    return tuple(
        SimRecording(id=number, start=first + timedelta(seconds=apart * number), size=size + number, duration_ms=60_000)
        for number in range(1, count + 1)
    )


def key_of(recording: SimRecording) -> str:
    """Where the archive of account acme must keep a recording."""
    return f"acme/{recording.start:%Y/%m/%d/%H%M%S}Z-{recording.id}.mp3"


def is_for_rebuild(key: str) -> bool:
    """Whether an object is a note beside a recording, or the copy of a decision."""
    return key.endswith((".purged.json", ".expired.json", ".decision.json"))


@dataclass(kw_only=True)
class World:
    """Everything around the archiver; `settings` may be changed between passes."""

    simulator: Simulator
    store: StoreServer
    bucket: str
    database_url: str
    eye: AsyncEngine  # looks at the database from outside, and changes it as nobody else would
    folder: Path
    clock: Clock
    document: dict[str, object]
    policies: Mapping[str, object] = field(default_factory=dict)
    read_timeout: float = 5.0  # seconds that the source may stall
    time: FakeTime = field(default_factory=FakeTime)  # in which the archiver waits before it tries again
    longest: timedelta | None = None  # of the transfer's rounds, as in the daemon
    exit_code: int = -1

    def section(self, name: str) -> dict[str, object]:
        """One section of the configuration, to be changed."""
        found = self.document[name]
        section = found[0] if isinstance(found, list) else found
        assert isinstance(section, dict)
        return section

    def write(self) -> Path:
        """Write the configuration files; returns the path of the main one."""
        path = self.folder / "archiver.yaml"
        path.write_text(yaml.safe_dump(self.document))
        (self.folder / "policies.yaml").write_text(yaml.safe_dump(dict(self.policies or NO_POLICIES)))
        return path

    @property
    def settings(self) -> Settings:
        """The configuration, read as the program reads it."""
        return load(self.write(), {})

    @asynccontextmanager
    async def app(self) -> AsyncIterator[App]:
        """The archiver, opened, with the world's clock."""
        waiting = Waiting(
            sleep=self.time.sleep, seconds=self.time.clock, shared=self.time.clock, read=self.read_timeout, store=BRIEF
        )
        async with open_app(self.settings, self.clock, waiting) as opened:
            yield opened

    async def sync(self) -> Pass:
        """One pass of every stage, as `archiver sync` does it."""
        async with self.app() as app:
            done = Pass(app=app, run=new_run_id(), sleep=self.sleep, longest=self.longest)
            self.exit_code = await done.sync()
            return done

    async def sleep(self, seconds: float) -> None:
        """Wait for an export: the time of day goes on, and time by which requests are counted with it."""
        self.clock.move(seconds=seconds)
        await self.time.sleep(seconds)

    async def verify(self, *states: State) -> Pass:
        """Verify what is archived, or what is in the given states, as `archiver verify` does it."""
        async with self.app() as app:
            done = Pass(app=app, run=new_run_id())
            self.exit_code = await done.verify({"acme": app.reads.entries("acme", states or ARCHIVED)})
            return done

    async def protect(self) -> Pass:
        """Compare locks and holds with the bucket, as `archiver hold check` does it."""
        async with self.app() as app:
            done = Pass(app=app, run=new_run_id())
            self.exit_code = await done.protect()
            return done

    async def draft(self) -> Plan:
        """The plan that `archiver plan` would show."""
        async with self.app() as app:
            return await Pass(app=app, run=new_run_id()).draft(author="Anna")

    async def apply(self, plan: Plan) -> Pass:
        """Carry out a plan, whatever it is: `office.carry_out` asks first whether it may be."""
        async with self.app() as app:
            done = Pass(app=app, run=new_run_id())
            self.exit_code = await done.apply(plan, {"plan": "of a test"})
            return done

    async def put(self, key: str, body: bytes) -> None:
        """Place an object in the bucket from outside."""
        await asyncio.to_thread(self.store.client.put_object, Bucket=self.bucket, Key=key, Body=body)

    async def take(self, key: str) -> None:
        """Remove an object from the bucket from outside."""
        await asyncio.to_thread(self.store.client.delete_object, Bucket=self.bucket, Key=key)

    async def entries(self) -> dict[str, Entry]:
        """All recordings of the catalogue, by id."""
        return {entry.id: entry for entry in await Reads(self.eye).search(Search(account="acme"), limit=1_000_000)}

    async def states(self) -> dict[str, State]:
        """State of each recording."""
        return {identity: entry.state for identity, entry in (await self.entries()).items()}

    async def gaps(self) -> dict[str, Gap]:
        """The gap list: by recording id, or by its kind where it is about the listing."""
        return {gap.recording_id or gap.kind: gap for gap in await Reads(self.eye).gaps(limit=1000)}

    async def query(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the database directly."""
        async with self.eye.connect() as opened:
            return [tuple(row) for row in await opened.execute(text(statement))]

    async def change(self, statement: str) -> None:
        """Change the database directly, as a killed process would have left it."""
        async with self.eye.begin() as opened:
            await opened.execute(text(statement))

    async def everything(self) -> dict[str, bytes]:
        """Every object of the bucket with its bytes, looked at from outside."""
        return await asyncio.to_thread(self._objects)

    async def objects(self) -> dict[str, bytes]:
        """The same without what the archive writes for the day on which its catalogue is lost: notes and decisions."""
        return {key: body for key, body in (await self.everything()).items() if not is_for_rebuild(key)}

    async def rebuild(self, *, dry_run: bool = False) -> RebuildReport:
        """Make the catalogue again from the bucket, as `archiver rebuild` does it."""
        async with self.app() as app:
            work = Rebuilding(app=app, run=new_run_id(), dry_run=dry_run, report=RebuildReport(most_named=None))
            self.exit_code = await work.work()
            return work.report

    def lose_catalogue(self, database_url: str) -> None:
        """Go on with another, empty catalogue."""
        self.database_url = database_url
        driven = database_url.replace("postgresql://", "postgresql+psycopg://")
        self.eye = create_async_engine(driven, poolclass=NullPool)  # keeps nothing open: it need not be disposed of
        self.document["database"] = {"url": database_url}

    async def audio(self) -> dict[str, bytes]:
        """Audio objects alone."""
        return {key: body for key, body in (await self.objects()).items() if key.endswith(".mp3")}

    def _objects(self) -> dict[str, bytes]:
        if self.store.strict:  # it lies in this process: no need to ask for each
            return {
                key: held.body for (bucket, key), held in self.store.strict.objects.items() if bucket == self.bucket
            }
        found = {}
        pages = self.store.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        for page in pages:
            for item in page.get("Contents", []):
                body = self.store.client.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
                found[item["Key"]] = body
        return found


def sidecar_of(recording: SimRecording) -> str:
    """Where its sidecar must stand."""
    return key_of(recording).replace(".mp3", ".json")


class MakeWorld(Protocol):
    """Makes a world around an account of the simulator."""

    async def __call__(
        self, account: Account, *, behaviour: Behaviour = ..., sync: Mapping[str, object] = ...
    ) -> World:
        """Return the world; nothing was archived yet."""
        ...


@pytest.fixture
async def world(
    simulator: StartSimulator,
    strict_store: StoreServer,
    database_url: str,
    engine: AsyncEngine,
    tmp_path: Path,
    clock: Clock,
) -> MakeWorld:
    """Give a function that makes a world around the store that checks what AWS checks, and fails when told.

    It is the fastest of them too. Its parts are gone when the test ends.
    """
    return world_maker(simulator, strict_store, database_url, engine, tmp_path, clock)


@pytest.fixture
async def any_world(
    simulator: StartSimulator,
    any_store: StoreServer,
    database_url: str,
    engine: AsyncEngine,
    tmp_path: Path,
    clock: Clock,
) -> MakeWorld:
    """The same around each of the stores in turn."""
    return world_maker(simulator, any_store, database_url, engine, tmp_path, clock)


@pytest.fixture
async def locked_world(
    simulator: StartSimulator,
    moto_store: StoreServer,
    database_url: str,
    engine: AsyncEngine,
    tmp_path: Path,
    clock: Clock,
) -> MakeWorld:
    """The same around a bucket with Object Lock, which is versioned and enforces its locks."""
    return world_maker(simulator, moto_store, database_url, engine, tmp_path, clock, locks=True)


def world_maker(
    simulator: StartSimulator,
    store: StoreServer,
    database_url: str,
    eye: AsyncEngine,
    folder: Path,
    clock: Clock,
    *,
    locks: bool = False,
) -> MakeWorld:
    """Build the maker for any store. `eye` stays the caller's. `locks`: the bucket is made with Object Lock."""

    async def make(account: Account, *, behaviour: Behaviour = KIND, sync: Mapping[str, object] = {}) -> World:
        started = await simulator(account, behaviour=behaviour)
        bucket = await asyncio.to_thread(store.new_bucket, locks=locks)
        document: dict[str, object] = {
            "database": {"url": database_url},
            "vault": {
                "bucket": bucket,
                "region": "ap-south-1",
                "endpoint_url": store.url,
                "access_key_id": store.access_key_id,
                "secret_access_key": store.secret_access_key,
            },
            "accounts": [
                {
                    "name": "acme",
                    "base_url": started.base_url,
                    "auth": {"token": started.credentials.token},
                    "start_from": LONG_AGO.isoformat(),
                    "requests_per_minute": 100_000,
                }
            ],
            "sync": {"lookback": "72h", "concurrency": 8, **sync},
            "policies": "policies.yaml",
            "http": {"listen": None},
        }
        return World(
            simulator=started,
            store=store,
            bucket=bucket,
            database_url=database_url,
            eye=eye,
            folder=folder,
            clock=clock,
            document=document,
        )

    return make
