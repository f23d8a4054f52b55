"""Which slices of call starts to list, how to walk their pages, and when a slice may be believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.core.model import Learnt, Malformed, Page, Slice, midnight

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
ADDRESSES = ("_links", "download_url")  # they may be signed, and new each time
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


def gets_on(watermark: datetime | None, done: datetime | None) -> bool:
    """Whether a listing that ends here has come further than the one before."""
    return done is not None and (watermark is None or done > watermark)


def halves(window: Slice) -> tuple[Slice, Slice]:
    """Split a slice of at least two seconds into two that cover the same starts, none twice; days at a midnight."""
    middle = window.since + timedelta(seconds=window.seconds // 2)
    if window.since.date() != window.until.date():
        middle = midnight(middle.date())
        middle = middle if middle > window.since else middle + ONE_DAY
    return Slice(window.since, middle - SECOND), Slice(middle, window.until)


@dataclass(slots=True)
class Walk:
    """What the pages of one slice have shown so far. Memory: one digest or id for each item of the slice."""

    page_size: int  # as asked for
    base: int | None  # number of the first page, where the account has shown it
    refused: bool = False  # page 0 was asked for and refused: that alone says nothing of the first page
    seen: set[str] = field(default_factory=set)
    odd: dict[str, Malformed] = field(default_factory=dict)  # unreadable items, by fingerprint
    asked: list[int] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)  # new items on each asked page
    total: int | None = None  # the last page's claim
    granted: int | None = None  # the last page's own page size
    full: bool = False  # whether the last page held as many items as a page holds
    moved: bool = False  # whether the total changed from page to page
    shrank: bool = False  # whether it became smaller: what moved up a page was passed over

    def add(self, number: int, page: Page) -> None:
        """Take in the answer to page `number`."""
        before = len(self)
        self.seen.update(item.id for item in page.recordings)
        self.odd.update((fingerprint(item), item) for item in page.malformed)
        self.asked.append(number)
        self.fresh.append(len(self) - before)
        if len(self.asked) > 1 and page.total_items != self.total:
            self.moved, self.shrank = True, self.shrank or (page.total_items or 0) < (self.total or 0)
        self.total = page.total_items
        self.granted = page.size or self.granted
        # a page that does not say how many items it may hold may be full with any number of them
        fits = min(page.size or 1, self.page_size)
        self.full = len(page.recordings) + len(page.malformed) >= fits

    def __len__(self) -> int:
        """How many distinct items were listed, readable or not."""
        return len(self.seen) + len(self.odd)

    @property
    def ids(self) -> set[str]:
        """Every id that was listed, also those of items that cannot be read otherwise."""
        return self.seen | {item.id for item in self.odd.values() if item.id is not None}

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
    def off(self) -> int:
        """How far the total is from what was listed."""
        return (self.total or 0) - len(self)

    @property
    def short(self) -> int:
        """How many items the total claims beyond those that were listed; 0 where it says nothing usable."""
        return max((self.total or 0) - len(self), 0) if self.total_known else 0

    @property
    def cut(self) -> bool:
        """Whether the last page still brought something new when the walk was given up as endless."""
        return bool(self.asked) and self.fresh[self.asked.index(max(self.asked))] > 0 and endless(self)

    def learned(self, known: Learnt) -> Learnt:
        """What is known of the account's paging after this walk."""
        return Learnt(self._base(), self._cap(known.page_cap))

    def _base(self) -> int | None:
        """The number of the first page, if this walk shows it."""
        if 0 not in self.asked or not len(self) or (self.refused and not self.reached):
            return self.base
        return 0 if self.fresh[self.asked.index(0)] else 1

    def _cap(self, known: int | None) -> int | None:
        """The most items that the source puts on a page, where that is fewer than asked for."""
        went_on = len(self.asked) > 1 and self.fresh[1] > 0
        most = self.granted or (max(self.fresh) if went_on else known)
        return most if most is not None and most < self.page_size else None


def fingerprint(item: Malformed) -> str:
    """Digest by which an unreadable item is known again: of id and start, else of all that it says but addresses."""
    told = item.raw
    if isinstance(told, Mapping):
        start = told.get("start")
        plain = {name: value for name, value in told.items() if name not in ADDRESSES}
        told = plain if item.id is None else {"id": item.id, "start": start}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


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
    repeated = walk.asked == [0, 1] and walk.fresh[0] > 0
    # a page may be empty in the middle, where the source counts what it does not show; two in a row are the end
    hollow = walk.base is not None and walk.short > 0 and walk.fresh[-2:] != [0, 0]
    if (walk.fresh[-1] or repeated or hollow) and not probing and not endless(walk):
        return walk.asked[-1] + 1
    if walk.asked == [0] and walk.total != 0:
        return 1  # where pages counted from 0 there may be none of that number now
    unsure = walk.base is None or walk.short > 0 or not walk.total_known
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
    """A belief and, where it is not `proved`, why."""

    belief: Belief
    reason: str = ""
    short: int = 0  # items that the source claims and did not list
    usable: bool = True  # whether the source's totals mean anything there


def too_many(walk: Walk, window: Slice) -> bool:
    """Whether what was listed so far shows that the slice should be read in halves.

    Never below an hour: a total that lies must not lead to a request for each second.
    """
    items = (walk.total or 0) if walk.total_known else len(walk)
    return items > MOST_ITEMS and window.seconds > NARROWEST_SECONDS


def judge(walk: Walk, window: Slice, reads_left: int) -> Judgement:
    """Say what a finished walk is worth. Totals prove; where they cannot, the slice is unproven, never complete."""
    count, over_days = len(walk), window.since.date() != window.until.date()
    divisible = over_days or (window.seconds > 1 and reads_left > 1)
    agreed = walk.total_known and (count == walk.total or 0 < len(walk.seen) == walk.total)
    if agreed and not walk.shrank:
        return Judgement(Belief.PROVED)
    if walk.cut:
        reason = f"the listing did not end after {len(walk.asked)} pages"
        belief = Belief.SMALLER if divisible else Belief.UNPROVEN
        return Judgement(belief, reason, short=walk.short or 1, usable=walk.total_known)
    if not walk.total_known:
        return Judgement(Belief.UNPROVEN, "the source gave no usable total", usable=False)
    if divisible:
        return Judgement(Belief.SMALLER)
    if agreed:
        return Judgement(Belief.UNPROVEN, "recordings left the listing while it was read", short=1)
    only = "only " if walk.short else ""
    return Judgement(Belief.UNPROVEN, f"the source says {walk.total} and listed {only}{count}", short=walk.short)


def judge_again(walk: Walk, parts: Sequence[Walk]) -> Judgement | None:
    """Say what a walk is worth after its slice was read in halves. None: look at the halves instead.

    The totals of the halves must add up to that of the whole. Where they do not, they mean nothing: reading on in
    halves would ask for every second. More than the whole is no contradiction where both halves are proved: that came
    meanwhile.
    """
    if walk.cut and all(part.cut for part in parts):
        reason = f"the listing did not end after {len(walk.asked)} pages"
        return Judgement(Belief.UNPROVEN, reason, short=walk.short or 1, usable=walk.total_known)
    if any(one.moved for one in (walk, *parts)):
        return None  # something came or went while they were read
    if all(part.total_known for part in parts):
        more = sum(part.total or 0 for part in parts) - (walk.total or 0)
        if more == 0 or (more > 0 and not any(part.off for part in parts)):
            return None
    said = " and ".join("nothing usable" if not part.total_known else str(part.total) for part in parts)
    reason = f"the source's totals contradict each other: it says {walk.total} of the whole, {said} of its halves"
    return Judgement(Belief.UNPROVEN, reason, usable=False)
