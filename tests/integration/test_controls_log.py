"""The log of decisions about deletion: it only grows, once where once is enough, and in one order with deletions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg.errors import RestrictViolation
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.controls import Controls
from archiver.core.controls import Control, Event, Kind, holds_in, pause_in
from archiver.core.holds import Hold, Query
from archiver.core.match import Dates, Match
from archiver.core.model import Protection, State
from archiver.errors import Conflict
from tests.support.rows import NOW, execute, found, mark, planted, query, snapshot

ONCE = (Event.ADDED, Event.RELEASED, Event.WRITTEN, Event.APPROVED, Event.USED)
CHANGES = (
    "update {table} set at = now()",
    "update {table} set at = at where false",
    "delete from {table}",
    "delete from {table} where false",
    "truncate {table}",
    "truncate {table} cascade",
)
HOUR = timedelta(hours=1)


@pytest.fixture
def controls(engine: AsyncEngine) -> Controls:
    """The log in the test's own database."""
    return Controls(engine)


def decision(kind: Kind = Kind.PAUSE, event: Event = Event.PAUSED, subject: str = "", **changes: object) -> Control:
    """One decision of Anna's."""
    plain = Control(at=NOW, kind=kind, subject=subject, event=event, by="Anna", reason="because", detail={"n": 1})
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["controls", "policy_sets"])
async def test_what_was_decided_can_only_grow(engine: AsyncEngine, controls: Controls, table: str) -> None:
    await controls.record(decision())
    await controls.keep_policies("d" * 64, "policies: []", NOW)
    everything = "select to_json(c)::text from controls c union all select to_json(p)::text from policy_sets p"
    undisturbed = await query(engine, everything)
    for statement in CHANGES:
        with pytest.raises(DBAPIError, match="append-only") as refused:
            await execute(engine, statement.format(table=table))
        assert isinstance(refused.value.orig, RestrictViolation)
    assert await query(engine, everything) == undisturbed
    assert len(undisturbed) == 2


async def test_what_was_written_is_read_in_its_order(controls: Controls) -> None:
    """By kind and subject; whatever the clocks said."""
    case = Hold(
        name="2026-17", reason="a complaint", author="Anna", at=NOW, future=True,
        query=Query(ids=("1", "2"), match=Match(numbers=("+91 22*",), dates=Dates(NOW.date(), None))),
    )  # fmt: skip
    opened = decision(Kind.HOLD, Event.ADDED, case.name, reason=case.reason,
                      detail={"query": case.query.as_json(), "future": True})  # fmt: skip
    asked = decision(Kind.HOLD, Event.RELEASE_ASKED, case.name, at=NOW - HOUR, by="Zoé", reason="अनुमति", detail={})
    other = decision(Kind.HOLD, Event.ADDED, "other", detail={"query": {}, "future": False})
    for one in (opened, decision(), asked, other):
        await controls.record(one)
    assert await controls.log([Kind.HOLD], case.name) == [opened, asked]
    assert await controls.log([Kind.HOLD, Kind.PAUSE]) == [opened, decision(), asked, other]
    assert await controls.log([Kind.PLAN]) == await controls.log([Kind.HOLD], "none") == []
    [first, second] = holds_in(await controls.log([Kind.HOLD]))
    asking = {"release_asked_by": "Zoé", "release_asked_at": NOW - HOUR, "release_reason": "अनुमति"}
    assert first == replace(case, **asking)  # type: ignore[arg-type]
    assert (second.name, second.query.asks_nothing) == ("other", True)


async def test_what_can_be_decided_once_only_is(controls: Controls) -> None:
    """The same of another subject, or of another kind, is another decision."""
    for event in Event:
        one = decision(Kind.PLAN, event, "a")
        await controls.record(one)
        if event in ONCE:
            with pytest.raises(Conflict, match=f"plan a was {event} already"):
                await controls.record(replace(one, by="Berta"))
        else:
            await controls.record(replace(one, by="Berta"))
        await controls.record(replace(one, subject="b"))
        await controls.record(replace(one, kind=Kind.HOLD))
        written = [one for one in await controls.log([Kind.PLAN], "a") if one.event is event]
        assert len(written) == (1 if event in ONCE else 2)


async def test_of_many_who_decide_the_same_at_once_one_does(controls: Controls) -> None:
    tries = [controls.record(decision(Kind.PLAN, Event.APPROVED, "a", by=f"B{number}")) for number in range(6)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 5 + ["NoneType"]


async def test_the_extent_is_another_one_after_each_entry(controls: Controls) -> None:
    seen = [await controls.extent()]
    for event in (Event.PAUSED, Event.RESUMED, Event.PAUSED):
        await controls.record(decision(event=event))
        seen.append(await controls.extent())
    assert len(set(seen)) == 4
    assert seen[0] == (0, 0)
    await controls.record(decision(Kind.PLAN, Event.USED, "a"))
    with pytest.raises(Conflict):  # writes nothing
        await controls.record(decision(Kind.PLAN, Event.USED, "a"))
    assert (await controls.extent())[0] == 4
    assert pause_in(await controls.log([Kind.PAUSE])) is not None


async def test_the_latest_entry_is_of_decisions_and_recordings(
    engine: AsyncEngine, controls: Controls, catalogue: Catalogue
) -> None:
    assert await controls.latest() is None
    await controls.record(decision())
    assert await controls.latest() == NOW
    entry = await planted(engine, "1", State.STORED)
    await catalogue.advance(entry, State.VERIFIED, mark(at=NOW + HOUR), verified_at=NOW)
    assert await controls.latest() == NOW + HOUR


async def test_policies_are_kept_as_they_were_first_seen(controls: Controls) -> None:
    assert await controls.policies_text("d") is None
    for text in ("policies: []  # first", "policies: []  # later"):
        await controls.keep_policies("d", text, NOW)
    assert await controls.policies_text("d") == "policies: []  # first"


@pytest.mark.parametrize("after", [State.PURGING, State.EXPIRING, State.QUARANTINED])
async def test_a_mark_under_decisions_that_are_no_longer_the_last_is_refused(
    engine: AsyncEngine, controls: Controls, catalogue: Catalogue, after: State
) -> None:
    entry = await planted(engine, "1", State.VERIFIED)
    before = await controls.extent()
    await controls.record(decision())
    undisturbed = await snapshot(engine)
    with pytest.raises(Conflict, match="something about deletion was decided"):
        await catalogue.advance(entry, after, replace(mark(), decided=before))
    assert await snapshot(engine) == undisturbed
    await catalogue.advance(entry, after, replace(mark(), decided=await controls.extent()))
    assert (await found(engine, "1")).state is after


async def test_a_decision_waits_for_a_mark_that_is_being_made_and_sees_it(
    engine: AsyncEngine, controls: Controls, catalogue: Catalogue
) -> None:
    """Whoever opens a case, or pauses, can tell afterwards which deletions had begun before."""
    entry = await planted(engine, "1", State.VERIFIED)
    before = await controls.extent()
    async with engine.begin() as slow:
        await slow.exec_driver_sql("select from recordings for update")
        marking = asyncio.create_task(catalogue.advance(entry, State.PURGING, replace(mark(), decided=before)))
        while not await query(engine, "select 1 from pg_locks where not granted and locktype = 'transactionid'"):
            assert not marking.done()
        deciding = asyncio.create_task(controls.record(decision()))
        while not await query(engine, "select 1 from pg_locks where not granted and locktype = 'advisory'"):
            assert not deciding.done()
    await asyncio.gather(marking, deciding)
    assert (await found(engine, "1")).state is State.PURGING


async def test_what_holds_a_copy_comes_back_as_it_was_written(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """Whose the hold in the bucket is, is kept until the hold is over."""
    ours, known = Protection(on_hold=True, hold_set=True), Protection(on_hold=True)
    entry = await planted(engine, "1", State.VERIFIED)
    for written, expected in ((known, known), (ours, ours), (known, ours), (Protection(), Protection())):
        await catalogue.note(entry, mark(), protection=written)
        assert (await found(engine, "1")).protection == expected
