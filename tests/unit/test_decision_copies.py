"""Copies of decisions: keys in the order of the log, and only what a catalogue can live with comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.controls import Control, Event, Kind, holds_in
from archiver.core.decision_copies import copies, missing, parse, render
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


def given_as(log: list[Control]) -> list[tuple[str, Control]]:
    """The copies of a log as a rebuild reads them: in the order of their keys."""
    return [(key, parse(body)) for key, body in sorted(copies(log, "p/"))]


@given(st.lists(st.integers(-5, 5), max_size=12))
def test_keys_stand_in_the_order_of_the_log_whatever_the_clocks_said(minutes: list[int]) -> None:
    log = [replace(PAUSED, at=NOW + timedelta(minutes=each), reason=str(place)) for place, each in enumerate(minutes)]
    assert [one for _, one in given_as(log)] == log
    assert all(key.startswith("p/.archiver/decisions/2024") for key, _ in copies(log, "p/"))
    longer = list(copies([*log, PAUSED], "p/"))
    assert longer[: len(log)] == list(copies(log, "p/"))  # what was copied keeps its key


def test_an_empty_catalogue_takes_everything_and_a_full_one_nothing() -> None:
    assert missing(given_as(ALL), []) == (ALL, [])
    assert missing(given_as(ALL), ALL) == ([], [])
    assert missing(given_as(ALL) + given_as(ALL), []) == (ALL, [])


def test_what_the_catalogue_decided_by_itself_stands() -> None:
    mine = [decided(Event.ADDED, QUERY, minutes=9), decided(Event.PAUSED, minutes=9)]
    mine += [replace(FORCE, at=NOW + timedelta(days=1))]
    chosen, refused = missing(given_as(ALL), mine)
    assert chosen == [FORCE, WRITTEN]  # policies of before may still bind
    assert [one.trouble for one in refused] == [Trouble.CONTRADICTION] * 4


def test_a_case_that_two_catalogues_opened_is_two() -> None:
    again = decided(Event.ADDED, QUERY, minutes=8)
    chosen, refused = missing(given_as([ADDED, ASKED, RELEASED, again]), [])
    assert refused == []
    assert [(case.name, case.open) for case in holds_in(chosen)] == [("case", False), ("case-2", True)]
    assert missing(given_as([ADDED, ASKED, RELEASED, again]), chosen) == ([], [])


@pytest.mark.parametrize(
    "broken",
    [
        [ASKED, RELEASED],
        [decided(Event.ADDED, {**QUERY, "query": {"callers": [5]}})],
        [decided(Event.ADDED, {**QUERY, "query": {"callers": 5}})],
        [decided(Event.ADDED, {**QUERY, "query": {"since": "soon"}})],
        [decided(Event.ADDED, {**QUERY, "query": {"since": "2024-01-01", "zone": "Atlantis"}})],
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
    chosen, refused = missing([(str(place), one) for place, one in enumerate(broken)], [])
    assert chosen == []
    assert [one.trouble for one in refused] == [Trouble.UNREADABLE] * len(broken)


def test_a_case_whose_release_makes_no_sense_is_held() -> None:
    log = [ADDED, RELEASED, replace(RELEASED, by="Carl")]
    chosen, refused = missing(given_as(log), [])
    assert (chosen, len(refused)) == ([ADDED], 2)


@pytest.mark.parametrize(
    "change",
    [{"format": "x"}, {"kind": "x"}, {"event": 5}, {"at": "2024"}, {"detail": []}, {"by": None}, {"reason": "\0"}],
    ids=str,
)
def test_what_is_no_decision_is_refused(change: dict[str, object]) -> None:
    body = json.dumps(json.loads(render(ADDED)) | change).encode()
    with pytest.raises(Unreadable):
        parse(body)
    assert parse(render(ADDED)) == ADDED
