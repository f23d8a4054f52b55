"""Which days come up for a new line, what a line holds, when one is written, and which days are to be asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.day_rows import KEPT_PROOF, MOST_DUE
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import DayFacts, Doubt, judge_day
from archiver.core.gaps import GapKind
from archiver.core.model import Learnt, Mark, Slice, State, midnight, whole_day
from archiver.core.recount import DueDay
from archiver.core.report import PassReport
from archiver.stages.context import Context
from archiver.stages.ledger import KeepLedger
from tests.support.rows import NOW, START, execute, found, listed, mark, open_account, plant, proof, query, recording

SECOND, HOUR, ONE_DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
DAY, WHOLE = START.date(), whole_day(START.date())


@pytest.fixture
async def opened(ledger: Ledger) -> Ledger:
    """The ledger, with an account."""
    await open_account(ledger)
    return ledger


async def stale(ledger: Ledger, limit: int = 100) -> dict[date, DayFacts]:
    """Days that come up."""
    await ledger.look_through("acme")
    return {one.day: one for one in await ledger.stale_days("acme", limit=limit)}


async def write(ledger: Ledger, said: Mark | None = None) -> list[date]:
    """Write a line about all that comes up; returns which days that were."""
    facts = await stale(ledger)
    await ledger.write_days([judge_day(one) for one in facts.values()], said or mark())
    return list(facts)


async def lines(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """The ledger, line by line."""
    return await query(engine, "select day, state, reason, run_id from ledger order by id")


async def test_a_day_that_changed_comes_up_until_its_line_is_written(engine: AsyncEngine, opened: Ledger) -> None:
    await opened.accept_slice("acme", Slice(WHOLE.since - ONE_DAY, WHOLE.until), proof(), Learnt())
    assert list(await stale(opened)) == list(await stale(opened)) == [DAY - ONE_DAY, DAY]
    assert await write(opened) == [DAY - ONE_DAY, DAY]
    assert await write(opened) == []
    assert await lines(engine) == [(DAY - ONE_DAY, "proved", "", "run-1"), (DAY, "proved", "", "run-1")]


async def test_a_line_holds_what_was_known(engine: AsyncEngine, opened: Ledger) -> None:
    for state in State:
        await plant(engine, str(state), state)
    await execute(engine, "update recordings set purged_at = null where state <> 'purged'")
    gap = Slice(START, START)
    await opened.record_gap("acme", GapKind.UNLISTED, gap, mark(), fingerprint="u", claimed=2)
    await opened.settle_gaps("acme", mark())
    await execute(
        engine,
        "update gaps set explanation = 'lost', explained_by = 'ann', explained_at = now() where kind = 'failed'",
    )
    await opened.conclude("acme", WHOLE, proof(Doubt(WHOLE, "2 short")), Learnt())
    await write(opened, mark(run="run-7", at=NOW + HOUR))
    columns = "at, run_id, state, reason, missing, checked_at, proved_at, settled_at"
    assert await query(engine, f"select {columns} from ledger") == [
        (
            NOW + HOUR, "run-7", "gap", "1 failed, 1 quarantined, 2 unlisted",
            {"failed": 1, "quarantined": 1, "unlisted": 2}, NOW, None, None,
        )
    ]  # fmt: skip
    [(counts,)] = await query(engine, "select counts from ledger")
    assert counts == {
        "said": 10, "known": 11, "verified": 5, "deleted": 1, "excluded": 1, "waiting": 3,
        "open_gaps": 2, "explained_gaps": 1,
    }  # fmt: skip


async def test_a_recording_waits_unless_it_is_in_trouble_or_done(engine: AsyncEngine, opened: Ledger) -> None:
    await listed(opened, recording("plain"), recording("absent"), recording("tried"))
    await opened.mark_absent("acme", ["absent"], mark())
    await execute(engine, "update recordings set problem = '503' where recording_id = 'tried'")
    assert (await stale(opened))[DAY].waiting == 1
    await opened.settle_gaps("acme", mark())
    facts = (await stale(opened))[DAY]
    assert (facts.known, facts.waiting, facts.missing) == (3, 1, {"retrying": 1, "vanished": 1})


async def test_a_gap_over_days_is_on_each_of_them_and_missing_on_its_first(opened: Ledger) -> None:
    over = Slice(WHOLE.until, WHOLE.until + SECOND)
    await opened.accept_slice("acme", Slice(WHOLE.since - ONE_DAY, WHOLE.until + ONE_DAY), proof(), Learnt())
    await opened.record_gap("acme", GapKind.UNLISTED, over, mark(), fingerprint="u", claimed=3)
    facts = await stale(opened)
    assert [(one.open_gaps, one.missing) for one in facts.values()] == [(0, {}), (1, {"unlisted": 3}), (1, {})]


async def test_a_recording_that_any_stage_moves_has_its_day_judged_anew(
    engine: AsyncEngine, catalogue: Catalogue, opened: Ledger
) -> None:
    """A day comes up although nobody asked the source about it, and by the recording's day, not by the present one."""
    start = START - 40 * ONE_DAY
    await listed(opened, recording("1", start=start), recording("2"))
    assert await write(opened) == [start.date(), DAY]
    [entry, _] = await catalogue.claim("acme", mark(), limit=2)
    assert await write(opened) == [start.date(), DAY]
    copy = {"key": "k", "sha256": "ab" * 32, "size": 1, "stored_at": NOW}
    await catalogue.advance(entry, State.STORED, mark(), **copy)
    assert await write(opened) == [start.date()]
    await catalogue.advance(await found(engine, "1"), State.VERIFIED, mark(), verified_at=NOW)
    assert await write(opened) == [start.date()]
    await catalogue.note(await found(engine, "1"), mark("compared again"))
    assert await write(opened) == [start.date()]
    await opened.mark_absent("acme", ["1"], mark())
    assert await write(opened) == [start.date()]
    assert await write(opened) == []


async def test_the_history_is_looked_through_once_and_by_each_account_for_itself(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await listed(opened, recording("1"))
    await listed(opened, recording("1", account="other"), account="other")
    assert list(await stale(opened)) == [DAY]
    [(last,)] = await query(engine, "select max(id) from history")
    assert await query(engine, "select account, ledger_position from accounts order by 1") == [
        ("acme", last), ("other", 0),
    ]  # fmt: skip
    await execute(engine, "update days set stale = false")
    assert await stale(opened) == {}
    await opened.look_through("other")
    assert [one.day for one in await opened.stale_days("other", limit=5)] == [DAY]


NOTE = """
insert into history (at, account, recording_id, after, reason, run_id)
values (now(), 'acme', :id, 'discovered', 'by hand', 'run-2')
"""


async def test_a_change_that_comes_to_light_after_a_later_one_has_its_line_too(
    engine: AsyncEngine, opened: Ledger
) -> None:
    """Numbers of the history are taken before the rows can be seen: another process may still hold a lower one."""
    early = START - 3 * ONE_DAY
    await listed(opened, recording("1", start=early), recording("2"))
    assert await write(opened) == [early.date(), DAY]
    async with engine.connect() as slow:
        await slow.execute(text(NOTE), {"id": "1"})  # has its number, and is not committed
        await execute(engine, NOTE, id="2")
        assert await write(opened) == [DAY]
        await slow.commit()
    assert await write(opened) == [early.date(), DAY]  # the same stretch again: what is known writes no line
    assert await write(opened) == []
    assert [day for day, *_ in await lines(engine)] == [early.date(), DAY]


async def test_a_line_is_written_when_it_says_something_new(engine: AsyncEngine, opened: Ledger) -> None:
    await opened.conclude("acme", WHOLE, proof(Doubt(WHOLE, "1 of 2")), Learnt())
    await write(opened)
    for minutes in (15, 30):
        again = proof(Doubt(WHOLE, "1 of 2"), at=NOW + timedelta(minutes=minutes))
        await opened.conclude("acme", WHOLE, again, Learnt())
        assert await write(opened) == [DAY]
    assert len(await lines(engine)) == 1
    await opened.conclude("acme", WHOLE, proof(Doubt(WHOLE, "1 of 3")), Learnt())
    await write(opened)
    await listed(opened, recording("1"))
    await write(opened)
    assert [(state, reason) for _, state, reason, _ in await lines(engine)] == [
        ("unproven", "1 of 2"), ("unproven", "1 of 3"), ("unproven", "1 of 3"),
    ]  # fmt: skip


async def test_a_proof_that_changes_nothing_is_written_when_it_is_a_day_younger(
    engine: AsyncEngine, opened: Ledger
) -> None:
    for later in (timedelta(0), KEPT_PROOF - SECOND, KEPT_PROOF, KEPT_PROOF + HOUR, 2 * KEPT_PROOF):
        told = replace(proof(at=NOW + later), settled_before=None)
        await opened.conclude("acme", WHOLE, told, Learnt())
        assert await write(opened) == [DAY]
    assert await query(engine, "select proved_at from ledger order by id") == [
        (NOW,), (NOW + KEPT_PROOF,), (NOW + 2 * KEPT_PROOF,),
    ]  # fmt: skip


async def test_that_a_day_is_settled_is_something_new(engine: AsyncEngine, opened: Ledger) -> None:
    for settled_before in (None, DAY + ONE_DAY, DAY + ONE_DAY):
        await opened.conclude("acme", WHOLE, replace(proof(), settled_before=settled_before), Learnt())
        await write(opened)
    assert await query(engine, "select settled_at from ledger order by id") == [(None,), (NOW,)]


async def test_a_day_that_changes_while_its_line_is_written_comes_up_again(engine: AsyncEngine, opened: Ledger) -> None:
    """Another process, or a person who explains a gap, may write between the reading and the line."""
    await opened.conclude("acme", Slice(WHOLE.since - ONE_DAY, WHOLE.until), proof(), Learnt())
    facts = await stale(opened)
    await opened.record_gap("acme", GapKind.UNLISTED, Slice(START, START), mark("late"), fingerprint="u", claimed=1)
    await opened.write_days([judge_day(one) for one in facts.values()], mark())
    assert list(await stale(opened)) == [DAY]
    assert await write(opened) == [DAY]
    assert [(day, state) for day, state, _, _ in await lines(engine)] == [
        (DAY - ONE_DAY, "proved"), (DAY, "proved"), (DAY, "gap"),
    ]  # fmt: skip


async def test_a_thousand_days_come_in_batches_and_end(engine: AsyncEngine, opened: Ledger) -> None:
    first = DAY - 1000 * ONE_DAY
    await opened.accept_slice("acme", Slice(midnight(first), WHOLE.until), proof(), Learnt())
    batch = await stale(opened, limit=200)
    assert list(batch) == [first + ONE_DAY * number for number in range(200)]
    context = Context(account="acme", run="run-1", clock=lambda: NOW, report=PassReport("acme"), stopping=lambda: False)
    await KeepLedger(context, opened).run()
    assert await query(engine, "select count(*), count(distinct day) from ledger") == [(1001, 1001)]
    assert await stale(opened) == {}


async def day(
    engine: AsyncEngine,
    day: date,
    *,
    checked: datetime | None = NOW,
    settled: bool = True,
    doubt: str | None = None,
    account: str = "acme",
) -> None:
    """Put a day there, past the ledger."""
    values = {"account": account, "day": day, "at": checked, "settled": NOW if settled else None, "doubt": doubt}
    columns = "account, day, checked_at, proved_at, settled_at, doubt"
    await execute(engine, f"insert into days ({columns}) values (:account, :day, :at, :at, :settled, :doubt)", **values)


async def due(ledger: Ledger, before: date = DAY) -> list[DueDay]:
    """Days that are due: proved ones after ten days, troubled ones after one."""
    times = {"proved_before": NOW - 10 * ONE_DAY, "troubled_before": NOW - ONE_DAY}
    return await ledger.due_days("acme", first=date(2020, 1, 1), before=before, **times)


DUE = [
    ({}, None),
    ({"settled": False}, True),
    ({"checked": None}, False),
    ({"checked": None, "settled": False}, True),
    ({"checked": NOW - 10 * ONE_DAY + SECOND}, None),
    ({"checked": NOW - 10 * ONE_DAY}, False),
    ({"checked": NOW - ONE_DAY, "doubt": "2 of 3"}, True),
    ({"checked": NOW - ONE_DAY + SECOND, "doubt": "2 of 3"}, None),
    ({"account": "other", "settled": False}, None),
]


@pytest.mark.parametrize(("facts", "list_it"), DUE, ids=lambda one: str(one)[:40])
async def test_days_are_due_that_were_never_settled_or_not_asked_about_for_long(
    engine: AsyncEngine, opened: Ledger, facts: dict[str, object], list_it: object
) -> None:
    await open_account(opened, "other")
    target = DAY - 5 * ONE_DAY
    await listed(opened, recording("1", start=midnight(target)), recording("2", start=midnight(target) - SECOND))
    await day(engine, target, **facts)  # type: ignore[arg-type]
    await day(engine, DAY, settled=False)  # within the lookback
    checked = facts.get("checked", NOW)
    fresh = list_it is not None and not facts.get("settled", True) and checked is not None
    found = await due(opened)
    assert [(one.day, one.expected, one.checked_at, one.list_it, one.fresh) for one in found] == (
        [] if list_it is None else [(target, 1, checked, list_it, fresh)]
    )


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize(
    ("kind", "list_it"),
    [("unlisted", True), ("malformed", True), ("shrunken", False), ("failed", None), ("vanished", None)],
)
async def test_days_with_an_unclosed_gap_of_the_listing_are_due_daily(
    engine: AsyncEngine, opened: Ledger, kind: str, list_it: object, *, explained: bool
) -> None:
    """A count cannot tell that a claimed item is listed at last: the total may be what it was.

    Where a person has given the reason the day has time until its turn comes, and is listed then.
    """
    target = DAY - 5 * ONE_DAY
    for number in (-1, 0, 1):
        await day(engine, target + number * ONE_DAY, checked=NOW - ONE_DAY)
    name = "1" if kind in {"failed", "vanished"} else None
    values = {"kind": kind, "name": name, "at": midnight(target), "why": "lost" if explained else None}
    columns = "account, kind, fingerprint, recording_id, reason, since, until, claimed, opened_at, seen_at"
    await execute(
        engine,
        f"insert into gaps ({columns}, explanation, explained_by, explained_at)"
        " values ('acme', :kind, 'x', :name, '', :at, :at, 2, :at, :at, cast(:why as text), :why, "
        " case when cast(:why as text) is not null then now() end)",
        **values,
    )
    due_then = await due(opened)
    counted = 0 if kind == "shrunken" else 2  # what a listing lacks is known, and is not claimed
    claimed = DueDay(day=target, expected=counted, checked_at=NOW - ONE_DAY, list_it=bool(list_it))
    assert due_then == ([] if list_it is None or explained else [claimed])
    await execute(engine, "update days set checked_at = checked_at - interval '9 days'")
    later = [one.list_it for one in await due(opened) if one.day == target]
    assert later == [bool(list_it)]
    await execute(engine, "update days set checked_at = checked_at + interval '9 days'")
    await execute(engine, "update gaps set closed_at = now()")
    assert await due(opened) == []


async def test_what_is_due_comes_in_order_the_longest_forgotten_of_many(engine: AsyncEngine, opened: Ledger) -> None:
    first = DAY - (MOST_DUE + 9) * ONE_DAY
    await execute(
        engine,
        "insert into days (account, day, checked_at, proved_at)"
        " select 'acme', cast(:first as date) + number, cast(:at as timestamptz) - number * interval '1 hour', :at"
        " from generate_series(0, :most + 8) as number",
        first=first, at=NOW, most=MOST_DUE,
    )  # fmt: skip
    chosen = [one.day for one in await due(opened)]
    assert chosen == [first + ONE_DAY * number for number in range(9, MOST_DUE + 9)]
