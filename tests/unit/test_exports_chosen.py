"""Which slices come by an export, when it is asked for again, and which recording a member is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from archiver.core.exports import (
    FIRST_POLL,
    LONGEST_POLL,
    MOST_BYTES,
    MOST_OPEN,
    MOST_RECORDINGS,
    Batch,
    Cost,
    Hour,
    Job,
    Listed,
    Names,
    Rank,
    batches,
    choose,
    expired,
    first_poll,
    next_poll,
    only,
)
from archiver.core.model import Slice
from tests.support.simulator import NOON

HOUR = timedelta(hours=1)


def hour(number: int, due: int = 10, *, size: int = 1000, others: int = 0, behind: int = 0) -> Hour:
    since = NOON + number * HOUR
    return Hour(since=since, until=since + HOUR / 2, due=due, size=size, others=others, behind=behind)


def batched(*hours: Hour, endangered_before: datetime | None = None, recent_since: datetime = NOON) -> list[Batch]:
    return batches(hours, endangered_before=endangered_before, recent_since=recent_since)


hours = st.lists(
    st.builds(
        hour, st.integers(0, 500), st.integers(1, 3000), size=st.integers(0, 2 * MOST_BYTES),
        others=st.integers(0, 3000), behind=st.integers(0, 3000),
    ),
    max_size=30, unique_by=lambda one: one.since,
).map(lambda found: sorted(found, key=lambda one: one.since))  # fmt: skip


@given(hours)
def test_every_recording_that_is_due_lies_in_one_batch(found: Sequence[Hour]) -> None:
    made = batched(*found)
    assert sum(batch.due for batch in made) == sum(one.due for one in found)
    windows = sorted((batch.window for batch in made), key=lambda window: window.since)
    assert all(first.until < second.since for first, second in itertools.pairwise(windows))
    for one in found:
        assert sum(batch.window.covers(Slice(one.since, one.until)) for batch in made) == 1


@given(hours)
def test_a_batch_of_several_hours_is_not_too_large_nor_a_waste(found: Sequence[Hour]) -> None:
    alone = {(one.since, one.until) for one in found}
    for batch in batched(*found):
        if (batch.window.since, batch.window.until) not in alone:
            assert batch.due + batch.others <= MOST_RECORDINGS
            assert batch.size <= MOST_BYTES
            assert not batch.wasteful


def test_what_is_in_danger_comes_first_then_what_is_new_then_history() -> None:
    made = batched(hour(-900), hour(-500), hour(2), endangered_before=NOON - 700 * HOUR, recent_since=NOON)
    assert [batch.rank for batch in made] == [Rank.ENDANGERED, Rank.RECENT, Rank.HISTORY]


def test_what_was_archived_between_two_hours_counts_as_waste() -> None:
    assert len(batched(hour(0, 10), hour(5, 10))) == 1
    assert len(batched(hour(0, 10, behind=21), hour(5, 10))) == 2


@given(hours, st.integers(0, 20_000), st.integers(0, MOST_OPEN + 2), st.floats(0, 20))
def test_exports_never_cost_more_than_single_requests(
    found: Sequence[Hour], room: int, under_way: int, polls: float
) -> None:
    wanted, cost = batched(*found), Cost(polls)
    chosen = choose(wanted, room=room, cost=cost, under_way=under_way)
    assert len(chosen) <= max(MOST_OPEN - under_way, 0)
    assert all(batch.due > cost.requests and not batch.wasteful for batch in chosen)
    assert {id(batch) for batch in chosen} <= {id(batch) for batch in wanted}
    if sum(batch.due for batch in wanted) <= room:
        assert chosen == []


def test_no_more_exports_are_made_than_the_room_for_single_requests_needs() -> None:
    wanted = batched(*(hour(100 * number, due) for number, due in enumerate([500, 30, 400])))
    assert [batch.due for batch in choose(wanted, room=500, cost=Cost(), under_way=0)] == [500]
    assert [batch.due for batch in choose(wanted, room=50, cost=Cost(), under_way=0)] == [500, 400]
    assert [batch.due for batch in choose(wanted, room=0, cost=Cost(), under_way=0)] == [500, 30, 400]


JOB = Job(
    number=1, job_id="a", asked_at=NOON, polls=0, fetches=0, next_poll_at=NOON, ready_at=None, done_at=None
)  # fmt: skip


def test_polls_come_with_growing_pauses() -> None:
    pauses = [next_poll(replace(JOB, polls=polls), NOON) - NOON for polls in range(50)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_POLL, LONGEST_POLL)


def test_the_first_poll_comes_when_exports_are_usually_ready() -> None:
    assert first_poll(NOON, None) == first_poll(NOON, timedelta(0)) == NOON + FIRST_POLL
    assert first_poll(NOON, timedelta(minutes=7)) == NOON + timedelta(minutes=7)
    assert first_poll(NOON, timedelta(days=3)) == NOON + HOUR


def test_an_unknown_job_is_gone_once_it_was_ready_or_is_old() -> None:
    assert not expired(JOB, NOON + HOUR)
    assert expired(JOB, NOON + HOUR + timedelta(seconds=1))
    assert expired(replace(JOB, ready_at=NOON), NOON)


def listed(number: int, name: str | None, size: int | None, *, due: bool = True) -> Listed:
    return Listed(str(number), name, size, due)


def matched(name: str, size: int | None, *known: Listed) -> str | None:
    one = only(Names(known).fitting(name, size))
    return None if one is None else one.recording_id


def test_a_member_is_known_by_name_and_size() -> None:
    known = (listed(1, "a.mp3", 10), listed(2, "b.mp3", 10), listed(3, "a.mp3", 20), listed(4, None, 30))
    assert matched("a.mp3", 10, *known) == "1"
    assert matched("folder/a.mp3", 20, *known) == "3"
    assert matched("folder\\b.mp3", 10, *known) == "2"
    assert matched("4.mp3", 30, *known) == "4"
    assert matched("b.mp3", 11, *known) is None
    assert matched("c.mp3", 10, *known) is None
    assert matched("a.mp3", None, *known) is None


def test_a_name_and_size_that_several_have_belongs_to_none() -> None:
    assert matched("a.mp3", 10, listed(1, "a.mp3", 10), listed(2, "a.mp3", 10, due=False)) is None
    assert matched("a.mp3", 10, listed(1, "a.mp3", 10), listed(2, "x/a.mp3", 10)) is None
    assert matched("2.mp3", 10, listed(1, "2.mp3", 10), listed(2, "b.mp3", 10)) is None


def test_a_recording_without_a_listed_size_fits_any_and_is_never_taken() -> None:
    assert matched("a.mp3", 10, listed(1, "a.mp3", None)) is None
    assert matched("a.mp3", 10, listed(1, "a.mp3", 10), listed(2, "a.mp3", None)) is None
