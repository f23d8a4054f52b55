"""The log of decisions, read: cases, the pause, plans, and which earlier policies still bind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.controls import Control, Event, Kind, Replaced, holds_in, pause_in, plans_in, replaced_in
from archiver.core.holds import Query
from archiver.core.policy import PolicySet
from tests.support.retention import DAY, NOW, policy
from tests.support.retention_drawn import tried

WEEK = 7 * DAY


def said(kind: Kind, event: Event, *, day: float = 0, subject: str = "", by: str = "Anna", **detail: object) -> Control:
    return Control(
        at=NOW + day * DAY, kind=kind, subject=subject, event=event, by=by, reason=f"{event} by {by}", detail=detail
    )


def case(event: Event, name: str = "case-1", *, day: float = 0, by: str = "Anna") -> Control:
    detail: dict[str, object] = {"query": {"ids": ["7"]}, "future": True} if event is Event.ADDED else {}
    return said(Kind.HOLD, event, day=day, subject=name, by=by, **detail)


def in_force(digest: str, at: datetime, cooling_off: timedelta = WEEK) -> Control:
    detail = {"digest": digest, "cooling_off": cooling_off.total_seconds()}
    return Control(
        at=at, kind=Kind.POLICIES, subject="acme", event=Event.IN_FORCE, by="run-1", reason="", detail=detail
    )


def log(*entries: tuple[str, float, float]) -> list[Control]:
    """Entries as digest, day, and days of cooling-off."""
    return [in_force(digest, NOW + day * DAY, days * DAY) for digest, day, days in entries]


def binding(entries: list[Control], day: float) -> dict[str, float]:
    """Which sets bind on a day, and until which."""
    return {one.digest: (one.until - NOW) / DAY for one in replaced_in(entries, NOW + day * DAY)}


def test_a_case_is_read_from_its_opening() -> None:
    (read,) = holds_in([said(Kind.PAUSE, Event.PAUSED), case(Event.ADDED, day=1)])
    assert (read.name, read.author, read.reason, read.at) == ("case-1", "Anna", "added by Anna", NOW + DAY)
    assert (read.query, read.future, read.open) == (Query(ids=("7",)), True, True)
    assert read.release_asked_by is None


def test_a_release_takes_two_entries() -> None:
    steps = [case(Event.ADDED), case(Event.RELEASE_ASKED, day=1, by="Bob"), case(Event.RELEASED, day=2, by="Carla")]
    (asked,) = holds_in(steps[:2])
    assert asked.open
    assert (asked.release_asked_by, asked.release_asked_at) == ("Bob", NOW + DAY)
    assert asked.release_reason == "release_asked by Bob"
    (released,) = holds_in(steps)
    assert not released.open
    assert (released.released_by, released.released_at) == ("Carla", NOW + 2 * DAY)
    assert released.author == "Anna"


@pytest.mark.parametrize("by", ["Bob", "bob.", "B O B"])
def test_nobody_releases_what_the_same_person_asked_for(by: str) -> None:
    asked = [case(Event.ADDED), case(Event.RELEASE_ASKED, by="Bob")]
    (held,) = holds_in([*asked, case(Event.RELEASED, by=by)])
    assert (held.open, held.released_by, held.release_asked_by) == (True, None, "Bob")
    (released,) = holds_in([*asked, case(Event.RELEASED, by=by), case(Event.RELEASED, by="Carla")])
    assert (released.open, released.released_by) == (False, "Carla")


def test_nobody_releases_what_nobody_asked_for() -> None:
    for before in ([], [case(Event.RELEASE_ASKED, by="Bob"), case(Event.RELEASE_WITHDRAWN, by="Bob")]):
        (held,) = holds_in([case(Event.ADDED), *before, case(Event.RELEASED, by="Carla")])
        assert held.open


def test_a_withdrawn_release_can_be_asked_for_again() -> None:
    steps = [case(Event.ADDED), case(Event.RELEASE_ASKED, by="Bob"), case(Event.RELEASE_WITHDRAWN, by="Carla")]
    (held,) = holds_in(steps)
    assert held.open
    assert (held.release_asked_by, held.release_asked_at, held.release_reason) == (None, None, None)
    (again,) = holds_in([*steps, case(Event.RELEASE_ASKED, by="Dora")])
    assert again.release_asked_by == "Dora"


def test_cases_stand_in_the_order_of_their_opening_and_do_not_mix() -> None:
    steps = [
        case(Event.ADDED, "b"), case(Event.ADDED, "a"), case(Event.RELEASE_ASKED, "b", by="Bob"),
        case(Event.RELEASED, "b", by="Carla"),
    ]  # fmt: skip
    assert [(one.name, one.open, one.release_asked_by) for one in holds_in(steps)] == [
        ("b", False, "Bob"),
        ("a", True, None),
    ]
    assert holds_in([]) == ()


def test_the_last_word_on_the_pause_counts() -> None:
    paused, resumed = said(Kind.PAUSE, Event.PAUSED), said(Kind.PAUSE, Event.RESUMED, day=1)
    other = case(Event.ADDED, day=2)
    assert pause_in([]) is None
    assert pause_in([other, paused, other]) == paused
    assert pause_in([paused, resumed]) is None
    again = said(Kind.PAUSE, Event.PAUSED, day=3, by="Bob")
    assert pause_in([paused, resumed, again]) == again
    assert pause_in([paused, again]) == again


def plan(event: Event, digest: str = "p1", *, day: float = 0, by: str = "Anna") -> Control:
    detail: dict[str, object] = {}
    if event is Event.WRITTEN:
        detail = {"expires_at": (NOW + WEEK).isoformat(), "counts": {"source": 3}}
    return said(Kind.PLAN, event, day=day, subject=digest, by=by, **detail)


def test_a_plan_is_written_approved_and_used() -> None:
    steps = [plan(Event.WRITTEN), plan(Event.APPROVED, day=1, by="Bob"), plan(Event.USED, day=2, by="run-1")]
    written = plans_in(steps[:1])["p1"]
    assert (written.digest, written.author, written.written_at) == ("p1", "Anna", NOW)
    assert (written.expires_at, written.purpose, written.counts) == (NOW + WEEK, "written by Anna", {"source": 3})
    assert (written.approved_by, written.approved_at, written.used_at) == (None, None, None)
    used = plans_in(steps)["p1"]
    assert (used.approved_by, used.approved_at, used.used_at) == ("Bob", NOW + DAY, NOW + 2 * DAY)


def test_plans_stand_by_digest_in_the_order_of_their_writing_and_do_not_mix() -> None:
    steps = [plan(Event.WRITTEN, "p2"), case(Event.ADDED), plan(Event.WRITTEN, "p1"), plan(Event.APPROVED, "p2")]
    read = plans_in(steps)
    assert list(read) == ["p2", "p1"]
    assert [one.approved_by for one in read.values()] == ["Anna", None]


@pytest.mark.parametrize(
    "entries", [log(), log(("a", 0, 7)), log(("a", 0, 7), ("a", 1, 0)), log(("a", 0, 7), ("a", 0, 7))]
)
def test_where_nothing_was_replaced_nothing_earlier_binds(entries: list[Control]) -> None:
    assert replaced_in(entries, NOW + DAY) == ()


def test_a_replaced_set_binds_until_its_period_is_over_and_not_on_that_moment() -> None:
    entries = log(("a", 0, 7), ("b", 100, 7))
    assert replaced_in(entries, NOW + 100 * DAY) == (Replaced("a", NOW + 107 * DAY),)
    assert binding(entries, 106.999) == {"a": 107}
    assert binding(entries, 107) == {}


def test_of_the_old_and_the_new_period_the_longer_counts() -> None:
    assert binding(log(("a", 0, 7), ("b", 100, 0)), 101) == {"a": 107}
    assert binding(log(("a", 0, 0), ("b", 100, 7)), 101) == {"a": 107}
    assert binding(log(("a", 0, 0), ("b", 100, 0)), 100) == {}
    assert binding(log(("a", 0, 30), ("b", 100, 7)), 129) == {"a": 130}


def test_to_shorten_the_period_just_before_a_change_goes_round_nothing() -> None:
    """The same policies with a shorter period are an entry of their own; the longer one counts until it has run out."""
    shortened = log(("a", 0, 7), ("a", 50, 0), ("b", 50.1, 0))
    assert binding(shortened, 57) == {"a": pytest.approx(57.1)}
    in_small_steps = log(("a", 0, 7), ("a", 50, 3), ("a", 51, 1), ("a", 52, 0), ("b", 53, 0))
    assert binding(in_small_steps, 59) == {"a": 60}
    up_and_down = log(("a", 0, 7), ("a", 50, 0), ("a", 51, 7), ("a", 52, 0), ("b", 58, 0))
    assert binding(up_and_down, 58.5) == {"a": 65}


def test_who_has_waited_for_the_shorter_period_has_it() -> None:
    assert binding(log(("a", 0, 7), ("a", 50, 1), ("b", 57, 1)), 57.5) == {"a": 58}
    assert binding(log(("a", 0, 7), ("a", 50, 1), ("b", 56.9, 1)), 57.5) == {"a": pytest.approx(63.9)}


def test_flapping_back_and_forth_frees_nothing() -> None:
    flapping = log(("a", 0, 7), ("b", 50, 7), ("a", 51, 7), ("b", 52, 7))
    assert binding(flapping, 53) == {"a": 59}
    assert binding([*flapping, *log(("a", 53, 7))], 54) == {"b": 60}
    three = log(("a", 0, 7), ("b", 50, 7), ("c", 51, 7), ("b", 52, 7))
    assert binding(three, 53) == {"a": 57, "c": 59}


def test_a_renamed_policy_is_another_set_and_the_old_one_binds() -> None:
    old, new = (PolicySet(policies=(policy(name, source="30d"),)).digest for name in ("desk", "desks"))
    entries = [in_force(old, NOW), in_force(new, NOW + DAY)]
    assert [one.digest for one in replaced_in(entries, NOW + 2 * DAY)] == [old]


def test_each_account_has_a_log_of_its_own() -> None:
    """The caller asks for one account's entries; what another account does in between changes nothing there."""
    acme = log(("a", 0, 7), ("b", 50, 7))
    zenith = log(("a", 0, 7), ("c", 49, 7), ("d", 50, 7))
    assert binding(acme, 51) == {"a": 57}
    assert binding(zenith, 51) == {"a": 56, "c": 57}


def histories() -> st.SearchStrategy[list[Control]]:
    step = st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 8))

    def written(steps: list[tuple[str, int, int]]) -> list[Control]:
        days = 0
        entries = []
        for digest, later, cooling_off in steps:
            days += later
            entries.append((digest, days, cooling_off))
        return log(*entries)

    return st.lists(step, min_size=1, max_size=8).map(written)


def ever_binding(entries: list[Control]) -> Iterator[tuple[str, datetime]]:
    """Each replaced set, and the moment that it binds to at the least: its own period, counted from its end."""
    for one, following in pairwise(entries):
        if one.detail["digest"] != following.detail["digest"]:
            yield str(one.detail["digest"]), following.at + timedelta(seconds=float(str(one.detail["cooling_off"])))


@tried()
@given(histories(), st.integers(0, 60))
def test_whatever_was_replaced_binds_at_least_for_the_period_it_had(entries: list[Control], day: int) -> None:
    now, present = NOW + day * DAY, entries[-1].detail["digest"]
    bound = {one.digest: one.until for one in replaced_in(entries, now)}
    assert present not in bound
    assert all(until > now for until in bound.values())
    for digest, until in ever_binding(entries):
        if until > now and digest != present:
            assert bound[digest] >= until


@tried()
@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40)), max_size=5), st.integers(0, 40))
def test_no_run_of_shorter_periods_within_the_period_frees_a_set_sooner(
    period: int, steps: list[tuple[int, int]], last: int
) -> None:
    """However many entries come in between, as long as the first of them is younger than the period it ends."""
    now, entries = NOW + 100 * DAY, [in_force("a", NOW, period * DAY)]
    for percent, days in steps:
        entries.append(in_force("a", now, days * DAY))
        now += period * DAY * percent / 100 / (len(steps) + 1)
    entries.append(in_force("b", now, last * DAY))
    (one,) = replaced_in(entries, now)
    assert one.digest == "a"
    assert one.until >= now + period * DAY
