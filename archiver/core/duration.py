"""Durations as people write them (`5y`, `6mo`, `30d`, `72h`) and their calendar arithmetic, in UTC or another zone.

Where the calendar leaves a choice, the later date is taken: to keep longer is the safe side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache

from archiver.core.model import require_aware

_UNITS = ("y", "mo", "w", "d", "h", "m", "s")  # largest first: the order in which they must be written
_TEXT = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
_DAY = 86_400  # seconds: every day of UTC has as many
_CYCLE_MONTHS = 4_800  # the Gregorian calendar repeats after 400 years
_CYCLE_DAYS = 146_097
_LATEST = datetime.max.replace(tzinfo=UTC)
PATTERN = "^(?=.)" + "".join(rf"([0-9]{{1,9}}{unit})?" for unit in _UNITS) + "$"  # for a JSON Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A span of calendar time; parts are whole and not negative (ValueError). `12mo` means what `1y` means."""

    years: int = 0
    months: int = 0
    days: int = 0
    seconds: int = 0

    def __post_init__(self) -> None:
        """Refuse negative parts: nothing may fall due before it happened."""
        if min(self.years, self.months, self.days, self.seconds) < 0:
            msg = "a duration cannot be negative"
            raise ValueError(msg)

    @property
    def total_months(self) -> int:
        """Years and months together, in months."""
        return self.years * 12 + self.months

    @property
    def total_seconds(self) -> int:
        """Days and seconds together, in seconds; years and months are not in it."""
        return self.days * _DAY + self.seconds

    def as_timedelta(self) -> timedelta:
        """Return the exact length. Raises ValueError with years or months: theirs depends on the date."""
        if self.total_months:
            msg = f"{self} has no fixed length: write it in weeks, days, hours, minutes or seconds"
            raise ValueError(msg)
        return timedelta(seconds=self.total_seconds)

    def __str__(self) -> str:
        """Return the text that `parse` reads back to an equal value."""
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        parts = ((self.years, "y"), (self.months, "mo"), (self.days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def parse(text: str) -> Duration:
    """Read `5y`, `6mo`, `2w`, `30d`, `72h`, `15m`, `0s` or parts together (`1y6mo`). Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if found is None or not text:
        msg = (
            "not a duration: write whole numbers with a unit, largest first: "
            "y (years), mo (months), w (weeks), d (days), h (hours), m (minutes), s (seconds); like 5y, 1y6mo, 30d"
        )
        raise ValueError(msg)
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return Duration(years=years, months=months, days=weeks * 7 + days, seconds=hours * 3_600 + minutes * 60 + seconds)


def add(moment: datetime, duration: Duration, zone: tzinfo = UTC) -> datetime:
    """Return `moment` plus the duration, in UTC: first the months, then the days, by the zone's calendar; then seconds.

    A day that the month does not have becomes the first of the next month (29 February + 1y is 1 March,
    31 January + 1mo is 1 March). A time of day that the zone has twice, or not at all, is the later one. Beyond the
    year 9999 it is the last moment that there is. Raises ValueError for a naive moment.
    """
    start = require_aware(moment)
    try:
        if zone is UTC or not (duration.total_months or duration.days):
            return _add_months(start, duration.total_months) + timedelta(seconds=duration.total_seconds)
        wall = _add_months(start.astimezone(zone).replace(tzinfo=None), duration.total_months)
        return _latest(wall + timedelta(days=duration.days), zone) + timedelta(seconds=duration.seconds)
    except (ValueError, OverflowError):
        return _LATEST


def _latest(wall: datetime, zone: tzinfo) -> datetime:
    """Find the last moment at which the zone's clocks show a time, or would have but for a change of the clocks."""
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def never_shorter_anywhere(one: Duration, other: Duration) -> bool:
    """Whether the same holds in every zone: where hours stand for days, a change of the clocks needs a spare day."""
    mixed = one.seconds != other.seconds and (one.total_months, one.days) != (other.total_months, other.days)
    return never_shorter(one, replace(other, days=other.days + 1) if mixed else other)


@cache
def never_shorter(one: Duration, other: Duration) -> bool:
    """Whether `one` ends no earlier than `other` from whatever date both start: 366d against 1y, not 365d."""
    if one.total_months == other.total_months:
        return one.total_seconds >= other.total_seconds
    missing = other.total_seconds - one.total_seconds
    return _fewest_days_between(one.total_months, other.total_months) * _DAY >= missing


def _add_months(start: datetime, months: int) -> datetime:
    if not months:
        return start
    index = start.year * 12 + start.month - 1 + months
    first = start.replace(year=index // 12, month=index % 12 + 1, day=1)
    following = first.replace(year=(index + 1) // 12, month=(index + 1) % 12 + 1)
    return min(first + timedelta(days=start.day - 1), following)


def _fewest_days_between(months: int, others: int) -> int:
    """Smallest lead, in days, of `months` over `others`, over every date of the calendar's cycle."""
    return min(
        _shifted(month + months, offset) - _shifted(month + others, offset)
        for month in range(_CYCLE_MONTHS)
        for offset in (0, 28, 29, 30)  # only these days of a month can be missing in another
    )


def _shifted(month: int, offset: int) -> int:
    return min(_first_day(month) + offset, _first_day(month + 1))


def _first_day(month: int) -> int:
    cycles, within = divmod(month, _CYCLE_MONTHS)
    return cycles * _CYCLE_DAYS + _first_days()[within]


@cache
def _first_days() -> tuple[int, ...]:
    return tuple(date(2000 + month // 12, month % 12 + 1, 1).toordinal() for month in range(_CYCLE_MONTHS))
