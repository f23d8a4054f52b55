"""Reads a report back, whichever version has written it: what is not there, or is of another shape, is nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from archiver.core.health import Stop
from archiver.core.incidents import Failure, Repeats
from archiver.core.report import COUNTERS, PLAIN, PassReport
from archiver.core.timing import Slowest

_EMPTY: Mapping[str, object] = {}


def from_record(account: str, record: object) -> PassReport:
    """Read what `PassReport.as_record` gave. Durations of single transfers are lost but for the slowest."""
    stored = _mapping(record)
    report = PassReport(account)
    for name in PLAIN:
        setattr(report, name, _whole(stored.get(name)))
    for name in COUNTERS:
        setattr(report, name, _counter(stored.get(name)))
    spent = _mapping(stored.get("seconds"))
    report.seconds = {stage: float(one) for stage, one in spent.items() if isinstance(one, int | float)}
    report.clock_seconds = _whole(stored["clock_seconds"]) if "clock_seconds" in stored else None
    report.stopped = _text(stored.get("stopped"))
    report.stop = _stop(_mapping(stored.get("stop")))
    report.slowest = Slowest([_slow(one) for one in _items(stored.get("slowest"))])
    report.named = [_failure(one) for one in _items(stored.get("failed"))]
    report.repeats = _repeats(stored)
    return report


def _slow(stored: Mapping[str, object]) -> tuple[float, str]:
    spent = stored.get("seconds")
    return (float(spent) if isinstance(spent, int | float) else 0.0, _text(stored.get("recording_id")))


def _stop(stored: Mapping[str, object]) -> Stop | None:
    kind = _text(stored.get("kind"))
    return Stop(kind, _text(stored.get("reason")), stored.get("final") is True) if kind else None


def _failure(stored: Mapping[str, object]) -> Failure:
    return Failure(_text(stored.get("recording_id")), _text(stored.get("kind")), _text(stored.get("reason")))


def _repeats(stored: Mapping[str, object]) -> Repeats:
    named = {_text(one.get("recording_id")): _counter(one.get("causes")) for one in _items(stored.get("repeated"))}
    return Repeats(named, _whole(stored.get("repeated_beyond")))


def _items(value: object) -> Iterator[Mapping[str, object]]:
    return (_mapping(one) for one in value) if isinstance(value, list) else iter(())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else _EMPTY


def _counter(value: object) -> Counter[str]:
    return Counter({name: count for name, count in _mapping(value).items() if isinstance(count, int)})


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
