"""The metrics as Prometheus reads them: well formed, each series once, and all of them in docs/metrics.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import Metric

from archiver.adapters.quota import Standing
from archiver.core.coverage import Coverage
from archiver.core.gaps import GapKind
from archiver.core.health import AccountFacts, Cause, Level, Limits, Reason, judge
from archiver.core.model import State
from archiver.core.report import PassReport
from archiver.core.timing import Durations
from archiver.watch.look import Look, blind
from archiver.watch.metrics import Seen, render
from archiver.watch.tally import Tally
from tests.support.metrics import DOCS, OFFERED, asked, families, values

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LIMITS = Limits(last_pass=DAY / 24, pending=DAY, gap=DAY, fixity=90 * DAY, newest_call=4 * DAY)
FACTS = AccountFacts(
    account="acme",
    counts={State.DISCOVERED: 2, State.VERIFIED: 40},
    bytes=4_000,
    watermark=NOW,
    added=NOW,
    good_pass=NOW,
    clock_ahead=timedelta(seconds=-3),
    last_stored=NOW - 3 * DAY,
    oldest_pending=NOW - 2 * DAY,
    oldest_backlog=NOW - 3 * DAY,
    oldest_pending_call=NOW - 9 * DAY,
    newest_call=NOW,
    oldest_fixity=NOW - DAY,
    gaps={GapKind.FAILED: 1},
    oldest_gap=NOW,
    days={Coverage.PROVED: 7},
)


@dataclass
class Source:
    """Requests of an account, made up."""

    sent: dict[str, int] = field(default_factory=lambda: {"list": 4, "audio": 2})
    retries: dict[str, int] = field(default_factory=lambda: {"status_503": 1})
    took: dict[str, Durations] = field(default_factory=lambda: {"list": spent(0.2)})


def spent(*seconds: float) -> Durations:
    """A histogram of these."""
    made = Durations()
    for one in seconds:
        made.observe(one)
    return made


def seen() -> Seen:
    """A daemon that has done one pass of everything."""
    tally, report = Tally(), PassReport("acme")
    report.took("1", 0.3)
    report.fail("2", "failed", "why")
    report.kept["on_hold"] += 1
    report.seconds = {"transfer": 1.0}
    tally.begin({"acme": report})
    tally.end(3, 2.0)
    tally.notifications["desk", "failed"] = 0
    look = Look(at=NOW, reasons=judge([FACTS], LIMITS, NOW), accounts=[FACTS], quotas={"acme": Standing(10, 4, 0.0)})
    return Seen(look=look, tally=tally, sources={"acme": Source()}, limits=LIMITS)


def documented() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, type and labels of each row of docs/metrics.md."""
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCS.read_text(), flags=re.MULTILINE):
        yield name, kind, frozenset(re.findall(r"`(\w+)`", labels))


def offered(one: Metric) -> tuple[str, str, frozenset[str]]:
    """The same of what the program gives. A counter is known by what is asked for, its total."""
    name = f"{one.name}_total" if one.type == "counter" else one.name
    return name, one.type, frozenset(label for sample in one.samples for label in sample.labels if label != "le")


def test_every_metric_is_documented_and_every_documented_one_is_given() -> None:
    """With its type and labels."""
    rows = list(documented())
    assert set(map(offered, families(render(seen())))) == set(rows)
    assert len(set(rows)) == len(rows)


def test_the_questions_in_the_document_are_promql_over_these_metrics() -> None:
    """Nobody tries them before an alert goes off."""
    section = DOCS.read_text().partition("## Questions and their PromQL")[2]
    questions = [one.replace("\\|", "|") for one in re.findall(r"^\|[^|]*\| `(.+)` \|$", section, flags=re.MULTILINE)]
    assert len(questions) == section.count("\n|") - 2
    for question in questions:
        assert set() < asked(question) <= OFFERED


def test_the_names_that_rules_and_panels_may_use_are_those_of_the_exposition() -> None:
    """Whatever happened yet: what has no sample has its name at least."""
    empty = Seen(look=Look(at=NOW, reasons=[]), tally=Tally(), sources={}, limits=LIMITS)
    assert {one.name for one in families(render(empty))} == {one.name for one in families(render(seen()))}
    assert set(values(render(seen()))) <= OFFERED


def test_no_series_is_given_twice() -> None:
    """Two reasons of one cause are one series, of the worse level: Prometheus would refuse the whole scrape."""
    made = seen()
    assert [one.cause for one in made.look.reasons if one.cause is Cause.PENDING] == [Cause.PENDING] * 2
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in families(render(made))
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples))
    assert values(render(made))["archiver_health_reason"] == {
        ("acme", "pending"): Level.CRITICAL,
        ("acme", "gap"): Level.WARNING,
    }


def test_without_the_catalogue_nothing_is_told_of_it() -> None:
    """What the process knows by itself goes on."""
    away = replace(seen(), look=blind(Cause.CATALOGUE, "the database is out of reach", NOW))
    told = values(render(away))
    assert told["archiver_catalogue_up"] == {(): 0}
    assert told["archiver_health_level"] == {(): Level.CRITICAL}
    assert told["archiver_health_reason"] == {("", "catalogue"): Level.CRITICAL}
    assert told["archiver_requests_total"][("acme", "list")] == 4
    known = {"recordings", "open_gaps", "coverage", "archived_bytes", "quota_used_requests"}
    assert not known & {name.removeprefix("archiver_") for name in told}
    assert not [name for name in told if name.endswith("timestamp_seconds")]


def test_histograms_fit() -> None:
    """Buckets grow, the last one is the count, and the sum is that of what was observed."""
    told = values(render(seen()))
    for name in ("transfer", "stage", "request", "pass"):
        buckets = told[f"archiver_{name}_seconds_bucket"].values()
        assert list(buckets) == sorted(buckets)
        assert list(told[f"archiver_{name}_seconds_count"].values()) == [max(buckets)] == [1]
    assert told["archiver_transfer_seconds_sum"] == {("acme",): pytest.approx(0.3)}
    assert told["archiver_pass_seconds_sum"] == {(): 2.0}


def test_every_state_kind_and_exit_code_has_its_series_from_the_start() -> None:
    """Also at 0: a rule that asks how much something has grown must have seen it before."""
    told = values(render(seen()))
    assert {state for _, state in told["archiver_recordings"]} == set(State)
    assert {kind for _, kind in told["archiver_open_gaps"]} == set(GapKind)
    assert {state for _, state in told["archiver_coverage"]} == set(Coverage)
    passes = told["archiver_passes_total"]
    assert passes == {(code,): float(code == "3") for code in ("0", "1", "2", "3", "4", "5", "130")}


def test_a_reason_of_no_account_has_an_empty_one() -> None:
    """So that all series of a name have the same labels."""
    reasons = [Reason(level=Level.CRITICAL, cause=Cause.STARTING, message="m")]
    assert values(render(replace(seen(), look=Look(at=NOW, reasons=reasons))))["archiver_health_reason"] == {
        ("", "starting"): Level.CRITICAL
    }
