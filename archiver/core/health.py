"""Whether the archive does its work: judged by how fresh its data are, not by whether a process lives.

The levels are those of Nagios' plugins. Beyond its limit a thing is critical; beyond half of it, a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from archiver.core.clocks import skewed
from archiver.core.danger import URGENT
from archiver.core.model import State


class Level(IntEnum):
    """How bad it is; the number is the exit code of a Nagios plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Cause(StrEnum):
    """What is wrong. Each has an entry in docs/runbook.md."""

    STARTING = "starting"  # the daemon waits for a neighbour before its first pass
    CATALOGUE = "catalogue"  # the database does not answer, so nothing is known
    LAST_PASS = "last_pass"  # noqa: S105 - no pass has come to its end without a stop
    STOPPED = "stopped"  # the last pass was stopped; critical where a person must act
    PENDING = "pending"  # a recording is listed and not archived
    ENDANGERED = "endangered"  # the source is about to delete what is not archived
    GAP = "gap"  # something that should be archived is not, and nobody has explained it
    FIXITY = "fixity"  # a copy was not compared with its record
    NEWEST_CALL = "newest_call"  # the source lists no new calls
    CLOCK = "clock"  # our clock and the source's differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How old things may get. None: as old as they like."""

    last_pass: timedelta
    pending: timedelta
    gap: timedelta
    fixity: timedelta | None = None
    newest_call: timedelta | None = None
    source_retention: Mapping[str, timedelta] = field(default_factory=dict)  # by account; else the source keeps all


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an account's last pass was stopped."""

    kind: str  # name of the error's class
    reason: str
    final: bool  # it will not pass by itself: a person must act


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """One account, as the catalogue has it."""

    account: str
    counts: Mapping[State, int] = field(default_factory=dict)
    bytes: int = 0  # in the archive
    watermark: datetime | None = None
    added: datetime | None = None  # when its first pass began; None: never
    good_pass: datetime | None = None  # when one last came to its end without a stop
    stop: Stop | None = None  # of the last pass
    at_work_since: datetime | None = None  # when the newest pass of all began; None: it has ended
    progress: datetime | None = None  # when a recording was last listed, archived or verified
    clock_ahead: timedelta | None = None  # of the source over us, at the last pass
    oldest_pending: datetime | None = None  # when the new call was listed that has waited longest
    oldest_backlog: datetime | None = None  # the same of what was no new call any more when it was listed
    last_stored: datetime | None = None  # when a recording last came into the bucket
    oldest_pending_call: datetime | None = None  # start of the oldest call that is not archived
    newest_call: datetime | None = None  # start of the newest call that is listed
    oldest_fixity: datetime | None = None  # of all copies, the longest ago that one was compared
    gaps: Mapping[str, int] = field(default_factory=dict)  # open and not explained, by kind
    oldest_gap: datetime | None = None  # of these, when the first was opened
    days: Mapping[str, int] = field(default_factory=dict)  # of the ledger, by coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Something that is not as it should be."""

    level: Level
    cause: Cause
    message: str
    account: str | None = None
    age: timedelta | None = None
    limit: timedelta | None = None

    def as_document(self) -> dict[str, object]:
        """Give it as JSON: ages and limits in seconds."""
        return {
            "level": self.level.name.lower(),
            "cause": str(self.cause),
            "account": self.account,
            "message": self.message,
            "age_seconds": _seconds(self.age),
            "limit_seconds": _seconds(self.limit),
        }


def judge(accounts: Iterable[AccountFacts], limits: Limits, now: datetime) -> list[Reason]:
    """Find all that is not as it should be, the worst first. `now` is this host's time."""
    found = [reason for facts in accounts for reason in _of_account(facts, limits, now)]
    return sorted(found, key=lambda reason: -reason.level)


def worst(reasons: Sequence[Reason]) -> Level:
    """Level of it all."""
    return max((reason.level for reason in reasons), default=Level.OK)


def _of_account(facts: AccountFacts, limits: Limits, now: datetime) -> Iterator[Reason]:
    aged = _Aged(facts.account, now)
    yield from _last_pass(aged, facts, limits)
    if facts.stop is not None:
        yield _stopped(aged, facts.stop)
    yield from _pending(aged, facts, limits)
    yield from _gaps(aged, facts, limits)
    if limits.fixity is not None:
        compared = "a copy was not compared with its record"
        yield from aged.beyond(Cause.FIXITY, facts.oldest_fixity, limits.fixity, compared)
    if limits.newest_call is not None:
        listed = facts.newest_call or facts.added
        yield from aged.beyond(Cause.NEWEST_CALL, listed, limits.newest_call, "the source lists no newer call")
    if skewed(facts.clock_ahead):
        message = f"the source's clock is {_apart(facts.clock_ahead)}: look at this host's first"
        yield aged.reason(Level.CRITICAL, Cause.CLOCK, message)


def _stopped(aged: _Aged, stop: Stop) -> Reason:
    """Tell a stop at once; where it may pass by itself, as a warning."""
    if stop.final:
        return aged.reason(Level.CRITICAL, Cause.STOPPED, f"a person must act: {stop.reason}")
    return aged.reason(
        Level.WARNING, Cause.STOPPED, f"the last pass was stopped, the next one tries again: {stop.reason}"
    )


def _last_pass(aged: _Aged, facts: AccountFacts, limits: Limits) -> Iterator[Reason]:
    """A pass that takes long and gets on is no more than a warning: the first one may list for a day."""
    since, limit = facts.good_pass or facts.added, limits.last_pass
    if since is None:
        yield aged.reason(Level.CRITICAL, Cause.LAST_PASS, "no pass was ever begun for this account")
    elif _gets_on(facts, limit, aged.now):
        message = "no pass has come to its end for long, but one is at work and gets on"
        yield from aged.beyond(Cause.LAST_PASS, since, limit, message, worst=Level.WARNING)
    else:
        yield from aged.beyond(Cause.LAST_PASS, since, limit, _last_pass_message(facts))


def _gets_on(facts: AccountFacts, limit: timedelta, now: datetime) -> bool:
    """Whether one long pass is at work. Many short ones that all die are something else."""
    if facts.stop is not None or facts.at_work_since is None or facts.progress is None:
        return False
    return now - facts.at_work_since > limit / 2 > now - facts.progress


def _last_pass_message(facts: AccountFacts) -> str:
    """Say that no pass was good, and why the last was not."""
    never = "" if facts.good_pass else "no pass has come to its end yet"
    why = f"; the last one stopped: {facts.stop.reason}" if facts.stop else ""
    return f"{never or 'the last good pass is long ago'}{why}"


def _pending(aged: _Aged, facts: AccountFacts, limits: Limits) -> Iterator[Reason]:
    """New calls must be archived in time. A backlog takes as long as the quota wants, but it must move."""
    yield from aged.beyond(Cause.PENDING, facts.oldest_pending, limits.pending, "a new call waits to be archived")
    if facts.oldest_backlog is not None:
        moved = max(facts.oldest_backlog, facts.last_stored or facts.oldest_backlog)
        yield from aged.beyond(Cause.PENDING, moved, limits.pending, "a backlog waits, and nothing is archived")
    kept = limits.source_retention.get(facts.account)
    if kept is not None and facts.oldest_pending_call is not None:
        left = kept - (aged.now - facts.oldest_pending_call)
        if left <= URGENT:
            message = "the source is about to delete calls that are not archived, or has done so"
            yield aged.reason(
                Level.CRITICAL, Cause.ENDANGERED, message, since=facts.oldest_pending_call, limit=kept - URGENT
            )


def _gaps(aged: _Aged, facts: AccountFacts, limits: Limits) -> Iterator[Reason]:
    """An open gap is a warning from its first moment: something that should be there is not."""
    if facts.oldest_gap is None:
        return
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(facts.gaps.items()))
    late = aged.now - facts.oldest_gap > limits.gap
    level = Level.CRITICAL if late else Level.WARNING
    yield aged.reason(level, Cause.GAP, f"gaps are open: {kinds}", since=facts.oldest_gap, limit=limits.gap)


@dataclass(frozen=True, slots=True)
class _Aged:
    """Makes reasons of one account from moments."""

    account: str
    now: datetime

    def beyond(
        self, cause: Cause, since: datetime | None, limit: timedelta, message: str, *, worst: Level = Level.CRITICAL
    ) -> Iterator[Reason]:
        """Complain when something is older than half of its limit. None: there is no such thing."""
        age = timedelta(0) if since is None else self.now - since
        if age > limit / 2:
            level = Level.CRITICAL if age > limit else Level.WARNING
            yield self.reason(min(level, worst), cause, message, since=since, limit=limit)

    def reason(
        self, level: Level, cause: Cause, message: str, *, since: datetime | None = None,
        limit: timedelta | None = None,
    ) -> Reason:  # fmt: skip
        age = None if since is None else self.now - since
        return Reason(level=level, cause=cause, message=message, account=self.account, age=age, limit=limit)


def _apart(ahead: timedelta | None) -> str:
    seconds = round((ahead or timedelta(0)).total_seconds())
    return f"{abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())
