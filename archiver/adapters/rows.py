"""Rows of the catalogue to values of the core, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row

from archiver.core.gaps import Gap, GapKind, missing
from archiver.core.model import Entry, Fixity, Lock, LockMode, Recording, State
from archiver.core.notes import Line


def to_entry(row: Row[*tuple[object, ...]]) -> Entry:
    """Read a full row of `recordings`."""
    return Entry(
        recording=to_recording(row),
        state=State(row.state),
        listed_at=row.listed_at,
        key=row.key,
        fixity=None if row.sha256 is None else Fixity(sha256=row.sha256, size=row.size),
        size_disagrees=row.size_disagrees,
        stored_at=row.stored_at,
        verified_at=row.verified_at,
        purged_at=row.purged_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        problem=row.problem,
        absent_since=row.absent_since,
        lock=to_lock(row.lock_mode, row.lock_until),
        on_hold=row.on_hold,
        hold_set=row.hold_set,
        expired_at=row.expired_at,
    )


def to_lock(mode: str | None, until: datetime | None) -> Lock | None:
    """Read the lock of a copy."""
    return None if mode is None or until is None else Lock(LockMode(mode), until)


def of_lock(lock: Lock | None) -> dict[str, object]:
    """Write the lock of a copy."""
    return {"lock_mode": None if lock is None else lock.mode, "lock_until": None if lock is None else lock.until}


def to_recording(row: Row[*tuple[object, ...]]) -> Recording:
    """Read the part of a row that came from the listing."""
    return Recording(
        account=row.account,
        id=row.recording_id,
        start=row.call_start,
        end=row.call_end,
        duration_ms=row.duration_ms,
        size=row.size_listed,
        call_id=row.call_id,
        direction=row.direction,
        caller_id=row.caller_id,
        dnis=row.dnis,
        cnam=row.cnam,
        extensions=tuple(row.extensions),
        rule_ids=tuple(row.rule_ids),
        file_name=row.file_name,
        raw=row.raw,
    )


def to_line(row: Mapping[str, object]) -> Line:
    """Read a row of `history`."""
    plain = {name: row[name] for name in ("at", "before", "after", "reason", "detail")}
    return Line(**plain, run=row["run_id"])  # type: ignore[arg-type]


def to_gap(row: Row[*tuple[object, ...]]) -> Gap:
    """Read a full row of `gaps`."""
    kind = GapKind(row.kind)
    return Gap(
        id=row.id,
        account=row.account,
        kind=kind,
        recording_id=row.recording_id,
        since=row.since,
        until=row.until,
        reason=row.reason,
        missing=missing(kind, row.claimed),
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        explanation=row.explanation,
        explained_by=row.explained_by,
        explained_at=row.explained_at,
        closed_at=row.closed_at,
        evidence=row.evidence,
        raw=row.raw,
    )


def to_columns(recordings: Sequence[Recording]) -> dict[str, list[object]]:
    """Turn recordings into one array for each column, for `unnest`: one statement for a page, whatever its length."""
    return {
        "ids": [item.id for item in recordings],
        "starts": [item.start for item in recordings],
        "ends": [item.end for item in recordings],
        "durations": [item.duration_ms for item in recordings],
        "sizes": [item.size for item in recordings],
        "call_ids": [item.call_id for item in recordings],
        "directions": [item.direction for item in recordings],
        "caller_ids": [item.caller_id for item in recordings],
        "dnises": [item.dnis for item in recordings],
        "cnams": [item.cnam for item in recordings],
        "extensions": [json.dumps(item.extensions) for item in recordings],
        "rule_ids": [json.dumps(item.rule_ids) for item in recordings],
        "file_names": [item.file_name for item in recordings],
        "raws": [json.dumps(item.raw) for item in recordings],
    }
