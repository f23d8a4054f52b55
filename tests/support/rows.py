"""Recordings and catalogue rows for the tests: valid as they come, changed where a test says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Doubt, Proof
from archiver.core.model import Entry, Mark, Recording, Slice, State

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
START = datetime(2024, 3, 1, 9, tzinfo=UTC)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
SHA256 = "ab" * 32
GONE = (State.PURGED, State.EXPIRING, State.EXPIRED)
HELD = (State.TRANSFERRING, State.PURGING, State.EXPIRING)

_INSERT = """
insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, key, sha256,
    size, stored_at, verified_at, purged_at, expired_at, next_attempt_at, claimed_by)
values (:account, :id, :state, :start, '{}', '{}', '{}', :now, 'acme/' || :id || '.mp3', :sha256,
    100, :now, :now, :purged_at, :expired_at, :now, :claimed_by)
"""


def recording(recording_id: str = "1", *, account: str = "acme", **changes: object) -> Recording:
    """A recording as the source lists it; `raw` follows the other fields unless given."""
    plain = Recording(
        account=account,
        id=recording_id,
        start=START,
        end=START + timedelta(minutes=1),
        duration_ms=60_000,
        size=100,
        call_id=f"call-{recording_id}",
        direction="INBOUND",
        caller_id="+15550100",
        dnis="15550199",
        cnam="CALLER 1",
        extensions=("101",),
        rule_ids=("7",),
        file_name="730048.mp3",
        raw={},
    )
    changed = replace(plain, **changes)  # type: ignore[arg-type]
    told = {"id": recording_id, "file_size_in_bytes": changed.size, "cnam": changed.cnam, "dnis": changed.dnis}
    return changed if "raw" in changes else replace(changed, raw=told)


def mark(reason: str = "test", *, run: str = "run-1", at: datetime = NOW, **detail: object) -> Mark:
    """What the history is to say."""
    return Mark(run, at, reason, detail or None)


async def open_account(record: Catalogue | Ledger, account: str = "acme") -> None:
    """Give an account its row."""
    await Ledger(record.engine).open_account(account, LONG_AGO)


async def listed(record: Catalogue | Ledger, *items: Recording, account: str = "acme", at: datetime = NOW) -> int:
    """Open the account and record a page of it. Returns how many were new."""
    await open_account(record, account)
    return (await Ledger(record.engine).record_page(account, items, mark("listed", at=at))).new


EVER = Slice(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def proof(
    *doubts: Doubt, at: datetime = NOW, run: str = "run-1", listed: bool = True, where: tuple[Slice, ...] = (EVER,)
) -> Proof:
    """What came of reading a slice, or of counting it; settled as long as it lies before the present day."""
    return Proof(run=run, at=at, listed=where if listed else (), doubts=doubts, settled_before=at.date())


async def plant(engine: AsyncEngine, recording_id: str, state: State, *, account: str = "acme") -> None:
    """Put a row with a whole copy on record into any state, past the lifecycle. A held one is run-1's."""
    values = {
        "account": account,
        "id": recording_id,
        "state": str(state),
        "start": START,
        "now": NOW,
        "sha256": SHA256,
        "claimed_by": "run-1" if state in HELD else None,
        "purged_at": NOW if state in GONE else None,
        "expired_at": NOW if state is State.EXPIRED else None,
    }
    await execute(engine, "insert into accounts (account) values (:account) on conflict do nothing", account=account)
    await execute(engine, _INSERT, **values)


async def planted(engine: AsyncEngine, recording_id: str, state: State) -> Entry:
    """Plant a row and read it as a stage would."""
    await plant(engine, recording_id, state)
    return await found(engine, recording_id)


async def found(engine: AsyncEngine, recording_id: str, account: str = "acme") -> Entry:
    """Read a row that must be there."""
    entry = await Reads(engine).entry(account, recording_id)
    assert entry is not None
    return entry


async def execute(engine: AsyncEngine, statement: str, **values: object) -> None:
    """Run one statement directly, in a transaction of its own."""
    async with engine.begin() as opened:
        await opened.execute(text(statement), values)


async def query(engine: AsyncEngine, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Ask the database directly."""
    async with engine.connect() as opened:
        return [tuple(row) for row in await opened.execute(text(statement), values)]


async def snapshot(engine: AsyncEngine) -> Sequence[Mapping[str, object]]:
    """Every recording and every history row, to be compared later."""
    rows = await query(
        engine,
        "select to_json(r)::text from recordings r union all select to_json(h)::text from history h order by 1",
    )
    return [json.loads(str(row[0])) for row in rows]
