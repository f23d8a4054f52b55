"""What the catalogue answers: to the stages in batches, to people by what they look for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import BATCH, Reads, Search
from archiver.adapters.ledger import Ledger
from archiver.adapters.run_log import begin_run, end_run
from archiver.core.gaps import GapKind
from archiver.core.model import Slice, State
from tests.support.rows import (
    LONG_AGO,
    NOW,
    START,
    execute,
    found,
    listed,
    mark,
    open_account,
    plant,
    recording,
)

MINUTE = timedelta(minutes=1)


async def test_a_walk_in_batches_meets_every_recording_once_in_order(catalogue: Catalogue, reads: Reads) -> None:
    count = 2 * BATCH + 7
    items = [recording(f"{number:04}", start=START + MINUTE * (number * 7919 % 50)) for number in range(count)]
    for first in range(0, count, 100):
        await listed(catalogue, *items[first : first + 100])
    walked = [entry.recording async for entry in reads.entries("acme", [State.DISCOVERED])]
    assert walked == sorted(items, key=lambda item: (item.start, item.id))


async def test_a_walk_of_exactly_one_batch_ends(catalogue: Catalogue, reads: Reads) -> None:
    await listed(catalogue, *(recording(str(number)) for number in range(BATCH)))
    assert len([entry async for entry in reads.entries("acme", [State.DISCOVERED])]) == BATCH


async def test_a_walk_may_move_what_it_meets(engine: AsyncEngine, catalogue: Catalogue, reads: Reads) -> None:
    """The stages change the very rows that they walk over."""
    await listed(catalogue, *(recording(f"{number:04}") for number in range(BATCH + 50)))
    await execute(
        engine,
        "update recordings set state = 'stored', key = 'k', sha256 = repeat('a', 64), size = 1, stored_at = now()",
    )
    met = 0
    async for entry in reads.entries("acme", [State.STORED]):
        await catalogue.advance(entry, State.VERIFIED, mark(), verified_at=NOW)
        met += 1
    assert met == BATCH + 50
    assert [entry async for entry in reads.entries("acme", [State.STORED])] == []


async def test_a_walk_keeps_to_its_account_states_and_time(engine: AsyncEngine, reads: Reads) -> None:
    for state in State:
        await plant(engine, str(state), state)
        await plant(engine, str(state), state, account="other")
    for wanted in ([State.VERIFIED], [State.PURGED, State.STORED], []):
        entries = [entry async for entry in reads.entries("acme", wanted)]
        assert {(entry.recording.account, entry.state) for entry in entries} == {("acme", state) for state in wanted}
        assert len(entries) == len(wanted)
    for moment, count in ((START, 1), (START - timedelta(seconds=1), 0)):
        met = [entry async for entry in reads.entries("acme", [State.VERIFIED], started_before=moment)]
        assert len(met) == count


async def test_only_what_the_source_still_has_is_counted(engine: AsyncEngine, reads: Reads) -> None:
    for state in State:
        await plant(engine, str(state), state)
    assert await reads.count_at_source("acme") == len(State) - 3
    assert await reads.count_at_source("other") == 0


async def test_a_recording_is_found_by_its_key_or_in_all_accounts(engine: AsyncEngine, reads: Reads) -> None:
    await plant(engine, "1", State.STORED, account="other")
    await plant(engine, "1", State.VERIFIED)
    assert (await found(engine, "1", "other")).state is State.STORED
    assert await reads.entry("acme", "2") is None
    assert [entry.recording.account for entry in await reads.find("1")] == ["acme", "other"]
    assert await reads.find("2") == []


@pytest.mark.parametrize(
    ("wanted", "identities"),
    [
        (Search(), ["late", "other", "early"]),
        (Search(account="other"), ["other"]),
        (Search(since=START + MINUTE), ["late"]),
        (Search(until=START - MINUTE), ["early"]),
        (Search(since=START, until=START), ["other"]),
        (Search(number="+911"), ["late", "early"]),
        (Search(number="911"), []),
        (Search(extension="0417"), ["early"]),
        (Search(extension="417"), []),
        (Search(call_id="call-late"), ["late"]),
        (Search(state=State.STORED), []),
        (Search(state=State.DISCOVERED, account="acme", extension="101"), ["late"]),
        (Search(number="' or true --"), []),
    ],
)
async def test_a_search_finds_what_fits_in_every_respect(
    catalogue: Catalogue, reads: Reads, wanted: Search, identities: list[str]
) -> None:
    early = recording("early", start=START - MINUTE, caller_id="+911", extensions=("0417", "9"))
    late = recording("late", start=START + MINUTE, dnis="+911")
    await listed(catalogue, early, late)
    await listed(catalogue, recording("other", account="other"), account="other")
    assert [entry.id for entry in await reads.search(wanted, limit=10)] == identities


async def test_a_search_gives_the_latest_up_to_its_limit(catalogue: Catalogue, reads: Reads) -> None:
    await listed(catalogue, *(recording(str(number), start=START + MINUTE * number) for number in range(5)))
    assert [entry.id for entry in await reads.search(Search(), limit=2)] == ["4", "3"]


async def test_the_status_counts_states_bytes_and_the_oldest_that_waits(
    engine: AsyncEngine, catalogue: Catalogue, reads: Reads
) -> None:
    for state in State:
        await plant(engine, str(state), state)
    await listed(catalogue, recording("old", start=LONG_AGO))
    await open_account(catalogue, "empty")
    acme, empty = await reads.status()
    assert (acme.account, acme.watermark, acme.oldest_pending) == ("acme", None, LONG_AGO)
    assert acme.counts == {state: 2 if state is State.DISCOVERED else 1 for state in State}
    assert acme.bytes == 400
    assert (empty.account, empty.counts, empty.bytes, empty.oldest_pending) == ("empty", {}, 0, None)


async def test_the_gap_list_names_everything_that_is_not_safely_archived(
    engine: AsyncEngine, catalogue: Catalogue, reads: Reads
) -> None:
    ledger = Ledger(engine)
    for state in State:
        await plant(engine, str(state), state)
    await ledger.settle_gaps("acme", mark())
    assert {gap.kind for gap in await reads.gaps(limit=50)} == {"failed", "quarantined"}
    await execute(engine, "update recordings set problem = 'the source said 503' where state = 'discovered'")
    window, said = Slice(START, NOW), mark("3 of 4")
    await ledger.record_gap("acme", GapKind.UNLISTED, window, said, fingerprint="m", claimed=1)
    await ledger.settle_gaps("acme", mark())
    gaps = await reads.gaps(limit=50)
    assert {(gap.kind, gap.recording_id) for gap in gaps} == {
        ("failed", "failed"), ("quarantined", "quarantined"), ("retrying", "discovered"), ("unlisted", None),
    }  # fmt: skip
    assert {gap.reason for gap in gaps} == {"no reason on record", "the source said 503", "3 of 4"}
    assert await reads.count_gaps() == len(gaps) == 4
    assert len(await reads.gaps(limit=2)) == 2


async def test_progress_is_a_run_that_came_to_its_end_or_a_recording_that_moved(
    engine: AsyncEngine, catalogue: Catalogue, reads: Reads
) -> None:
    assert await reads.last_progress() is None
    for hour, code in enumerate((0, 5, 1)):
        await begin_run(engine, f"run-{hour}", "sync", NOW + 60 * hour * MINUTE)
        await end_run(engine, f"run-{hour}", code, {}, NOW + (60 * hour + 1) * MINUTE)
    await begin_run(engine, "still running", "sync", NOW + 240 * MINUTE)
    assert await reads.last_progress() == NOW + MINUTE
    await listed(catalogue, recording("1"), at=NOW + 90 * MINUTE)
    assert await reads.last_progress() == NOW + 90 * MINUTE


async def test_the_history_is_told_in_order(catalogue: Catalogue, reads: Reads) -> None:
    await listed(catalogue, recording("1"), recording("2"))
    [entry] = [entry for entry in await catalogue.claim("acme", mark("claimed"), limit=2) if entry.id == "1"]
    await catalogue.advance(entry, State.FAILED, mark("gave up", status=503))
    told = await reads.history("acme", "1")
    assert [(row["before"], row["after"], row["reason"], row["detail"]) for row in told] == [
        (None, State.DISCOVERED, "listed by the source", None),
        (State.DISCOVERED, State.TRANSFERRING, "claimed", None),
        (State.TRANSFERRING, State.FAILED, "gave up", {"status": 503}),
    ]
    assert await reads.history("other", "1") == []


async def test_a_walk_finds_the_place_of_its_next_batch_by_an_index(
    engine: AsyncEngine, catalogue: Catalogue, reads: Reads
) -> None:
    """Else every batch would read and sort all that is left, and a million recordings would take a day."""
    for first in range(0, BATCH + 100, 100):
        await listed(catalogue, *(recording(f"{number:04}") for number in range(first, first + 100)))
    stored = "state = 'stored', key = 'k', sha256 = repeat('a', 64), size = 1, stored_at = now()"
    await execute(engine, f"update recordings set {stored}")
    await execute(engine, "analyze recordings")
    plans: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def explained(
        opened: Connection,
        cursor: DBAPICursor,
        statement: str,
        parameters: Sequence[object],
        context: object,
        many: object,
    ) -> None:
        del cursor, context, many
        with closing(opened.connection.cursor()) as asking:
            asking.execute("set enable_seqscan = off; set enable_bitmapscan = off")
            asking.execute(f"explain {statement}", parameters)
            plans.append("\n".join(row[0] for row in asking.fetchall()))

    assert len([entry async for entry in reads.entries("acme", [State.STORED])]) == BATCH + 100
    first_batch, second_batch = plans
    assert "Sort" not in first_batch + second_batch
    assert "Index Cond" in second_batch
    assert "ROW(call_start, recording_id) > ROW" in second_batch
