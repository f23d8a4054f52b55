"""What the stages need of the world for retention: locks, people's decisions, and rows as retention sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from archiver.core.decision import Candidate
from archiver.core.model import Lock, Protection, State
from archiver.core.notes import Line
from archiver.core.retention import Terms


@dataclass(frozen=True, slots=True)
class Settled:
    """How far locks and holds of an account are as the terms ask."""

    under: str | None  # digest of the terms
    checked_at: datetime | None  # when the bucket's holds were last compared with the record


class ObjectLocks(Protocol):
    """What the same bucket holds objects by. Raises as `ObjectStore` does; AccessDenied where a lock forbids it."""

    async def protection(self, key: str) -> Protection:
        """Read lock and legal hold of an object as it stands. Raises NotFound."""
        ...

    async def protections(self, key: str) -> list[Protection]:
        """Read lock and legal hold of every version of an object; none when there is no version."""
        ...

    async def lock(self, key: str, lock: Lock) -> None:
        """Lock an object. The caller has seen that this neither weakens nor shortens what is there."""
        ...

    async def hold(self, key: str, *, on: bool) -> None:
        """Set the bucket's legal hold on an object, or take it off."""
        ...

    async def remove(self, key: str) -> None:
        """Delete an object for good: all of its versions. None there: done. Raises Transient where some are left."""
        ...


class Controls(Protocol):
    """What people have decided about deletion as such, as it stands at the moment of asking."""

    async def terms(self, now: datetime) -> Terms:
        """Return policies, holds, and earlier policies that still bind."""
        ...

    async def paused(self) -> str | None:
        """Tell why all deletion is paused; None: it is not."""
        ...


class CandidateReads(Protocol):
    """The same recordings as retention needs them."""

    def candidates(
        self, account: str, states: Collection[State], *, started_before: datetime | None = None
    ) -> AsyncIterator[Candidate]:
        """Walk an account's recordings in the given states, in batches."""
        ...


class HistoryReads(Protocol):
    """What was written down about recordings."""

    async def lines(self, account: str, recording_id: str) -> list[Line]:
        """Read the history of a recording, oldest first."""
        ...
