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


def to_read(found: Found, accounts: Collection[str]) -> tuple[Kind, ...] | Refusal:
    """Say which objects of a recording have to be read, or why there is no use in it: by the listing alone."""
    there, address = found.objects, found.address

    def refuse(kind: Kind, trouble: Trouble, reason: str) -> Refusal:
        return Refusal(there[kind].key, trouble, reason)

    if address.account not in accounts:
        return refuse(next(iter(there)), Trouble.UNKNOWN_ACCOUNT, "its account is not in the configuration")
    if Kind.EXPIRED in there and Kind.AUDIO in there:
        return refuse(Kind.EXPIRED, Trouble.CONTRADICTION, "the audio that it speaks of as deleted is there")
    if Kind.EXPIRED in there:
        wanted: tuple[Kind, ...] = (Kind.EXPIRED,)
    elif Kind.AUDIO not in there:
        return refuse(next(iter(there)), Trouble.NO_AUDIO, "the audio that belongs to it is not there")
    elif Kind.SIDECAR not in there:
        return refuse(Kind.AUDIO, Trouble.NO_SIDECAR, "it has no sidecar")
    else:
        wanted = tuple(kind for kind in (Kind.SIDECAR, Kind.PURGED) if kind in there)
    if found.bytes_to_read > 2 * sidecar.LIMIT:
        return refuse(wanted[0], Trouble.UNREADABLE, "it is larger than any that the archive writes")
    return wanted


def rebuild(
    found: Found, bodies: Mapping[Kind, bytes], protection: Protection, mark: Mark
) -> tuple[Rebuilt | None, list[Refusal]]:
    """Say what the catalogue is to hold of a recording, and what of the objects is not believed.

    `protection`: what holds the sidecar in the bucket.
    """
    if Kind.EXPIRED in bodies:
        tombstone = _note(found, bodies[Kind.EXPIRED], Kind.EXPIRED)
        return (None, [tombstone]) if isinstance(tombstone, Refusal) else (_expired(found, tombstone, mark), [])
    said = _sidecar(found, bodies[Kind.SIDECAR])
    if isinstance(said, Refusal):
        return None, [said]
    note = _note(found, bodies[Kind.PURGED], Kind.PURGED) if Kind.PURGED in bodies else None
    if isinstance(note, Note) and (note.key, note.fixity) != (said.key, said.fixity):
        note = Refusal(
            found.objects[Kind.PURGED].key, Trouble.CONTRADICTION, "it speaks of another copy than the sidecar"
        )
    if isinstance(note, Refusal):
        return _stored(found, said, None, protection, mark), [note]
    return _stored(found, said, note, protection, mark), []


def _sidecar(found: Found, body: bytes) -> Sidecar | Refusal:
    key, audio = found.objects[Kind.SIDECAR].key, found.objects[Kind.AUDIO]
    try:
        said = sidecar.parse(body)
    except Unreadable as error:
        return Refusal(key, Trouble.UNREADABLE, str(error))
    if not _is_of(found, said.recording, said.key):
        return Refusal(key, Trouble.MISPLACED, "it speaks of another recording than its key")
    if audio.size != said.fixity.size:
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


def _expired(found: Found, note: Note, mark: Mark) -> Rebuilt:
    times = note.times
    entry = Entry(
        recording=note.recording,
        state=State.EXPIRED,
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
        expired_at=times["expired_at"],
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
