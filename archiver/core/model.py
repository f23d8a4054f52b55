"""The values that everything else speaks about: recording, slice, state. Frozen, typed, aware datetimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from archiver.errors import IntegrityError


class State(StrEnum):
    """Where a recording stands. The allowed moves are in `core.lifecycle`."""

    DISCOVERED = "discovered"  # listed by the source, not yet copied
    TRANSFERRING = "transferring"  # claimed by a process, with a lease
    STORED = "stored"  # audio and sidecar are in the bucket
    VERIFIED = "verified"  # what the bucket holds was compared with what was received
    PURGING = "purging"  # about to be deleted at the source
    PURGED = "purged"  # gone at the source, kept in the archive
    EXPIRING = "expiring"  # about to be deleted in the archive
    EXPIRED = "expired"  # gone in the archive by policy, tombstone kept
    FAILED = "failed"  # attempts used up: on the gap list
    QUARANTINED = "quarantined"  # bytes and record disagree: a person must look
    EXCLUDED = "excluded"  # a policy says that it must not be archived


def require_aware(moment: datetime) -> datetime:
    """Return `moment` in UTC. Raises ValueError for a naive one: it could mean any hour of the day."""
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone"
        raise ValueError(msg)
    return moment.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One call recording as the source lists it.

    Text stays text (leading zeros and `+` survive); what the source left out is None. `raw` is the JSON
    object as it came, so that no field is lost.
    """

    account: str  # the account's name in the configuration, not the source's account id
    id: str  # with `account` the natural key
    start: datetime  # aware, UTC, whole seconds: the source's own resolution
    end: datetime | None
    duration_ms: int | None
    size: int | None  # bytes, as listed: with the duration the only anchor the source gives
    call_id: str | None
    direction: str | None  # INBOUND, OUTBOUND, INTRA_PBX, or whatever else the source says
    caller_id: str | None
    dnis: str | None
    cnam: str | None
    extensions: tuple[str, ...]
    rule_ids: tuple[str, ...]
    file_name: str | None  # untrusted, and it repeats: never a key
    raw: Mapping[str, object]

    def ended_at(self, listed_at: datetime) -> datetime:
        """End of the call for retention: `end`, else start plus duration, else when it was first listed."""
        if self.end is not None:
            return self.end
        if self.duration_ms is not None:
            return self.start + timedelta(milliseconds=self.duration_ms)
        return listed_at


@dataclass(frozen=True, slots=True)
class Slice:
    """A closed stretch of call starts: both ends belong to it, in whole seconds, UTC."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        """Refuse what no listing could answer. Raises ValueError."""
        if require_aware(self.until) < require_aware(self.since):
            msg = f"slice ends ({self.until.isoformat()}) before it starts ({self.since.isoformat()})"
            raise ValueError(msg)

    @property
    def seconds(self) -> int:
        """How many distinct call starts (at the source's resolution of one second) the slice covers."""
        return int((self.until - self.since).total_seconds()) + 1

    def days(self) -> Iterator[date]:
        """Every day (UTC) of which the slice holds a part, in order."""
        day = self.since.date()
        while day <= self.until.date():
            yield day
            day += timedelta(days=1)

    def covers(self, other: Slice) -> bool:
        """Whether every start of the other slice lies in this one."""
        return self.since <= other.since and other.until <= self.until


def midnight(day: date) -> datetime:
    """First moment of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def whole_day(day: date) -> Slice:
    """All call starts of a day (UTC)."""
    first = midnight(day)
    return Slice(first, first + timedelta(days=1, seconds=-1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """An item of a listing that cannot be read as a recording; kept raw, never dropped.

    It stands between two starts of the listing, as far as its neighbours on the page tell. None: to the slice's end.
    """

    reason: str
    raw: object
    id: str | None = None  # where that can be read
    since: datetime | None = None
    until: datetime | None = None

    def place(self, window: Slice) -> Slice:
        """Where in a slice its call began: as narrow as is known."""
        since, until = max(self.since or window.since, window.since), min(self.until or window.until, window.until)
        return Slice(since, until) if since <= until else window


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing, as the source answered it. Totals are claims, not facts."""

    recordings: tuple[Recording, ...]
    malformed: tuple[Malformed, ...]
    number: int | None  # `page` as the answer says
    size: int | None  # `page_size` as the answer says: the server may cap it
    total_items: int | None
    total_pages: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixity:
    """What a copy is known by: SHA-256 (64 lower-case hex digits) and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What a bucket was seen to do when it was probed, not what it promises."""

    checks_sha256: bool  # refuses a wrong x-amz-checksum-sha256 and returns the stored one
    conditional_create: bool  # refuses a second create of the same key
    versioned: bool
    object_lock: bool


class LockMode(StrEnum):
    """How firmly the bucket itself holds an object (S3 Object Lock), the weaker one first."""

    GOVERNANCE = "governance"  # whoever has a special right can take it away
    COMPLIANCE = "compliance"  # nobody can, until its date has passed

    @property
    def strength(self) -> int:
        """For comparing: a stronger lock is as good as a weaker one that was asked for."""
        return tuple(LockMode).index(self)


@dataclass(frozen=True, slots=True)
class Lock:
    """How, and until when, the bucket holds a copy, or is to hold it."""

    mode: LockMode
    until: datetime

    def covers(self, wanted: Lock) -> bool:
        """Whether this lock is as good as the other, or better."""
        return self.mode.strength >= wanted.mode.strength and self.until >= wanted.until


@dataclass(frozen=True, slots=True)
class Protection:
    """What the bucket itself says of an object: its lock, and whether a legal hold is on it."""

    lock: Lock | None = None
    on_hold: bool = False
    hold_set: bool = False  # the hold was set by this program; one that somebody else has set stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recording together with what the catalogue knows of its copy and of the work on it."""

    recording: Recording
    state: State
    listed_at: datetime
    key: str | None
    fixity: Fixity | None
    size_disagrees: bool  # the copy is not as long as listed, though two downloads agreed
    stored_at: datetime | None
    verified_at: datetime | None
    purged_at: datetime | None
    attempts: int
    next_attempt_at: datetime
    problem: str | None
    absent_since: datetime | None = None  # a proved listing of the source lacked it, and none has had it since
    lock: Lock | None = None  # of the copy, as it was last set or seen in the bucket
    on_hold: bool = False  # so it was last known, with the bucket's own legal hold where it has such
    hold_set: bool = False  # the bucket's hold is this program's
    expired_at: datetime | None = None

    @property
    def protection(self) -> Protection:
        """What holds the copy, as the record has it."""
        return Protection(self.lock, self.on_hold, self.hold_set)

    @property
    def at_source(self) -> bool:
        """Whether the source should still have it, as far as is known."""
        gone = self.state in (State.PURGED, State.EXPIRING, State.EXPIRED)
        return not gone and self.purged_at is None and self.absent_since is None

    @property
    def id(self) -> str:
        """The recording's id at the source."""
        return self.recording.id

    def require_copy(self) -> tuple[str, Fixity]:
        """Key and fixity of the copy. Raises IntegrityError when there is none on record."""
        if self.key is None or self.fixity is None:
            msg = f"recording {self.id} has no copy on record"
            raise IntegrityError(msg)
        return self.key, self.fixity


@dataclass(frozen=True, slots=True)
class Learnt:
    """What an account has shown of its paging. None: not yet, or nothing to be said."""

    page_base: int | None = None  # number of the first page, 0 or 1
    page_cap: int | None = None  # most items that it puts on a page, where that is fewer than asked for


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the listing of an account has come, and what was learnt about it."""

    watermark: datetime | None  # every start up to here was listed and is committed
    learnt: Learnt


@dataclass(frozen=True, slots=True)
class Mark:
    """What the history says of a change: when, by which run, and why.

    `decided`: extent of the log of decisions that it was made under; where that has grown, the change is refused.
    """

    run: str
    at: datetime
    reason: str
    detail: Mapping[str, object] | None = None
    decided: tuple[int, int] | None = None
