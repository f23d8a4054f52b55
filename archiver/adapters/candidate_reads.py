"""The catalogue as retention needs it: a few columns of every row, a million of them in seconds, in flat memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.rows import to_lock
from archiver.core.decision import Candidate
from archiver.core.model import State

BATCH = 5_000
_STATES = {state.value: state for state in State}

# Plain text: for so many rows the layers that make it comfortable cost more than all decisions. In UTC without a
# zone: read at once, while a moment with one is looked up in the database of zones each time.
_COLUMNS = """recording_id, state::text, call_start at time zone 'UTC', call_end at time zone 'UTC', duration_ms,
    direction, extensions, rule_ids, caller_id, dnis, cnam, listed_at at time zone 'UTC',
    verified_at at time zone 'UTC', sha256, size, size_disagrees, purged_at is not null or absent_since is not null,
    lock_mode, lock_until at time zone 'UTC', on_hold"""
_FIRST = text(f"""
select {_COLUMNS} from recordings
where account = :account and state = cast(:state as recording_state) and call_start <= :before
order by call_start, recording_id limit :limit
""")  # noqa: S608 - of constants
_NEXT = text(f"""
select {_COLUMNS} from recordings
where account = :account and state = cast(:state as recording_state) and call_start <= :before
    and (call_start, recording_id) > (:start, :id)
order by call_start, recording_id limit :limit
""")  # noqa: S608 - of constants
_Cells = tuple[  # as _COLUMNS has them
    str, str, datetime, datetime | None, int | None, str | None, list[str], list[str], str | None, str | None,
    str | None, datetime, datetime | None, str | None, int | None, bool, bool, str | None, datetime | None, bool,
]  # fmt: skip
_EVER = datetime.max.replace(tzinfo=UTC)


class CandidateReads:
    """All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def candidates(
        self, account: str, states: Collection[State], *, started_before: datetime | None = None
    ) -> AsyncIterator[Candidate]:
        """Walk an account's recordings in the given states, each state by itself, by call start and id."""
        for state in sorted(states):
            values: dict[str, object] = {"account": account, "state": state.value, "before": started_before or _EVER}
            while True:
                async with at_once(self._engine) as opened:
                    batch = await _batch(opened, account, {**values, "limit": BATCH})
                for one in batch:
                    yield one
                if len(batch) < BATCH:
                    break
                values |= {"start": batch[-1].start, "id": batch[-1].recording_id}


async def _batch(opened: AsyncConnection, account: str, values: dict[str, object]) -> list[Candidate]:
    rows = await opened.execute(_NEXT if "id" in values else _FIRST, values)
    return [_candidate(account, cast("_Cells", row)) for row in rows]


def _candidate(account: str, row: _Cells) -> Candidate:
    (identity, state, start, end, duration, direction, extensions, rule_ids, caller, dnis, cnam, listed, verified,
     sha256, size, disagrees, gone, lock_mode, lock_until, on_hold) = row  # fmt: skip
    began, listed_at = start.replace(tzinfo=UTC), listed.replace(tzinfo=UTC)
    known = _STATES[state]
    return Candidate(
        account=account,
        recording_id=identity,
        direction=direction,
        extensions=tuple(extensions),
        duration_ms=duration,
        start=began,
        ended_at=_ended(began, end, duration, listed_at),
        state=known,
        listed_at=listed_at,
        verified_at=None if verified is None else verified.replace(tzinfo=UTC),
        size_disagrees=disagrees,
        sha256=sha256,
        size=size,
        caller_id=caller,
        dnis=dnis,
        cnam=cnam,
        rule_ids=tuple(rule_ids),
        at_source=not gone and known not in _GONE,
        lock=None if lock_until is None else to_lock(lock_mode, lock_until.replace(tzinfo=UTC)),
        on_hold=on_hold,
    )


_GONE = frozenset({State.PURGED, State.EXPIRING, State.EXPIRED})


def _ended(start: datetime, end: datetime | None, duration: int | None, listed_at: datetime) -> datetime:
    """See `Recording.ended_at`."""
    if end is not None:
        return end.replace(tzinfo=UTC)
    return listed_at if duration is None else start + timedelta(milliseconds=duration)
