"""Which moves between states exist. The catalogue refuses every other one."""

from __future__ import annotations

from archiver.core.model import State
from archiver.errors import Conflict

MOVES: dict[State, frozenset[State]] = {
    State.DISCOVERED: frozenset({State.TRANSFERRING}),
    # back to discovered: handed back, or to be tried again later
    State.TRANSFERRING: frozenset({State.STORED, State.DISCOVERED, State.FAILED, State.QUARANTINED, State.EXCLUDED}),
    # straight to purged: it was deleted at the source before the catalogue was rebuilt
    State.STORED: frozenset({State.VERIFIED, State.PURGED, State.QUARANTINED}),
    # straight to expiring: the source has deleted it by itself
    State.VERIFIED: frozenset({State.PURGING, State.EXPIRING, State.QUARANTINED}),
    # back to verified: the last check before the DELETE said no
    State.PURGING: frozenset({State.PURGED, State.VERIFIED, State.QUARANTINED}),
    State.PURGED: frozenset({State.EXPIRING, State.QUARANTINED}),
    # back: the last check before the deletion said no
    State.EXPIRING: frozenset({State.EXPIRED, State.PURGED, State.VERIFIED}),
    State.EXPIRED: frozenset(),
    State.FAILED: frozenset({State.DISCOVERED}),
    # to discovered only while the source still has it; else only a good copy in the bucket ends a quarantine
    State.QUARANTINED: frozenset({State.DISCOVERED, State.VERIFIED, State.PURGED}),
    State.EXCLUDED: frozenset({State.DISCOVERED}),
}

#: The bucket holds, or should hold, a whole copy.
ARCHIVED = frozenset({State.STORED, State.VERIFIED, State.PURGING, State.PURGED})
#: Should be in the bucket, and is not yet.
PENDING = frozenset({State.DISCOVERED, State.TRANSFERRING, State.FAILED})
#: As far as the catalogue knows, the source still has the recording.
AT_SOURCE = frozenset(State) - {State.PURGED, State.EXPIRING, State.EXPIRED}


def require_move(before: State, after: State) -> None:
    """Raise Conflict unless the lifecycle has the move."""
    if after not in MOVES[before]:
        msg = f"a recording cannot go from {before} to {after}"
        raise Conflict(msg)
