"""Decides what may be deleted, at the source and in the archive, and why. Pure: `now` is an argument.

A deletion needs a policy that is surely about the call and permits it, a date that has passed, and nothing that
forbids it: no legal hold, no floor, no lock, no doubt about the copy. Whatever is missing, doubtful or in the future
keeps the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.duration import Duration, add
from archiver.core.holds import Hold, holding
from archiver.core.match import Call
from archiver.core.model import Lock, State, require_aware
from archiver.core.policy import PolicySet
from archiver.core.rulebook import Bound, Regime, Rulebook

_AT_SOURCE: Mapping[State, Reason] = {
    State.PURGED: Reason.ALREADY_PURGED,
    State.EXPIRING: Reason.ALREADY_PURGED,
    State.EXPIRED: Reason.ALREADY_PURGED,
    State.PURGING: Reason.PURGE_BEGUN,
}
_IN_ARCHIVE: Mapping[State, Reason] = {
    State.EXPIRED: Reason.ALREADY_EXPIRED,
    State.EXPIRING: Reason.EXPIRY_BEGUN,
    State.PURGING: Reason.PURGE_BEGUN,
}
Ruling = Callable[[Candidate, Rulebook, datetime], Decision]

_NO_COPY: Mapping[State, Reason] = {
    State.QUARANTINED: Reason.QUARANTINED,
    State.EXCLUDED: Reason.EXCLUDED,
}


@dataclass(frozen=True, slots=True)
class Earlier:
    """Policies that were in force until lately, and that still bind until their cooling-off period is over.

    None: none were in force, or they can no longer be read; that keeps everything.
    """

    rules: Rulebook | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All that binds a decision beside the recording itself."""

    rules: Rulebook
    holds: tuple[Hold, ...] = ()
    earlier: Mapping[str, tuple[Earlier, ...]] = field(default_factory=dict)  # by account

    @classmethod
    def of(cls, policies: PolicySet, *holds: Hold) -> Terms:
        """Take a policy set alone, or with holds."""
        return cls(rules=Rulebook(policies), holds=holds)


def excluded_by(call: Call, rules: Rulebook) -> str | None:
    """Return the policy that keeps the call out of the archive; None means archive it.

    `archive: false` counts when its policy is surely about the call and no policy that is, or may be, says
    that it is to be archived. Of several the first by name is returned.
    """
    return rules.regime(call).excluding


def decide(candidate: Candidate, terms: Terms, now: datetime) -> Decision:
    """Say whether the recording may be deleted at the source now. The mode and the caps are not asked here.

    Of several policies the longest wait wins; `never` beats all. Raises ValueError for a naive moment.
    """
    now = require_aware(now)
    reason = _AT_SOURCE.get(candidate.state)
    if reason is not None:
        return _keep(reason)
    barred = _barred(candidate, terms, now)
    if barred is not None:
        return barred
    return _cooled(candidate, _source_ruling(candidate, terms.rules, now), terms, now, _source_ruling)


def decide_archive(candidate: Candidate, terms: Terms, now: datetime) -> Decision:
    """Say whether the archive's copy may be deleted now. The mode and the caps are not asked here.

    The longest floor wins; of the ceilings that are not below it the earliest counts; `never` beats all.
    """
    now = require_aware(now)
    reason = _IN_ARCHIVE.get(candidate.state)
    if reason is not None:
        return _keep(reason)
    barred = _barred(candidate, terms, now)
    if barred is not None:
        return barred
    decision = _archive_ruling(candidate, terms.rules, now)
    if decision.action is Action.KEEP:
        return decision
    if candidate.at_source:
        return _keep(Reason.STILL_AT_SOURCE, policy=decision.policy, not_before=decision.not_before)
    if candidate.lock is not None and candidate.lock.until > now:
        return _keep(Reason.LOCKED, not_before=candidate.lock.until)
    return _cooled(candidate, decision, terms, now, _archive_ruling)


def decide_erasure(candidate: Candidate, terms: Terms, now: datetime) -> Decision:
    """Say whether the recording may be erased on request now, at the source and in the archive, or what forbids it.

    An erasure needs no ceiling and no wait that has passed. Holds, floors, `never`, locks and doubts forbid it, those
    of earlier policies in their cooling-off period too.
    """
    now = require_aware(now)
    reason = _IN_ARCHIVE.get(candidate.state)
    if reason is not None:
        return _keep(reason)
    barred = _barred(candidate, terms, now)
    if barred is not None:
        return barred
    decision = _erasure_ruling(candidate, terms.rules, now)
    if decision.action is not Action.KEEP and candidate.lock is not None and candidate.lock.until > now:
        return _keep(Reason.LOCKED, not_before=candidate.lock.until)
    return _cooled(candidate, decision, terms, now, _erasure_ruling)


def wanted_lock(candidate: Candidate, rules: Rulebook, now: datetime) -> Lock | None:
    """Return the lock that the policies want for the copy: until the longest floor, never longer. None: none now."""
    regime = rules.regime(candidate)
    if regime.lock is None:
        return None
    floor = rules.longest(counted_from(candidate), regime.floors)
    return Lock(regime.lock, _whole_second(floor.at)) if floor is not None and floor.at > now else None


def floor_of(candidate: Candidate, rules: Rulebook) -> Bound | None:
    """Return until when, and by which policy, the archive must keep its copy."""
    return rules.longest(counted_from(candidate), rules.regime(candidate).floors)


def ceiling_of(candidate: Candidate, rules: Rulebook) -> Bound | None:
    """Return when, and by which policy, the archive's copy is to go."""
    regime = rules.regime(candidate)
    return None if regime.archive_never else rules.ceiling(counted_from(candidate), regime, floor_of(candidate, rules))


def source_wait_of(candidate: Candidate, rules: Rulebook) -> Bound | None:
    """Return from when, and by which policy, the source's copy may go."""
    regime = rules.regime(candidate)
    return None if regime.source_never else rules.longest(counted_from(candidate), regime.source_waits)


def counted_from(candidate: Candidate) -> datetime:
    """Return the end of the call that waiting is counted from: the latest one that the record allows."""
    start = candidate.start
    try:
        spoken = start + timedelta(milliseconds=max(0, candidate.duration_ms or 0))
    except OverflowError:
        spoken = add(start, Duration(years=9999))
    return max(start, spoken, candidate.ended_at)


def _whole_second(moment: datetime) -> datetime:
    """Round up: a bucket keeps no fractions, and a lock that ends before its floor would never be enough."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def _keep(
    reason: Reason, *, policy: str | None = None, not_before: datetime | None = None, holds: tuple[str, ...] = ()
) -> Decision:
    return Decision(action=Action.KEEP, reason=reason, policy=policy, not_before=not_before, holds=holds)


def _barred(candidate: Candidate, terms: Terms, now: datetime) -> Decision | None:
    """Return what forbids any deletion whatever the policies say."""
    if terms.holds and (holds := holding(candidate, terms.holds)):
        return _keep(Reason.ON_HOLD, holds=holds)
    if candidate.on_hold:
        return _keep(Reason.ON_HOLD, holds=("in the bucket",))
    reason = _doubt(candidate, now)
    return None if reason is None else _keep(reason)


def _doubt(candidate: Candidate, now: datetime) -> Reason | None:
    if candidate.state in _NO_COPY:
        return _NO_COPY[candidate.state]
    verified_at = candidate.verified_at
    proved = candidate.state in (State.VERIFIED, State.PURGED) and verified_at is not None
    if not proved or verified_at is None or not candidate.sha256 or candidate.size is None:
        return Reason.NOT_VERIFIED
    if candidate.size_disagrees:
        return Reason.SIZE_DISAGREES
    if max(verified_at, candidate.listed_at) > now:
        return Reason.CLOCK_DOUBT
    return None


def _source_ruling(candidate: Candidate, rules: Rulebook, now: datetime) -> Decision:
    regime = rules.regime(candidate)
    if not regime.about:
        return _keep(Reason.NO_POLICY)
    if regime.source_never is not None:
        return _keep(Reason.SOURCE_NEVER, policy=regime.source_never)
    wait = rules.longest(counted_from(candidate), regime.source_waits)
    if wait is None:
        return _keep(Reason.NO_SOURCE_RULE)
    if not regime.source_sure:
        return _keep(Reason.MATCH_UNCERTAIN)
    decision = _by_date(wait, now, Action.DELETE_AT_SOURCE)
    wanted = wanted_lock(candidate, rules, now) if decision.action is not Action.KEEP else None
    if wanted is not None and (candidate.lock is None or not candidate.lock.covers(wanted)):
        return _keep(Reason.NOT_LOCKED, policy=wait.policy, not_before=wait.at)
    return decision


def _archive_ruling(candidate: Candidate, rules: Rulebook, now: datetime) -> Decision:
    regime = rules.regime(candidate)
    if not regime.about:
        return _keep(Reason.NO_POLICY)
    ended = counted_from(candidate)
    floor = rules.longest(ended, regime.floors)
    kept = _kept_by_policy(regime, floor, now)
    if kept is not None:
        return kept
    if not regime.ceilings:
        return _keep(Reason.MATCH_UNCERTAIN if regime.ceiling_said else Reason.NO_CEILING)
    ceiling = rules.ceiling(ended, regime, floor)
    if ceiling is None:
        return _keep(Reason.CEILING_BELOW_FLOOR, policy=None if floor is None else floor.policy)
    return _by_date(ceiling, now, Action.DELETE_IN_ARCHIVE)


def _erasure_ruling(candidate: Candidate, rules: Rulebook, now: datetime) -> Decision:
    regime = rules.regime(candidate)
    if regime.source_never is not None and candidate.at_source:
        return _keep(Reason.SOURCE_NEVER, policy=regime.source_never)
    floor = rules.longest(counted_from(candidate), regime.floors)
    since = None if floor is None else floor.at
    kept = _kept_by_policy(regime, floor, now)
    return kept or Decision(action=Action.ERASE, reason=Reason.ERASURE_REQUESTED, not_before=since)


def _kept_by_policy(regime: Regime, floor: Bound | None, now: datetime) -> Decision | None:
    """Return what a policy says against any deletion in the archive, ceiling or not."""
    if regime.archive_never is not None:
        return _keep(Reason.ARCHIVE_NEVER, policy=regime.archive_never)
    if floor is not None and now < floor.at:
        return _keep(Reason.INSIDE_FLOOR, policy=floor.policy, not_before=floor.at)
    return None


def _by_date(bound: Bound, now: datetime, action: Action) -> Decision:
    if now < bound.at:
        return _keep(Reason.NOT_YET, policy=bound.policy, not_before=bound.at)
    return Decision(action=action, reason=Reason.DUE, policy=bound.policy, not_before=bound.at)


def _cooled(candidate: Candidate, decision: Decision, terms: Terms, now: datetime, ruling: Ruling) -> Decision:
    """Keep what policies would have kept that were in force until lately."""
    if decision.action is Action.KEEP:
        return decision
    for earlier in terms.earlier.get(candidate.account, ()):
        if earlier.until <= now:
            continue
        if earlier.rules is None or ruling(candidate, earlier.rules, now).action is Action.KEEP:
            return _keep(Reason.COOLING_OFF, policy=decision.policy, not_before=earlier.until)
    return decision
