"""Metrics in Prometheus' format. Labels are names of the configuration and of the code, never what came from outside.

Moments are given as seconds since 1970; what there is none of is left out. docs/metrics.md has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isinf
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from archiver import __version__
from archiver.adapters.database import head_revision
from archiver.core.coverage import Coverage
from archiver.core.gaps import GapKind
from archiver.core.health import AccountFacts, Limits
from archiver.core.model import State
from archiver.core.timing import Durations
from archiver.watch.look import BLIND, Look
from archiver.watch.tally import STEPS, Tally, Totals


class Source(Protocol):
    """What an account's requests have come to; it only grows."""

    @property
    def sent(self) -> Mapping[str, int]:
        """Requests by operation."""

    @property
    def retries(self) -> Mapping[str, int]:
        """Attempts that were repeated, by cause."""

    @property
    def took(self) -> Mapping[str, Durations]:
        """How long answers took to begin, by operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that metrics are made of, at one moment."""

    look: Look
    tally: Tally
    sources: Mapping[str, Source]  # by account; empty while nothing is open
    limits: Limits


def render(seen: Seen) -> bytes:
    """Write the metrics down."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(seen))
    ProcessCollector(registry=registry)  # memory, CPU time, open files, start; where there is a /proc
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps it by its identity
class _Everything(Collector):
    seen: Seen

    def collect(self) -> Iterator[Metric]:
        yield from _of_process(self.seen)
        yield from _of_health(self.seen)
        yield from _of_catalogue(self.seen.look)
        yield from _of_quotas(self.seen.look)
        totals = self.seen.tally.by_account(self.seen.sources)
        yield from _of_work(totals)
        yield from _of_requests(self.seen.sources)


def _of_process(seen: Seen) -> Iterator[Metric]:
    build = {"version": __version__, "schema": head_revision()}
    yield _gauge("build_info", "Version of the program, and of the schema that it needs.", [(build, 1)])
    passes = [({"exit_code": str(code)}, count) for code, count in sorted(seen.tally.passes.items())]
    yield _counter("passes", "Passes that have ended, by exit code.", passes)
    told = [({"channel": name, "outcome": outcome}, count)
            for (name, outcome), count in sorted(seen.tally.notifications.items())]  # fmt: skip
    yield _counter("notifications", "Messages and pings, by channel or ping and outcome: sent, failed.", told)
    yield _histogram("pass_seconds", "How long whole passes took.", [({}, seen.tally.seconds)])


def _of_health(seen: Seen) -> Iterator[Metric]:
    look = seen.look
    blind = any(reason.cause in BLIND for reason in look.reasons)
    yield _gauge("catalogue_up", "1: the catalogue answers; 0: it does not, and what it knows is left out.",
                 [({}, not blind)])  # fmt: skip
    yield _gauge("health_level", "0 ok, 1 warning, 2 critical: what /healthz says.", [({}, look.level)])
    levels: dict[tuple[str, str], int] = {}  # one cause may have two reasons; a series has one value
    for one in look.reasons:
        name = (one.account or "", str(one.cause))
        levels[name] = max(one.level, levels.get(name, 0))
    reasons = [({"account": account, "cause": cause}, level) for (account, cause), level in levels.items()]
    yield _gauge("health_reason", "What is not as it should be, by its level.", reasons)
    limits = {name: getattr(seen.limits, name) for name in ("last_pass", "pending", "gap", "fixity", "newest_call")}
    seconds = [({"limit": name}, value.total_seconds()) for name, value in limits.items() if value is not None]
    yield _gauge("limit_seconds", "How old things may get, as configured under health.", seconds)


def _of_catalogue(look: Look) -> Iterator[Metric]:
    accounts = look.accounts
    states = [({**_name(one), "state": state}, one.counts.get(state, 0)) for one in accounts for state in State]
    yield _gauge("recordings", "Recordings by state.", states)
    gaps = [({**_name(one), "kind": kind}, one.gaps.get(kind, 0)) for one in accounts for kind in GapKind]
    yield _gauge("open_gaps", "Gaps that are open and not explained.", gaps)
    days = [({**_name(one), "state": state}, one.days.get(state, 0)) for one in accounts for state in Coverage]
    yield _gauge("coverage", "Days of calls by what is proved of them.", days)
    yield _gauge("archived_bytes", "Bytes of audio in the archive.", [(_name(one), one.bytes) for one in accounts])
    ahead = [(_name(one), one.clock_ahead.total_seconds()) for one in accounts if one.clock_ahead is not None]
    yield _gauge("source_clock_ahead_seconds", "How far the source's clock is ahead of this host's.", ahead)
    for name, (help_text, moment) in MOMENTS.items():
        rows = [(_name(one), at.timestamp()) for one in accounts if (at := moment(one)) is not None]
        yield _gauge(f"{name}_timestamp_seconds", help_text, rows)


MOMENTS: Mapping[str, tuple[str, Callable[[AccountFacts], datetime | None]]] = {
    "watermark": ("Every call that started up to here was listed.", lambda one: one.watermark),
    "last_good_pass": ("A pass last came to its end without a stop.", lambda one: one.good_pass),
    "last_stored": ("A recording last came into the bucket.", lambda one: one.last_stored),
    "oldest_pending": ("The new call that waits longest was listed.", lambda one: one.oldest_pending),
    "oldest_backlog": ("The same of what was listed later than sync.lookback.", lambda one: one.oldest_backlog),
    "oldest_pending_call": ("The oldest call that is not archived began.", lambda one: one.oldest_pending_call),
    "newest_call": ("The newest call that is listed began.", lambda one: one.newest_call),
    "oldest_fixity": ("The copy that waits longest for a check was last checked.", lambda one: one.oldest_fixity),
    "oldest_gap": ("The gap that is open longest was opened.", lambda one: one.oldest_gap),
}


def _of_quotas(look: Look) -> Iterator[Metric]:
    standings = look.quotas.items()
    allowed = [({"account": name}, one.in_force) for name, one in standings]
    yield _gauge("quota_requests_per_minute", "Requests that the source allows, as far as is known.", allowed)
    used = [({"account": name}, one.used) for name, one in standings]
    yield _gauge("quota_used_requests", "Requests of the last minute, of all processes.", used)
    paused = [({"account": name}, one.pause) for name, one in standings]
    yield _gauge("quota_pause_seconds", "What is left of a pause that the source asked for.", paused)


def _of_work(totals: Mapping[str, Totals]) -> Iterator[Metric]:
    steps = [
        ({"account": name, "step": step}, one.steps.get(step, 0)) for name, one in totals.items() for step in STEPS
    ]
    yield _counter("recordings_handled", "Recordings that a step was taken with.", steps)
    yield _counter(
        "stored_bytes", "Bytes put into the bucket.", [(_of(name), one.bytes) for name, one in totals.items()]
    )
    yield _counter("failures", "Recordings that could not be handled in a pass.", _split(totals, "kind", "failures"))
    yield _counter("kept", "Recordings not deleted at the last check.", _split(totals, "reason", "kept"))
    transfers = [(_of(name), one.transfers) for name, one in totals.items()]
    yield _histogram("transfer_seconds", "How long single recordings took into the bucket.", transfers)
    stages = [({"account": name, "stage": stage}, spent)
              for name, one in totals.items() for stage, spent in sorted(one.stages.items())]  # fmt: skip
    yield _histogram("stage_seconds", "How long stages took, pass by pass.", stages)


def _of_requests(sources: Mapping[str, Source]) -> Iterator[Metric]:
    sent = [({"account": name, "operation": operation}, count)
            for name, source in sources.items() for operation, count in sorted(source.sent.items())]  # fmt: skip
    yield _counter("requests", "Requests to the source.", sent)
    retries = [({"account": name, "cause": cause}, count)
               for name, source in sources.items() for cause, count in sorted(source.retries.items())]  # fmt: skip
    yield _counter("retries", "Requests to the source that were repeated, by cause.", retries)
    took = [({"account": name, "operation": operation}, spent)
            for name, source in sources.items() for operation, spent in sorted(source.took.items())]  # fmt: skip
    yield _histogram("request_seconds", "How long the source took to begin its answer.", took)


Labels = Mapping[str, str]


def _split(totals: Mapping[str, Totals], label: str, counter: str) -> list[tuple[Labels, float]]:
    return [
        ({"account": name, label: key}, count)
        for name, one in totals.items()
        for key, count in sorted(getattr(one, counter).items())
    ]


def _name(one: AccountFacts) -> Labels:
    return _of(one.account)


def _of(account: str) -> Labels:
    return {"account": account}


def _gauge(name: str, help_text: str, rows: Iterable[tuple[Labels, float]]) -> Metric:
    family = GaugeMetricFamily(f"archiver_{name}", help_text)
    for labels, value in rows:
        family.add_sample(family.name, dict(labels), float(value))
    return family


def _counter(name: str, help_text: str, rows: Iterable[tuple[Labels, float]]) -> Metric:
    family = CounterMetricFamily(f"archiver_{name}", help_text)
    for labels, value in rows:
        family.add_sample(f"{family.name}_total", dict(labels), float(value))
    return family


def _histogram(name: str, help_text: str, rows: Iterable[tuple[Labels, Durations]]) -> Metric:
    family = HistogramMetricFamily(f"archiver_{name}", help_text)
    for labels, spent in rows:
        for bound, count in spent.cumulative():
            family.add_sample(f"{family.name}_bucket", {**labels, "le": "+Inf" if isinf(bound) else str(bound)}, count)
        family.add_sample(f"{family.name}_count", dict(labels), spent.total)
        family.add_sample(f"{family.name}_sum", dict(labels), spent.seconds)
    return family
