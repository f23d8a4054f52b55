"""What a copy is to be held by in the bucket, and the steps that lead there from what holds it now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from archiver.core.decision import Candidate
from archiver.core.holds import holding
from archiver.core.model import Lock, Protection
from archiver.core.retention import Terms, wanted_lock


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the terms ask for: a lock until the floor, and the cases that hold the recording."""

    lock: Lock | None = None
    holds: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the bucket need not hold it."""
        return self.lock is None and not self.holds


@dataclass(frozen=True, slots=True)
class Steps:
    """What to ask the bucket for; None: as it is. `problem`: why the lock cannot become what is wanted."""

    lock: Lock | None = None
    hold: bool | None = None
    problem: str | None = None


def wanted(candidate: Candidate, terms: Terms, now: datetime) -> Wanted:
    """Say what must hold the copy now."""
    holds = holding(candidate, terms.holds) if terms.holds else ()
    return Wanted(wanted_lock(candidate, terms.rules, now), holds)


def settled(candidate: Candidate, wants: Wanted) -> bool:
    """Whether the record says that it is held as wanted already."""
    locked = wants.lock is None or (candidate.lock is not None and candidate.lock.covers(wants.lock))
    return locked and candidate.on_hold == bool(wants.holds)


def satisfied(wants: Wanted, protection: Protection) -> bool:
    """Whether a copy is held as wanted now. A lock that cannot become what is wanted is for a person to see."""
    locked = wants.lock is None or (protection.lock is not None and protection.lock.until >= wants.lock.until)
    return locked and protection.on_hold == bool(wants.holds)


def steps(wants: Wanted, found: Protection, *, ours: bool) -> Steps:
    """Compare one object with what is wanted. `ours`: a legal hold on it, if any, was set by this program.

    Nothing is ever weakened or shortened, and a hold that somebody else has set stays.
    """
    lock, problem = _lock_step(wants.lock, found.lock)
    hold: bool | None = None
    if wants.holds and not found.on_hold:
        hold = True
    elif not wants.holds and found.on_hold and ours:
        hold = False
    return Steps(lock=lock, hold=hold, problem=problem)


def _lock_step(wants: Lock | None, found: Lock | None) -> tuple[Lock | None, str | None]:
    if wants is None or (found is not None and found.covers(wants)):
        return None, None
    if found is None:
        return wants, None
    if found.until > wants.until:  # weaker, but longer: only beyond the floor could it become as strong
        return None, f"it is locked in {found.mode} mode until {found.until:%Y-%m-%d}, beyond its floor"
    return Lock(max(wants.mode, found.mode, key=lambda mode: mode.strength), wants.until), None


def digest_of(terms: Terms) -> str:
    """Name the part of the terms that locks and holds follow from: another name, another look at every copy."""
    policies = terms.rules.policies
    held = [[hold.name, hold.at.isoformat(), hold.future, hold.query.as_json()] for hold in terms.holds]
    asked = [policies.digest if policies.wants_locks else "", held]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
