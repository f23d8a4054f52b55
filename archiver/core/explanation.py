"""Why a recording is kept or goes: every policy and hold about it, its dates, and what would change the decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.holds import Hold, holding
from archiver.core.model import Lock, State
from archiver.core.policy import Mode
from archiver.core.retention import Terms, ask, decide_both, decide_erasure, wanted_lock
from archiver.core.rulebook import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that retention has to say about one recording at one moment."""

    policies: tuple[tuple[str, str], ...]  # name, and whether it surely matches: yes or maybe
    holds: tuple[str, ...]
    source_not_before: Bound | None  # when the source's copy may go; None: never, or no policy says
    floor: Bound | None  # until when the archive must keep it
    ceiling: Bound | None  # when the archive's copy is to go
    lock_wanted: Lock | None
    lock: Lock | None  # as last seen in the bucket
    source: Decision
    archive: Decision
    erasure: Decision  # what a request for erasure would meet today
    changes: tuple[str, ...]  # what would change the decisions


def explain(candidate: Candidate, terms: Terms, now: datetime, *, paused: bool) -> Explanation:
    """Gather it all. The same functions decide here and in a plan."""
    asked = ask(candidate, terms, now)
    regime, dates = asked.regime, asked.dates
    source, archive = decide_both(candidate, terms, now)
    holds = () if candidate.state is State.EXPIRED else holding(candidate, terms.holds)
    return Explanation(
        policies=tuple((name, fit.name.lower()) for name, fit in regime.about),
        holds=holds,
        source_not_before=None if regime.source_never else dates.source,
        floor=dates.floor,
        ceiling=None if regime.archive_never else dates.ceiling,
        lock_wanted=wanted_lock(candidate, terms.rules, now),
        lock=candidate.lock,
        source=source,
        archive=archive,
        erasure=decide_erasure(candidate, terms, now),
        changes=tuple(_changes(source, archive, terms, holds, paused=paused)),
    )


_REMEDIES = {
    Reason.NOT_VERIFIED: "archiving and verifying it: the next pass does, or says why not",
    Reason.QUARANTINED: "a good copy in the bucket: archiver verify ID, or archiver retry ID",
    Reason.EXCLUDED: "policies that archive it",
    Reason.SIZE_DISAGREES: "a person's word that the copy is good: archiver accept ID",
    Reason.CLOCK_DOUBT: "time, or a clock that is set right",
    Reason.NO_POLICY: "a policy about it",
    Reason.NO_SOURCE_RULE: "a source.delete_after in a policy about it",
    Reason.NO_CEILING: "an archive.delete_after in a policy about it",
    Reason.MATCH_UNCERTAIN: "a policy that does not ask for what the source left out",
    Reason.SOURCE_NEVER: "another source.delete_after in policy {policy}",
    Reason.ARCHIVE_NEVER: "another archive.delete_after in policy {policy}",
    Reason.CEILING_BELOW_FLOOR: "an archive.delete_after that is not below the floor of policy {policy}",
    Reason.STILL_AT_SOURCE: "its deletion at the source, which comes first",
    Reason.NOT_LOCKED: "the lock, which the next pass sets, or says why not",
}
_DATED = (Reason.NOT_YET, Reason.INSIDE_FLOOR, Reason.COOLING_OFF, Reason.LOCKED)


def _changes(
    source: Decision, archive: Decision, terms: Terms, holds: tuple[str, ...], *, paused: bool
) -> Iterator[str]:
    deletion = terms.rules.policies.deletion
    sides = (("at the source", source, deletion.mode), ("in the archive", archive, deletion.in_archive))
    for side, decision, mode in sides:
        said = _doing(mode) if decision.action is not Action.KEEP else _change(decision, terms.holds)
        if said is not None:
            yield f"{side}: {said}"
    if holds and Reason.ON_HOLD not in (source.reason, archive.reason):  # what has begun waits for them
        yield "the release of " + ", ".join(holds) + " by two people: archiver hold release"
    if paused and any(decision.action is not Action.KEEP for _, decision, _ in sides):
        yield "all deletion is paused: archiver resume"


def _change(decision: Decision, holds: tuple[Hold, ...]) -> str | None:
    if decision.reason is Reason.ON_HOLD:
        known = sorted(hold.name for hold in holds if hold.name in decision.holds)
        if not known:
            return "the next pass, which takes the released hold out of the bucket"
        return "the release of " + ", ".join(known) + " by two people: archiver hold release"
    if decision.reason in _DATED and decision.not_before is not None:
        return f"time, on {decision.not_before:%Y-%m-%d %H:%M:%S} UTC"
    remedy = _REMEDIES.get(decision.reason)
    return None if remedy is None else remedy.format(policy=decision.policy)


def _doing(mode: Mode) -> str:
    return {
        Mode.DISABLED: "nothing happens as long as deletion is disabled in the policies file",
        Mode.APPROVE: "it goes with the next plan that a second person approves: archiver plan, approve, apply",
        Mode.AUTOMATIC: "the next pass deletes it",
    }[mode]
