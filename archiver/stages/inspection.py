"""Look at a copy in the bucket: for the stage that verifies, and once more just before the source is deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from archiver.core import naming, sidecar
from archiver.core.candidates import candidate
from archiver.core.decision import Action
from archiver.core.integrity import MISSING, Verdict, compare
from archiver.core.model import Entry, State
from archiver.core.retention import Terms, decide_archive
from archiver.errors import IntegrityError, NotFound
from archiver.stages.ports import ObjectStore


async def inspect_copy(store: ObjectStore, entry: Entry) -> Verdict:
    """Prove, or fail to prove, that the bucket holds the copy on record with its sidecar. Changes nothing."""
    try:
        key, recorded = entry.require_copy()
    except IntegrityError as error:
        return Verdict(str(error))
    try:
        verdict = compare(recorded, await store.stored_fixity(key))
    except NotFound:
        verdict = compare(recorded, None)
    if not verdict.good:
        return verdict
    try:
        spoken = sidecar.fixity_in(await store.read(naming.sidecar_key(key), limit=sidecar.LIMIT))
    except (NotFound, IntegrityError) as error:
        return Verdict(f"the sidecar is missing or not readable: {type(error).__name__}")
    return Verdict(None if spoken == recorded else "the sidecar speaks of another copy")


def explained(problem: str, entry: Entry, terms: Terms, now: datetime) -> str:
    """Add to the problem of a missing copy that the policies let it go, where they do.

    Then it was most likely deleted by them, and the record of that was lost with a restored dump.
    """
    if problem != MISSING:
        return problem
    decision = decide_archive(candidate(replace(entry, state=State.PURGED)), terms, now)
    if decision.action is Action.KEEP:
        return problem
    return f"{problem}, and the policies let it go: a restored dump does not know of deletions after it"
