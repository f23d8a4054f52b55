"""A busy account and its small quota, day after day, in a time that passes only where everybody waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from archiver.adapters.database import open_engine, upgrade
from archiver.app import App, Waiting, new_run_id, open_app
from archiver.logs import configure
from archiver.passes import Pass
from archiver.settings import Settings
from archiver.simulator import Simulator
from archiver.simulator.exports import USER
from bench.centre import Centre
from bench.diary import Came, Diary, told
from bench.neighbours import KEY_ID, SECRET, StoreName, make_bucket, make_database, postgres, store
from bench.virtual_time import VirtualTime

ACCOUNT = "centre"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Where the archiver finds its database and its bucket."""

    database: str
    bucket: str
    endpoint: str
    key_id: str
    secret: str


def settings_of(centre: Centre, near: Neighbours, base_url: str, concurrency: int) -> Settings:
    """Configure the archiver, with all at its default that is not about this world."""
    account = {
        "name": ACCOUNT,
        "base_url": base_url,
        "auth": {"token": "sim-token"},
        "start_from": centre.start,
        "requests_per_minute": centre.per_minute,
        "export_user": USER,
    }
    vault = {
        "bucket": near.bucket,
        "region": "ap-south-1",
        "endpoint_url": near.endpoint,
        "access_key_id": near.key_id,
        "secret_access_key": near.secret,
    }
    sync = {"every": centre.every, "concurrency": concurrency}
    return Settings.model_validate(
        {"database": {"url": near.database}, "vault": vault, "accounts": [account], "sync": sync}
    )


async def live(
    centre: Centre, near: Neighbours, *, concurrency: int, say: Callable[[str], None] = lambda _: None
) -> Diary:
    """Let the daemon's passes go over the account until the last midnight."""
    clock, diary, account = VirtualTime(start=centre.start), Diary(centre=centre), centre.account()
    async with Simulator(account, behaviour=centre.behaviour(), clock=clock.now) as simulator:
        clock.busy = lambda: simulator.requests.in_flight > 0
        for midnight in centre.midnights():
            clock.at(midnight, lambda: diary.note(simulator.requests))
        settings = settings_of(centre, near, simulator.base_url, concurrency)
        waiting = Waiting(sleep=clock.sleep, seconds=clock.seconds, shared=clock.seconds)
        async with open_app(settings, clock.now, waiting) as app:
            await _passes(app, clock, diary, say)
    _look(near.database, centre, diary)
    return diary


async def _passes(app: App, clock: VirtualTime, diary: Diary, say: Callable[[str], None]) -> None:
    """A pass at the beginning of each quarter, as the scheduler has it: one that takes longer leaves the next out."""
    centre, began = diary.centre, time.monotonic()
    while clock.now() < centre.end:
        diary.last_pass, diary.passes = clock.now(), diary.passes + 1
        work = Pass(app=app, run=new_run_id(), sleep=clock.sleep, longest=centre.every)
        await work.sync()
        diary.longest_pass = max(diary.longest_pass, clock.now() - diary.last_pass)
        report = work.reports[ACCOUNT]
        diary.by_export += report.exported
        say(
            f"{diary.last_pass:%d %H:%M} until {clock.now():%H:%M}: {report.new} new, {report.archived} archived, "
            f"{report.exported} by export, {report.exports} exports, sent {dict(report.sent)}, stopped "
            f"{report.stopped}; {time.monotonic() - began:.0f} s"
        )
        gone = clock.now() - centre.start
        await clock.sleep((centre.every - gone % centre.every).total_seconds())


def _look(database: str, centre: Centre, diary: Diary) -> None:
    """Read in the catalogue what became of each recording that the source has shown."""
    with psycopg.connect(database) as opened:
        rows = opened.execute("select recording_id, state::text, stored_at from recordings").fetchall()
    diary.states.update(state for _, state, _ in rows)
    archived: dict[str, datetime | None] = {identity: at for identity, _, at in rows}
    for one in centre.account().recordings:
        if one.published_at is not None and one.published_at < centre.end:
            at = archived.get(str(one.id))
            diary.came.append(Came(one.published_at, at if at is None else at.astimezone(UTC)))


def archive(centre: Centre, *, store_name: StoreName, concurrency: int, log: Path | None) -> None:
    """Start the neighbours, let the days pass, and print what they were like."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="archiver-bench-")))
        stream = stack.enter_context((log or folder / "log").open("w"))
        configure(format="json", level="info" if log else "error", stream=stream, secrets=())
        endpoint = stack.enter_context(store(store_name, folder))
        database = make_database(stack.enter_context(postgres(folder, durable=False)), "bench_week")
        make_bucket(endpoint, "bench-week")
        asyncio.run(_upgrade(database))
        near = Neighbours(database=database, bucket="bench-week", endpoint=endpoint, key_id=KEY_ID, secret=SECRET)
        began = time.monotonic()
        diary = asyncio.run(live(centre, near, concurrency=concurrency, say=partial(print, flush=True)))
        spent = time.monotonic() - began
    print(f"\n{centre.calls:,} calls a day, {centre.per_minute} requests a minute; {spent:.0f} s of real time\n")
    print(told(diary))


async def _upgrade(url: str) -> None:
    engine = open_engine(url, pool_size=1)
    await upgrade(engine)
    await engine.dispose()
