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
from archiver.core.rulebook import Bound, Deadlines, Regime, Rulebook

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
    decided: tuple[int, int] | None = None  # extent of the log that they were read out of
    cooling_at: datetime | None = None  # the moment that counts for earlier policies; None: now

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
    asked = ask(candidate, terms, now)
    return _at_source(asked, terms, _barred(asked, terms))


def decide_archive(candidate: Candidate, terms: Terms, now: datetime) -> Decision:
    """Say whether the archive's copy may be deleted now. The mode and the caps are not asked here.

    The longest floor wins; of the ceilings that are not below it the earliest counts; `never` beats all.
    """
    asked = ask(candidate, terms, now)
    return _in_archive(asked, terms, _barred(asked, terms))


def decide_both(candidate: Candidate, terms: Terms, now: datetime) -> tuple[Decision, Decision]:
    """Return `decide` and `decide_archive` for a little more than one of them costs: a plan asks for a million."""
    asked = ask(candidate, terms, now)
    barred = _barred(asked, terms)
    return _at_source(asked, terms, barred), _in_archive(asked, terms, barred)


def decide_erasure(candidate: Candidate, terms: Terms, now: datetime) -> Decision:
    """Say whether the recording may be erased on request now, at the source and in the archive, or what forbids it.

    An erasure needs no ceiling and no wait that has passed. Holds, floors, `never`, locks and doubts forbid it, those
    of earlier policies in their cooling-off period too.
    """
    asked = ask(candidate, terms, now)
    reason = _IN_ARCHIVE.get(candidate.state)
    if reason is not None:
        return _keep(reason)
    barred = _barred(asked, terms)
    if barred is not None:
        return barred
    decision = _erasure_ruling(asked)
    if decision.action is not Action.KEEP and candidate.lock is not None and candidate.lock.until > asked.now:
        return _keep(Reason.LOCKED, not_before=candidate.lock.until)
    return _cooled(asked, decision, terms, _erasure_ruling)


@dataclass(frozen=True, slots=True)
class Asked:
    """A recording under one set of policies at one moment: what they ask of it, and its dates."""

    candidate: Candidate
    rules: Rulebook
    now: datetime
    regime: Regime
    dates: Deadlines


def ask(candidate: Candidate, terms: Terms, now: datetime) -> Asked:
    """Ask the policies in force. Raises ValueError for a naive moment."""
    return _ask(candidate, terms.rules, require_aware(now))


def _ask(candidate: Candidate, rules: Rulebook, now: datetime) -> Asked:
    regime = rules.regime(candidate)
    return Asked(candidate, rules, now, regime, rules.deadlines(regime, counted_from(candidate)))


def wanted_lock(candidate: Candidate, rules: Rulebook, now: datetime) -> Lock | None:
    """Return the lock that the policies want for the copy: until the longest floor, never longer. None: none now."""
    return _wanted_lock(_ask(candidate, rules, now))


def _wanted_lock(asked: Asked) -> Lock | None:
    mode, floor = asked.regime.lock, asked.dates.floor
    return None if mode is None or floor is None or floor.at <= asked.now else Lock(mode, _whole_second(floor.at))


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
    try:
        return whole if whole == moment else whole + timedelta(seconds=1)
    except OverflowError:
        return whole


def _keep(
    reason: Reason, *, policy: str | None = None, not_before: datetime | None = None, holds: tuple[str, ...] = ()
) -> Decision:
    return Decision(action=Action.KEEP, reason=reason, policy=policy, not_before=not_before, holds=holds)


def _at_source(asked: Asked, terms: Terms, barred: Decision | None) -> Decision:
    reason = _AT_SOURCE.get(asked.candidate.state)
    if reason is not None:
        return _keep(reason)
    return barred or _cooled(asked, _source_ruling(asked), terms, _source_ruling)


def _in_archive(asked: Asked, terms: Terms, barred: Decision | None) -> Decision:
    candidate = asked.candidate
    reason = _IN_ARCHIVE.get(candidate.state)
    if reason is not None:
        return _keep(reason)
    if barred is not None:
        return barred
    decision = _archive_ruling(asked)
    if decision.action is Action.KEEP:
        return decision
    if candidate.at_source:
        return _keep(Reason.STILL_AT_SOURCE, policy=decision.policy, not_before=decision.not_before)
    if candidate.lock is not None and candidate.lock.until > asked.now:
        return _keep(Reason.LOCKED, not_before=candidate.lock.until)
    return _cooled(asked, decision, terms, _archive_ruling)


def _barred(asked: Asked, terms: Terms) -> Decision | None:
    """Return what forbids any deletion whatever the policies say."""
    candidate = asked.candidate
    if terms.holds and (holds := holding(candidate, terms.holds)):
        return _keep(Reason.ON_HOLD, holds=holds)
    if candidate.on_hold:
        return _keep(Reason.ON_HOLD, holds=("in the bucket",))
    reason = _doubt(candidate, asked.now)
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


def _source_ruling(asked: Asked) -> Decision:
    regime, wait = asked.regime, asked.dates.source
    if not regime.about:
        return _keep(Reason.NO_POLICY)
    if regime.source_never is not None:
        return _keep(Reason.SOURCE_NEVER, policy=regime.source_never)
    if wait is None:
        return _keep(Reason.NO_SOURCE_RULE)
    if not regime.source_sure:
        return _keep(Reason.MATCH_UNCERTAIN)
    decision = _by_date(wait, asked.now, Action.DELETE_AT_SOURCE)
    wanted = _wanted_lock(asked) if decision.action is not Action.KEEP else None
    lock = asked.candidate.lock
    if wanted is not None and (lock is None or not lock.covers(wanted)):
        return _keep(Reason.NOT_LOCKED, policy=wait.policy, not_before=wait.at)
    return decision


def _archive_ruling(asked: Asked) -> Decision:
    regime, dates = asked.regime, asked.dates
    if not regime.about:
        return _keep(Reason.NO_POLICY)
    kept = _kept_by_policy(asked)
    if kept is not None:
        return kept
    if not regime.ceilings:
        return _keep(Reason.MATCH_UNCERTAIN if regime.ceiling_said else Reason.NO_CEILING)
    if dates.ceiling is None:
        return _keep(Reason.CEILING_BELOW_FLOOR, policy=None if dates.floor is None else dates.floor.policy)
    return _by_date(dates.ceiling, asked.now, Action.DELETE_IN_ARCHIVE)


def _erasure_ruling(asked: Asked) -> Decision:
    regime, floor = asked.regime, asked.dates.floor
    if regime.source_never is not None and asked.candidate.at_source:
        return _keep(Reason.SOURCE_NEVER, policy=regime.source_never)
    since = None if floor is None else floor.at
    return _kept_by_policy(asked) or Decision(action=Action.ERASE, reason=Reason.ERASURE_REQUESTED, not_before=since)


def _kept_by_policy(asked: Asked) -> Decision | None:
    """Return what a policy says against any deletion in the archive, ceiling or not."""
    never, floor = asked.regime.archive_never, asked.dates.floor
    if never is not None:
        return _keep(Reason.ARCHIVE_NEVER, policy=never)
    if floor is not None and asked.now < floor.at:
        return _keep(Reason.INSIDE_FLOOR, policy=floor.policy, not_before=floor.at)
    return None


def _by_date(bound: Bound, now: datetime, action: Action) -> Decision:
    if now < bound.at:
        return _keep(Reason.NOT_YET, policy=bound.policy, not_before=bound.at)
    return Decision(action=action, reason=Reason.DUE, policy=bound.policy, not_before=bound.at)


def _cooled(asked: Asked, decision: Decision, terms: Terms, ruling: Callable[[Asked], Decision]) -> Decision:
    """Keep what policies would have kept that were in force until lately."""
    if decision.action is Action.KEEP:
        return decision
    moment = terms.cooling_at or asked.now
    keeping = [
        earlier.until
        for earlier in terms.earlier.get(asked.candidate.account, ())
        if earlier.until > moment and (earlier.rules is None or _kept_under(asked, earlier.rules, ruling))
    ]
    return _keep(Reason.COOLING_OFF, policy=decision.policy, not_before=max(keeping)) if keeping else decision


def _kept_under(asked: Asked, rules: Rulebook, ruling: Callable[[Asked], Decision]) -> bool:
    return ruling(_ask(asked.candidate, rules, asked.now)).action is Action.KEEP
