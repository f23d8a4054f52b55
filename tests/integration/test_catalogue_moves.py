"""Moves between states on a real Postgres: legal or refused, with their history, whoever else is at work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.core.lifecycle import MOVES
from archiver.core.model import Entry, State
from archiver.errors import Conflict
from tests.support.rows import HELD, NOW, execute, found, listed, mark, planted, query, recording, snapshot


@pytest.mark.parametrize("before", State)
async def test_exactly_the_lifecycles_moves_are_made_each_with_one_history_row(
    engine: AsyncEngine, catalogue: Catalogue, before: State
) -> None:
    for after in State:
        entry = await planted(engine, f"to-{after}", before)
        undisturbed = await snapshot(engine)
        if after not in MOVES[before]:
            with pytest.raises(Conflict):
                await catalogue.advance(entry, after, mark("no such move"))
            assert await snapshot(engine) == undisturbed
            continue
        purged_at = NOW if after is State.PURGED else entry.purged_at
        expired_at = NOW if after is State.EXPIRED else entry.expired_at
        values = {"purged_at": purged_at, "expired_at": expired_at}
        await catalogue.advance(entry, after, mark("because", count=3), **values)
        moved = await found(engine, entry.id)
        assert moved == replace(entry, state=after, purged_at=purged_at, expired_at=expired_at)
        told = await query(
            engine,
            "select before::text, after::text, reason, run_id, detail::text, at from history where recording_id = :id",
            id=entry.id,
        )
        assert told == [(before, after, "because", "run-1", '{"count": 3}', NOW)]
        owner = await query(engine, "select claimed_by from recordings where recording_id = :id", id=entry.id)
        assert owner == [("run-1" if after in HELD else None,)]


@pytest.mark.parametrize("before", [state for state in State if MOVES[state]])
async def test_a_row_that_has_moved_on_is_left_alone(engine: AsyncEngine, catalogue: Catalogue, before: State) -> None:
    seen = await planted(engine, "1", before)
    elsewhere = State.EXPIRED
    await execute(engine, "update recordings set state = 'expired', claimed_by = null, expired_at = now()")
    undisturbed = await snapshot(engine)
    with pytest.raises(Conflict, match=f"no longer {before}"):
        await catalogue.advance(seen, min(MOVES[before]), mark())
    with pytest.raises(Conflict):
        await catalogue.note(seen, mark(), problem="never written")
    assert await snapshot(engine) == undisturbed
    assert (await found(engine, "1")).state is elsewhere


async def test_a_recording_that_was_never_listed_cannot_be_moved(engine: AsyncEngine, catalogue: Catalogue) -> None:
    entry = await planted(engine, "1", State.STORED)
    stranger = replace(entry, recording=replace(entry.recording, account="other"))
    with pytest.raises(Conflict):
        await catalogue.advance(stranger, State.VERIFIED, mark())
    assert (await found(engine, "1")).state is State.STORED


async def test_of_many_who_move_the_same_row_one_succeeds(engine: AsyncEngine, catalogue: Catalogue) -> None:
    entry = await planted(engine, "1", State.VERIFIED)
    tries = [catalogue.advance(entry, State.PURGING, mark(run=f"run-{number}")) for number in range(8)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 7 + ["NoneType"]
    winner = outcomes.index(None)
    assert await query(engine, "select run_id from history") == [(f"run-{winner}",)]
    assert await query(engine, "select claimed_by from recordings") == [(f"run-{winner}",)]


async def test_a_note_changes_the_row_and_says_so_without_a_move(engine: AsyncEngine, catalogue: Catalogue) -> None:
    entry = await planted(engine, "1", State.VERIFIED)
    later = NOW + timedelta(days=1)
    await catalogue.note(entry, mark("looked again", at=later), verified_at=later)
    assert await found(engine, "1") == replace(entry, verified_at=later)
    told = await query(engine, "select before::text, after::text, reason, detail from history")
    assert told == [("verified", "verified", "looked again", None)]


async def claim_until_none(catalogue: Catalogue, run: str, *, limit: int) -> list[list[Entry]]:
    batches = []
    while batch := await catalogue.claim("acme", mark("claimed", run=run), limit=limit):
        batches.append(batch)
    return batches


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_claimers_at_once_share_the_work_and_never_a_recording(
    engine: AsyncEngine, catalogue: Catalogue, limit: int
) -> None:
    identities = [str(number) for number in range(80)]
    await listed(catalogue, *(recording(identity) for identity in identities))
    rounds = await asyncio.gather(*(claim_until_none(catalogue, f"run-{n}", limit=limit) for n in range(6)))
    batches = [batch for batch_list in rounds for batch in batch_list]
    assert max(map(len, batches)) <= limit
    taken = [entry.id for batch in batches for entry in batch]
    assert sorted(taken) == sorted(identities)
    assert {(entry.state, entry.attempts) for batch in batches for entry in batch} == {(State.TRANSFERRING, 1)}
    owners = await query(engine, "select recording_id, claimed_by from recordings")
    assert {str(identity): owner for identity, owner in owners} == {
        entry.id: f"run-{n}" for n, batch_list in enumerate(rounds) for batch in batch_list for entry in batch
    }
    assert await query(engine, "select count(*) from history where after = 'transferring'") == [(80,)]


async def test_a_claim_takes_no_more_than_its_limit_of_a_large_backlog(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    """The planner may run a subquery once for each row; then a limit would be taken once for each row too."""
    for hundred in range(20):
        await listed(catalogue, *(recording(f"{hundred}-{number}") for number in range(100)))
    for setting in ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_material"):
        name = (await query(engine, "select current_database()"))[0][0]
        await execute(engine, f'alter database "{name}" set {setting} = off')
    await engine.dispose()
    await execute(engine, "analyze recordings")
    assert len(await catalogue.claim("acme", mark(), limit=5)) == 5
    assert await query(engine, "select count(*) from recordings where state = 'transferring'") == [(5,)]


async def test_what_is_longest_due_is_claimed_first_and_nothing_before_its_time(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    await listed(catalogue, recording("later"), at=NOW + timedelta(seconds=1))
    await listed(catalogue, recording("now"), at=NOW)
    await listed(catalogue, recording("long"), at=NOW - timedelta(hours=1))
    first = await catalogue.claim("acme", mark(), limit=1)
    rest = await catalogue.claim("acme", mark(), limit=5)
    assert [[entry.id for entry in batch] for batch in (first, rest)] == [["long"], ["now"]]
    assert (await found(engine, "later")).state is State.DISCOVERED


async def test_only_the_accounts_own_recordings_are_claimed(catalogue: Catalogue) -> None:
    await listed(catalogue, recording("1"))
    await listed(catalogue, recording("1", account="other"), account="other")
    assert [entry.recording.account for entry in await catalogue.claim("acme", mark(), limit=5)] == ["acme"]
    assert [entry.recording.account for entry in await catalogue.claim("other", mark(), limit=5)] == ["other"]


@pytest.mark.parametrize(("forgive", "attempts"), [(True, 0), (False, 1)])
async def test_handing_back_frees_the_claims_and_counts_the_attempt_or_not(
    engine: AsyncEngine, catalogue: Catalogue, *, forgive: bool, attempts: int
) -> None:
    await listed(catalogue, recording("1"), recording("2"))
    await listed(catalogue, recording("3", account="other"), account="other")
    await catalogue.claim("acme", mark(), limit=5)
    await catalogue.claim("other", mark(), limit=5)
    assert await catalogue.hand_back("acme", mark("handed back"), forgive=forgive) == 2
    entries = [await found(engine, "1"), await found(engine, "2")]
    assert [(entry.state, entry.attempts) for entry in entries] == [(State.DISCOVERED, attempts)] * 2
    assert (await found(engine, "3", "other")).state is State.TRANSFERRING
    told = await query(engine, "select before::text, after::text from history where reason = 'handed back'")
    assert told == [("transferring", "discovered")] * 2
    assert await catalogue.hand_back("acme", mark(), forgive=forgive) == 0


async def test_a_run_that_lost_its_claim_cannot_finish(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await listed(catalogue, recording("1"))
    [mine] = await catalogue.claim("acme", mark(run="old"), limit=1)
    await catalogue.hand_back("acme", mark(run="new"), forgive=False)
    [theirs] = await catalogue.claim("acme", mark(run="new"), limit=1)
    undisturbed = await snapshot(engine)
    with pytest.raises(Conflict):
        await catalogue.advance(mine, State.FAILED, mark(run="old"), problem="x")
    assert await snapshot(engine) == undisturbed
    await catalogue.advance(theirs, State.FAILED, mark(run="new"), problem="x")
    assert (await found(engine, "1")).state is State.FAILED


async def test_a_run_that_ends_hands_back_only_what_is_its_own(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """A run whose lock was lost may end while another one is at work already."""
    await listed(catalogue, recording("1"), recording("2"))
    await catalogue.claim("acme", mark(run="old"), limit=1)
    await catalogue.claim("acme", mark(run="new"), limit=1)
    assert await catalogue.hand_back("acme", mark(run="old"), forgive=True) == 1
    assert await query(engine, "select claimed_by from recordings where state = 'transferring'") == [("new",)]


async def test_the_gap_list_is_tried_again_when_its_day_has_come(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await listed(catalogue, recording("due"), recording("not-yet"))
    for entry in await catalogue.claim("acme", mark(), limit=2):
        due = NOW + timedelta(days=1 if entry.id == "due" else 2)
        await catalogue.advance(entry, State.FAILED, mark("gave up"), problem="503", next_attempt_at=due)
    assert await catalogue.requeue_failed("acme", mark(at=NOW + timedelta(hours=23))) == 0
    assert await catalogue.requeue_failed("acme", mark(at=NOW + timedelta(days=1))) == 1
    again = await found(engine, "due")
    assert (again.state, again.attempts, again.problem) == (State.DISCOVERED, 0, "503")
    assert (await found(engine, "not-yet")).state is State.FAILED


async def test_what_was_excluded_is_looked_at_again_under_other_policies(
    engine: AsyncEngine, catalogue: Catalogue, reads: Reads
) -> None:
    await listed(catalogue, recording("1"), recording("2"))
    for entry, digest in zip(await catalogue.claim("acme", mark(), limit=2), ["old", None], strict=True):
        await catalogue.advance(entry, State.EXCLUDED, mark(), problem="policy", policies_digest=digest)
    assert await catalogue.requeue_excluded("acme", "old", mark()) == 1
    assert await catalogue.requeue_excluded("acme", "old", mark()) == 0
    later = NOW + timedelta(hours=1)
    assert await catalogue.requeue_excluded("acme", "new", mark(at=later)) == 1
    entries = [entry async for entry in reads.entries("acme", [State.DISCOVERED])]
    # from none: being looked at is no failed attempt
    assert [(entry.problem, entry.attempts) for entry in entries] == [(None, 0)] * 2
    assert sorted(entry.next_attempt_at for entry in entries) == [NOW, later]
