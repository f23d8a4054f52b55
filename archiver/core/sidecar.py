"""The metadata sidecar: a JSON file beside each audio object, enough to rebuild the catalogue from the bucket alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from archiver.core.documents import Unreadable, document, moment, part, text, whole
from archiver.core.listing import parse_recording
from archiver.core.model import Fixity, Malformed, Recording
from archiver.errors import IntegrityError

FORMAT = "call-recording-sidecar/1"
LIMIT = 1024 * 1024  # bytes; a listing item is about one kilobyte
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What a sidecar tells."""

    recording: Recording
    key: str  # of the audio
    fixity: Fixity
    size_disagrees: bool
    listed_at: datetime


def render(recording: Recording, *, key: str, fixity: Fixity, size_disagrees: bool, listed_at: datetime) -> bytes:
    """Write the sidecar's bytes. Only facts that a second attempt would repeat: the same row, the same bytes."""
    content = {
        "format": FORMAT,
        "account": recording.account,
        "recording_id": recording.id,
        "audio": {"key": key, "sha256": fixity.sha256, "size": fixity.size, "size_disagrees": size_disagrees},
        "call": {"start": recording.start.isoformat(), "end": recording.end.isoformat() if recording.end else None},
        "listed_at": listed_at.isoformat(),
        "source": recording.raw,
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a sidecar says of the copy beside it."""

    account: str
    recording_id: str
    fixity: Fixity
    size_disagrees: bool

    def fits(self, recording: Recording) -> bool:
        """Whether it is about this recording, and about a copy as long as the source lists it, or known not to be."""
        same = (self.account, self.recording_id) == (recording.account, recording.id)
        return same and (self.size_disagrees or recording.size in {None, self.fixity.size})


def spoken_in(body: bytes) -> Spoken:
    """Read what a sidecar says. Raises IntegrityError when it is not a sidecar."""
    fixity = fixity_in(body)
    try:
        content = json.loads(body)
        return Spoken(
            account=str(content["account"]),
            recording_id=str(content["recording_id"]),
            fixity=fixity,
            size_disagrees=bool(content["audio"]["size_disagrees"]),
        )
    except KeyError as error:
        msg = "the sidecar is not readable"
        raise IntegrityError(msg) from error


def fixity_in(body: bytes) -> Fixity:
    """Read which audio a sidecar speaks for. Raises IntegrityError when it is not a sidecar."""
    try:
        audio = json.loads(body)["audio"]
        return Fixity(sha256=str(audio["sha256"]), size=int(audio["size"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        msg = "the sidecar is not readable"
        raise IntegrityError(msg) from error


def parse(body: bytes) -> Sidecar:
    """Read all of a sidecar. Raises Unreadable, which says what is wrong."""
    content = document(body, FORMAT)
    audio = part(content, "audio")
    recording = parse_recording(text(content, "account"), content.get("source"))
    if isinstance(recording, Malformed):
        raise Unreadable(f"the item as it was listed is not readable: {recording.reason}")
    if recording.id != text(content, "recording_id") or recording.start != moment(part(content, "call"), "start"):
        raise Unreadable("it speaks of two recordings")
    return Sidecar(
        recording=recording,
        key=text(audio, "key", longest=1024),
        fixity=fixity_of(audio),
        size_disagrees=audio.get("size_disagrees") is not False,
        listed_at=moment(content, "listed_at"),
    )


def fixity_of(audio: Mapping[str, object]) -> Fixity:
    """Read digest and size of a copy. Raises Unreadable."""
    sha256, size = text(audio, "sha256"), whole(audio, "size")
    if not _SHA256.fullmatch(sha256) or size == 0:
        raise Unreadable("digest or size of the audio is malformed")
    return Fixity(sha256=sha256, size=size)
