"""The recordings that a simulated account holds, and the making of an ordinary one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType
from uuid import UUID

from archiver.simulator.audio import BYTES_PER_MS, SMALLEST
from archiver.simulator.faults import Fault

ACCOUNT_NUMBER = "549825"
DIRECTIONS = ("INBOUND", "OUTBOUND", "INTRA_PBX")
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_FIRST_ID = 193_228
_NOTHING: Mapping[str, object] = MappingProxyType({})
_EXTENSIONS: tuple[tuple[str, ...], ...] = (("2101",), ("2102",), ("2103", "2104"), ("3105",), ("0417",))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimRecording:
    """One recording at the source. What is None is left to the id: call_id and file_name follow from it.

    It can be seen once it is published and enough was downloaded and listed, until the first reason to be gone.
    Counts are of whole answers with status 200 since the simulator was made; what is gone stays gone.

    `overlay` replaces fields of the JSON as listed, whatever their type; `dropped` leaves fields out: total_items
    counts the recording all the same.
    Raises ValueError for a size (bytes) too small to tell two recordings apart, or a time without zone.
    """

    id: int
    start: datetime
    size: int  # bytes that a download really sends
    duration_ms: int
    direction: str = "INBOUND"
    extensions: tuple[int | str, ...] = ("2101",)
    caller_id: int | str | None = "+910000000000"
    dnis: str | None = "+910000099999"
    cnam: str | None = None
    listed_size: int | None = None  # where the listing says something else than `size`
    call_id: str | None = None
    file_name: str | None = None
    published_at: datetime | None = None  # not listed before
    after_downloads: int = 0  # not listed before so many whole downloads of other recordings
    after_listings: int = 0  # not listed before so many list requests were answered
    gone_after_listings: int | None = None  # gone as soon as so many list requests were answered
    gone_at: datetime | None = None  # gone from then on
    hidden: bool = False  # total_items counts it, and no page shows it
    overlay: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be served."""
        times = (self.start, self.published_at, self.gone_at)
        if self.size < SMALLEST or any(time is not None and time.tzinfo is None for time in times):
            msg = f"recording {self.id}: at least {SMALLEST} bytes, and every time with a time zone"
            raise ValueError(msg)

    @property
    def uuid(self) -> str:
        """The call's UUID: its own, or the one that follows from the id."""
        if self.call_id is not None:
            return self.call_id
        digest = hashlib.blake2b(str(self.id).encode(), digest_size=16).digest()
        return str(UUID(bytes=digest, version=4))

    @property
    def key(self) -> tuple[int, int]:
        """Place in a listing: start in seconds since 1970, then id."""
        return int(self.start.timestamp()), self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A simulated account: its recordings, and what is scripted to go wrong with them.

    `oddities` names the recordings with something special about them, for demonstrations and tests.
    """

    recordings: tuple[SimRecording, ...] = ()
    faults: tuple[Fault, ...] = ()
    number: str = ACCOUNT_NUMBER
    oddities: Mapping[str, int] = field(default_factory=dict)


def shuffled_ids(count: int, random: Random) -> list[int]:
    """Return `count` ids in no order: a source's ids say nothing about when a call began."""
    ids = list(range(_FIRST_ID, _FIRST_ID + count))
    random.shuffle(ids)
    return ids


def fictional_number(random: Random) -> str:
    """Return a number that nobody has: an Indian one from a range that does not exist, or a 555 one."""
    digits = f"{random.randrange(100_000):05}"
    return random.choice((f"+9100000{digits}", f"00000{digits}", f"1555555{digits[:4]}"))


def ordinary(
    count: int,
    *,
    seed: int = 1,
    start: datetime = EPOCH,
    over: timedelta = timedelta(days=30),
    mean_size: int = 400_000,
) -> Account:
    """Make `count` well-behaved recordings spread over `over` from `start`; sizes within half of the mean."""
    random = Random(seed)  # noqa: S311 - the same account every time, not a secret
    ids = shuffled_ids(count, random)
    step = over / max(count, 1)
    return Account(
        recordings=tuple(
            _ordinary(ids[place], (start + place * step).replace(microsecond=0), mean_size, random)
            for place in range(count)
        ),
    )


def _ordinary(recording_id: int, start: datetime, mean_size: int, random: Random) -> SimRecording:
    size = max(SMALLEST, mean_size // 2 + int(random.random() * mean_size))
    return SimRecording(
        id=recording_id,
        start=start,
        size=size,
        duration_ms=size // BYTES_PER_MS,
        direction=random.choice(DIRECTIONS),
        extensions=random.choice(_EXTENSIONS),
        caller_id=fictional_number(random),
        cnam=f"CALLER {recording_id % 1000}",
    )
