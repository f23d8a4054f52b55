"""Object keys: made from account, start and id alone, so that a repeated upload meets its own first attempt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from archiver.core.listing import ID_PATTERN
from archiver.core.model import Recording

AUDIO_TYPE = "audio/mpeg"
SIDECAR_TYPE = "application/json"


def audio_key(prefix: str, recording: Recording) -> str:
    """Key of the audio: `<prefix><account>/YYYY/MM/DD/HHMMSSZ-<id>.mp3`, the call's start in UTC.

    `file_name` is left out on purpose: it repeats between recordings and is untrusted text.
    """
    return f"{prefix}{recording.account}/{recording.start:%Y/%m/%d/%H%M%S}Z-{recording.id}.mp3"


def sidecar_key(key: str) -> str:
    """Key of the metadata sidecar that stands beside an audio object."""
    return key.removesuffix(".mp3") + ".json"


class Kind(StrEnum):
    """What an object of a recording is, by the end of its key."""

    AUDIO = ".mp3"
    PURGED = ".purged.json"  # a note: the source's copy was deleted
    EXPIRED = ".expired.json"  # a note: the archive's copy was deleted, and this is the tombstone
    SIDECAR = ".json"  # last: the notes end so, too


_ADDRESS = re.compile(
    rf"(?P<account>[^/]+)/(?P<time>\d{{4}}/\d\d/\d\d/\d{{6}})Z-(?P<id>{ID_PATTERN.pattern})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Address:
    """Whose object a key is, as far as the key itself tells."""

    account: str
    recording_id: str
    start: datetime
    stem: str  # the key without its end

    @property
    def name(self) -> tuple[str, str]:
        """What the recording is known by, whatever its start: account and id."""
        return self.account, self.recording_id


def note_key(key: str, kind: Kind) -> str:
    """Key of a note that stands beside an audio object."""
    return key.removesuffix(Kind.AUDIO) + kind


def address_of(prefix: str, key: str) -> tuple[Address, Kind] | None:
    """Read a key of this archive; None: it is none."""
    kind = next((kind for kind in Kind if key.endswith(kind)), None)
    found = None if kind is None else _ADDRESS.fullmatch(key.removeprefix(prefix).removesuffix(kind))
    if kind is None or found is None or not key.startswith(prefix):
        return None
    try:
        start = datetime.strptime(found["time"], "%Y/%m/%d/%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Address(found["account"], found["id"], start, key.removesuffix(kind)), kind


def own_folder(prefix: str) -> str:
    """How keys begin of what the program keeps for itself: no account's name begins with a dot."""
    return f"{prefix}.archiver"


def decisions_folder(prefix: str) -> str:
    """Where copies of decisions about deletion stand."""
    return f"{own_folder(prefix)}/decisions/"
