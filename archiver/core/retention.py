"""Decides what may be deleted at the source, and why. Pure: `now` is an argument.

A deletion needs a verified copy, a policy that is surely about the call and permits it, and a date that has
passed. Whatever is missing, doubtful or in the future keeps the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from archiver.core.duration import Duration, add
from archiver.core.model import State, require_aware
from archiver.core.policy import NEVER, Call, Policy, matching, possible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Action(StrEnum):
    """What a decision asks for."""

    KEEP = "keep"
    DELETE_AT_SOURCE = "delete_at_source"


class Reason(StrEnum):
    """Why. A closed set: docs/policies.md explains each, and scripts may rely on them."""

    ALREADY_PURGED = "already_purged"
    PURGE_BEGUN = "purge_begun"
    QUARANTINED = "quarantined"
    EXCLUDED = "excluded"
    NOT_VERIFIED = "not_verified"
    SIZE_DISAGREES = "size_disagrees"
    CLOCK_DOUBT = "clock_doubt"
    NO_POLICY = "no_policy"
    NO_SOURCE_RULE = "no_source_rule"
    MATCH_UNCERTAIN = "match_uncertain"
    SOURCE_NEVER = "source_never"
    NOT_YET = "not_yet"
    DUE = "due"


_SENTENCES = {
    Reason.ALREADY_PURGED: "the source no longer has it",
    Reason.PURGE_BEGUN: "its deletion at the source has begun and will be finished",
    Reason.QUARANTINED: "its bytes and its record disagree: a person must look",
    Reason.EXCLUDED: "a policy keeps it out of the archive, so there is no copy",
    Reason.NOT_VERIFIED: "there is no verified copy in the archive",
    Reason.SIZE_DISAGREES: "its size is not the one that the source listed: a person must clear it",
    Reason.CLOCK_DOUBT: "it was listed or verified later than now: a clock is wrong",
    Reason.NO_POLICY: "no policy is about it",
    Reason.NO_SOURCE_RULE: "no policy that is about it says source.delete_after",
    Reason.MATCH_UNCERTAIN: "the source left out what a policy asks for, so none permits it for sure",
    Reason.SOURCE_NEVER: "policy {policy} says source.delete_after: never",
    Reason.NOT_YET: "policy {policy} keeps it at the source until {moment}",
    Reason.DUE: "policy {policy} permits it since {moment}",
}
_BY_STATE = {
    State.PURGED: Reason.ALREADY_PURGED,
    State.EXPIRED: Reason.ALREADY_PURGED,
    State.PURGING: Reason.PURGE_BEGUN,
    State.QUARANTINED: Reason.QUARANTINED,
    State.EXCLUDED: Reason.EXCLUDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the catalogue knows of one recording that the decision needs. Every moment is aware."""

    account: str
    recording_id: str
    direction: str | None
    extensions: tuple[str, ...]
    duration_ms: int | None
    start: datetime
    ended_at: datetime  # `Recording.ended_at`
    state: State
    listed_at: datetime  # when it was first listed
    verified_at: datetime | None
    size_disagrees: bool  # the archived size is not the listed one, and nobody has cleared it
    sha256: str | None  # of the archived copy
    size: int | None  # bytes, of the archived copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with one recording, and why."""

    action: Action
    reason: Reason
    policy: str | None = None  # the one that decided
    not_before: datetime | None = None  # when the policies permit the deletion, where they do

    @property
    def sentence(self) -> str:
        """The reason for a person to read."""
        moment = f"{self.not_before:%Y-%m-%d %H:%M:%S} UTC" if self.not_before else ""
        return _SENTENCES[self.reason].format(policy=self.policy, moment=moment)


def excluded_by(call: Call, policies: Sequence[Policy]) -> str | None:
    """Return the policy that keeps the call out of the archive; None means archive it.

    `archive: false` counts when its policy is surely about the call and no policy that is, or may be, says
    that it is to be archived. Of several the first by name is returned.
    """
    if any(policy.archive for policy in possible(call, policies)):
        return None
    return min((policy.name for policy in matching(call, policies) if policy.archive is False), default=None)


def decide(candidate: Candidate, policies: Sequence[Policy], now: datetime) -> Decision:
    """Say whether the recording may be deleted at the source now. The mode and the caps are not asked here.

    Of several policies the longest wait wins; `never` beats all. Raises ValueError for a naive moment.
    """
    now = require_aware(now)
    bar = _bar(candidate, now)
    return Decision(action=Action.KEEP, reason=bar) if bar else _ruling(candidate, policies, now)


def may_be_due(policies: Sequence[Policy], now: datetime) -> datetime | None:
    """Return the latest start of a call that any policy could permit to delete now; None: no policy permits any.

    A coarse bound, so that a pass need not look at calls that are surely too young; `decide` has the say.
    """
    waits = [policy.source_delete_after for policy in policies if isinstance(policy.source_delete_after, Duration)]
    # a month is never shorter than 28 days: the bound may only be too late
    shortest = min((timedelta(days=28 * wait.total_months, seconds=wait.total_seconds) for wait in waits), default=None)
    return None if shortest is None else require_aware(now) - shortest


def counted_from(candidate: Candidate) -> datetime:
    """Return the end of the call that waiting is counted from: the latest one that the record allows."""
    start = require_aware(candidate.start)
    try:
        spoken = start + timedelta(milliseconds=max(0, candidate.duration_ms or 0))
    except OverflowError:
        spoken = add(start, Duration(years=9999))
    return max(start, spoken, require_aware(candidate.ended_at))


def _bar(candidate: Candidate, now: datetime) -> Reason | None:
    """Return what forbids deletion whatever the policies say."""
    if candidate.state in _BY_STATE:
        return _BY_STATE[candidate.state]
    verified_at = candidate.verified_at
    if candidate.state is not State.VERIFIED or verified_at is None or not candidate.sha256 or candidate.size is None:
        return Reason.NOT_VERIFIED
    if candidate.size_disagrees:
        return Reason.SIZE_DISAGREES
    if max(require_aware(verified_at), require_aware(candidate.listed_at)) > now:
        return Reason.CLOCK_DOUBT
    return None


def _ruling(candidate: Candidate, policies: Sequence[Policy], now: datetime) -> Decision:
    about = sorted(possible(candidate, policies), key=lambda policy: policy.name)
    if not about:
        return Decision(action=Action.KEEP, reason=Reason.NO_POLICY)
    forbidding = [policy.name for policy in about if policy.source_delete_after == NEVER]
    if forbidding:
        return Decision(action=Action.KEEP, reason=Reason.SOURCE_NEVER, policy=forbidding[0])
    if all(policy.source_delete_after is None for policy in about):
        return Decision(action=Action.KEEP, reason=Reason.NO_SOURCE_RULE)
    if all(policy.source_delete_after is None for policy in matching(candidate, about)):
        return Decision(action=Action.KEEP, reason=Reason.MATCH_UNCERTAIN)
    return _longest(candidate, about, now)


def _longest(candidate: Candidate, about: Sequence[Policy], now: datetime) -> Decision:
    ended = counted_from(candidate)
    waits = [
        (add(ended, policy.source_delete_after), policy.name)
        for policy in about
        if isinstance(policy.source_delete_after, Duration)
    ]
    not_before, name = max(waits, key=lambda wait: wait[0])
    action, reason = (Action.KEEP, Reason.NOT_YET) if now < not_before else (Action.DELETE_AT_SOURCE, Reason.DUE)
    return Decision(action=action, reason=reason, policy=name, not_before=not_before)
