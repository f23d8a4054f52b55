"""What a listing leaves in the catalogue: recordings as they came, gaps, and the watermark."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Doubt
from archiver.core.gaps import GapKind, Standing
from archiver.core.listing import parse_recording
from archiver.core.model import Learnt, Malformed, Recording, Slice, State
from archiver.errors import StopDaemon
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
    proof,
    query,
    recording,
)

HOUR = timedelta(hours=1)
MORNING = Slice(START, START + HOUR)
SECOND = timedelta(seconds=1)
NEVER_AGAIN = [state for state in State if state not in {State.DISCOVERED, State.FAILED, State.EXCLUDED}]


async def test_what_is_new_is_written_down_with_its_history(engine: AsyncEngine, ledger: Ledger) -> None:
    one, two = recording("1"), recording("2", end=None, duration_ms=None, size=None, call_id=None, file_name=None)
    assert await listed(ledger, one, two) == 2
    for item in (one, two):
        entry = await found(engine, item.id)
        assert entry.recording == item
        assert (entry.state, entry.listed_at, entry.next_attempt_at) == (State.DISCOVERED, NOW, NOW)
    told = await query(engine, "select recording_id, before, after::text, reason, run_id, at from history order by 1")
    assert told == [(identity, None, "discovered", "listed by the source", "run-1", NOW) for identity in ("1", "2")]


async def test_an_empty_page_changes_nothing(engine: AsyncEngine, ledger: Ledger) -> None:
    assert await listed(ledger) == 0
    assert await query(engine, "select count(*) from history") == [(0,)]


async def test_what_is_listed_again_unchanged_leaves_no_trace(engine: AsyncEngine, ledger: Ledger) -> None:
    await listed(ledger, recording("1"))
    assert await listed(ledger, recording("1"), at=NOW + HOUR) == 0
    assert (await found(engine, "1")).listed_at == NOW
    assert await query(engine, "select count(*) from history") == [(1,)]


@pytest.mark.parametrize("state", [State.DISCOVERED, State.FAILED, State.EXCLUDED])
async def test_what_is_not_archived_yet_follows_the_source(engine: AsyncEngine, ledger: Ledger, state: State) -> None:
    await plant(engine, "1", state)
    before = await found(engine, "1")
    told_anew = recording("1", size=101, cnam="CALLER 2")
    assert await listed(ledger, told_anew, recording("2"), at=NOW + HOUR) == 1
    after = await found(engine, "1")
    assert after.recording == told_anew
    assert (after.state, after.listed_at, after.attempts) == (state, before.listed_at, before.attempts)
    told = await query(engine, "select before::text, after::text, reason, detail from history where recording_id = '1'")
    assert told == [(state, state, "described anew by the source", None)]
    [(earlier,)] = await query(engine, "select earlier[1]::json from recordings where recording_id = '1'")
    assert earlier == before.recording.raw


@pytest.mark.parametrize("state", NEVER_AGAIN)
async def test_what_was_archived_keeps_its_description(engine: AsyncEngine, ledger: Ledger, state: State) -> None:
    await plant(engine, "1", state)
    before = await found(engine, "1")
    assert await listed(ledger, recording("1", size=101)) == 0
    assert await found(engine, "1") == before
    assert await query(engine, "select count(*) from history") == [(0,)]


async def test_a_full_page_is_one_commit(engine: AsyncEngine, ledger: Ledger) -> None:
    page = [recording(str(number), start=START + timedelta(seconds=number // 3)) for number in range(100)]
    assert await listed(ledger, *page) == 100
    assert await query(engine, "select count(distinct xmin::text) from recordings") == [(1,)]
    assert await listed(ledger, *page, recording("new")) == 1


async def test_the_same_id_in_two_accounts_is_two_recordings(engine: AsyncEngine, ledger: Ledger) -> None:
    await listed(ledger, recording("1"))
    assert await listed(ledger, recording("1", account="other", size=7), account="other") == 1
    assert (await found(engine, "1")).recording.size == 100
    assert (await found(engine, "1", "other")).recording.size == 7


AWKWARD = {
    "nul": "a\u0000b",
    "control": "\u0001\u001f\u007f\u0085 \r\n\t",
    "surrogate": "\ud800 alone, \udfff too",
    "pair": "\U0001f4de",
    "quotes": """ ' " \\ {} {,} "," $1 :name %s %(x)s """,
    "huge": 10**400,
    "deep": [[[[{"a": [None, True, -0.0, 1e-300]}]]]],
    "\u0000key\ud800": "",
    "long": "x" * 100_000,
}


async def test_awkward_values_survive_as_they_came(engine: AsyncEngine, ledger: Ledger) -> None:
    raw = {
        "id": 7, "start": "2024-03-01T09:00:00+0000", **AWKWARD,
        "cnam": AWKWARD["nul"], "dnis": AWKWARD["surrogate"], "caller_id": 10**60, "file_name": "../../\u0007\u0000",
        "extensions": ["1\u0000", "\udc80", "", '{"', "a,b", "NULL", "'"], "duration": 2**70,
        "file_size_in_bytes": 2**63 - 1,
    }  # fmt: skip
    item = parse_recording("acme", raw)
    assert isinstance(item, Recording)
    await listed(ledger, item)
    kept = (await found(engine, "7")).recording
    assert kept == item
    assert json.dumps(kept.raw) == json.dumps(raw)
    assert kept.extensions == ("1\ufffd", "\ufffd", '{"', "a,b", "NULL", "'")
    assert kept.size == 2**63 - 1
    assert await listed(ledger, item) == 0
    assert await query(engine, "select count(*) from history") == [(1,)]
    assert await listed(ledger, recording("7")) == 0
    [(before,)] = await query(engine, "select earlier[1] from recordings where recording_id = '7'")
    assert json.loads(str(before)) == raw


@pytest.mark.parametrize("extensions", [(), ("",), ("null",), ("101", "102", "101"), ('"', "\\", "{", "}", ",", " ")])
async def test_lists_come_back_in_order_and_whole(
    engine: AsyncEngine, ledger: Ledger, extensions: tuple[str, ...]
) -> None:
    await listed(ledger, recording("1", extensions=extensions, rule_ids=extensions[::-1]), recording("2"))
    kept = (await found(engine, "1")).recording
    assert (kept.extensions, kept.rule_ids) == (extensions, extensions[::-1])
    assert (await found(engine, "2")).recording.extensions == ("101",)


async def test_unreadable_items_are_each_kept_once(ledger: Ledger, engine: AsyncEngine, reads: Reads) -> None:
    raws: list[object] = [None, "", 7, [], {"cnam": "a\u0000\ud800"}, {"id": "../x"}]
    items = [Malformed(reason="not readable", raw=raw) for raw in raws]
    await open_account(ledger)
    assert await ledger.record_malformed("acme", items, MORNING, mark(at=NOW), counted=True) == len(items)
    assert await ledger.record_malformed("acme", items, MORNING, mark(at=NOW), counted=True) == 0
    assert await ledger.record_malformed("acme", items, MORNING, mark(at=NOW + HOUR), counted=True) == 0
    rows = await query(engine, "select raw, opened_at, seen_at from gaps order by id")
    assert rows == [({"item": raw}, NOW, NOW + HOUR) for raw in raws]
    assert await reads.count_gaps() == len(items)


async def test_the_same_unreadable_item_twice_on_a_page_is_one_gap(ledger: Ledger, reads: Reads) -> None:
    await open_account(ledger)
    items = [Malformed(reason="not readable", raw={"a": 1, "b": 2}), Malformed(reason="x", raw={"b": 2, "a": 1})]
    assert await ledger.record_malformed("acme", items, MORNING, mark(at=NOW), counted=True) == 1
    assert await reads.count_gaps() == 1


async def gap(ledger: Ledger, window: Slice, *, now: datetime = NOW, reason: str = "3 of 4") -> bool:
    place = f"{window.since}/{window.until}"
    said = mark(reason, at=now)
    standing = await ledger.record_gap("acme", GapKind.UNLISTED, window, said, fingerprint=place, claimed=1)
    return standing is Standing.NEW


async def test_a_gap_is_opened_seen_again_closed_and_opened_anew(
    ledger: Ledger, engine: AsyncEngine, reads: Reads
) -> None:
    await open_account(ledger)
    assert await gap(ledger, MORNING)
    assert not await gap(ledger, MORNING, now=NOW + HOUR, reason="2 of 4")
    [shown] = await reads.gaps(limit=10)
    assert (shown.kind, shown.reason, shown.since, shown.opened_at) == ("unlisted", "2 of 4", START, NOW)
    await ledger.accept_slice("acme", MORNING, proof(at=NOW + 2 * HOUR, run="run-2"), Learnt())
    assert await reads.gaps(limit=10) == []
    assert await query(engine, "select opened_at, seen_at, closed_at from gaps") == [(NOW, NOW + HOUR, NOW + 2 * HOUR)]
    assert await gap(ledger, MORNING, now=NOW + 3 * HOUR)
    assert await reads.count_gaps() == 1


@pytest.mark.parametrize(
    ("window", "proved"),
    [
        (MORNING, False),
        (Slice(MORNING.since + SECOND, MORNING.until), True),
        (Slice(MORNING.since, MORNING.until - SECOND), True),
        (Slice(MORNING.until + SECOND, MORNING.until + HOUR), True),
    ],
    ids=["unproven", "starts later", "ends earlier", "elsewhere"],
)
async def test_only_a_proved_slice_over_the_whole_gap_closes_it(
    ledger: Ledger,
    reads: Reads,
    window: Slice,
    proved: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await open_account(ledger)
    await gap(ledger, MORNING)
    doubts = () if proved else (Doubt(window, "no total"),)
    await ledger.accept_slice("acme", window, proof(*doubts, run="run-2"), Learnt())
    assert await reads.count_gaps() == 1


async def test_a_proved_slice_closes_neither_unreadable_items_nor_another_accounts_gap(
    ledger: Ledger, reads: Reads
) -> None:
    await open_account(ledger)
    await open_account(ledger, "other")
    await ledger.record_malformed("acme", [Malformed(reason="x", raw=1)], MORNING, mark(), counted=True)
    await ledger.record_gap("other", GapKind.UNLISTED, MORNING, mark(), fingerprint="m", claimed=1)
    await ledger.accept_slice("acme", Slice(LONG_AGO, NOW), proof(run="run-2"), Learnt())
    assert await reads.count_gaps() == 2


async def watermark(engine: AsyncEngine) -> tuple[object, object]:
    [(moment, base)] = await query(engine, "select watermark, page_base from accounts where account = 'acme'")
    return moment, base


async def accept(ledger: Ledger, window: Slice, base: int | None = None) -> None:
    await ledger.accept_slice("acme", window, proof(), Learnt(base))


async def test_the_watermark_moves_over_slices_that_join_and_never_back(engine: AsyncEngine, ledger: Ledger) -> None:
    await open_account(ledger)
    first = Slice(LONG_AGO, LONG_AGO + HOUR)
    await accept(ledger, first)
    assert await watermark(engine) == (first.until, None)
    beyond = Slice(first.until + 2 * SECOND, first.until + HOUR)
    await accept(ledger, beyond)
    assert await watermark(engine) == (first.until, None)
    joining = Slice(first.until + SECOND, first.until + HOUR)
    await accept(ledger, joining, base=0)
    assert await watermark(engine) == (joining.until, 0)
    await accept(ledger, first)
    assert await watermark(engine) == (joining.until, 0)
    overlapping = Slice(first.since, joining.until + HOUR)
    await accept(ledger, overlapping, base=1)
    assert await watermark(engine) == (overlapping.until, 1)
    assert await ledger.open_account("acme", LONG_AGO) == await ledger.open_account("acme", LONG_AGO + HOUR)


@pytest.mark.parametrize(
    ("moved_to", "kept"),
    [
        (LONG_AGO - SECOND, False),
        (LONG_AGO, True),
        (LONG_AGO + SECOND, True),
        (NOW + SECOND, True),
        (NOW + 2 * SECOND, False),
    ],
    ids=["earlier", "same", "later", "right behind the watermark", "beyond the watermark"],
)
async def test_a_start_that_was_moved_begins_anew_only_where_the_listing_could_not_be_joined(
    ledger: Ledger,
    moved_to: datetime,
    kept: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await open_account(ledger)
    await accept(ledger, Slice(LONG_AGO, NOW), base=1)
    progress = await ledger.open_account("acme", moved_to)
    assert (progress.watermark, progress.learnt.page_base) == (NOW if kept else None, 1)
    await accept(ledger, Slice(moved_to, NOW + HOUR))
    assert (await ledger.open_account("acme", moved_to)).watermark == NOW + HOUR


async def test_moments_come_back_in_utc_whatever_the_server_is_set_to(
    engine: AsyncEngine, ledger: Ledger, reads: Reads
) -> None:
    [(name,)] = await query(engine, "select current_database()")
    async with engine.begin() as opened:
        await opened.exec_driver_sql(f"alter database \"{name}\" set timezone = 'Asia/Kolkata'")
    await engine.dispose()
    await plant(engine, "1", State.PURGED)
    await accept(ledger, MORNING)
    entry, progress, [status] = (
        await found(engine, "1"),
        await ledger.open_account("acme", START),
        await reads.status(),
    )
    moments = (
        entry.recording.start, entry.listed_at, entry.stored_at, entry.verified_at, entry.purged_at,
        entry.next_attempt_at, progress.watermark, status.watermark,
    )  # fmt: skip
    assert moments == (START, NOW, NOW, NOW, NOW, NOW, MORNING.until, MORNING.until)
    assert {moment.tzinfo for moment in moments if moment} == {UTC}


async def test_a_time_without_zone_is_refused(engine: AsyncEngine, ledger: Ledger) -> None:
    with pytest.raises(StopDaemon):
        await ledger.open_account("acme", datetime(2024, 1, 1))
    assert await query(engine, "select count(*) from accounts") == [(0,)]


async def test_a_page_is_marked_by_the_run_that_read_it(engine: AsyncEngine, ledger: Ledger) -> None:
    await open_account(ledger)
    await ledger.record_page("acme", [recording("1")], mark(run="run-9"))
    assert await query(engine, "select run_id from history") == [("run-9",)]


async def test_a_page_that_is_known_writes_nothing(engine: AsyncEngine, ledger: Ledger) -> None:
    """The lookback is listed in every pass: rows that stay as they are must not even be locked."""
    items = [recording(str(number)) for number in range(20)]
    await listed(ledger, *items)
    whole = "key = 'k', sha256 = repeat('a', 64), size = 1, stored_at = now(), verified_at = now(), expired_at = now()"
    await execute(engine, f"update recordings set state = 'expired', {whole} where recording_id = '7'")
    before = await query(engine, "select recording_id, xmin::text, xmax::text from recordings order by recording_id")
    changed = [replace(item, cnam="another", raw={"new": True}) if item.id == "7" else item for item in items]
    assert (await ledger.record_page("acme", changed, mark(run="run-9"))).new == 0
    after = await query(engine, "select recording_id, xmin::text, xmax::text from recordings order by recording_id")
    assert after == before
    assert await query(engine, "select count(*) from history where run_id = 'run-9'") == [(0,)]
