"""What the stages need of the world. One implementation each, in `archiver.adapters`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from archiver.core.coverage import DayFacts, DayRow, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import (
    Entry,
    Fixity,
    Learnt,
    Malformed,
    Mark,
    Page,
    Progress,
    Recording,
    Slice,
    State,
    StoreFacts,
)
from archiver.core.recount import DueDay, Expected, Lost
from archiver.stages.retention_ports import Settled


@dataclass(frozen=True, slots=True)
class AudioStream:
    """A download that has begun. `chunks` raises Transient when the connection breaks or stalls."""

    content_type: str | None
    content_length: int | None  # often absent: the source answers chunked
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of committing a page."""

    new: int = 0
    undeleted: int = 0  # deleted at the source by the archiver an hour ago or longer, and still listed
    moved: tuple[Recording, ...] = ()  # known with another start: the one of both that its row does not speak of


class RecordingSource(Protocol):
    """One account of the recordings API.

    Every call waits for the account's quota, retries what is transient by itself, and raises Throttled,
    Transient, Unreachable, AccessDenied or NotFound when that did not help.
    """

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far the source's clock is ahead of ours, by its last answer. None: it has not said."""
        ...

    async def list_page(self, window: Slice, *, page: int, page_size: int) -> Page:
        """List calls that start inside the slice, oldest first."""
        ...

    async def get(self, recording_id: str) -> Recording:
        """Read one recording's metadata. Raises NotFound when the source no longer has it."""
        ...

    async def delete(self, recording_id: str, *, still: Callable[[], Awaitable[None]]) -> bool:
        """Delete one recording at the source. True: deleted now. False: it was already gone (404).

        `still` is asked just before each request goes out, after all waiting for the quota; what it raises ends it.
        """
        ...

    def download(self, recording_id: str) -> AbstractAsyncContextManager[AudioStream]:
        """Open the audio of one recording. Not retried once the body has begun: the caller decides."""
        ...


class Upload(Protocol):
    """A multipart upload in progress; leaving its context without `complete` aborts it."""

    async def write(self, part: bytes) -> None:
        """Send one part: exactly the store's part size, except the last."""
        ...

    async def complete(self) -> None:
        """Make the object visible, whole. Raises ObjectExists where the store can refuse to overwrite."""
        ...


class ObjectStore(Protocol):
    """One bucket. Keys are whole keys, prefix included. Raises Transient, Unreachable or AccessDenied."""

    part_size: int  # bytes: larger bodies go by `upload`

    async def probe(self) -> StoreFacts:
        """Try on a scratch key what the bucket enforces. Writes and removes one small object."""
        ...

    async def facts(self) -> StoreFacts:
        """What `probe` found, asked for once."""
        ...

    async def create(self, key: str, body: bytes, *, content_type: str, storage_class: str | None = None) -> None:
        """Put one object with its SHA-256. Raises ObjectExists; never overwrites, on any store."""
        ...

    async def replace(self, key: str, body: bytes, *, content_type: str) -> None:
        """Put one object, over whatever stands there. For sidecars only."""
        ...

    def upload(
        self, key: str, *, content_type: str, storage_class: str | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        """Begin a multipart upload. Raises ObjectExists when the key is taken."""
        ...

    async def stored_fixity(self, key: str) -> Fixity:
        """What the bucket holds, proved: the store's checksum where it is trusted, else read back and hashed.

        Raises NotFound when there is no such object.
        """
        ...

    async def readback_fixity(self, key: str) -> Fixity:
        """Read the whole object back and hash it. Raises NotFound."""
        ...

    async def size(self, key: str) -> int | None:
        """Size in bytes of the object, or None when there is none."""
        ...

    async def read(self, key: str, *, limit: int) -> bytes:
        """Read a small object. Raises NotFound, and IntegrityError above `limit` bytes."""
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Read an object piece by piece. Raises NotFound."""
        ...


class Catalogue(Protocol):
    """The record. Every change writes its history row with it; `mark` is what the history says."""

    async def claim(
        self, account: str, mark: Mark, *, limit: int, first_before: datetime | None, recent_since: datetime | None
    ) -> list[Entry]:
        """Take due recordings for transfer: they are the run's until it moves them on.

        First those whose call started before `first_before`, then those since `recent_since`, then all others.
        """
        ...

    async def hand_back(self, account: str, mark: Mark, *, forgive: bool) -> int:
        """Free all claims of the account; `forgive`: the interrupted attempt does not count."""
        ...

    async def requeue_failed(self, account: str, mark: Mark) -> int:
        """Make recordings on the gap list due again once their day has come."""
        ...

    async def requeue_excluded(self, account: str, policies_digest: str, mark: Mark) -> int:
        """Make recordings due again that other policies than these excluded."""
        ...

    async def advance(self, entry: Entry, after: State, mark: Mark, **values: object) -> None:
        """Move one recording on. Raises Conflict when it is no longer as `entry` says, or the mark's decisions are old.

        Values are columns, and `protection` for those of lock and hold.
        """
        ...

    async def note(self, entry: Entry, mark: Mark, **values: object) -> None:
        """Write about a recording that stays in its state. Raises Conflict like `advance`."""
        ...

    async def settled(self, account: str) -> Settled:
        """Tell under which terms locks and holds of the whole account were last settled."""
        ...

    async def settle(self, account: str, settled: Settled) -> None:
        """Write that down."""
        ...


class Ledger(Protocol):
    """The record of what the source was asked and what it said: pages, gaps, and the proof of each day."""

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        """Make sure that the account has its row; an earlier `start_from` than before begins its listing anew."""
        ...

    async def begin_anew(self, account: str, now: datetime) -> None:
        """Forget the watermark, so that everything is listed again, and what was proved later than now."""
        ...

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> Recorded:
        """Commit what one page listed. No id twice in `items`."""
        ...

    async def record_malformed(
        self, account: str, items: Sequence[Malformed], window: Slice, mark: Mark, *, counted: bool
    ) -> int:
        """Keep unreadable items, each as a gap. `counted`: the source's total counts them. Returns how many are new."""
        ...

    async def record_gap(
        self, account: str, kind: GapKind, window: Slice, mark: Mark, *, fingerprint: str, claimed: int
    ) -> Standing:
        """Open a gap with the mark's reason, or say that it was seen again. More `claimed` reopens it.

        `claimed`: how many recordings it stands for: that the source's total counts, or that a shrunken listing lacks.
        """
        ...

    async def accept_slice(
        self, account: str, window: Slice, proof: Proof, learnt: Learnt, *, moves: bool = True
    ) -> None:
        """Write down what a slice tells of its days, some of them in part, and move the watermark over it."""
        ...

    async def conclude(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        """Write down what days that were asked about again are worth, and close gaps that are no more."""
        ...

    async def expected(self, account: str, window: Slice) -> Mapping[date, Expected]:
        """Count, for each day with any, what the source should have in the slice."""
        ...

    async def claims(self, account: str, window: Slice, *, limit: int) -> list[Slice]:
        """Where in the slice something stands on the gap list as not listed or unreadable; longest unseen first."""
        ...

    async def lost(self, account: str, window: Slice, listed: Collection[str], *, before: datetime) -> list[Lost]:
        """Find recordings that should be at the source in the slice, known since `before`, and were not listed."""
        ...

    async def mark_absent(self, account: str, recording_ids: Sequence[str], mark: Mark) -> None:
        """Note in the history that the source no longer lists these; they are not expected there any more."""
        ...

    async def due_days(
        self, account: str, *, first: date, before: date, proved_before: datetime, troubled_before: datetime
    ) -> list[DueDay]:
        """Find days from `first` to `before`, in order, last asked about before these times, or never settled."""
        ...

    async def settle_gaps(self, account: str, mark: Mark) -> None:
        """Open a gap for every recording that should be archived and is in trouble; close those that are no more."""
        ...

    async def look_through(self, account: str) -> None:
        """Mark the days of recordings that were moved on since the last look."""
        ...

    async def stale_days(self, account: str, *, limit: int) -> list[DayFacts]:
        """Read the facts of days of which something has changed since their last line in the ledger."""
        ...

    async def write_days(self, rows: Sequence[DayRow], mark: Mark) -> None:
        """Add lines to the ledger, where they say something new."""
        ...


class CatalogueReads(Protocol):
    """What the stages ask of the record. Reads in batches: memory does not grow with the catalogue."""

    def entries(
        self, account: str, states: Collection[State], *, started_before: datetime | None = None
    ) -> AsyncIterator[Entry]:
        """Walk all recordings of an account in the given states, in batches."""
        ...

    def held_entries(self, account: str) -> AsyncIterator[Entry]:
        """Walk the recordings that were last known to be on hold, in batches."""
        ...

    async def entry(self, account: str, recording_id: str) -> Entry | None:
        """Find one recording by its natural key."""
        ...

    async def count_endangered(self, account: str, before: datetime) -> tuple[int, datetime | None]:
        """Count what is not archived of calls that started before a moment; and the start of the oldest of them."""
        ...

    async def count_archived(self, account: str) -> int:
        """Count the recordings that the bucket should hold."""
        ...

    async def among(self, account: str, recording_ids: Collection[str], states: Collection[State]) -> set[str]:
        """Tell which of these recordings are in one of the states."""
        ...

    async def count_at_source(self, account: str) -> int:
        """Count the recordings that the source should still have."""
        ...
