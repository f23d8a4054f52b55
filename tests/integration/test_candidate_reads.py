"""Rows as retention reads them: the same as the whole row says, in batches, in order, found by an index."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.candidate_reads import BATCH, CandidateReads
from archiver.adapters.catalogue import Catalogue
from archiver.core.candidates import candidate
from archiver.core.decision import Candidate
from archiver.core.model import Lock, LockMode, Recording, State
from tests.support.rows import HELD, LONG_AGO, NOW, START, execute, found, listed, open_account, plant, recording

TEXTS = st.none() | st.sampled_from(["", "+91 22 5550100", "MEHTA & SONS", "a,b\"{}\\'", "नमस्ते"])
LISTS = st.lists(st.sampled_from(["0417", "", "NULL", "a,b", '"']), max_size=3).map(tuple)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(lambda at: at.replace(tzinfo=NOW.tzinfo))
PERHAPS = st.none() | MOMENTS
NUMBERS = st.none() | st.integers(0, 366 * 24 * 3600 * 1000)


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Recording, dict[str, object]]:
    """What a source may list, and where the work on it may stand."""
    start = draw(MOMENTS).replace(microsecond=0)
    end = draw(st.none() | st.timedeltas(timedelta(0), timedelta(days=366)).map(lambda after: start + after))
    item = recording(
        "1", start=start, end=end, duration_ms=draw(NUMBERS), direction=draw(TEXTS), caller_id=draw(TEXTS),
        dnis=draw(TEXTS), cnam=draw(TEXTS), extensions=draw(LISTS), rule_ids=draw(LISTS), raw={},
    )  # fmt: skip
    state = draw(st.sampled_from(State))
    lock = draw(st.none() | st.builds(Lock, st.sampled_from(LockMode), MOMENTS))
    gone = state in (State.PURGED, State.EXPIRED)
    columns: dict[str, object] = {
        "state": state.value,
        "claimed_by": "run-1" if state in HELD else None,
        "verified_at": draw(MOMENTS),
        "purged_at": draw(MOMENTS if gone else PERHAPS),
        "absent_since": draw(PERHAPS),
        "expired_at": draw(MOMENTS if state is State.EXPIRED else PERHAPS),
        "size_disagrees": state is not State.PURGING and draw(st.booleans()),
        "on_hold": state not in (State.PURGING, State.EXPIRING) and draw(st.booleans()),
        "lock_mode": None if lock is None else lock.mode.value,
        "lock_until": None if lock is None else lock.until,
    }
    return item, columns


TYPES = {"state": "recording_state", "size_disagrees": "bool", "on_hold": "bool"}
TYPES |= dict.fromkeys(("claimed_by", "lock_mode"), "text")
PUT = "update recordings set key = 'k', sha256 = repeat('ab', 32), size = 100, stored_at = now(), " + ", ".join(
    f"{name} = cast(:{name} as {TYPES.get(name, 'timestamptz')})"
    for name in (
        "state", "claimed_by", "verified_at", "purged_at", "absent_since", "expired_at", "size_disagrees", "on_hold",
        "lock_mode", "lock_until",
    )
)  # fmt: skip
FORGET = "alter table history disable trigger all; delete from history; alter table history enable trigger all"


async def walked(engine: AsyncEngine, *states: State, before: datetime | None = None) -> list[Candidate]:
    """Everything in some states."""
    reads = CandidateReads(engine)
    return [one async for one in reads.candidates("acme", states or tuple(State), started_before=before)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=drawn())
async def test_a_candidate_is_what_the_whole_row_says(
    engine: AsyncEngine, catalogue: Catalogue, row: tuple[Recording, dict[str, object]]
) -> None:
    item, columns = row
    for statement in (*FORGET.split("; "), "delete from recordings"):
        await execute(engine, statement)
    await listed(catalogue, item)
    await execute(engine, PUT, **columns)
    entry = await found(engine, "1")
    assert entry.recording == item
    assert await walked(engine) == [candidate(entry)]


async def test_a_row_without_a_copy_is_told_as_well(engine: AsyncEngine, catalogue: Catalogue) -> None:
    bare = recording("1", end=None, duration_ms=None, size=None, direction=None, caller_id=None, dnis=None, cnam=None,
                     extensions=(), rule_ids=())  # fmt: skip
    await listed(catalogue, bare, at=NOW)
    [one] = await walked(engine)
    assert one == candidate(await found(engine, "1"))
    assert (one.sha256, one.size, one.verified_at, one.ended_at) == (None, None, None, NOW)


MANY = """
insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, key, sha256,
    size, stored_at, verified_at, next_attempt_at)
select 'acme', number::text, 'verified', cast(:first as timestamptz) + (number * 7919 % 50) * interval '1 minute',
    '{}', '{}', '{}', :now, 'k', repeat('ab', 32), 1, :now, :now, :now
from generate_series(1, :many) as number
"""


async def test_a_walk_of_many_batches_meets_each_once_and_in_order(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """Many calls begin in the same minute, so batches end among equal starts; each state is a walk by itself."""
    await open_account(catalogue)
    await execute(engine, MANY, first=START, now=NOW, many=2 * BATCH + 7)
    for name, state in (("stored", State.STORED), ("stored too", State.STORED), ("purged", State.PURGED)):
        await plant(engine, name, state)
    met = await walked(engine, State.VERIFIED, State.STORED)
    assert [one.recording_id for one in met[:2]] == ["stored", "stored too"]
    places = [(one.start, one.recording_id) for one in met[2:]]
    assert places == sorted(places)
    assert len(set(places)) == len(places) == 2 * BATCH + 7


async def test_a_walk_of_exactly_one_batch_ends(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await open_account(catalogue)
    await execute(engine, MANY, first=START, now=NOW, many=BATCH)
    assert len(await walked(engine, State.VERIFIED)) == BATCH


async def test_a_walk_keeps_to_its_account_states_and_time(engine: AsyncEngine) -> None:
    for state in State:
        await plant(engine, str(state), state)
        await plant(engine, str(state), state, account="other")
    for wanted in ([State.VERIFIED], [State.PURGED, State.STORED]):
        met = await walked(engine, *wanted)
        assert [(one.account, one.state) for one in met] == [("acme", state) for state in sorted(wanted)]
    assert [one async for one in CandidateReads(engine).candidates("acme", [])] == []
    for moment, count in ((START, 1), (START - timedelta(seconds=1), 0), (None, 1)):
        assert len(await walked(engine, State.VERIFIED, before=moment)) == count


async def test_what_the_source_has_no_more_is_told_however_that_is_known(engine: AsyncEngine) -> None:
    for state in State:
        await plant(engine, str(state), state)
    gone = {one.recording_id for one in await walked(engine) if not one.at_source}
    assert gone == {"purged", "expiring", "expired"}
    await execute(engine, "update recordings set purged_at = null where state = 'expiring'")
    await execute(engine, "update recordings set absent_since = listed_at where state = 'verified'")
    await execute(engine, "update recordings set purged_at = listed_at where state = 'quarantined'")
    gone = {one.recording_id for one in await walked(engine) if not one.at_source}
    assert gone == {"purged", "expiring", "expired", "verified", "quarantined"}
    for one in await walked(engine):
        assert one == candidate(await found(engine, one.recording_id))


async def test_a_walk_may_move_what_it_meets(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await open_account(catalogue)
    await execute(engine, MANY, first=LONG_AGO, now=NOW, many=30)
    met = 0
    async for one in CandidateReads(engine).candidates("acme", [State.VERIFIED]):
        await execute(engine, "update recordings set state = 'stored' where recording_id = :id", id=one.recording_id)
        met += 1
    assert met == 30
