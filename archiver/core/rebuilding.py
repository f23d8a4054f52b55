"""A catalogue out of the bucket alone: what the objects of one recording say about it, and what they cannot be.

What stands in the bucket is looked at as if anybody had written it. A recording is taken on where its sidecar, its
audio and the place of both agree; else it is named with the reason, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from archiver.core import notes, sidecar
from archiver.core.documents import Unreadable
from archiver.core.model import Entry, Mark, Protection, Recording, State
from archiver.core.naming import Address, Kind
from archiver.core.notes import Line, Note
from archiver.core.sidecar import Sidecar

STILL_THERE = "the audio that it speaks of as deleted is there"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the bucket lists it; `size` in bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that the bucket has of one recording."""

    address: Address
    objects: Mapping[Kind, Listed]

    @property
    def bytes_to_read(self) -> int:
        """Size of all but the audio."""
        return sum(one.size for kind, one in self.objects.items() if kind is not Kind.AUDIO)


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue has of a recording already: the key of the copy on record, and where it stands."""

    key: str | None
    state: State


class Trouble(StrEnum):
    """Why an object is not taken on."""

    FOREIGN = "foreign"  # it is no object of this archive
    UNKNOWN_ACCOUNT = "unknown_account"
    NO_SIDECAR = "no_sidecar"  # the next pass adopts it, if the source still lists it
    NO_AUDIO = "no_audio"
    UNREADABLE = "unreadable"
    MISPLACED = "misplaced"  # it speaks of another recording than its key
    OTHER_SIZE = "other_size"  # the audio is not as long as its sidecar says
    CONTRADICTION = "contradiction"  # a tombstone beside audio, a note about another copy, a decision too many


@dataclass(frozen=True, slots=True)
class Refusal:
    """One object that is not taken on, or not believed."""

    key: str
    trouble: Trouble
    reason: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One recording as it comes into the catalogue: its row, and its history."""

    entry: Entry
    history: tuple[Line, ...]


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild has come to. Memory does not grow with the bucket, unless all is to be named."""

    most_named: int | None = 200  # None: all
    objects: int = 0
    known: int = 0  # recordings that the catalogue had already
    stored: int = 0  # recordings taken on whose copy is there
    purged: int = 0  # of those: deleted at the source before
    expired: int = 0  # tombstones
    held: int = 0  # of those stored: on legal hold in the bucket
    uncased: int = 0  # of those: without a case that holds them
    decisions: int = 0  # decisions taken on
    cases: list[str] = field(default_factory=list)  # opened, for what is on hold without one
    troubles: dict[str, int] = field(default_factory=dict)
    named: list[Refusal] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        """Count what was not taken on."""
        self.troubles[refusal.trouble] = self.troubles.get(refusal.trouble, 0) + 1
        if self.most_named is None or len(self.named) < self.most_named:
            self.named.append(refusal)

    @property
    def exit_code(self) -> int:
        """3 where a person has to look at something."""
        return 3 if self.troubles or self.uncased or self.cases else 0

    def as_counts(self) -> dict[str, object]:
        """Numbers for the log, the catalogue and `--json`."""
        plain = ("objects", "known", "stored", "purged", "expired", "held", "uncased", "decisions")
        return {name: getattr(self, name) for name in plain} | {
            "cases": list(self.cases),
            "troubles": dict(self.troubles),
        }


def contradiction(found: Found, row: Known) -> Refusal | None:
    """Say what the bucket has against a row that is there, by the listing alone."""
    there = found.objects
    if row.key not in (None, f"{found.address.stem}{Kind.AUDIO}"):
        return _beside(found, f"the recording is on record under another key: {row.key}")
    if Kind.EXPIRED in there and Kind.AUDIO not in there and row.state not in (State.EXPIRING, State.EXPIRED):
        reason = f"it says that the archive's copy was deleted, the catalogue says: {row.state}"
        return Refusal(there[Kind.EXPIRED].key, Trouble.CONTRADICTION, reason)
    return None


def second(found: Found) -> Refusal:
    """Name the second copy of a recording, under another start than the one that is taken on."""
    return _beside(found, "the recording is taken on already, with the copy under an earlier start")


def _beside(found: Found, reason: str) -> Refusal:
    return Refusal(next(iter(found.objects.values())).key, Trouble.CONTRADICTION, reason)


def to_read(found: Found, accounts: Collection[str]) -> tuple[Kind, ...] | Refusal:
    """Say which objects of a recording have to be read, or why there is no use in it: by the listing alone."""
    there, address = found.objects, found.address

    def refuse(kind: Kind, trouble: Trouble, reason: str) -> Refusal:
        return Refusal(there[kind].key, trouble, reason)

    if address.account not in accounts:
        return refuse(next(iter(there)), Trouble.UNKNOWN_ACCOUNT, "its account is not in the configuration")
    if Kind.AUDIO in there:
        if Kind.SIDECAR not in there and Kind.EXPIRED in there:
            return refuse(Kind.EXPIRED, Trouble.CONTRADICTION, STILL_THERE)
        if Kind.SIDECAR not in there:
            return refuse(Kind.AUDIO, Trouble.NO_SIDECAR, "it has no sidecar")
        asked = (Kind.SIDECAR, Kind.PURGED)
    elif Kind.EXPIRED in there:
        asked = (Kind.EXPIRED, Kind.SIDECAR)  # the sidecar: it was to go last
    else:
        return refuse(next(iter(there)), Trouble.NO_AUDIO, "the audio that belongs to it is not there")
    wanted = tuple(kind for kind in asked if kind in there)
    if sum(there[kind].size for kind in wanted) > 2 * sidecar.LIMIT:
        return refuse(wanted[0], Trouble.UNREADABLE, "it is larger than any that the archive writes")
    return wanted


def rebuild(
    found: Found, bodies: Mapping[Kind, bytes], protection: Protection, mark: Mark
) -> tuple[Rebuilt | None, list[Refusal]]:
    """Say what the catalogue is to hold of a recording, and what of the objects is not believed.

    `protection`: what holds the sidecar in the bucket.
    """
    if Kind.EXPIRED in bodies:
        return _deleted(found, bodies, mark)
    said = _sidecar(found, bodies[Kind.SIDECAR])
    if isinstance(said, Refusal):
        return None, [said]
    refused = list[Refusal]()
    if Kind.EXPIRED in found.objects:  # the copy was archived anew: a whole one is worth more than its tombstone
        refused.append(Refusal(found.objects[Kind.EXPIRED].key, Trouble.CONTRADICTION, STILL_THERE))
    note = _note(found, bodies[Kind.PURGED], Kind.PURGED) if Kind.PURGED in bodies else None
    if isinstance(note, Note) and not note.is_of(said.key, said.fixity):
        note = Refusal(
            found.objects[Kind.PURGED].key, Trouble.CONTRADICTION, "it speaks of another copy than the sidecar"
        )
    if isinstance(note, Refusal):
        return _stored(found, said, None, protection, mark), [*refused, note]
    return _stored(found, said, note, protection, mark), refused


def _deleted(found: Found, bodies: Mapping[Kind, bytes], mark: Mark) -> tuple[Rebuilt | None, list[Refusal]]:
    note = _note(found, bodies[Kind.EXPIRED], Kind.EXPIRED)
    if isinstance(note, Refusal):
        return None, [note]
    said = _sidecar(found, bodies[Kind.SIDECAR]) if Kind.SIDECAR in bodies else None
    if isinstance(said, Sidecar) and not note.is_of(said.key, said.fixity):
        key = found.objects[Kind.SIDECAR].key
        said = Refusal(key, Trouble.CONTRADICTION, "it speaks of another copy than the tombstone")
    if isinstance(said, Refusal):
        return _expired(found, note, None, mark), [said]
    return _expired(found, note, said, mark), []


def _sidecar(found: Found, body: bytes) -> Sidecar | Refusal:
    key, audio = found.objects[Kind.SIDECAR].key, found.objects.get(Kind.AUDIO)
    try:
        said = sidecar.parse(body)
    except Unreadable as error:
        return Refusal(key, Trouble.UNREADABLE, str(error))
    if not _is_of(found, said.recording, said.key):
        return Refusal(key, Trouble.MISPLACED, "it speaks of another recording than its key")
    if audio is not None and audio.size != said.fixity.size:
        return Refusal(audio.key, Trouble.OTHER_SIZE, f"it has {audio.size} bytes, its sidecar says {said.fixity.size}")
    return said


def _note(found: Found, body: bytes, kind: Kind) -> Note | Refusal:
    key = found.objects[kind].key
    try:
        note = notes.parse(body)
    except Unreadable as error:
        return Refusal(key, Trouble.UNREADABLE, str(error))
    if not _is_of(found, note.recording, note.key):
        return Refusal(key, Trouble.MISPLACED, "it speaks of another recording than its key")
    expired = kind is Kind.EXPIRED
    needed = ("listed_at", "stored_at", "verified_at", *(("expired_at",) if expired else ("purged_at",)))
    state = State.EXPIRED if expired else State.PURGED
    if note.after is not state or any(note.times[name] is None for name in needed):
        return Refusal(key, Trouble.UNREADABLE, "it does not say when what it tells of has happened")
    return note


def _is_of(found: Found, recording: Recording, key: str) -> bool:
    address = found.address
    told = (recording.account, recording.id, recording.start, key)
    return told == (address.account, address.recording_id, address.start, f"{address.stem}{Kind.AUDIO}")


def _stored(found: Found, said: Sidecar, note: Note | None, protection: Protection, mark: Mark) -> Rebuilt:
    entry = Entry(
        recording=said.recording,
        state=State.STORED,  # whatever it was: nothing is believed of a copy before it is verified
        listed_at=said.listed_at,
        key=said.key,
        fixity=said.fixity,
        size_disagrees=said.size_disagrees,
        stored_at=found.objects[Kind.SIDECAR].modified,
        verified_at=None,
        purged_at=None if note is None else note.times["purged_at"],
        attempts=0,
        next_attempt_at=mark.at,
        problem="the listed size is another one" if said.size_disagrees else None,
        # until the source lists it again nothing is expected there: what it has deleted meanwhile is no gap
        absent_since=mark.at if note is None else None,
        lock=protection.lock,
        on_hold=protection.on_hold,
    )
    return _told(entry, note, mark, found.objects[Kind.SIDECAR].key)


def _expired(found: Found, note: Note, said: Sidecar | None, mark: Mark) -> Rebuilt:
    """Take a tombstone on. Where the sidecar is there still, the deletion was cut off, and is to be finished.

    Whose call it was then comes from the sidecar: a case may hold it by that.
    """
    times = note.times
    entry = Entry(
        recording=note.recording if said is None else said.recording,
        state=State.EXPIRED if said is None else State.EXPIRING,
        listed_at=times["listed_at"] or mark.at,
        key=note.key,
        fixity=note.fixity,
        size_disagrees=note.size_disagrees,
        stored_at=times["stored_at"],
        verified_at=times["verified_at"],
        purged_at=times["purged_at"],
        attempts=0,
        next_attempt_at=mark.at,
        problem=None,
        absent_since=times["absent_since"],
        expired_at=times["expired_at"] if said is None else None,
    )
    return _told(entry, note, mark, found.objects[Kind.EXPIRED].key)


def _told(entry: Entry, note: Note | None, mark: Mark, key: str) -> Rebuilt:
    """Give a row its history: what a note carries, and that it was rebuilt."""
    carried = () if note is None else note.history
    before = carried[-1].after if carried else None
    times = {"listed_at": entry.listed_at, "stored_at": entry.stored_at}
    detail = {name: moment.isoformat() for name, moment in times.items() if moment is not None}
    said = replace(mark, reason=f"rebuilt from {key}", detail=detail)
    line = Line(at=said.at, before=before, after=entry.state, reason=said.reason, run=said.run, detail=said.detail)
    return Rebuilt(entry, (*carried, line))
