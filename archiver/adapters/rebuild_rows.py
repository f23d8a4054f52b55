"""Rows that a rebuild adds to the catalogue. Nothing that is there is touched; rows and history are one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.catalogue import CLAIMED
from archiver.adapters.controls import every_entry
from archiver.adapters.database import DECIDE, at_once, connection
from archiver.adapters.rows import to_columns
from archiver.adapters.tables import controls
from archiver.core.controls import Control
from archiver.core.decision_copies import Copy, missing
from archiver.core.model import Entry, Fixity, State
from archiver.core.naming import Address
from archiver.core.notes import Line
from archiver.core.rebuilding import Known, Rebuilt, Refusal

KNOWN = text("""
select account, recording_id, key, state from recordings
where (account, recording_id) in (select * from unnest(:accounts ::text[], :ids ::text[]))
""")
ADD = text("""
insert into recordings (account, state, listed_at, key, sha256, size, size_disagrees, stored_at, verified_at, purged_at,
    absent_since, expired_at, lock_mode, lock_until, on_hold, next_attempt_at, claimed_by, problem, recording_id,
    call_start, call_end, duration_ms, size_listed, call_id, direction, caller_id, dnis, cnam, extensions, rule_ids,
    file_name, raw)
select account, state, listed_at, key, sha256, size, size_disagrees, stored_at, verified_at, purged_at, absent_since,
    expired_at, lock_mode, lock_until, on_hold, next_attempt_at, claimed_by, problem, id, call_start, call_end,
    duration_ms, size_listed, call_id, direction, caller_id, dnis, cnam,
    array(select json_array_elements_text(extensions::json)), array(select json_array_elements_text(rule_ids::json)),
    file_name, raw::json
from unnest(:accounts ::text[], :states ::recording_state[], :listed ::timestamptz[], :keys ::text[], :sha256s ::text[],
    :kept ::bigint[], :disagree ::bool[], :stored ::timestamptz[], :verified ::timestamptz[], :purged ::timestamptz[],
    :absent ::timestamptz[], :expired ::timestamptz[], :modes ::text[], :locked ::timestamptz[], :held ::bool[],
    :due ::timestamptz[], :claims ::text[], :problems ::text[],
    :ids ::text[], :starts ::timestamptz[], :ends ::timestamptz[], :durations ::bigint[], :sizes ::bigint[],
    :call_ids ::text[], :directions ::text[], :caller_ids ::text[], :dnises ::text[], :cnams ::text[],
    :extensions ::text[], :rule_ids ::text[], :file_names ::text[], :raws ::text[])
    as given(account, state, listed_at, key, sha256, size, size_disagrees, stored_at, verified_at, purged_at,
        absent_since, expired_at, lock_mode, lock_until, on_hold, next_attempt_at, claimed_by, problem, id, call_start,
        call_end, duration_ms, size_listed, call_id, direction, caller_id, dnis, cnam, extensions, rule_ids, file_name,
        raw)
on conflict do nothing
returning account, recording_id
""")
TELL = text("""
insert into history (at, account, recording_id, before, after, reason, run_id, detail)
select at, account, id, before, after, reason, run, detail::json
from unnest(:at ::timestamptz[], :account ::text[], :id ::text[], :before ::recording_state[],
    :after ::recording_state[], :reason ::text[], :run ::text[], :detail ::text[])
    with ordinality as told(at, account, id, before, after, reason, run, detail, place)
order by place
""")


class RebuildRows:
    """Implements `stages.rebuild_ports.RebuildRows`. Raises Unreachable, SchemaError or StopDaemon."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def known(self, addresses: Sequence[Address]) -> Mapping[tuple[str, str], Known]:
        """See `RebuildRows`."""
        values = {"accounts": [one.account for one in addresses], "ids": [one.recording_id for one in addresses]}
        async with at_once(self._engine) as opened:
            rows = await opened.execute(KNOWN, values)
            return {(row.account, row.recording_id): Known(row.key, State(row.state)) for row in rows}

    async def add(self, rebuilt: Sequence[Rebuilt]) -> None:
        """See `RebuildRows`."""
        async with connection(self._engine) as opened:
            added = await opened.execute(ADD, _columns(rebuilt))
            new = {(row.account, row.recording_id) for row in added}
            lines = [(one.entry, line) for one in rebuilt if _name(one.entry) in new for line in one.history]
            await opened.execute(TELL, _told(lines))

    async def add_decisions(
        self, given: Sequence[tuple[str, Copy]], *, dry_run: bool
    ) -> tuple[list[Control], list[Refusal]]:
        """See `RebuildRows`."""
        async with connection(self._engine) as opened:
            await opened.execute(DECIDE)
            present = await every_entry(opened)
            chosen, refused = missing(given, present)
            if not dry_run:
                await _write(opened, chosen)
        return chosen, refused


async def _write(opened: AsyncConnection, chosen: Iterable[Control]) -> None:
    names = ("at", "kind", "subject", "event", "by", "reason")
    for one in chosen:  # one by one: their numbers are their order
        values = {name: getattr(one, name) for name in names} | {"detail": dict(one.detail)}
        await opened.execute(insert(controls).values(**values))


def _name(entry: Entry) -> tuple[str, str]:
    return entry.recording.account, entry.id


def _columns(rebuilt: Sequence[Rebuilt]) -> dict[str, list[object]]:
    entries = [one.entry for one in rebuilt]
    copies: list[Fixity] = [entry.require_copy()[1] for entry in entries]
    return {
        "accounts": [entry.recording.account for entry in entries],
        "states": [entry.state.value for entry in entries],
        "listed": [entry.listed_at for entry in entries],
        "keys": [entry.key for entry in entries],
        "sha256s": [copy.sha256 for copy in copies],
        "kept": [copy.size for copy in copies],
        "disagree": [entry.size_disagrees for entry in entries],
        "stored": [entry.stored_at for entry in entries],
        "verified": [entry.verified_at for entry in entries],
        "purged": [entry.purged_at for entry in entries],
        "absent": [entry.absent_since for entry in entries],
        "expired": [entry.expired_at for entry in entries],
        "modes": [entry.lock and entry.lock.mode.value for entry in entries],
        "locked": [entry.lock and entry.lock.until for entry in entries],
        "held": [entry.on_hold for entry in entries],
        "due": [entry.next_attempt_at for entry in entries],
        "claims": [one.history[-1].run if one.entry.state in CLAIMED else None for one in rebuilt],
        "problems": [entry.problem for entry in entries],
        **to_columns([entry.recording for entry in entries]),
    }


def _told(lines: Sequence[tuple[Entry, Line]]) -> dict[str, list[object]]:
    return {
        "at": [line.at for _, line in lines],
        "account": [entry.recording.account for entry, _ in lines],
        "id": [entry.id for entry, _ in lines],
        "before": [None if line.before is None else line.before.value for _, line in lines],
        "after": [line.after.value for _, line in lines],
        "reason": [line.reason for _, line in lines],
        "run": [line.run for _, line in lines],
        "detail": [None if line.detail is None else json.dumps(line.detail) for _, line in lines],
    }
