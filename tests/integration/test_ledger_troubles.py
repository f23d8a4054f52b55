"""Gaps of recordings: opened, changed and closed by where the recording stands, and by nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg.errors import RestrictViolation
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.ledger import Ledger
from archiver.core.coverage import judge_day
from archiver.core.model import Learnt, State, whole_day
from tests.support.rows import (
    GONE,
    HELD,
    NOW,
    START,
    execute,
    listed,
    mark,
    open_account,
    plant,
    proof,
    query,
    recording,
)

HOUR, WHOLE = timedelta(hours=1), whole_day(START.date())
BUSY = (State.DISCOVERED, State.TRANSFERRING, State.STORED)
KINDS = {State.FAILED: "failed", State.QUARANTINED: "quarantined"}


async def settle(ledger: Ledger, hours: int = 0) -> None:
    """Bring the gaps up to date, by the run of that hour."""
    await ledger.settle_gaps("acme", mark("where it stands", run=f"run-{hours}", at=NOW + HOUR * hours))


async def stands(engine: AsyncEngine, state: State, problem: str | None = None, *, absent: bool = False) -> None:
    """Put the recording somewhere else, past the lifecycle."""
    held = "run-1" if state in HELD else None
    values = {"state": str(state), "problem": problem, "absent": NOW if absent else None, "held": held}
    values["purged"] = NOW if state in GONE else None
    values["expired"] = NOW if state is State.EXPIRED else None
    changes = "state = cast(:state as recording_state), problem = :problem, absent_since = :absent, claimed_by = :held"
    changes += ", purged_at = cast(:purged as timestamptz), expired_at = cast(:expired as timestamptz)"
    await execute(engine, f"update recordings set {changes}", **values)


async def unclosed(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """What stands on the gap list."""
    return await query(engine, "select kind, recording_id, reason from gaps where closed_at is null order by id")


async def life(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """Every turn of every gap."""
    return await query(engine, "select event, reason, by from gap_events order by id")


@pytest.mark.parametrize("absent", [False, True], ids=["there", "absent"])
@pytest.mark.parametrize("problem", [None, "503"])
@pytest.mark.parametrize("state", State)
async def test_what_should_be_archived_and_is_in_trouble_has_a_gap(
    engine: AsyncEngine, ledger: Ledger, state: State, problem: str | None, *, absent: bool
) -> None:
    await plant(engine, "1", state)
    await stands(engine, state, problem, absent=absent)
    await settle(ledger)
    kind = KINDS.get(state, "retrying" if state is State.DISCOVERED and problem else None)
    reason = problem or "no reason on record"
    if absent and state in {State.DISCOVERED, State.FAILED}:
        kind, reason = "vanished", f"the source listed it and has it no longer; {problem or 'not tried yet'}"
    assert await unclosed(engine) == ([] if kind is None else [(kind, "1", reason)])
    assert await life(engine) == ([] if kind is None else [("opened", reason, "run-0")])


async def test_a_gap_stands_at_the_start_of_its_call_and_is_opened_once(engine: AsyncEngine, ledger: Ledger) -> None:
    await plant(engine, "1", State.FAILED)
    for hours in (0, 0, 1):
        await settle(ledger, hours)
    columns = "since, until, opened_at, seen_at, seen_run"
    assert await query(engine, f"select {columns} from gaps") == [(START, START, NOW, NOW + HOUR, "run-1")]
    assert len(await life(engine)) == 1


async def test_the_whole_life_of_a_recordings_gap_is_kept(engine: AsyncEngine, ledger: Ledger) -> None:
    await plant(engine, "1", State.DISCOVERED)
    turns = [
        (State.DISCOVERED, "503", False), (State.DISCOVERED, "504", False), (State.FAILED, "504", False),
        (State.TRANSFERRING, "504", False), (State.FAILED, "504", True), (State.STORED, None, False),
        (State.QUARANTINED, "bytes differ", False), (State.VERIFIED, None, False), (State.QUARANTINED, "rot", False),
    ]  # fmt: skip
    kinds = []
    for hours, (state, problem, absent) in enumerate(turns):
        await stands(engine, state, problem, absent=absent)
        await settle(ledger, hours)
        kinds.append([kind for kind, _, _ in await unclosed(engine)])
    assert kinds == [
        ["retrying"], ["retrying"], ["failed"], ["failed"], ["vanished"], ["vanished"], ["quarantined"], [],
        ["quarantined"],
    ]  # fmt: skip
    assert await life(engine) == [
        ("opened", "503", "run-0"),
        ("changed", "504", "run-1"),
        ("changed", "504", "run-2"),
        ("changed", "the source listed it and has it no longer; 504", "run-4"),
        ("changed", "bytes differ", "run-6"),
        ("closed", "the recording is verified", "run-7"),
        ("opened", "rot", "run-8"),
    ]


@pytest.mark.parametrize("state", [state for state in State if state not in KINDS])
async def test_a_gap_closes_when_the_recording_is_out_of_trouble_not_while_it_is_worked_on(
    engine: AsyncEngine, ledger: Ledger, state: State
) -> None:
    await plant(engine, "1", State.FAILED)
    await settle(ledger)
    await stands(engine, state)
    await settle(ledger, 1)
    assert len(await unclosed(engine)) == (1 if state in BUSY else 0)
    closed = [] if state in BUSY else [("closed", f"the recording is {state}", "run-1")]
    assert await life(engine) == [("opened", "no reason on record", "run-0"), *closed]


async def test_an_explanation_outlives_a_change_of_kind_and_not_the_gap(engine: AsyncEngine, ledger: Ledger) -> None:
    await plant(engine, "1", State.FAILED)
    await settle(ledger)
    explained = "explanation = 'lost', explained_by = 'ann', explained_at = now()"
    await execute(engine, f"update gaps set {explained}")
    await stands(engine, State.DISCOVERED, "410", absent=True)
    await settle(ledger, 1)
    assert await query(engine, "select kind, explanation from gaps") == [("vanished", "lost")]
    await stands(engine, State.VERIFIED)
    await settle(ledger, 2)
    await stands(engine, State.QUARANTINED, "rot")
    await settle(ledger, 3)
    assert await query(engine, "select explanation from gaps where closed_at is null") == [(None,)]


async def test_neither_gaps_of_the_listing_nor_of_another_account_are_touched(
    engine: AsyncEngine, ledger: Ledger
) -> None:
    await plant(engine, "1", State.FAILED, account="other")
    await open_account(ledger)
    await ledger.settle_gaps("other", mark())
    await execute(engine, "update recordings set state = 'verified'")
    await execute(
        engine,
        "insert into gaps (account, kind, fingerprint, reason, since, until, opened_at, seen_at) values"
        " ('acme', 'unlisted', 'recording 1', '', now(), now(), now(), now())",
    )
    await settle(ledger, 1)
    assert [kind for kind, _, _ in await unclosed(engine)] == ["failed", "unlisted"]


async def test_reading_a_slice_closes_no_gap_of_a_recording(engine: AsyncEngine, ledger: Ledger) -> None:
    await plant(engine, "1", State.FAILED)
    await settle(ledger)
    await ledger.conclude("acme", WHOLE, proof(run="run-9"), Learnt())
    assert len(await unclosed(engine)) == 1


async def test_opening_and_closing_has_the_day_of_the_call_judged_anew(engine: AsyncEngine, ledger: Ledger) -> None:
    await plant(engine, "1", State.FAILED)
    await ledger.accept_slice("acme", WHOLE, proof(), Learnt())
    for hours, state in enumerate((State.FAILED, State.VERIFIED)):
        await stands(engine, state)
        await execute(engine, "update days set stale = false")
        await settle(ledger, hours)
        assert await query(engine, "select day from days where stale") == [(START.date(),)]
    await execute(engine, "update days set stale = false")
    await settle(ledger, 3)
    assert await query(engine, "select day from days where stale") == []


@pytest.mark.parametrize("table", ["gap_events", "ledger"])
@pytest.mark.parametrize(
    "statement",
    [
        "update {table} set reason = 'nothing happened'",
        "update {table} set reason = reason where false",
        "delete from {table}",
        "delete from {table} where id < 0",
        "truncate {table}",
        "truncate accounts cascade",
    ],
)
async def test_what_was_known_can_only_grow(engine: AsyncEngine, ledger: Ledger, table: str, statement: str) -> None:
    await plant(engine, "1", State.FAILED)
    await listed(ledger, recording("2"))
    await settle(ledger)
    await ledger.look_through("acme")
    await ledger.write_days([judge_day(one) for one in await ledger.stale_days("acme", limit=9)], mark())
    everything = f"select to_json(t)::text from {table} t order by id"
    undisturbed = await query(engine, everything)
    assert undisturbed
    with pytest.raises(DBAPIError, match="append-only") as refused:
        await execute(engine, statement.format(table=table))
    assert isinstance(refused.value.orig, RestrictViolation)
    assert await query(engine, everything) == undisturbed
