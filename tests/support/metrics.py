"""Metrics, alert rules and dashboards, read: what the exposition offers, and what an expression asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import promql_parser
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from archiver.core.health import Limits
from archiver.watch.look import Look
from archiver.watch.metrics import Seen, render
from archiver.watch.tally import Tally

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs" / "metrics.md"
DAY = timedelta(days=1)


def families(exposition: bytes) -> list[Metric]:
    """Read an answer of /metrics as Prometheus does."""
    return list(text_string_to_metric_families(exposition.decode()))


def values(exposition: bytes) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels, in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families(exposition):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def _offered() -> Iterator[str]:
    """Names of series that an expression may ask for."""
    look = Look(at=datetime(2026, 11, 20, tzinfo=UTC), reasons=[])
    nothing = Seen(look=look, tally=Tally(), sources={}, limits=Limits(last_pass=DAY, pending=DAY, gap=DAY))
    for family in families(render(nothing)):
        if family.type == "histogram":
            yield from (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            yield f"{family.name}_total" if family.type == "counter" else family.name


OFFERED = frozenset(_offered())


def asked(expression: str) -> set[str]:
    """Names of the series that an expression asks for. Raises ValueError where it is no PromQL."""
    return set(_selected(promql_parser.parse(expression)))


def _selected(node: object) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name)
        return
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(node, part, None)
        if below is not None:
            yield from _selected(below)
    for argument in getattr(node, "args", ()):
        yield from _selected(argument)
