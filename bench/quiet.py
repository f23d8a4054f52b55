"""What a pass with nothing new costs, on a small catalogue and on a large one, in turn on the same neighbours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median

import psycopg

from bench.contest import Cost, Ring, require, ring
from bench.neighbours import Load, StoreName

YEARS = timedelta(days=3 * 365)  # over which they are spread, before the calls that the source has

#: Archived and deleted at the source long ago; the days are there already, listed as empty.
PLANT = """
insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, key, sha256,
    size, stored_at, verified_at, purged_at, next_attempt_at)
select 'bench', 'old-' || number, (array['verified', 'purged'])[odd + 1] ::recording_state,
    %(first)s ::timestamptz + number * (%(span)s ::interval / %(rows)s), '{"101"}', '{}', '{}', now(),
    'old-' || number, repeat('ab', 32), 1000, now(), now(), case when odd = 1 then now() end, now()
from generate_series(1, %(rows)s ::int) as number, mod(number, 2) as odd
"""
HISTORY = """
insert into history (at, account, recording_id, before, after, reason, run_id)
select listed_at, account, recording_id, null, 'discovered', 'listed by the source', 'planted' from recordings
where recording_id like 'old-%'
"""
SEEN = "update accounts set ledger_position = (select max(id) from history)"


def plant(url: str, load: Load, rows: int) -> None:
    """Grow a catalogue to so many rows, as years of passes would have left it."""
    grown = {"rows": rows - load.count, "first": load.start - YEARS, "span": YEARS}
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(PLANT, grown)
        opened.execute(HISTORY)
        opened.execute(SEEN)
        opened.execute("vacuum analyze")


def compare(*, store_name: StoreName, concurrency: int, rounds: int, count: int, sizes: tuple[int, int]) -> None:
    """Print medians side by side."""
    load = Load(count=count, mean_size=1_000)
    with ring(load, store_name=store_name, concurrency=concurrency, listed_before=YEARS) as arena:
        configurations = [_grown(arena, rows) for rows in sizes]
        costs: list[list[Cost]] = [[] for _ in sizes]
        for _ in range(rounds + 1):
            for several, configuration in zip(costs, configurations, strict=True):
                several.append(require(arena.sync(configuration), _quiet, arena.folder))
    timed = [several[1:] for several in costs]  # the first ones fill the caches
    print(f"a pass with nothing new, {rounds} rounds in turn, medians:\n")
    print(table(timed, sizes))


def _grown(arena: Ring, rows: int) -> Path:
    configuration, url = arena.prepare()
    require(arena.sync(configuration), lambda cost: cost.exit_code == 0, arena.folder)
    plant(url, arena.load, rows)
    print(f"a catalogue of {rows:,} rows is there", flush=True)
    return configuration


def _quiet(cost: Cost) -> bool:
    counts = json.loads(cost.output)["accounts"]["bench"]
    return cost.exit_code == 0 and not any(counts[name] for name in ("new", "archived", "verified", "recounted"))


def in_stages(cost: Cost) -> float:
    """Seconds that the stages of a pass took, without the start of the interpreter."""
    spent: dict[str, float] = json.loads(cost.output)["accounts"]["bench"]["seconds"]
    return sum(spent.values())


def table(costs: Sequence[Sequence[Cost]], sizes: Sequence[int]) -> str:
    """Lay the medians side by side, as Markdown."""
    measures: dict[str, Callable[[Cost], float]] = {
        "requests": lambda cost: cost.requests,
        "wall seconds in its stages": in_stages,
        "wall seconds of the process": lambda cost: cost.wall,
        "CPU seconds of the process": lambda cost: cost.cpu,
        "peak memory, MiB": lambda cost: cost.rss / 2**20,
    }
    lines = [f"| | {sizes[0]:,} rows | {sizes[1]:,} rows | ratio |", "|---|---|---|---|"]
    for name, measure in measures.items():
        few, many = (median(map(measure, several)) for several in costs)
        lines.append(f"| {name} | {few:.3f} | {many:.3f} | {many / few:.2f} |")
    return "\n".join(lines)
