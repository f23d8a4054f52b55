"""Copies of decisions: keys in the order of the log, and only what a catalogue can live with comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.controls import Control, Event, Kind, holds_in, pause_in
from archiver.core.decision_copies import LIMIT, Copy, copied, copies, missing, parse, render, require_copy
from archiver.core.documents import Unreadable
from archiver.core.rebuilding import Trouble
from tests.support.rows import NOW

QUERY: dict[str, object] = {"query": {"callers": ["91*"]}, "future": True}


def decided(event: Event, detail: Mapping[str, object] = {}, *, minutes: int = 0, by: str = "Anna") -> Control:
    """One decision about a case, a plan, a pause or policies."""
    kinds = {Event.WRITTEN: (Kind.PLAN, "p"), Event.APPROVED: (Kind.PLAN, "p"), Event.PAUSED: (Kind.PAUSE, ""),
             Event.IN_FORCE: (Kind.POLICIES, "acme")}  # fmt: skip
    kind, subject = kinds.get(event, (Kind.HOLD, "case"))
    at = NOW + timedelta(minutes=minutes)
    return Control(at=at, kind=kind, subject=subject, event=event, by=by, reason="why", detail=detail)


ADDED = decided(Event.ADDED, QUERY)
ASKED = decided(Event.RELEASE_ASKED, minutes=1)
RELEASED = decided(Event.RELEASED, minutes=2, by="Berta")
PAUSED = decided(Event.PAUSED, minutes=3)
FORCE = decided(Event.IN_FORCE, {"digest": "d", "cooling_off": 604800.0})
WRITTEN = decided(Event.WRITTEN, {"expires_at": NOW.isoformat(), "counts": {"deletions": 2}})
ALL = [FORCE, ADDED, ASKED, RELEASED, PAUSED, WRITTEN]


def given_as(log: list[Control]) -> list[tuple[str, Copy]]:
    """The copies of a log as a rebuild reads them: in the order of their keys."""
    return [(key, parse(body)) for key, body in sorted(copies(log, "p/"))]


def in_one_bucket(*logs: list[Control]) -> list[tuple[str, Copy]]:
    """The copies that several catalogues have made, one after the other."""
    return sorted(dict(each for log in logs for each in given_as(log)).items(), key=lambda each: each[0])


def cases(log: Sequence[Control]) -> list[tuple[str, bool]]:
    """The cases by name, and whether they hold."""
    return [(case.name, case.open) for case in holds_in(log)]


@given(st.lists(st.integers(-5, 5), max_size=12))
def test_keys_stand_in_the_order_of_the_log_whatever_the_clocks_said(minutes: list[int]) -> None:
    log = [replace(PAUSED, at=NOW + timedelta(minutes=each), reason=str(place)) for place, each in enumerate(minutes)]
    assert [copy.one for _, copy in given_as(log)] == log
    assert all(key.startswith("p/.archiver/decisions/2024") for key, _ in copies(log, "p/"))
    longer = list(copies([*log, PAUSED], "p/"))
    assert longer[: len(log)] == list(copies(log, "p/"))  # what was copied keeps its key


def test_an_empty_catalogue_takes_everything_and_a_full_one_nothing() -> None:
    assert missing(given_as(ALL), []) == (ALL, [])
    assert missing(given_as(ALL), ALL) == ([], [])
    assert missing(sorted(given_as(ALL) * 2, key=lambda each: each[0]), []) == (ALL, [])


def test_more_decisions_with_one_place_than_four_digits_count() -> None:
    log = [replace(PAUSED, at=NOW + timedelta(days=9))]
    log += [replace(PAUSED, reason=str(number)) for number in range(10_001)]
    assert [copy.one for _, copy in given_as(log)] == log


def test_what_the_catalogue_decided_by_itself_stands() -> None:
    """But a case of its own does not keep one of the same name out, nor its policies those that may still bind."""
    resumed = replace(PAUSED, event=Event.RESUMED, reason="over")
    mine = [decided(Event.ADDED, QUERY, minutes=9), replace(PAUSED, reason="mine"), replace(WRITTEN, by="Berta")]
    mine += [replace(FORCE, at=NOW + timedelta(days=1))]
    chosen, refused = missing(given_as([*ALL, resumed]), mine)
    assert chosen == [FORCE, *(replace(one, subject="case-2") for one in (ADDED, ASKED, RELEASED))]
    assert [one.trouble for one in refused] == [Trouble.CONTRADICTION] * 3  # both about a pause, and the plan
    assert cases([*mine, *chosen]) == [("case", True), ("case-2", False)]
    later = replace(FORCE, at=NOW + timedelta(days=1))
    assert missing(given_as([FORCE, later]), [later]) == ([FORCE], [])


def test_a_history_that_went_on_after_a_dump_is_taken_on() -> None:
    """A restored dump knows the beginning; what the bucket knows beyond it follows."""
    withdrawn, paused = decided(Event.RELEASE_WITHDRAWN, minutes=4), replace(PAUSED, at=NOW + timedelta(minutes=9))
    resumed = replace(PAUSED, at=NOW + timedelta(minutes=5), event=Event.RESUMED)
    dump = [ADDED, ASKED, PAUSED, resumed]
    assert missing(given_as([*dump, withdrawn, paused]), dump) == ([withdrawn, paused], [])
    asked_anew = decided(Event.RELEASE_ASKED, minutes=8, by="Carl")
    for own in ([*dump, asked_anew], [*dump, withdrawn, asked_anew]):  # the catalogue went on by itself, too
        lost = given_as([*dump, decided(Event.RELEASED, minutes=3, by="Berta")])
        for bucket in (lost, sorted(lost + given_as(own), key=lambda each: each[0])):
            chosen, refused = missing(bucket, own)
            assert (chosen, {one.trouble for one in refused}) == ([], {Trouble.CONTRADICTION})


def test_a_pause_that_is_the_last_word_of_the_bucket_is_taken_on_whatever_the_catalogue_says() -> None:
    mine = [replace(PAUSED, at=NOW + timedelta(minutes=minutes), event=event, reason="mine")
            for minutes, event in ((5, Event.PAUSED), (6, Event.RESUMED))]  # fmt: skip
    chosen, refused = missing(given_as([PAUSED]), mine)
    assert (chosen, refused) == ([PAUSED], [])
    bucket = in_one_bucket([PAUSED], [*mine, *chosen])
    assert pause_in(missing(bucket, [])[0]) == PAUSED  # also when that catalogue is lost
    assert missing(bucket, [*mine, *chosen]) == ([], [])
    assert missing(in_one_bucket([PAUSED], mine), mine)[0] == []  # the bucket knows that it was over


def test_a_case_that_two_catalogues_opened_is_two_and_each_keeps_its_releases() -> None:
    """Whatever they are called: by the name alone a release would end the other one."""
    other = decided(Event.ADDED, {**QUERY, "query": {"callers": ["44*"]}}, minutes=8)
    bucket = in_one_bucket([ADDED], [other])
    third, refused = missing(bucket, [])
    assert (cases(third), refused) == ([("case", True), ("case-2", True)], [])

    third += [decided(Event.RELEASE_ASKED, minutes=20), decided(Event.RELEASED, minutes=21, by="Berta")]
    bucket = in_one_bucket([ADDED], [other], third)
    fourth, refused = missing(bucket, [])
    assert (cases(fourth), refused) == ([("case", False), ("case-2", True)], [])
    assert fourth == third
    assert missing(bucket, fourth) == ([], [])


def test_a_release_whose_opening_cannot_be_read_ends_no_other_case() -> None:
    other = decided(Event.ADDED, {**QUERY, "future": False}, minutes=8)
    log = [other, decided(Event.RELEASE_ASKED, minutes=9), decided(Event.RELEASED, minutes=10, by="Berta")]
    chosen, refused = missing(given_as([ADDED]) + given_as(log)[1:], [])
    assert cases(chosen) == [("case", True)]
    assert [one.trouble for one in refused] == [Trouble.UNREADABLE] * 2


def test_a_case_gets_a_name_that_no_other_has() -> None:
    """Not even one that comes later; and it keeps what it was called by the last catalogue."""
    second = replace(decided(Event.ADDED, {**QUERY, "future": False}, minutes=1), subject="case-2")
    other = decided(Event.ADDED, QUERY, minutes=8)
    bucket = in_one_bucket([ADDED, second], [other])
    chosen, refused = missing(bucket, [])
    assert ([one.subject for one in chosen], refused) == (["case", "case-2", "case-3"], [])
    mine = [replace(other, reason="opened by hand before the rebuild")]
    chosen, refused = missing(bucket, mine)
    assert ([one.subject for one in chosen], refused) == (["case-3", "case-2", "case-4"], [])
    last = [*mine, *chosen]
    again, _ = missing(in_one_bucket([ADDED, second], [other], last), [])
    assert {one.subject: one for one in again} == {one.subject: one for one in last}


def test_policies_that_cannot_be_read_take_no_others_with_them() -> None:
    bad = replace(FORCE, detail={"digest": 5, "cooling_off": 1})
    chosen, refused = missing(given_as([FORCE, bad, replace(FORCE, reason="later")]), [])
    assert [one.reason for one in chosen] == ["why", "later"]
    assert [one.trouble for one in refused] == [Trouble.UNREADABLE]


@pytest.mark.parametrize(
    "query",
    [{"ids": ["7" * LIMIT]}, {"ids": ["7" * 90] * 180_000}, {"numbers": ["1" * 501]}],
    ids=("one", "many", "long"),
)
def test_a_case_that_could_not_come_back_is_not_opened(query: Mapping[str, object]) -> None:
    with pytest.raises(Unreadable):
        require_copy(replace(ADDED, detail={**QUERY, "query": query}))
    require_copy(replace(ADDED, detail={**QUERY, "query": {"ids": [f"{number:064}" for number in range(60_000)]}}))


@pytest.mark.parametrize(
    "broken",
    [
        [ASKED, RELEASED],
        [decided(Event.ADDED, {**QUERY, "query": {"callers": [5]}})],
        [decided(Event.ADDED, {**QUERY, "query": {"callers": 5}})],
        [decided(Event.ADDED, {**QUERY, "query": {"since": "soon"}})],
        [decided(Event.ADDED, {**QUERY, "query": {"since": "2024-01-01", "zone": "Atlantis"}})],
        [decided(Event.ADDED, {**QUERY, "query": {"since": "2024-01-01", "zone": "Europe"}})],
        [decided(Event.ADDED, {"query": []})],
        [decided(Event.APPROVED)],
        [replace(WRITTEN, detail={"expires_at": "2024-03-01T00:00:00", "counts": {}})],
        [replace(WRITTEN, detail={})],
        [replace(FORCE, detail={"digest": "d", "cooling_off": 1e300})],
        [replace(FORCE, detail={"digest": 5, "cooling_off": 1})],
        [replace(FORCE, detail={"digest": "d", "cooling_off": "long"})],
        [WRITTEN, replace(WRITTEN, by="Berta")],
    ],
    ids=lambda broken: f"{broken[0].event} {broken[0].detail}"[:60],
)
def test_what_makes_no_sense_stays_out(broken: list[Control]) -> None:
    chosen, refused = missing([(str(place), copy) for place, copy in enumerate(copied(broken))], [])
    assert chosen == []
    assert [one.trouble for one in refused] == [Trouble.UNREADABLE] * len(broken)


def test_a_case_whose_release_makes_no_sense_is_held() -> None:
    log = [ADDED, RELEASED, replace(RELEASED, by="Carl")]
    chosen, refused = missing(given_as(log), [])
    assert (chosen, len(refused)) == ([ADDED], 2)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"kind": "x"},
        {"event": 5},
        {"at": "2024"},
        {"detail": []},
        {"by": None},
        {"reason": "\0"},
        {"event": "released"},
        {"subject": "c" * 501},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_is_no_decision_is_refused(change: dict[str, object]) -> None:
    body = json.dumps(json.loads(render(Copy(ADDED))) | change).encode()
    with pytest.raises(Unreadable):
        parse(body)
    for copy in (Copy(ADDED), Copy(replace(RELEASED, reason="r" * 100_000), "of that one")):
        assert parse(render(copy)) == copy
