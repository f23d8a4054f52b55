"""The recount: does the source still say what the catalogue expects? What differs is searched, and listed again.

One request tells how many recordings the source has in a slice (`page_size=1`, read `total_items`). It asks for the
last one that is expected, so that it also tells whether the days behind it are empty. Where the answer is not what the
catalogue expects, the slice is halved until little is left, and that is listed. Slices that fit on one page are listed
at once: for the same one request that shows ids, not only a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from archiver.core.model import Page, Slice, midnight, whole_day

MOST_COUNTS = 64  # counts spent on one window before what still differs in it is listed
MOST_CLAIMS = 8  # gaps of a counted window that are looked at again in one pass
WIDEST_DAYS = 32  # counted or listed in one go
LEAST_EXPECTED = 4  # a listing that was smaller before cannot shrink suddenly
TROUBLED = timedelta(days=1)  # a day that is not proved is asked about at least so often
ONE_DAY = timedelta(days=1)


class Step(StrEnum):
    """What to do about a slice after it was counted."""

    AGREED = "agreed"
    HALVE = "halve"
    LIST = "list"


def edge(start_from: datetime, watermark: datetime, lookback: timedelta) -> datetime:
    """Where the window of the frequent recount begins: the watermark less the lookback, back to midnight (UTC)."""
    return max(start_from, midnight((watermark - lookback).date()))


def usable(page: Page) -> bool:
    """Whether the total on a page means anything: it is there, and does not say zero beside items."""
    return page.total_items is not None and (page.total_items > 0 or not (page.recordings or page.malformed))


def step(page: Page, known: Mapping[date, Expected], window: Slice, page_size: int) -> Step:
    """Decide about a slice by its count. `known`: what the catalogue expects at the source there, day by day."""
    expected = items(known)
    if not usable(page) or page.total_items is None:
        return Step.LIST
    if page.total_items == expected and _ends_as_known(page, known):
        return Step.AGREED
    little = max(page.total_items, expected) < 2 * page_size
    gone = 2 * page.total_items < expected  # halving would only find it everywhere
    return Step.LIST if little or gone or window.seconds == 1 else Step.HALVE


def _ends_as_known(page: Page, known: Mapping[date, Expected]) -> bool:
    """Whether the last item lies on the last day with any: else something came behind it, and as much is gone before.

    Where something is claimed that cannot be listed, the last item may be that; and where the source puts more than one
    item on a page, whatever it was asked for, no page has this number.
    """
    if not known or page.size not in {None, 1} or any(one.claimed for one in known.values()):
        return True
    return [item.start.date() for item in page.recordings] == [max(known)]


def shrunken(expected: int, lost: int) -> bool:
    """Whether a listing lacks so much of what was there that the listing itself is in doubt, not the recordings."""
    return expected >= LEAST_EXPECTED and 2 * lost > expected


@dataclass(frozen=True, slots=True)
class Expected:
    """What the source should say about a day."""

    at_source: int  # recordings that the catalogue knows to be there
    claimed: int  # items of earlier totals that could not be listed or read: on the gap list

    @property
    def items(self) -> int:
        """The total that agrees."""
        return self.at_source + self.claimed


def items(known: Mapping[date, Expected]) -> int:
    """The total that agrees, over all days."""
    return sum(day.items for day in known.values())


@dataclass(frozen=True, slots=True)
class Lost:
    """A recording that should be at the source, and that a proved listing lacks."""

    recording_id: str
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDay:
    """A day that the full recount should ask about again."""

    day: date
    expected: int  # recordings that should be at the source
    checked_at: datetime | None
    list_it: bool  # counting will not do: never listed after its lookback, in doubt, or something is claimed there
    fresh: bool = False  # it has just left the lookback: what came last of it is not found before it is listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Consecutive days that are asked about together. `cost` is in requests, as far as it can be foreseen."""

    days: tuple[date, ...]
    expected: int
    list_it: bool
    cost: int
    checked_at: datetime | None  # of the day that was asked about longest ago
    fresh: bool

    def window(self, start_from: datetime) -> Slice:
        """The days as one slice, as far as they are asked for at all."""
        return Slice(max(midnight(self.days[0]), start_from), whole_day(self.days[-1]).until)


def errands(due: Iterable[DueDay], page_size: int) -> list[Errand]:
    """Group due days, given in order, so that each group costs as few requests as its calls allow.

    Days whose calls fit on one page together are listed together. A busy day is counted, and takes the days without
    calls that follow it along. So no year costs more requests than it has days with calls, if nothing differs.
    """
    groups: list[list[DueDay]] = []
    for day in due:
        if groups and _together(groups[-1], day, page_size):
            groups[-1].append(day)
        else:
            groups.append([day])
    return [_errand(group, page_size) for group in groups]


def _together(group: Sequence[DueDay], day: DueDay, page_size: int) -> bool:
    if day.day - group[-1].day != ONE_DAY or len(group) == WIDEST_DAYS:
        return False
    expected = sum(one.expected for one in group)
    if expected + day.expected < page_size:
        return True
    counted = not any(one.list_it for one in (*group, day))
    return counted and day.expected == 0


def _errand(group: Sequence[DueDay], page_size: int) -> Errand:
    expected = sum(one.expected for one in group)
    list_it = expected < page_size or any(one.list_it for one in group)
    never = any(one.checked_at is None for one in group)
    return Errand(
        days=tuple(one.day for one in group),
        expected=expected,
        list_it=list_it,
        cost=expected // page_size + 1 if list_it else 1,
        checked_at=None if never else min(one.checked_at for one in group if one.checked_at is not None),
        fresh=any(one.fresh for one in group),
    )


def allowance(requests_per_minute: int, every: timedelta, share: int) -> int:
    """Requests that the full recount may use in one pass: a share, in percent, of the quota between two passes."""
    return max(1, int(requests_per_minute * every.total_seconds() / 60 * share / 100))


def affordable(wanted: Iterable[Errand], allowed: int) -> list[Errand]:
    """Choose the errands of this pass within the allowance, at least one.

    Days that have just left the lookback come first, then what was asked about longest ago.
    """
    chosen: list[Errand] = []
    spent = 0
    order = sorted(wanted, key=lambda one: (not one.fresh, one.checked_at is not None, one.checked_at, one.days[0]))
    for errand in order:
        if chosen and spent + errand.cost > allowed:
            break
        chosen.append(errand)
        spent += errand.cost
    return chosen
