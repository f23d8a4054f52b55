"""A row of the catalogue as retention asks about it."""

from __future__ import annotations

from archiver.core.decision import Candidate
from archiver.core.model import Entry


def candidate(entry: Entry) -> Candidate:
    """Say of a row what the retention decision needs."""
    recording, fixity = entry.recording, entry.fixity
    return Candidate(
        account=recording.account,
        recording_id=recording.id,
        direction=recording.direction,
        extensions=recording.extensions,
        duration_ms=recording.duration_ms,
        start=recording.start,
        ended_at=recording.ended_at(entry.listed_at),
        state=entry.state,
        listed_at=entry.listed_at,
        verified_at=entry.verified_at,
        size_disagrees=entry.size_disagrees,
        sha256=fixity.sha256 if fixity else None,
        size=fixity.size if fixity else None,
        caller_id=recording.caller_id,
        dnis=recording.dnis,
        cnam=recording.cnam,
        rule_ids=recording.rule_ids,
        at_source=entry.at_source,
        lock=entry.lock,
        on_hold=entry.on_hold,
    )
