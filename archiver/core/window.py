"""Which slices of call starts to list, how to walk their pages, and when a slice may be believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.core.model import Malformed, Page, Slice, midnight

SECOND = timedelta(seconds=1)
ONE_DAY = timedelta(days=1)
FIRST_WIDTH = timedelta(days=1)
WIDEST = timedelta(days=32)  # a quiet year costs a dozen requests
MOST_ITEMS = 2_000  # a slice with more is halved before it is walked: pages shift less, a crash repeats less
NARROWEST_SECONDS = 3600
MOST_READS = 64  # listings spent on one planned slice before what is left of it is called unproven
FEW_READS = 4  # the same, once a slice of this pass has used its reads up: the totals are wrong, splitting is no help
SPARE_PAGES = 2  # beyond what the totals say, before a walk counts as endless
BLIND_PAGES = 200  # where totals say nothing
MOST_PAGES = 1_000  # whatever the totals say: they may be made up
CLOCK_SKEW = timedelta(minutes=5)  # between two hosts that list the same account


def stretch_ahead(start_from: datetime, watermark: datetime | None, now: datetime) -> Slice | None:
    """What was never listed: from behind the watermark (None: from `start_from`) up to now. None: nothing yet."""
    since = start_from if watermark is None else max(start_from, watermark + SECOND)
    until = now.replace(microsecond=0)
    return Slice(since, until) if since <= until else None


def ahead(watermark: datetime | None, now: datetime) -> bool:
    """Whether the watermark lies in the future: a clock was ahead when it was set, and nothing there was listed."""
    return watermark is not None and watermark > now + CLOCK_SKEW


def next_slice(stretch: Slice, after: datetime | None, width: timedelta) -> Slice | None:
    """The slice that follows `after` (None: the first), at most `width` wide; None at the end of the stretch.

    It ends with a day (UTC) where it can, so that days are listed whole.
    """
    since = stretch.since if after is None else after + SECOND
    if since > stretch.until:
        return None
    last = midnight((since + width).date())
    until = (last if last > since else since + width) - SECOND
    next_day = midnight(since.date()) + ONE_DAY
    if width < ONE_DAY:
        until = min(since + width, next_day) - SECOND
    return Slice(since, min(until, stretch.until))


def next_width(width: timedelta, items: int, page_size: int) -> timedelta:
    """Widen over quiet time, narrow over busy time."""
    if items <= page_size:
        return min(width * 2, WIDEST)
    return max(width / 2, timedelta(seconds=NARROWEST_SECONDS)) if items > MOST_ITEMS else width


def halves(window: Slice) -> tuple[Slice, Slice]:
    """Split a slice of at least two seconds into two that cover the same starts, none twice."""
    middle = window.since + timedelta(seconds=window.seconds // 2 - 1)
    return Slice(window.since, middle), Slice(middle + SECOND, window.until)


@dataclass(slots=True)
class Walk:
    """What the pages of one slice have shown so far. Memory: one digest or id for each item of the slice."""

    page_size: int  # as asked for
    base: int | None  # number of the first page, where the account has shown it
    seen: set[str] = field(default_factory=set)
    odd: dict[str, Malformed] = field(default_factory=dict)  # unreadable items, by fingerprint
    asked: list[int] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)  # new items on each asked page
    total: int | None = None  # the last page's claim
    granted: int | None = None  # the last page's own page size
    full: bool = False  # whether the last page held as many items as a page holds
    shrank: bool = False  # whether a total was smaller than one before: what moved up a page was passed over

    def add(self, number: int, page: Page) -> None:
        """Take in the answer to page `number`."""
        before = len(self)
        self.seen.update(item.id for item in page.recordings)
        self.odd.update((fingerprint(item.raw), item) for item in page.malformed)
        self.asked.append(number)
        self.fresh.append(len(self) - before)
        self.shrank = self.shrank or (page.total_items or 0) < (self.total or 0)
        self.total = page.total_items
        self.granted = page.size or self.granted
        # a page that does not say how many items it may hold may be full with any number of them
        fits = min(page.size or 1, self.page_size)
        self.full = len(page.recordings) + len(page.malformed) >= fits

    def __len__(self) -> int:
        """How many distinct items were listed, readable or not."""
        return len(self.seen) + len(self.odd)

    @property
    def odd_are_counted(self) -> bool:
        """Whether the source's total counts the items that cannot be read."""
        return len(self) == self.total

    @property
    def total_known(self) -> bool:
        """False where the total is absent, or says zero beside items (as the vendor's own example does)."""
        return self.total is not None and (self.total > 0 or not len(self))

    @property
    def reached(self) -> bool:
        """Whether as many items were listed as the total claims; an empty listing has nothing to reach."""
        return self.total_known and 0 < len(self) == self.total

    @property
    def short(self) -> int:
        """How many items the total claims beyond those that were listed; 0 where it says nothing usable."""
        return max((self.total or 0) - len(self), 0) if self.total_known else 0

    @property
    def cut(self) -> bool:
        """Whether the last page still brought something new when the walk was given up as endless."""
        return bool(self.asked) and self.fresh[self.asked.index(max(self.asked))] > 0 and endless(self)

    def learned_base(self) -> int | None:
        """The number of the first page, if this walk shows it."""
        if self.base != 0 and 0 in self.asked and len(self):
            return 0 if self.fresh[self.asked.index(0)] else 1
        return self.base

    def learned_cap(self) -> int | None:
        """The most items that the source puts on a page, where that is fewer than asked for."""
        went_on = len(self.asked) > 1 and self.fresh[1] > 0
        most = self.granted or (max(self.fresh) if went_on else None)
        return most if most is not None and most < self.page_size else None


def fingerprint(raw: object) -> str:
    """SHA-256 of a JSON value, for items that have no readable id."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()


def next_page(walk: Walk) -> int | None:
    """The page to ask for next; None when the walk is over.

    The vendor documents the first page as 1 and shows it as 0. Until an account has shown which it is, the
    walk starts at 1 and asks for 0 as well: a total that is reached on page 1 may count that page alone.
    """
    if not walk.asked:
        return 1 if walk.base is None else walk.base
    if walk.reached and not walk.full:  # behind a full page there may be more than the total admits
        return 0 if walk.base is None and 0 not in walk.asked else None
    probing = walk.asked[-1] == 0 and len(walk.asked) > 1  # page 0 was asked last, to learn the base
    if probing and walk.fresh[-1] and not walk.reached and walk.fresh[-2] and not endless(walk):
        return walk.asked[-2] + 1  # the total was reached too early: it did not count the first page
    # where pages count from 1, page 0 may be the first one as well: then page 1 repeats it and is not the end
    repeated = walk.asked == [0, 1]
    if (walk.fresh[-1] or repeated) and not probing and not endless(walk):
        return walk.asked[-1] + 1
    unsure = walk.base is None or walk.short > 0
    return 0 if unsure and 0 not in walk.asked else None


def endless(walk: Walk) -> bool:
    """Whether more pages came than the totals allow."""
    if not walk.total_known or walk.total is None or len(walk) > walk.total:
        return len(walk.asked) >= BLIND_PAGES  # the total says nothing, or has been shown to be too small
    # the server may cap the page size: count with what a page really brought
    fullest = max([*walk.fresh, 1])
    expected = -(-walk.total // min(fullest, walk.page_size))
    return len(walk.asked) > min(expected + SPARE_PAGES, MOST_PAGES)


class Belief(StrEnum):
    """What a finished walk is worth."""

    PROVED = "proved"  # the ids listed are as many as the source says it holds
    SMALLER = "smaller"  # read again in halves
    UNPROVEN = "unproven"  # what was listed is kept, but completeness is not shown


@dataclass(frozen=True, slots=True)
class Judgement:
    """A belief and, where it is not `proved`, why. `short` counts items that the source claims and did not list."""

    belief: Belief
    reason: str = ""
    short: int = 0


def too_many(walk: Walk, window: Slice) -> bool:
    """Whether what was listed so far shows that the slice should be read in halves.

    Never below an hour: a total that lies must not lead to a request for each second.
    """
    items = (walk.total or 0) if walk.total_known else len(walk)
    return items > MOST_ITEMS and window.seconds > NARROWEST_SECONDS


def judge(walk: Walk, window: Slice, reads_left: int) -> Judgement:
    """Say what a finished walk is worth. Totals prove; where they cannot, the slice is unproven, never complete."""
    count, divisible = len(walk), window.seconds > 1 and reads_left > 0
    agreed = walk.total_known and (count == walk.total or 0 < len(walk.seen) == walk.total)
    if agreed and not walk.shrank:
        return Judgement(Belief.PROVED)
    if walk.cut:
        reason = f"the listing did not end after {len(walk.asked)} pages"
        return Judgement(Belief.SMALLER if divisible else Belief.UNPROVEN, reason, short=walk.short or 1)
    if not walk.total_known:
        return Judgement(Belief.UNPROVEN, "the source gave no usable total")
    if divisible:
        return Judgement(Belief.SMALLER)
    if agreed:
        return Judgement(Belief.UNPROVEN, "recordings left the listing while it was read", short=1)
    only = "only " if walk.short else ""
    return Judgement(Belief.UNPROVEN, f"the source says {walk.total} and listed {only}{count}", short=walk.short)
