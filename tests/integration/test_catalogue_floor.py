"""What the database itself refuses, whatever the code does: rows that claim too much, and changes of the history."""

from __future__ import annotations

import pytest
from psycopg.errors import CheckViolation, ForeignKeyViolation, RestrictViolation
from sqlalchemy import CheckConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.ledger import Ledger
from archiver.adapters.tables import metadata
from archiver.core.coverage import judge_day
from archiver.core.gaps import GapKind
from archiver.core.model import Learnt, Slice, State
from archiver.errors import StopDaemon
from tests.support.rows import NOW, execute, listed, mark, plant, planted, proof, recording, snapshot

ARCHIVED = (State.STORED, State.VERIFIED, State.PURGING, State.PURGED, State.EXPIRING, State.EXPIRED)
BREACHES = [
    *((state, f"{column} = null", "recordings_archived_is_known") for state in ARCHIVED
      for column in ("key", "sha256", "size", "stored_at")),
    *((state, "verified_at = null", "recordings_verified_is_dated") for state in ARCHIVED[1:]),
    (State.PURGED, "purged_at = null", "recordings_purged_is_dated"),
    (State.EXPIRED, "expired_at = null", "recordings_expired_is_dated"),
    (State.PURGING, "on_hold = true", "recordings_held_is_not_deleted"),
    (State.EXPIRING, "on_hold = true", "recordings_held_is_not_deleted"),
    (State.VERIFIED, "lock_mode = 'firm', lock_until = now()", "recordings_lock_mode"),
    (State.VERIFIED, "lock_mode = 'governance'", "recordings_lock_is_whole"),
    (State.VERIFIED, "lock_until = now()", "recordings_lock_is_whole"),
    (State.PURGING, "size_disagrees = true", "recordings_doubtful_is_not_purged"),
    (State.TRANSFERRING, "claimed_by = null", "recordings_claim_is_owned"),
    (State.PURGING, "claimed_by = null", "recordings_claim_is_owned"),
    (State.EXPIRING, "claimed_by = null", "recordings_claim_is_owned"),
    (State.EXPIRED, "claimed_by = 'run-1'", "recordings_claim_is_owned"),
    (State.VERIFIED, "claimed_by = 'run-1'", "recordings_claim_is_owned"),
    (State.DISCOVERED, "claimed_by = 'run-1'", "recordings_claim_is_owned"),
    (State.VERIFIED, "size = 0", "recordings_size_positive"),
    (State.VERIFIED, "size = -1", "recordings_size_positive"),
    (State.VERIFIED, "sha256 = ''", "recordings_sha256_hex"),
    (State.VERIFIED, "sha256 = upper(sha256)", "recordings_sha256_hex"),
    (State.VERIFIED, "sha256 = left(sha256, 63)", "recordings_sha256_hex"),
    (State.VERIFIED, "sha256 = sha256 || E'\\n'", "recordings_sha256_hex"),
]  # fmt: skip
DECIDED = (
    "insert into controls (at, kind, subject, event, by, reason, detail) "
    "values (now(), '{}', '', '{}', 'ann', 'because', json_object('{{}}'))"
)
EXPORTED = (
    "insert into exports (account, since, until, phase, tries, asked_at, due, run_id, closed_at) "
    "values ('acme', now(), now() + interval '{until}s', '{phase}', 1, now(), 1, 'run-1', {closed})"
)
ELSEWHERE = [
    ("update accounts set page_base = 2", "accounts_page_base"),
    ("update accounts set stop_kind = 'Unreachable'", "accounts_stop_is_whole"),
    (
        "insert into runs (run_id, command, started_at, stop_kind) values ('run-1', 'sync', now(), 'SafetyLimit')",
        "runs_stop_is_whole",
    ),
    ("update accounts set stop_kind = 'Unreachable', stop_reason = 'away'", "accounts_stop_is_whole"),
    ("update accounts set stop_final = true", "accounts_stop_is_whole"),
    ("update gaps set kind = 'odd'", "gaps_kind"),
    ("update gaps set explanation = 'lost'", "gaps_explained_by_whom"),
    (
        "insert into gap_events (gap_id, at, event, reason, by) select id, now(), 'odd', '', '' from gaps",
        "gap_events_event",
    ),
    (
        (
            "insert into ledger (at, run_id, account, day, state, reason, counts, missing) "
            "select at, run_id, account, day, 'odd', reason, counts, missing from ledger"
        ),
        "ledger_state",
    ),
    (DECIDED.format("odd", "paused"), "controls_kind"),
    (EXPORTED.format(phase="odd", until=1, closed="now()"), "exports_phase"),
    (EXPORTED.format(phase="done", until=1, closed="null"), "exports_closed_is_dated"),
    (EXPORTED.format(phase="waiting", until=1, closed="now()"), "exports_closed_is_dated"),
    (EXPORTED.format(phase="asked", until=-1, closed="null"), "exports_slice"),
    ("insert into quotas (account, learnt) values ('acme', 0)", "quotas_learnt"),
    (
        "insert into backfills (account, since, until, asked_at) values ('acme', now(), now() - interval '1s', now())",
        "backfills_slice",
    ),
    (DECIDED.format("pause", "odd"), "controls_event"),
]


@pytest.mark.parametrize(("state", "change", "constraint"), BREACHES)
async def test_a_row_cannot_claim_what_it_does_not_show(
    engine: AsyncEngine, state: State, change: str, constraint: str
) -> None:
    await plant(engine, "1", state)
    undisturbed = await snapshot(engine)
    with pytest.raises(IntegrityError) as refused:
        await execute(engine, f"update recordings set {change}")
    assert isinstance(refused.value.orig, CheckViolation)
    assert refused.value.orig.diag.constraint_name == constraint
    assert await snapshot(engine) == undisturbed


@pytest.mark.parametrize(("statement", "constraint"), ELSEWHERE)
async def test_accounts_and_gaps_have_a_floor_too(engine: AsyncEngine, statement: str, constraint: str) -> None:
    await plant(engine, "1", State.STORED)
    ledger = Ledger(engine)
    await ledger.record_gap("acme", GapKind.UNLISTED, Slice(NOW, NOW), mark(), fingerprint="x", claimed=1)
    await ledger.accept_slice("acme", Slice(NOW, NOW), proof(), Learnt())
    await ledger.look_through("acme")
    await ledger.write_days([judge_day(one) for one in await ledger.stale_days("acme", limit=1)], mark())
    with pytest.raises(IntegrityError) as refused:
        await execute(engine, statement)
    assert isinstance(refused.value.orig, CheckViolation)
    assert refused.value.orig.diag.constraint_name == constraint


def test_every_check_constraint_is_tried_above() -> None:
    there = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert there == {breach[-1] for breach in (*BREACHES, *ELSEWHERE)}


async def test_a_breach_by_the_program_itself_is_refused_with_its_history(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    """Row and history are one statement: what the floor refuses leaves no trace in the history either."""
    await listed(catalogue, recording("1"))
    [entry] = await catalogue.claim("acme", mark(), limit=1)
    undisturbed = await snapshot(engine)
    with pytest.raises(StopDaemon, match="recordings_archived_is_known"):
        await catalogue.advance(entry, State.STORED, mark("stored"), key="acme/1.mp3")
    assert await snapshot(engine) == undisturbed


@pytest.mark.parametrize(
    "statement",
    [
        "update history set reason = 'nothing happened'",
        "update history set reason = reason where false",
        "delete from history",
        "delete from history where id < 0",
        "truncate history",
        "truncate recordings cascade",
        "insert into history overriding system value table history on conflict (id) do update set reason = 'no'",
    ],
)
async def test_the_history_can_only_grow(engine: AsyncEngine, catalogue: Catalogue, statement: str) -> None:
    entry = await planted(engine, "1", State.STORED)
    await catalogue.advance(entry, State.VERIFIED, mark("seen"))
    undisturbed = await snapshot(engine)
    with pytest.raises(DBAPIError, match="append-only") as refused:
        await execute(engine, statement)
    assert isinstance(refused.value.orig, RestrictViolation)
    assert await snapshot(engine) == undisturbed


async def test_a_recording_with_a_history_cannot_be_removed(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await listed(catalogue, recording("1"))
    undisturbed = await snapshot(engine)
    with pytest.raises(IntegrityError) as refused:
        await execute(engine, "delete from recordings")
    assert isinstance(refused.value.orig, ForeignKeyViolation)
    assert await snapshot(engine) == undisturbed
