"""A policy set made ready to be asked about many calls: what all policies about a call together ask for, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from archiver.core.duration import Duration, add
from archiver.core.match import Call, Fit
from archiver.core.model import LockMode, require_aware
from archiver.core.policy import NEVER, Policy, PolicySet, Wait

SLACK = timedelta(days=2)  # no zone's calendar is further away from UTC's, changes of its clocks included
MOST_KEPT = 4_096  # entries of a cache; calls come by their start, so those of a few days are asked for together

Waits = tuple[tuple[str, Duration], ...]  # with the policy's name


@dataclass(frozen=True, slots=True)
class Bound:
    """A moment that a policy sets."""

    at: datetime
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """What the policies about a call ask for together."""

    number: int  # of this regime in its rulebook
    about: tuple[tuple[str, Fit], ...]  # policies that are, or may be, about the call, by name
    source_never: str | None  # of those that are or may be about it
    source_waits: Waits  # the same
    source_sure: bool  # one that is surely about it permits a deletion at the source at all
    archive_never: str | None
    floors: Waits  # of those that are or may be about it
    ceilings: Waits  # only of those that surely are
    ceiling_said: bool  # one that is or may be about it has a ceiling
    lock: LockMode | None  # the strongest
    storage_class: str | None
    excluding: str | None  # the policy that keeps the call out of the archive


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The dates of one recording. None: no policy sets one."""

    source: Bound | None  # the source's copy may go: the longest wait
    floor: Bound | None  # the archive keeps its copy at least until then: the longest floor
    ceiling: Bound | None  # the archive's copy is to go: the earliest ceiling that is not below the floor


T = TypeVar("T", datetime, timedelta)
U = TypeVar("U")
Step = tuple[timedelta, str] | None  # from the end of a call to a deadline, and the policy that sets it
Static = tuple[str, str | None, tuple[str, ...], tuple[str, ...]]


class Rulebook:
    """One policy set. Calls that the same policies are about share one regime."""

    def __init__(self, policies: PolicySet) -> None:
        """Order the policies by name: their order in the file means nothing."""
        self.policies = policies
        self.zone = policies.zone
        self._policies = sorted(policies.policies, key=lambda policy: policy.name)
        self._places = list(enumerate(policy.match for policy in self._policies))
        self._regimes: dict[tuple[Fit, ...], Regime] = {}
        self._static: dict[Static, tuple[Fit, ...]] = {}
        self._steps: dict[tuple[int, int], tuple[Step, Step, Step] | None] = {}
        self._away: dict[tuple[Duration, int], timedelta | None] = {}

    def regime(self, call: Call) -> Regime:
        """Return what holds for a call."""
        fits = self._fits(call)
        known = self._regimes.get(fits)
        if known is None:
            named = list(zip(self._policies, fits, strict=True))
            known = self._regimes[fits] = _regime(len(self._regimes), named)
        return known

    def _fits(self, call: Call) -> tuple[Fit, ...]:
        """Ask each policy. Most of what they ask has few answers, so those are kept."""
        key = (call.account, call.direction, call.extensions, call.rule_ids)
        known = self._static.get(key)
        if known is None:
            if len(self._static) >= MOST_KEPT:
                self._static.clear()
            known = self._static[key] = tuple([match.fits_static(call) for _, match in self._places])
        return tuple([
            match.fits_varying(call, known[place]) if match.varies and known[place] else known[place]
            for place, match in self._places
        ])  # fmt: skip

    def deadlines(self, regime: Regime, ended: datetime) -> Deadlines:
        """Return the dates of a recording whose waiting is counted from `ended`.

        Within one day of the zone all of them lie equally far away, but on days on which its clocks change; so the
        calendar is asked once a day.
        """
        try:
            day = (ended if self.zone is UTC else ended.astimezone(self.zone)).toordinal()
        except OverflowError:  # at the end of the calendar
            return Deadlines(*_chosen(regime, lambda wait: add(ended, wait, self.zone), Bound))
        key = (regime.number, day)
        if key not in self._steps:
            self._make_room()
            self._steps[key] = self._steps_on(regime, day)
        steps = self._steps[key]
        if steps is None:
            return Deadlines(*_chosen(regime, lambda wait: add(ended, wait, self.zone), Bound))
        source, floor, ceiling = steps
        return Deadlines(_bound(ended, source), _bound(ended, floor), _bound(ended, ceiling))

    def _steps_on(self, regime: Regime, day: int) -> tuple[Step, Step, Step] | None:
        """Return how far away the dates lie on a day; None where that is not the same all day long."""
        waits = {wait for _, wait in (*regime.source_waits, *regime.floors, *regime.ceilings)}
        away = {wait: self._away_on(wait, day) for wait in waits}
        known = {wait: step for wait, step in away.items() if step is not None}
        return _chosen(regime, known.__getitem__, lambda at, name: (at, name)) if len(known) == len(away) else None

    def _away_on(self, wait: Duration, day: int) -> timedelta | None:
        """Return how long a wait is that begins on a day of the zone; None where that depends on the time of day."""
        key = (wait, day)
        if key not in self._away:
            try:
                self._away[key] = self._same_all_day(wait, date.fromordinal(day))
            except OverflowError:
                self._away[key] = None
        return self._away[key]

    def _same_all_day(self, wait: Duration, day: date) -> timedelta | None:
        """Return how long the wait is, if the zone's clocks change neither on that day nor on the day of its end."""
        begins = [datetime.combine(day, at, self.zone) for at in (time.min, time.max.replace(fold=1))]
        ends = [add(moment, wait, self.zone).astimezone(self.zone) for moment in begins]
        if any(one.utcoffset() != other.utcoffset() for one, other in (begins, ends)):
            return None
        early, late = (end.astimezone(UTC) - begin.astimezone(UTC) for begin, end in zip(begins, ends, strict=True))
        return early if early == late else None

    def _make_room(self) -> None:
        for cache in (self._steps, self._away):
            if len(cache) >= MOST_KEPT:
                cache.clear()

    def source_bound(self, now: datetime) -> datetime | None:
        """Return the latest start of a call that may be due at the source now; None: no policy permits any.

        A coarse bound, so that a pass need not look at calls that are surely too young; `decide` has the say.
        """
        return _coarse((policy.source_delete_after for policy in self._policies), now)

    def archive_bound(self, now: datetime) -> datetime | None:
        """Return the same for the archive's side."""
        return _coarse((policy.delete_after for policy in self._policies), now)


def _bound(ended: datetime, step: Step) -> Bound | None:
    return None if step is None else Bound(ended + step[0], step[1])


def _chosen(
    regime: Regime, at: Callable[[Duration], T], made: Callable[[T, str], U]
) -> tuple[U | None, U | None, U | None]:
    """Choose of all waits, floors and ceilings those that count; `at` says when, or how far away, each one ends."""

    def longest(waits: Waits) -> tuple[T, str] | None:
        return max(((at(wait), name) for name, wait in waits), key=_first_of, default=None)

    floor = longest(regime.floors)
    ceilings = ((at(wait), name) for name, wait in regime.ceilings)
    fitting = (one for one in ceilings if floor is None or one[0] >= floor[0])
    found = (longest(regime.source_waits), floor, min(fitting, key=_first_of, default=None))
    source, lowest, highest = (None if one is None else made(*one) for one in found)
    return source, lowest, highest


def _first_of(pair: tuple[T, str]) -> T:
    return pair[0]


def _coarse(waits: Iterable[Wait | None], now: datetime) -> datetime | None:
    # a month is never shorter than 28 days: the bound may only be too late
    shortest = min(
        (timedelta(28 * wait.total_months, wait.total_seconds) for wait in waits if isinstance(wait, Duration)),
        default=None,
    )
    return None if shortest is None else require_aware(now) - max(shortest - SLACK, timedelta(0))


def _regime(number: int, fits: list[tuple[Policy, Fit]]) -> Regime:
    possible = [policy for policy, fit in fits if fit is not Fit.NO]
    sure = [policy for policy, fit in fits if fit is Fit.YES]
    locks = [policy.lock for policy in possible if policy.lock is not None]
    archived = any(policy.archive for policy in possible)
    return Regime(
        number=number,
        about=tuple((policy.name, fit) for policy, fit in fits if fit is not Fit.NO),
        source_never=_first(policy for policy in possible if policy.source_delete_after == NEVER),
        source_waits=_waits((policy.name, policy.source_delete_after) for policy in possible),
        source_sure=any(isinstance(policy.source_delete_after, Duration) for policy in sure),
        archive_never=_first(policy for policy in possible if policy.delete_after == NEVER),
        floors=_waits((policy.name, policy.keep_at_least) for policy in possible),
        ceilings=_waits((policy.name, policy.delete_after) for policy in sure),
        ceiling_said=any(policy.delete_after is not None for policy in possible),
        lock=max(locks, key=lambda lock: lock.strength, default=None),
        storage_class=next((policy.storage_class for policy in sure if policy.storage_class), None),
        excluding=None if archived else _first(policy for policy in sure if policy.archive is False),
    )


def _first(policies: Iterable[Policy]) -> str | None:
    return next((policy.name for policy in policies), None)


def _waits(named: Iterable[tuple[str, Wait | None]]) -> Waits:
    return tuple((name, wait) for name, wait in named if isinstance(wait, Duration))
