"""The gap list: what should be in the archive and is not, or could not be proved to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GapKind(StrEnum):
    """Why something stands on the list."""

    RETRYING = "retrying"  # a transfer has failed and is tried again soon
    FAILED = "failed"  # attempts used up, tried again in a day
    QUARANTINED = "quarantined"  # bytes and record disagree
    VANISHED = "vanished"  # listed, and gone at the source before it was archived
    MALFORMED = "malformed"  # an item of a listing that cannot be read as a recording
    UNLISTED = "unlisted"  # the source's total says more than it lists
    SHRUNKEN = "shrunken"  # the source lists far less than it did: it, or somebody there, is at fault


#: About one recording: opened and closed by where that recording stands.
OF_RECORDINGS = frozenset({GapKind.RETRYING, GapKind.FAILED, GapKind.QUARANTINED, GapKind.VANISHED})


class Standing(StrEnum):
    """How a gap stands after it was met."""

    NEW = "new"
    SEEN = "seen"  # known, and open
    EXPLAINED = "explained"  # known, and a person has given the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One entry of the list, open unless `closed_at` says otherwise. An explained one is open and has its reason."""

    id: int
    account: str
    kind: GapKind
    recording_id: str | None
    since: datetime  # call start, or where the slice begins that it is about
    until: datetime
    reason: str
    missing: int  # calls that are not in the archive because of it
    opened_at: datetime
    seen_at: datetime
    explanation: str | None = None
    explained_by: str | None = None
    explained_at: datetime | None = None
    closed_at: datetime | None = None
    evidence: str | None = None  # why it was closed
    raw: Mapping[str, object] | None = None  # the malformed item, under `item`


def missing(kind: GapKind, claimed: int) -> int:
    """How many calls the archive lacks because of a gap. `claimed`: recordings that it stands for."""
    if kind is GapKind.SHRUNKEN:  # the archive has them: it is the source that does not
        return 0
    return claimed if kind is GapKind.UNLISTED else 1
