"""A message in words: a title that says it all on a locked screen, and a body with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from archiver.core.health import Level
from archiver.core.notices import Episode, Episodes, Happened, Notice

MOST_LINES = 20  # in one part of a message
WORDS = {Level.OK: "info", Level.WARNING: "warning", Level.CRITICAL: "critical"}


def title(notice: Notice, archive: str) -> str:
    """Name the worst of it. `archive`: which archive this is about."""
    return f"{archive}: {_gist(notice)}"


def body(notice: Notice, now: datetime) -> str:
    """Tell all of it, what is new first."""
    parts = (
        ("New", (_there(key, one, now) for key, one in notice.begun.items())),
        ("Worse", (_there(key, one, now) for key, one in notice.worse.items())),
        ("Over", (_gone(key, one) for key, one in notice.over.items())),
        ("Came and went", (_gone(key, one) for key, one in notice.passed.items())),
        ("Still", (_there(key, one, now) for key, one in notice.still.items())),
        ("Done", map(_done, notice.happened)),
    )
    told = (part for heading, lines in parts for part in _part(heading, list(lines)))
    return "\n".join([*told, f"{now:%Y-%m-%d %H:%M} UTC"])


def _gist(notice: Notice) -> str:
    new = {**notice.begun, **notice.worse}
    if new:
        return f"{_worst(new)}: {_one_of(new)}"
    if notice.over or notice.passed:
        gone = {**notice.over, **notice.passed}
        left = f"; still {_worst(notice.still)}: {_one_of(notice.still)}" if notice.still else ""
        return f"resolved: {_one_of(gone)}{left}"
    if notice.still:
        return f"still {_worst(notice.still)}: {_one_of(notice.still)}"
    lines = list(map(_done, notice.happened))
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


def _worst(episodes: Episodes) -> str:
    return WORDS[max(one.level for one in episodes.values())]


def _one_of(episodes: Episodes) -> str:
    first = max(episodes.values(), key=lambda one: one.level)
    return first.text + (f" (and {len(episodes) - 1} more)" if len(episodes) > 1 else "")


def _part(heading: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{heading}:"
        yield from (f"- {line}" for line in lines[:MOST_LINES])
        if len(lines) > MOST_LINES:
            yield f"- and {len(lines) - MOST_LINES} more"
        yield ""


def _there(key: str, one: Episode, now: datetime) -> str:
    known = now - one.since
    lasts = f" (seen for {span(known)})" if known >= timedelta(minutes=1) else ""
    return f"{WORDS[one.level]} [{_cause(key)}] {one.text}{lasts}"


def _gone(key: str, one: Episode) -> str:
    lasted = (one.gone or one.since) - one.since
    return f"[{_cause(key)}] {one.text} (lasted {span(lasted)})"


def _done(one: Happened) -> str:
    account = f"{one.happening.account}: " if one.happening.account else ""
    times = f" ({one.times} times)" if one.times > 1 else ""
    return f"{account}{one.happening.what.format(count=one.happening.count)}{times}"


def _cause(key: str) -> str:
    return key.partition("/")[0]


def span(length: timedelta) -> str:
    """Write a length roughly: 45 s, 12 min, 5 h, 3 days."""
    seconds = max(0, round(length.total_seconds()))
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
