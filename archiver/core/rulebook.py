"""A policy set made ready to be asked about many calls: what all policies about a call together ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.core.duration import Duration, add
from archiver.core.match import Call, Fit
from archiver.core.model import LockMode, require_aware
from archiver.core.policy import NEVER, Policy, PolicySet, Wait

SLACK = timedelta(days=2)  # no zone's calendar is further away from UTC's, changes of its clocks included


@dataclass(frozen=True, slots=True)
class Bound:
    """A moment that a policy sets."""

    at: datetime
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """What the policies about a call ask for together. Waits and ceilings with the policy's name."""

    about: tuple[tuple[str, Fit], ...]  # policies that are, or may be, about the call, by name
    source_never: str | None  # of those that are or may be about it
    source_waits: tuple[tuple[str, Duration], ...]  # the same
    source_sure: bool  # one that is surely about it permits a deletion at the source at all
    archive_never: str | None
    floors: tuple[tuple[str, Duration], ...]  # of those that are or may be about it
    ceilings: tuple[tuple[str, Duration], ...]  # only of those that surely are
    ceiling_said: bool  # one that is or may be about it has a ceiling
    lock: LockMode | None  # the strongest
    storage_class: str | None
    excluding: str | None  # the policy that keeps the call out of the archive

    @property
    def source_said(self) -> bool:
        """Whether any policy says when the source's copy may go."""
        return bool(self.source_waits) or self.source_never is not None


class Rulebook:
    """One policy set. Calls that the same policies are about share one regime."""

    def __init__(self, policies: PolicySet) -> None:
        """Order the policies by name: their order in the file means nothing."""
        self.policies = policies
        self.zone = policies.zone
        self._policies = sorted(policies.policies, key=lambda policy: policy.name)
        self._asked = [policy.match.fits for policy in self._policies]
        self._regimes: dict[tuple[Fit, ...], Regime] = {}

    def regime(self, call: Call) -> Regime:
        """Return what holds for a call."""
        fits = tuple([ask(call) for ask in self._asked])
        known = self._regimes.get(fits)
        if known is None:
            known = self._regimes[fits] = _regime(list(zip(self._policies, fits, strict=True)))
        return known

    def longest(self, ended: datetime, waits: Iterable[tuple[str, Duration]]) -> Bound | None:
        """Return the latest of the moments at which waits end; of equal ones the first by name."""
        latest: Bound | None = None
        for name, wait in waits:
            at = add(ended, wait, self.zone)
            if latest is None or at > latest.at:
                latest = Bound(at, name)
        return latest

    def ceiling(self, ended: datetime, regime: Regime, floor: Bound | None) -> Bound | None:
        """Return the earliest ceiling that is not below the floor; None where all are, or there is none."""
        ceilings = [Bound(add(ended, wait, self.zone), name) for name, wait in regime.ceilings]
        fitting = [bound for bound in ceilings if floor is None or bound.at >= floor.at]
        return min(fitting, key=lambda bound: bound.at, default=None)

    def source_bound(self, now: datetime) -> datetime | None:
        """Return the latest start of a call that may be due at the source now; None: no policy permits any.

        A coarse bound, so that a pass need not look at calls that are surely too young; `decide` has the say.
        """
        return _bound((policy.source_delete_after for policy in self._policies), now)

    def archive_bound(self, now: datetime) -> datetime | None:
        """Return the same for the archive's side."""
        return _bound((policy.delete_after for policy in self._policies), now)


def _bound(waits: Iterable[Wait | None], now: datetime) -> datetime | None:
    # a month is never shorter than 28 days: the bound may only be too late
    shortest = min(
        (timedelta(28 * wait.total_months, wait.total_seconds) for wait in waits if isinstance(wait, Duration)),
        default=None,
    )
    return None if shortest is None else require_aware(now) - max(shortest - SLACK, timedelta(0))


def _regime(fits: list[tuple[Policy, Fit]]) -> Regime:
    possible = [policy for policy, fit in fits if fit is not Fit.NO]
    sure = [policy for policy, fit in fits if fit is Fit.YES]
    locks = [policy.lock for policy in possible if policy.lock is not None]
    archived = any(policy.archive for policy in possible)
    return Regime(
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


def _waits(named: Iterable[tuple[str, Wait | None]]) -> tuple[tuple[str, Duration], ...]:
    return tuple((name, wait) for name, wait in named if isinstance(wait, Duration))
