"""Notes beside a recording in the bucket: what was deleted, when and why, for when the catalogue is lost one day.

A sidecar is written once, with the audio. What comes later and cannot be found out again by looking is written
beside it, likewise once: that the source's copy was deleted, and the tombstone of the archive's. A note tells the
recording's history up to then, and neither a number nor a name of a caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from archiver.core.documents import Unreadable, document, items, maybe, moment, part, text, texts, whole
from archiver.core.model import Entry, Fixity, Mark, Recording, State
from archiver.core.sidecar import LIMIT, fixity_of

FORMAT = "call-recording-note/1"
MOST_LINES = 2000  # of a history: the latest ones
LONGEST_REASON = 10_000  # characters
_TIMES = ("listed_at", "stored_at", "verified_at", "purged_at", "absent_since", "expired_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a recording's history."""

    at: datetime
    before: State | None
    after: State
    reason: str
    run: str
    detail: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a note tells: the recording without the people in it, and what became of it."""

    after: State  # purged, or expired
    recording: Recording
    key: str
    fixity: Fixity
    size_disagrees: bool
    times: Mapping[str, datetime | None] = field(default_factory=dict)  # by name of the column
    history: tuple[Line, ...] = ()

    def is_of(self, key: str, fixity: Fixity) -> bool:
        """Whether it tells of this copy."""
        return (self.key, self.fixity) == (key, fixity)


def line_of(before: State, after: State, mark: Mark) -> Line:
    """Return the line that a change is about to write."""
    return Line(at=mark.at, before=before, after=after, reason=mark.reason, run=mark.run, detail=mark.detail)


def of_entry(entry: Entry, after: State, history: Sequence[Line]) -> Note:
    """Say of a row what its note tells. Raises IntegrityError where it has no copy on record."""
    key, fixity = entry.require_copy()
    return Note(
        after=after,
        recording=entry.recording,
        key=key,
        fixity=fixity,
        size_disagrees=entry.size_disagrees,
        times={name: getattr(entry, name) for name in _TIMES},
        history=tuple(history[-MOST_LINES:]),
    )


def render(note: Note) -> bytes:
    """Write a note's bytes: no more than a rebuild reads, so without the oldest lines of a very long history."""
    body = _bytes(note)
    while len(body) > LIMIT and note.history:
        note = replace(note, history=note.history[len(note.history) // 8 + 1 :])
        body = _bytes(note)
    return body


def _bytes(note: Note) -> bytes:
    recording = note.recording
    content = {
        "format": FORMAT,
        "account": recording.account,
        "recording_id": recording.id,
        "state": note.after,
        "audio": {
            "key": note.key,
            "sha256": note.fixity.sha256,
            "size": note.fixity.size,
            "size_disagrees": note.size_disagrees,
        },
        "call": {
            "start": recording.start.isoformat(),
            "end": _iso(recording.end),
            "duration_ms": recording.duration_ms,
            "size_listed": recording.size,
            "call_id": recording.call_id,
            "direction": recording.direction,
            "extensions": list(recording.extensions),
            "rule_ids": list(recording.rule_ids),
        },
        **{name: _iso(note.times.get(name)) for name in _TIMES},
        "history": [{**_plain(line), "at": line.at.isoformat()} for line in note.history],
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _plain(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in ("before", "after", "reason", "run", "detail")}


def parse(body: bytes) -> Note:
    """Read a note. Raises Unreadable, which says what is wrong."""
    content = document(body, FORMAT)
    audio, call = part(content, "audio"), part(content, "call")
    recording = Recording(
        account=text(content, "account"),
        id=text(content, "recording_id"),
        start=moment(call, "start"),
        end=maybe(moment, call, "end"),
        duration_ms=maybe(whole, call, "duration_ms"),
        size=maybe(whole, call, "size_listed"),
        call_id=maybe(text, call, "call_id"),
        direction=maybe(text, call, "direction"),
        caller_id=None,
        dnis=None,
        cnam=None,
        extensions=texts(call, "extensions"),
        rule_ids=texts(call, "rule_ids"),
        file_name=None,
        raw={},
    )
    return Note(
        after=_state(content, "state"),
        recording=recording,
        key=text(audio, "key", longest=1024),
        fixity=fixity_of(audio),
        size_disagrees=audio.get("size_disagrees") is not False,
        times={name: maybe(moment, content, name) for name in _TIMES},
        history=tuple(map(_line, items(content, "history"))),
    )


def _line(found: object) -> Line:
    if not isinstance(found, Mapping):
        raise Unreadable("a line of the history is no JSON object")
    line = cast("Mapping[str, object]", found)
    return Line(
        at=moment(line, "at"),
        before=maybe(_state, line, "before"),
        after=_state(line, "after"),
        reason=text(line, "reason", longest=LONGEST_REASON),
        run=text(line, "run"),
        detail=maybe(part, line, "detail"),
    )


def _state(content: Mapping[str, object], name: str) -> State:
    try:
        return State(text(content, name))
    except ValueError as error:
        raise Unreadable(f"{name} is no state of a recording") from error
