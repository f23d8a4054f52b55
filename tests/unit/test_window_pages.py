"""Walking the pages of a slice: whatever is there is found, whatever is answered ends, and only counts prove."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archiver.core.model import Learnt, Malformed, Page, Slice
from archiver.core.window import MOST_PAGES, Belief, Walk, fingerprint, judge, next_page
from tests.support.rows import recording

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = Slice(START, START + timedelta(seconds=3599))
SECOND = Slice(START, START)
Answer = Callable[[int], Page]


class Zero(Enum):
    """What a server that counts pages from 1 makes of page 0."""

    EMPTY = auto()
    FIRST = auto()


def page(identities: list[str], *, total: int | None = None, size: int | None = None, junk: int = 0) -> Page:
    """An answer with these recordings, and so many unreadable items, each another one."""
    return Page(
        recordings=tuple(recording(identity) for identity in identities),
        malformed=tuple(Malformed(reason="x", raw=f"{identities}{number}") for number in range(junk)),
        number=None,
        size=size,
        total_items=total,
        total_pages=None,
    )


def server(count: int, *, size: int, base: int, zero: Zero, told: bool) -> Answer:
    """An honest server with so many recordings, `size` to a page."""
    there = [str(number) for number in range(count)]

    def answer(number: int) -> Page:
        index = number - base
        if index < 0 and zero is Zero.FIRST:
            index = 0
        held = there[index * size : (index + 1) * size] if index >= 0 else []
        return page(held, total=count if told else None, size=size if told else None)

    return answer


def walked(answer: Answer, *, page_size: int, base: int | None = None, limit: int = 10**5) -> Walk:
    """Ask for pages until the walk is over."""
    walk = Walk(page_size, base)
    while (number := next_page(walk)) is not None:
        assert len(walk.asked) < limit
        walk.add(number, answer(number))
    return walk


@pytest.mark.parametrize(("base", "zero"), [(0, Zero.EMPTY), (1, Zero.EMPTY), (1, Zero.FIRST)])
@pytest.mark.parametrize("told", [True, False])
def test_everything_is_found_whatever_the_numbers_of_pages_and_their_size(base: int, zero: Zero, *, told: bool) -> None:
    for count, cap, page_size in product(range(24), (1, 2, 3, 5, 10), (3, 10)):
        answer = server(count, size=min(cap, page_size), base=base, zero=zero, told=told)
        for known in (None, base):
            walk = walked(answer, page_size=page_size, base=known)
            assert len(walk.seen) == count, (count, cap, page_size, known)
            assert walk.learned(Learnt()).page_base in {known, base}
            belief = judge(walk, HOUR, 64).belief
            assert belief is (Belief.PROVED if told else Belief.UNPROVEN)
            assert len(walk.asked) == len(set(walk.asked)) <= count // min(cap, page_size) + 3


@pytest.mark.parametrize("base", [0, 1])
def test_an_account_that_has_shown_its_base_is_not_asked_for_more_than_its_pages(base: int) -> None:
    answer = server(25, size=10, base=base, zero=Zero.EMPTY, told=True)
    assert walked(answer, page_size=10, base=base).asked == [base, base + 1, base + 2]


PAGES = st.builds(
    page,
    st.lists(st.integers(0, 12).map(str), max_size=6),
    total=st.none() | st.integers(0, 12) | st.sampled_from([10**18, 2**63]),
    size=st.none() | st.integers(0, 12),
    junk=st.integers(0, 2),
)


@given(pages=st.lists(PAGES, max_size=40), base=st.sampled_from([None, 0, 1]), page_size=st.integers(1, 10))
def test_a_walk_ends_and_proves_only_what_was_counted(pages: list[Page], base: int | None, page_size: int) -> None:
    left: Iterator[Page] = iter(pages)
    walk = walked(lambda _: next(left, page([])), page_size=page_size, base=base, limit=len(pages) + 4)
    assert len(walk.asked) == len(set(walk.asked))
    for window, reads_left in product((HOUR, SECOND), (0, 64)):
        judgement = judge(walk, window, reads_left)
        agreed = walk.total_known and (walk.total == len(walk) or 0 < len(walk.seen) == walk.total)
        assert (judgement.belief is Belief.PROVED) == (agreed and not walk.shrank)
        assert judgement.belief is not Belief.SMALLER or (window.seconds > 1 and reads_left > 0)
        assert judgement.reason or judgement.belief is not Belief.UNPROVEN


@settings(deadline=None, max_examples=30)
@given(
    total=st.none() | st.integers(0, 10**19),
    growing=st.booleans(),
    base=st.sampled_from([None, 0, 1]),
    items=st.integers(1, 3),
)
@example(total=10**18, growing=False, base=None, items=1)
@example(total=1, growing=True, base=0, items=3)
def test_pages_that_bring_something_new_for_ever_come_to_an_end_unproved(
    total: int | None, base: int | None, items: int, *, growing: bool
) -> None:
    def answer(number: int) -> Page:
        claim = total if total is None or not growing else total + number * items * 2
        return page([f"{number}-{index}" for index in range(items)], total=claim)

    walk = walked(answer, page_size=items, base=base, limit=MOST_PAGES + 3)
    judgement = judge(walk, SECOND, 0)
    assert (judgement.belief is Belief.PROVED) == (walk.total == len(walk.seen))
    assert judge(walk, HOUR, 64).belief is not Belief.UNPROVEN


@pytest.mark.parametrize("total", [None, 0, 5, 10**18])
def test_the_same_page_for_ever_is_noticed_at_once(total: int | None) -> None:
    walk = walked(lambda _: page(["1", "2"], total=total), page_size=2, limit=4)
    assert walk.seen == {"1", "2"}
    assert judge(walk, SECOND, 0).belief is Belief.UNPROVEN


def test_a_total_of_zero_beside_items_is_no_total() -> None:
    walk = walked(lambda number: page(["1"] if number == 1 else [], total=0), page_size=10)
    assert not walk.total_known
    assert judge(walk, HOUR, 64).belief is Belief.UNPROVEN


def test_an_empty_slice_that_the_source_calls_empty_is_proved() -> None:
    walk = walked(lambda _: page([], total=0), page_size=10, base=1)
    assert judge(walk, HOUR, 64).belief is Belief.PROVED
    assert walk.learned(Learnt(1, 5)) == Learnt(1, 5)


def test_nothing_listed_of_what_the_source_claims_is_a_gap() -> None:
    walk = walked(lambda _: page([], total=7), page_size=10)
    assert (judge(walk, SECOND, 64).belief, judge(walk, SECOND, 64).short) == (Belief.UNPROVEN, 7)
    assert judge(walk, HOUR, 64).belief is Belief.SMALLER


def test_a_listing_that_shrank_while_it_was_read_proves_nothing() -> None:
    """A recording is deleted behind the reader's back: what follows moves up a page, and one is never shown."""
    there = [str(number) for number in range(30)]
    walk = Walk(10, 1)
    while (number := next_page(walk)) is not None:
        walk.add(number, page(there[(number - 1) * 10 : number * 10], total=len(there)))
        there = there[1:] if number == 1 else there
    assert "10" not in walk.seen
    assert len(walk.seen) == walk.total  # the counts agree all the same
    assert judge(walk, HOUR, 64).belief is Belief.SMALLER
    last = judge(walk, SECOND, 64)
    assert (last.belief, last.short) == (Belief.UNPROVEN, 1)


def test_a_listing_that_grew_while_it_was_read_is_proved() -> None:
    """What is new stands at the end, or moves the rest down and is seen twice: nothing is passed over."""
    there = [str(number) for number in range(15)]
    walk = Walk(10, 1)
    while (number := next_page(walk)) is not None:
        walk.add(number, page(there[(number - 1) * 10 : number * 10], total=len(there)))
        there = [*there, "late"] if number == 1 else there
    assert judge(walk, HOUR, 64).belief is Belief.PROVED


def test_unreadable_items_count_once_each() -> None:
    walk = walked(lambda number: page(["1"], total=3, junk=2) if number == 1 else page([], total=3), page_size=10)
    assert (len(walk), len(walk.seen), len(walk.odd)) == (3, 1, 2)
    assert walk.odd_are_counted
    assert judge(walk, HOUR, 64).belief is Belief.PROVED


@given(st.dictionaries(st.text(), st.none() | st.floats() | st.text(st.characters()) | st.lists(st.integers())))
def test_a_fingerprint_knows_a_value_whatever_its_order(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert of(turned) == of(value)
    assert len(of(value)) == 64
    assert of([value]) != of(value)


def of(raw: object, name: str | None = None) -> str:
    return fingerprint(Malformed(reason="x", raw=raw, id=name))


def test_an_item_is_known_again_by_its_id_and_start_and_else_by_all_but_its_addresses() -> None:
    item = {"id": 7, "start": "soon", "cnam": "A", "download_url": "https://a.example/?sig=1"}
    assert of(item, "7") == of(item | {"cnam": "B", "download_url": "https://a.example/?sig=2"}, "7")
    assert of(item, "7") != of(item | {"start": "later"}, "7")
    nameless = {"cnam": "A", "_links": {"self": "x"}}
    assert of(nameless) == of({"cnam": "A", "_links": {"self": "y"}, "download_url": "z"})
    assert of(nameless) != of({"cnam": "B", "_links": {"self": "x"}})
