"""Bulk exports: beside single requests for the same recordings, and what one large ZIP takes of memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from bench.contest import Cost, ExportsSetting, Ring, require, ring
from bench.neighbours import Load, StoreName

MIB = 2**20
MINUTES = 50  # all calls of a large ZIP begin within one hour: only that is never split into several exports
DAYS = 20  # that the recordings of a comparison are spread over: a pass looks at 500 hours with calls for its exports
AGE = timedelta(days=10)
LEAST = 5  # members: fewer are not worth an export
Measures = Mapping[str, Callable[[Cost], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip:
    """What one ZIP holds."""

    members: int
    size: int  # bytes of each

    def load(self) -> Load:
        """The same recordings at the source, all of one hour."""
        start = (Load(count=1, mean_size=1).start + timedelta(days=30) - AGE).replace(minute=0, second=0)
        days = MINUTES / 1440
        return Load(count=self.members, mean_size=self.size, exact=True, start=start, days=days, per_job=self.members)


def compare(load: Load, *, store_name: StoreName, concurrency: int, rounds: int) -> None:
    """Archive the same recordings in both ways in turn, and print medians."""
    ways: dict[ExportsSetting, list[Cost]] = {"never": [], "always": []}
    with ring(load, store_name=store_name, concurrency=concurrency) as arena:
        for _ in range(rounds):
            for way, costs in ways.items():
                costs.append(_archived(arena, way))
                print(f"{way}: {dict(costs[-1].arrived)}, wall {costs[-1].wall:.1f} s", flush=True)
    print(f"\n{load.count} recordings of {load.mean_size} bytes on average, {rounds} rounds, medians:\n")
    measures = {
        "requests per 1,000, as the source counts": lambda cost: cost.requests * 1000 / load.count,
        "requests per 1,000, as the pass reports": lambda cost: reported(cost) * 1000 / load.count,
        "CPU milliseconds per recording": lambda cost: cost.cpu * 1000 / load.count,
        "wall seconds": lambda cost: cost.wall,
        "peak memory, MiB": lambda cost: cost.rss / MIB,
    }
    print(table({"single requests": ways["never"], "exports": ways["always"]}, measures))


def _archived(arena: Ring, way: ExportsSetting) -> Cost:
    """Run a pass that archives everything in the given way; of exports a few may be left that are not worth one."""

    def good(cost: Cost) -> bool:
        if cost.exit_code:
            return False
        counts = json.loads(cost.output)["accounts"]["bench"]
        share = int(counts["exported"]) / arena.load.count
        by_way = share > 0.9 if way == "always" else share == 0
        return by_way and int(counts["verified"]) == arena.load.count

    return require(arena.archiver(exports=way), good, arena.folder)


def reported(cost: Cost) -> int:
    """Requests that the pass says it has sent."""
    sent: dict[str, int] = json.loads(cost.output)["accounts"]["bench"]["sent"]
    return sum(sent.values())


def zips(size: int, member: int) -> list[Zip]:
    """A ZIP of a hundredth of the size, one of the size, and one of the size with ten members."""
    few = max(size // 100 // member, LEAST)
    return [Zip(members=few, size=member), Zip(members=size // member, size=member), Zip(members=10, size=size // 10)]


def memory(size: int, member: int, *, store_name: StoreName, concurrency: int) -> None:
    """Archive each ZIP in a process of its own, and print the peaks side by side."""
    costs = {}
    for one in zips(size, member):
        with ring(one.load(), store_name=store_name, concurrency=concurrency, packed=True) as arena:
            cost = _archived(arena, "always")
        asked = {name: cost.arrived.get(name, 0) for name in ("export", "retrieve")}
        if set(asked.values()) != {1}:
            raise SystemExit(f"that was not one ZIP: {asked}")
        costs[f"{one.members:,} x {one.size / 10**6:g} MB"] = [cost]
    measures = {
        "peak memory, MiB": lambda cost: cost.rss / MIB,
        "CPU seconds": lambda cost: cost.cpu,
        "wall seconds": lambda cost: cost.wall,
    }
    print(table(costs, measures))


def table(costs: Mapping[str, Sequence[Cost]], measures: Measures) -> str:
    """Lay the medians side by side, as Markdown; each beside the first one."""
    heads = [name if not place else f"{name} | ratio" for place, name in enumerate(costs)]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (2 * len(costs)) + "|"]
    for name, measure in measures.items():
        first, *others = (median(map(measure, several)) for several in costs.values())
        figures = "".join(f" {other:.2f} | {other / first:.2f} |" for other in others)
        lines.append(f"| {name} | {first:.2f} |{figures}")
    return "\n".join(lines)
