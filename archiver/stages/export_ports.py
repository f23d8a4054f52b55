"""What the export stages need of the world. One implementation each, in `archiver.adapters`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from archiver.core.backfill import Backfill
from archiver.core.exports import Batch, Export, Hour, Job, Listed, Phase
from archiver.core.model import Entry, Mark, Slice


class Answer(StrEnum):
    """What the source says when it is asked for a job's ZIP."""

    ZIP = "zip"
    NOT_YET = "not_yet"
    UNKNOWN = "unknown"  # 404: not known yet, or no longer
    GONE = "gone"  # 410
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An answer that has begun. `chunks` is the ZIP, empty where it is none, and raises Transient when it breaks."""

    answer: Answer
    why: str
    chunks: AsyncIterator[bytes]


async def nothing() -> AsyncIterator[bytes]:
    """Give a body without a byte."""
    for chunk in tuple[bytes, ...]():
        yield chunk


class ExportSource(Protocol):
    """The export side of one account of the recordings API. Waits and raises like `RecordingSource`."""

    @property
    def usable(self) -> bool:
        """Whether a ZIP could be asked for: that takes a login name."""
        ...

    async def create(self, window: Slice) -> tuple[str, ...]:
        """Ask for an export of the calls that start inside the slice; give its job ids, none where there is nothing.

        Sent once: whether it arrived is not known where it fails. Raises SkipItem where the source refuses it.
        """
        ...

    def retrieve(self, job_id: str) -> AbstractAsyncContextManager[Retrieved]:
        """Ask for a job's ZIP."""
        ...


class ExportRecord(Protocol):
    """The record of exports, and of the recordings that come by them."""

    async def open(self, account: str) -> list[Export]:
        """Give the exports that are under way, oldest first."""
        ...

    async def refused_since(self, account: str, since: datetime) -> str | None:
        """Tell why the source refused an export since then, if it did."""
        ...

    async def usual_delay(self, account: str) -> timedelta | None:
        """How long the account's exports took lately until their ZIP was there; None: not known."""
        ...

    async def usual_polls(self, account: str) -> float | None:
        """How many times jobs were asked for lately until their ZIP came; None: not known."""
        ...

    async def hours(
        self, account: str, mark: Mark, *, endangered_before: datetime | None, recent_since: datetime
    ) -> list[Hour]:
        """Give hours with recordings that are due and could come by export, in order: as many as a pass may need."""
        ...

    async def ask(self, account: str, batch: Batch, mark: Mark) -> Export:
        """Write down that an export is about to be asked for. Raises Conflict where one is under way there."""
        ...

    async def ask_again(self, export: Export, mark: Mark) -> Export:
        """Write down that the same export is about to be asked for anew: what it had of jobs is no more."""
        ...

    async def made(self, export: Export, job_ids: Collection[str], first_poll: datetime, mark: Mark) -> None:
        """Keep the jobs that the source made."""
        ...

    async def polled(self, export: Export, job: Job, next_poll_at: datetime) -> None:
        """Write down that a job's ZIP is about to be asked for, and when to ask again if it does not come."""
        ...

    async def fetching(self, export: Export, job: Job, next_poll_at: datetime, mark: Mark) -> None:
        """Write down that a job's ZIP comes; when to ask again if it is cut off."""
        ...

    async def read(self, export: Export, job: Job, mark: Mark) -> None:
        """Write down that a job's ZIP needs not be asked for any more."""
        ...

    async def close(self, account: str, export: Export, phase: Phase, mark: Mark, counts: dict[str, int]) -> int:
        """End an export, for the mark's reason: what it has not brought comes by single requests; returns how many."""
        ...

    async def listed(self, account: str, window: Slice, *, copied_since: datetime) -> list[Listed]:
        """Give all recordings that the source should have in the slice, by start; of later copies the digest too."""
        ...

    async def claim(self, account: str, recording_ids: Collection[str], mark: Mark) -> list[Entry]:
        """Take recordings for transfer; those that are not due any more are left out."""
        ...

    async def release(self, account: str, recording_ids: Collection[str], mark: Mark) -> None:
        """Free claimed recordings. The attempt does not count."""
        ...


class BackfillRecord(Protocol):
    """The record of history that was asked for."""

    async def all(self, account: str | None = None) -> list[Backfill]:
        """Give the backfills of an account, or of every one, oldest first."""
        ...

    async def unlisted(self, account: str) -> list[Backfill]:
        """Give the account's backfills that are neither paused nor listed whole."""
        ...

    async def listed(self, one: Backfill, until: datetime, now: datetime) -> None:
        """Write down how far a backfill is listed; with its end it is listed whole."""
        ...

    async def count_waiting(self, account: str) -> int:
        """Count what is listed of an account and not archived."""
        ...
