"""Which measurements there are, and how they are reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import get_args

from bench import footprint, in_bulk, planning, quiet, rebuild, week
from bench.centre import Centre
from bench.contest import Cost, counted, require, ring
from bench.neighbours import Load, StoreName

MB, MIB = 10**6, 2**20
MEASURES: dict[str, Callable[[Cost], float]] = {
    "CPU seconds": lambda cost: cost.cpu,
    "wall seconds": lambda cost: cost.wall,
    "peak memory, MiB": lambda cost: cost.rss / MIB,
}
#: One very long call; several long ones at once; a backlog to list, and to begin with.
LARGE = {
    "one-large": Load(count=1, mean_size=2_000 * MB, exact=True),
    "several-large": Load(count=16, mean_size=100 * MB, exact=True),
}
BACKLOG = Load(count=100_000, mean_size=1000)
BACKLOG_DOWNLOADS = 2_000


def compare(given: argparse.Namespace) -> None:
    """Run the archiver and the copying script in turn, and print medians."""
    load = Load(count=given.count, mean_size=given.mean_size)
    ours, theirs = [], []
    with ring(load, store_name=given.store, concurrency=given.concurrency) as arena:
        for number in range(given.rounds):
            ours.append(require(arena.archiver(), lambda cost: counted(cost, "verified") == load.count, arena.folder))
            theirs.append(require(arena.rival(), lambda cost: cost.output.strip() == str(load.count), arena.folder))
            print(f"round {number + 1}: archiver {_brief(ours[-1])}; script {_brief(theirs[-1])}", flush=True)
    print(f"\n{load.count} recordings of {load.mean_size} bytes on average, {given.rounds} rounds, medians:\n")
    print(table(ours, theirs, load.count))


def table(ours: Sequence[Cost], theirs: Sequence[Cost], count: int) -> str:
    """Lay the medians side by side, as Markdown."""
    lines = ["| | archiver | script | ratio |", "|---|---|---|---|"]
    requests = {"requests per 1,000": lambda cost: cost.requests * 1000 / count}
    for name, measure in {**MEASURES, **requests}.items():
        one, other = (median(map(measure, costs)) for costs in (ours, theirs))
        lines.append(f"| {name} | {one:.2f} | {other:.2f} | {one / other:.2f} |")
    return "\n".join(lines)


def _brief(cost: Cost) -> str:
    return f"{cost.cpu:.2f} s CPU, {cost.wall:.2f} s, {cost.rss / MIB:.0f} MiB"


def memory(given: argparse.Namespace) -> None:
    """Run one pass over large recordings, and print its peak."""
    load = LARGE[given.what]
    with ring(load, store_name=given.store, concurrency=given.concurrency) as arena:
        cost = require(arena.archiver(), lambda cost: counted(cost, "verified") == load.count, arena.folder)
    print(f"{given.what}: {load.count} x {load.mean_size // MB} MB, {counted(cost, 'bytes')} bytes: {_brief(cost)}")


def backlog(given: argparse.Namespace) -> None:
    """List 100,000 recordings, begin with them, and stop; print the peak."""
    with ring(BACKLOG, store_name=given.store, concurrency=given.concurrency) as arena:
        cost = require(arena.archiver(until=BACKLOG_DOWNLOADS), _listed_and_begun, arena.folder)
    done = f"{counted(cost, 'new')} listed, {counted(cost, 'archived')} archived"
    print(f"backlog: {done}: {_brief(cost)}, {cost.requests} requests")


def _listed_and_begun(cost: Cost) -> bool:
    return counted(cost, "new") == BACKLOG.count and counted(cost, "archived") >= BACKLOG_DOWNLOADS // 2


def nothing_new(given: argparse.Namespace) -> None:
    """Compare passes with nothing new on a small and on a large catalogue."""
    quiet.compare(
        store_name=given.store,
        concurrency=given.concurrency,
        rounds=given.rounds,
        count=given.count,
        sizes=(given.small, given.large),
    )


def plan(given: argparse.Namespace) -> None:
    """Compare a plan with a bare scan of the same rows."""
    planning.compare(rounds=given.rounds, sizes=(given.small, given.large))


def exports(given: argparse.Namespace) -> None:
    """Compare exports with single requests."""
    load = Load(count=given.count, mean_size=given.mean_size, days=in_bulk.DAYS)
    in_bulk.compare(load, store_name=given.store, concurrency=given.concurrency, rounds=given.rounds)


def zips(given: argparse.Namespace) -> None:
    """Archive large ZIPs, and print the peaks."""
    in_bulk.memory(given.zip_size, given.member_size, store_name=given.store, concurrency=given.concurrency)


def lost(given: argparse.Namespace) -> None:
    """Rebuild a small and a large catalogue from the bucket."""
    sizes = (given.small, given.large)
    rebuild.measure(store_name=given.store, concurrency=given.concurrency, rounds=given.rounds, sizes=sizes)


def days(given: argparse.Namespace) -> None:
    """Archive a busy account under a small quota, in simulated time."""
    every = timedelta(minutes=given.every)
    centre = Centre(days=given.days, calls=given.calls, per_minute=given.per_minute, every=every)
    week.archive(centre, store_name=given.store, concurrency=given.concurrency, log=given.log)


def traces(given: argparse.Namespace) -> None:
    """Archive, and print what each recording leaves behind."""
    load = Load(count=given.count, mean_size=given.mean_size)
    footprint.measure(load, concurrency=given.concurrency)


SUBJECTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "compare": compare,
    **dict.fromkeys(LARGE, memory),
    "backlog": backlog,
    "footprint": traces,
    "quiet": nothing_new,
    "plan": plan,
    "exports": exports,
    "zip": zips,
    "rebuild": lost,
    "week": days,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="compare", choices=SUBJECTS)
    parser.add_argument("--store", choices=get_args(StoreName), default="juicefs", help="local S3 server")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--count", type=int, default=1000, help="recordings at the source")
    parser.add_argument("--mean-size", type=int, default=400_000, help="bytes (compare, exports, footprint)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (compare, exports, quiet, plan, rebuild)")
    parser.add_argument("--small", type=int, default=10_000, help="rows, where a small catalogue is compared")
    parser.add_argument("--large", type=int, default=1_000_000, help="rows, where a large one is")
    parser.add_argument("--zip-size", type=int, default=5_000 * MB, help="bytes (zip)")
    parser.add_argument("--member-size", type=int, default=4 * MB, help="bytes (zip)")
    parser.add_argument("--days", type=int, default=7, help="simulated (week)")
    parser.add_argument("--calls", type=int, default=20_000, help="a day (week)")
    parser.add_argument("--per-minute", type=int, default=10, help="requests that the source allows (week)")
    parser.add_argument("--every", type=int, default=15, help="minutes between passes (week)")
    parser.add_argument("--log", type=Path, help="file for the archiver's log (week)")
    given = parser.parse_args(arguments)
    SUBJECTS[given.what](given)
