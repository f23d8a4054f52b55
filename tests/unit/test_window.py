"""Slices of time: they cover what they must, exactly, and the horizon forgets nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.model import Slice, midnight
from archiver.core.window import (
    FIRST_WIDTH,
    MOST_ITEMS,
    NARROWEST_SECONDS,
    SECOND,
    WIDEST,
    Walk,
    halves,
    next_slice,
    next_width,
    stretch_ahead,
    too_many,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(0, 400 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))
MOMENTS = OFFSETS.map(lambda offset: START + offset)
WIDTHS = st.integers(1, int(WIDEST.total_seconds())).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def slices(draw: st.DrawFn, *, least: int = 1, most: int = 10**7) -> Slice:
    """A slice of so many seconds."""
    since, seconds = draw(MOMENTS), draw(st.integers(least, most))
    return Slice(since, since + timedelta(seconds=seconds - 1))


@given(stretch=slices(), widths=st.lists(WIDTHS, min_size=1))
def test_slices_follow_each_other_without_gap_or_overlap_to_the_very_end(
    stretch: Slice, widths: list[timedelta]
) -> None:
    widest = [*widths, WIDEST]
    parts: list[Slice] = []
    while part := next_slice(stretch, parts[-1].until if parts else None, widest[min(len(parts), len(widest) - 1)]):
        parts.append(part)
    assert parts[0].since == stretch.since
    assert parts[-1].until == stretch.until
    assert all(after.since - before.until == SECOND for before, after in pairwise(parts))
    assert all(part.seconds <= WIDEST.total_seconds() for part in parts)
    assert sum(part.seconds for part in parts) == stretch.seconds


@given(slices(least=2))
def test_halves_cover_every_second_once_and_are_of_a_size(window: Slice) -> None:
    first, second = halves(window)
    assert (first.since, second.until) == (window.since, window.until)
    assert second.since - first.until == SECOND
    if window.since.date() == window.until.date():
        assert 0 <= second.seconds - first.seconds <= 1
    else:
        assert second.since == midnight(second.since.date())
        assert abs(second.seconds - first.seconds) <= 2 * 86_400


def test_one_second_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="ends"):
        halves(Slice(START, START))


@given(slices(most=5000))
def test_halving_comes_down_to_every_single_second(window: Slice) -> None:
    pending, seconds = [window], []
    while pending:
        part = pending.pop()
        if part.seconds == 1:
            seconds.append(part.since)
        else:
            pending += reversed(halves(part))
    assert seconds == [window.since + SECOND * number for number in range(window.seconds)]


@given(start=MOMENTS, watermark=st.none() | MOMENTS, now=MOMENTS, micro=st.integers(0, 999_999))
def test_what_lies_ahead_begins_right_behind_the_watermark_and_never_before_the_start(
    start: datetime, watermark: datetime | None, now: datetime, micro: int
) -> None:
    stretch = stretch_ahead(start, watermark, now + timedelta(microseconds=micro))
    since = start if watermark is None or watermark < start else watermark + SECOND
    assert stretch == (Slice(since, now) if since <= now else None)


def test_nothing_is_listed_before_the_day_that_it_begins() -> None:
    assert stretch_ahead(START + SECOND, None, START) is None
    assert stretch_ahead(START, None, START) == Slice(START, START)
    assert stretch_ahead(START, START, START) is None


@given(stretch=slices(), width=WIDTHS)
def test_a_slice_never_ends_within_a_day_that_it_does_not_begin_in(stretch: Slice, width: timedelta) -> None:
    """So that days are listed whole, or piece by piece, and never by the end of one slice and the start of another."""
    part = next_slice(stretch, None, width)
    assert part is not None
    midnight = (part.until + SECOND).time() == datetime.min.time()
    assert midnight or part.until == stretch.until or part.since.date() == part.until.date()


@given(width=WIDTHS, items=st.integers(0, 10**6), page_size=st.integers(1, 1000))
def test_the_width_stays_within_its_bounds(width: timedelta, items: int, page_size: int) -> None:
    width = max(width, timedelta(seconds=NARROWEST_SECONDS))
    after = next_width(width, items, page_size)
    assert timedelta(seconds=NARROWEST_SECONDS) <= after <= WIDEST
    assert after >= width or items > MOST_ITEMS


def test_quiet_time_is_crossed_in_steps_that_grow() -> None:
    assert next_width(FIRST_WIDTH, 0, 100) == FIRST_WIDTH * 2
    assert next_width(FIRST_WIDTH, 101, 100) == FIRST_WIDTH
    assert next_width(FIRST_WIDTH, MOST_ITEMS + 1, 100) == FIRST_WIDTH / 2


@pytest.mark.parametrize(
    ("total", "seconds", "halved"),
    [
        (MOST_ITEMS, 10**6, False),
        (MOST_ITEMS + 1, NARROWEST_SECONDS + 1, True),
        (MOST_ITEMS + 1, NARROWEST_SECONDS, False),
        (10**18, NARROWEST_SECONDS, False),
        (None, 10**6, False),
    ],
)
def test_a_crowded_slice_is_halved_before_it_is_walked_but_never_below_an_hour(
    total: int | None, seconds: int, *, halved: bool
) -> None:
    walk = Walk(100, None, total=total)
    assert too_many(walk, Slice(START, START + timedelta(seconds=seconds - 1))) is halved
