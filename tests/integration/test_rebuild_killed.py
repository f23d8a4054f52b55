"""A rebuild that is killed anywhere and started again ends in the same catalogue; and it holds little in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from archiver.adapters.rebuild_rows import RebuildRows
from archiver.app import App, new_run_id
from archiver.core import sidecar
from archiver.core.listing import parse_recording
from archiver.core.model import Fixity, Recording
from archiver.core.naming import audio_key, sidecar_key
from archiver.core.rebuilding import Listed, RebuildReport
from archiver.simulator import Account
from archiver.stages.rebuild import Rebuild
from tests.support import office
from tests.support.locksmith import keeping
from tests.support.postgres import Databases
from tests.support.rows import LONG_AGO, SHA256
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

NINE = calls(9, days=40)
ROWS = """
select (select json_agg(to_jsonb(r) order by account, recording_id) from recordings r),
    (select json_agg(json_build_array(recording_id, before, after, reason, detail::text) order by recording_id, id)
        from history),
    (select json_agg(json_build_array(kind, subject, event, reason, detail::text) order by kind, subject, id)
        from controls)
"""
WRITES = ("add_decisions", "add", "record", "open_account")


class Killed(Exception):
    """The process died here."""


@dataclass(slots=True)
class Fuse:
    """Dies before or after the n-th write of a rebuild."""

    left: int
    after: bool

    def wrap(self, inner: object) -> object:
        """Give a port that burns the fuse."""
        return _Wired(self, inner)

    async def burn(self, call: partial[object]) -> object:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        answer = await call()  # type: ignore[misc]
        if self.left == 0:
            raise Killed
        return answer


class _Wired:
    def __init__(self, fuse: Fuse, inner: object) -> None:
        self._fuse, self._inner = fuse, inner

    def __getattr__(self, name: str) -> object:
        target = getattr(self._inner, name)
        if name not in WRITES:
            return target
        return lambda *args, **kwargs: self._fuse.burn(partial(target, *args, **kwargs))


def stage_of(app: App, fuse: Fuse, *, most: int = 3) -> Rebuild:
    """A rebuild that may die, with small transactions."""
    rows, decisions = fuse.wrap(RebuildRows(app.engine)), fuse.wrap(app.controls)
    return Rebuild(
        run_id=new_run_id(),
        clock=app.clock,
        stopping=lambda: False,
        store=app.store,
        listing=app.listing,
        locks=app.locks,
        rows=rows,  # type: ignore[arg-type]
        decisions=decisions,  # type: ignore[arg-type]
        terms=app.terms,
        held=app.reads,
        accounts=list(app.sources),
        prefix=app.settings.vault.prefix,
        concurrency=app.settings.sync.concurrency,
        dry_run=False,
        report=RebuildReport(),
        most=most,
    )


async def rebuilt(here: World, fuse: Fuse) -> bool:
    """Rebuild until the fuse burns down. True: it did not."""
    async with here.app() as app:
        ledger = fuse.wrap(app.ledger)
        try:
            await ledger.open_account("acme", app.account("acme").start_from)  # type: ignore[attr-defined]
            await stage_of(app, fuse).run()
        except Killed:
            return False
        return True


async def looked_at(here: World) -> list[tuple[object, ...]]:
    return await here.query(ROWS)


async def test_killed_anywhere_it_comes_to_the_same_end(locked_world: MakeWorld, databases: Databases) -> None:
    """Before and after each of its writes: accounts, decisions, batches of rows, and the case for what is left over."""
    here = await locked_world(Account(recordings=NINE))
    await office.hold(here, future=True, ids=["6", "7"])
    here.policies = keeping(source="30d", delete_after="39d")
    await here.sync()
    await office.hold(here, "lost", ids=["8", "9"])
    await here.protect()
    lost = next(key for key, body in (await here.everything()).items() if b'"lost"' in body)
    await here.take(lost)  # of 8 and 9 the bucket's legal holds are all that is left

    ends, deaths = [], 0
    for after in (False, True):
        for step in range(1, 20):
            with databases.lend() as url:
                here.lose_catalogue(url)
                lived = await rebuilt(here, Fuse(step, after))
                deaths += not lived
                assert await rebuilt(here, Fuse(-1, after=False))
                ends.append(await looked_at(here))
            if lived:
                break
    assert deaths == 2 * 6  # the account, decisions, three batches, the case
    assert all(end == ends[0] for end in ends)
    assert "rebuilt-acme" in str(ends[0])


@contextmanager
def dying_at(app: App, statement: str) -> Iterator[None]:
    """Have the first statement that begins so fail, as if the process ended before it."""

    def look(opened: Connection, cursor: object, said: str, *_: object) -> None:
        if said.lstrip().startswith(statement):
            raise Killed

    engine = app.engine.sync_engine
    event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", look)


async def test_rows_and_their_history_are_one(world: MakeWorld, databases: Databases) -> None:
    here = await world(Account(recordings=NINE[:3]))
    await here.sync()
    with databases.lend() as url:
        here.lose_catalogue(url)
        async with here.app() as app:
            await app.ledger.open_account("acme", LONG_AGO)
            with dying_at(app, "insert into history"), pytest.raises(Killed):
                await stage_of(app, Fuse(-1, after=False)).run()
        assert await here.states() == {}
        await here.rebuild()
        assert await here.query("select count(*) from history") == [(3,)]


async def test_a_dry_run_counts_a_second_copy_as_the_run_does(world: MakeWorld, databases: Databases) -> None:
    """Wherever it comes: here each recording is a batch of its own."""
    here = await world(Account(recordings=NINE[:2]))
    await here.sync()
    bodies = await here.everything()
    first, later = NINE[0], replace(NINE[0], start=NINE[0].start + timedelta(days=1))
    await here.put(key_of(later), bodies[key_of(first)])
    said = bodies[sidecar_of(first)].replace(key_of(first).encode(), key_of(later).encode())
    await here.put(sidecar_of(later), said.replace(f"{first.start:%FT%T}".encode(), f"{later.start:%FT%T}".encode()))
    with databases.lend() as url:
        here.lose_catalogue(url)
        async with here.app() as app:
            counts = []
            for dry in (True, False):
                stage = stage_of(app, Fuse(-1, after=False), most=1)
                stage.dry_run = dry
                await app.ledger.open_account("acme", LONG_AGO)
                await stage.run()
                counts.append(stage.report.as_counts())
                assert [one.key for one in stage.report.named] == [sidecar_of(later)]
    assert counts[0] == counts[1]
    assert (counts[0]["stored"], counts[0]["troubles"]) == (2, {"contradiction": 1})


class Endless:
    """A bucket of any size that needs no memory: listing and sidecars are made up as they are asked for."""

    def __init__(self, count: int) -> None:
        """So many recordings."""
        self.count = count

    def _of(self, number: int) -> Recording:
        start = LONG_AGO + timedelta(minutes=number)
        said = {"id": f"{number:07}", "start": start.isoformat(), "cnam": "x" * 300}
        item = parse_recording("acme", said)
        assert isinstance(item, Recording)
        return item

    async def objects(self, prefix: str) -> AsyncIterator[Listed]:
        for number in range(self.count if "decisions" not in prefix else 0):
            key = audio_key("", self._of(number))
            yield Listed(sidecar_key(key), 900, LONG_AGO)
            yield Listed(key, 100, LONG_AGO)

    async def read(self, key: str, *, limit: int) -> bytes:
        item = self._of(int(key.rpartition("-")[2].removesuffix(".json")))
        fixity = Fixity(sha256=SHA256, size=100)
        return sidecar.render(item, key=audio_key("", item), fixity=fixity, size_disagrees=False, listed_at=LONG_AGO)

    async def facts(self) -> object:
        return self

    object_lock = False


class Counted:
    """A catalogue that only counts what it is given."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.batches: list[int] = []

    async def known(self, addresses: Sequence[object]) -> dict[tuple[str, str], str | None]:
        return {}

    async def add(self, given: Sequence[object]) -> None:
        self.batches.append(len(given))

    async def add_decisions(self, given: Sequence[object], *, dry_run: bool) -> tuple[list[object], list[object]]:
        return [], []


async def peak_of(app: App, count: int) -> int:
    """Most bytes that a rebuild of so many recordings holds at once."""
    stage, bucket, rows = stage_of(app, Fuse(-1, after=False), most=100), Endless(count), Counted()
    stage.store = stage.listing = bucket  # type: ignore[assignment]
    stage.rows = rows  # type: ignore[assignment]
    tracemalloc.start()
    await stage.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.batches == [100] * (count // 100)
    return peak


async def test_memory_does_not_grow_with_the_bucket(world: MakeWorld) -> None:
    """Ten times as many recordings take no more of it."""
    here = await world(Account(recordings=()))
    async with here.app() as app:
        await peak_of(app, 200)  # what is imported and cached the first time
        small = await peak_of(app, 200)
        large = min([await peak_of(app, 2_000) for _ in range(2)])  # other threads of the process hold something too
    assert large < small * 1.3
