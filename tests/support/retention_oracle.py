"""What may be deleted, said a second time: slowly, without regimes or reasons, straight from the rules' words.

It answers yes or no only. `core.retention` must agree with it in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from archiver.core.clocks import TOLERATED
from archiver.core.decision import Candidate
from archiver.core.duration import Duration, add
from archiver.core.match import Fit
from archiver.core.model import State
from archiver.core.policy import NEVER, Policy, PolicySet
from archiver.core.retention import Terms

Permits = Callable[[Candidate, PolicySet, datetime], bool]


def may_go_at_source(candidate: Candidate, terms: Terms, now: datetime) -> bool:
    return candidate.state is State.VERIFIED and _all_permit(candidate, terms, now, source_permits)


def may_go_in_archive(candidate: Candidate, terms: Terms, now: datetime) -> bool:
    free = not candidate.at_source and not locked(candidate, now)
    return free and _all_permit(candidate, terms, now, archive_permits)


def may_be_erased(candidate: Candidate, terms: Terms, now: datetime) -> bool:
    return not locked(candidate, now) and _all_permit(candidate, terms, now, erasure_permits)


def locked(candidate: Candidate, now: datetime) -> bool:
    return candidate.lock is not None and now < candidate.lock.until


def held(candidate: Candidate, terms: Terms) -> bool:
    """By a case, or in the bucket."""
    for hold in terms.holds:
        named = not hold.query.ids or candidate.recording_id in hold.query.ids
        caught = hold.future or candidate.listed_at <= hold.at + TOLERATED
        if hold.released_at is None and named and caught and hold.query.match.fits(candidate) is not Fit.NO:
            return True
    return candidate.on_hold


def proved(candidate: Candidate, now: datetime) -> bool:
    """A good copy is on record, and no clock speaks against it."""
    return (
        candidate.state in (State.VERIFIED, State.PURGED)
        and candidate.verified_at is not None
        and candidate.verified_at <= now
        and candidate.listed_at <= now
        and bool(candidate.sha256)
        and candidate.size is not None
        and not candidate.size_disagrees
    )


def about(candidate: Candidate, policies: PolicySet, least: Fit) -> list[Policy]:
    return [policy for policy in policies.policies if policy.match.fits(candidate) >= least]


def floors(candidate: Candidate, policies: PolicySet) -> list[datetime]:
    """Until when policies that are, or may be, about it keep the copy."""
    return _ends(candidate, policies, (one.keep_at_least for one in about(candidate, policies, Fit.MAYBE)))


def source_permits(candidate: Candidate, policies: PolicySet, now: datetime) -> bool:
    possible, sure = (about(candidate, policies, fit) for fit in (Fit.MAYBE, Fit.YES))
    if any(one.source_delete_after == NEVER for one in possible):
        return False
    if not any(isinstance(one.source_delete_after, Duration) for one in sure):
        return False
    waited = _ends(candidate, policies, (one.source_delete_after for one in possible))
    return max(waited) <= now and not lacks_lock(candidate, policies, now)


def lacks_lock(candidate: Candidate, policies: PolicySet, now: datetime) -> bool:
    modes = [one.lock for one in about(candidate, policies, Fit.MAYBE) if one.lock is not None]
    floor = max(floors(candidate, policies), default=now)
    if not modes or floor <= now:
        return False
    lock, until = candidate.lock, whole_second(floor)
    return lock is None or lock.until < until or any(lock.mode.strength < mode.strength for mode in modes)


def whole_second(moment: datetime) -> datetime:
    """The first one that is not before: buckets know no fractions."""
    return moment + timedelta(microseconds=-moment.microsecond % 1_000_000)


def archive_permits(candidate: Candidate, policies: PolicySet, now: datetime) -> bool:
    kept_until = floors(candidate, policies)
    if _never(candidate, policies) or any(now < floor for floor in kept_until):
        return False
    ceilings = _ends(candidate, policies, (one.delete_after for one in about(candidate, policies, Fit.YES)))
    return any(ceiling <= now for ceiling in ceilings if all(floor <= ceiling for floor in kept_until))


def erasure_permits(candidate: Candidate, policies: PolicySet, now: datetime) -> bool:
    possible = about(candidate, policies, Fit.MAYBE)
    if candidate.at_source and any(one.source_delete_after == NEVER for one in possible):
        return False
    return not _never(candidate, policies) and not any(now < floor for floor in floors(candidate, policies))


def _never(candidate: Candidate, policies: PolicySet) -> bool:
    return any(one.delete_after == NEVER for one in about(candidate, policies, Fit.MAYBE))


def _ends(candidate: Candidate, policies: PolicySet, waits: Iterable[object]) -> list[datetime]:
    spoken = candidate.start + timedelta(milliseconds=max(0, candidate.duration_ms or 0))
    ended = max(candidate.ended_at, candidate.start, spoken)
    return [add(ended, wait, policies.zone) for wait in waits if isinstance(wait, Duration)]


def _all_permit(candidate: Candidate, terms: Terms, now: datetime, permits: Permits) -> bool:
    if held(candidate, terms) or not proved(candidate, now) or not permits(candidate, terms.rules.policies, now):
        return False
    moment = terms.cooling_at or now
    binding = [one for one in terms.earlier.get(candidate.account, ()) if moment < one.until]
    return all(one.rules is not None and permits(candidate, one.rules.policies, now) for one in binding)
