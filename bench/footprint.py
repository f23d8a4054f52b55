"""What one archived recording leaves behind and costs elsewhere: rows, objects, requests at the store."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import LiteralString

import psycopg

from bench.contest import Cost, Ring, counted, require
from bench.neighbours import KEY_ID, Load, postgres, source
from tests.support.strict_store import StrictStore

SIZES = """
select relname as name, pg_table_size(oid) as rows, pg_indexes_size(oid) as indexes from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_table_size(oid) + pg_indexes_size(oid) > 65536
order by 2 desc
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """After one pass over `count` recordings."""

    count: int
    tables: Mapping[str, tuple[int, int]]  # bytes of rows and of indexes, written anew without any gaps
    as_it_lies: int  # bytes of all of them before that: what the moves of a recording leave is free to be used again
    objects: Mapping[str, tuple[int, int]]  # number and bytes, of audio and of sidecars
    requests: Mapping[str, int]  # at the store, by method
    cost: Cost


def measure(load: Load, *, concurrency: int) -> None:
    """Archive into an empty catalogue and bucket, and print what came of it."""
    with _ring(load, concurrency) as (arena, store):
        configuration, database = arena.prepare()
        store.requests.clear()
        cost = require(arena.sync(configuration), lambda cost: counted(cost, "verified") == load.count, arena.folder)
        methods = Counter(request.partition(" ")[0] for request in store.requests)
        found = Footprint(
            count=load.count,
            as_it_lies=sum(map(sum, _sizes(database, "vacuum analyze").values())),
            tables=_sizes(database, "vacuum full"),
            objects=_objects(store),
            requests=methods,
            cost=cost,
        )
    print(_table(found))


@contextmanager
def _ring(load: Load, concurrency: int) -> Iterator[tuple[Ring, StrictStore]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archiver-bench-")))
        store = StrictStore(access_key_id=KEY_ID)
        store.start()
        stack.callback(store.stop)
        yield (
            Ring(
                folder=folder,
                load=load,
                source=stack.enter_context(source(load)),
                endpoint=f"http://127.0.0.1:{store.port}",
                server_url=stack.enter_context(postgres(folder)),
                concurrency=concurrency,
                listed_before=timedelta(0),
            ),
            store,
        )


def _sizes(database: str, vacuum: LiteralString) -> dict[str, tuple[int, int]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(vacuum)
        return {name: (rows, indexes) for name, rows, indexes in connection.execute(SIZES)}


def _objects(store: StrictStore) -> dict[str, tuple[int, int]]:
    found = {}
    for kind, chosen in (("audio", False), ("sidecars", True)):
        there = ((key, stored) for (_, key), stored in store.objects.items() if not key.startswith(".archiver"))
        sizes = [len(stored.body) for key, stored in there if key.endswith(".json") is chosen]
        found[kind] = (len(sizes), sum(sizes))
    return found


def _table(found: Footprint) -> str:
    count = found.count
    lines = [f"{count} recordings, {found.cost.cpu * 1000 / count:.1f} ms CPU each, {found.cost.requests} requests",
             "", "| | for each recording |", "|---|---|"]  # fmt: skip
    lines += [f"| rows of `{name}` | {rows / count:.0f} bytes, indexes {indexes / count:.0f} |"
              for name, (rows, indexes) in found.tables.items()]  # fmt: skip
    total = sum(rows + indexes for rows, indexes in found.tables.values())
    lines.append(f"| the catalogue together | {total / count:.0f} bytes; {found.as_it_lies / count:.0f} as it lies |")
    lines += [f"| {kind} | {number / count:.2f} objects, {size / count:.0f} bytes |"
              for kind, (number, size) in found.objects.items()]  # fmt: skip
    asked = ", ".join(f"{method} {number / count:.2f}" for method, number in sorted(found.requests.items()))
    return "\n".join([*lines, f"| requests at the store | {asked} |"])
