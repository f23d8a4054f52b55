"""Retention policies as values: what they ask for, and the digest that names a set of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from archiver.core.duration import Duration
from archiver.core.match import Call, Fit, Match
from archiver.core.model import LockMode

NEVER: Final = "never"
Wait = Duration | Literal["never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One named rule of the policies file. None: the policy says nothing about it."""

    name: str
    match: Match = field(default_factory=Match)
    source_delete_after: Wait | None = None  # from the end of the call
    archive: bool | None = None
    keep_at_least: Duration | None = None  # the floor: the archive's copy stays at least so long
    delete_after: Wait | None = None  # the ceiling: so long after the end of the call it is to go
    storage_class: str | None = None  # of the copy, as S3 names them
    lock: LockMode | None = None  # the bucket is to hold the copy until the floor


class Mode(StrEnum):
    """Whether anything may be deleted, the most careful first."""

    DISABLED = "disabled"
    APPROVE = "approve"  # only what a plan names that a second person has approved
    AUTOMATIC = "automatic"

    @property
    def freedom(self) -> int:
        """For comparing: the smaller, the more careful."""
        return tuple(Mode).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much one run may delete on one side; more than either, and it deletes nothing there."""

    max_per_run: int = 500  # recordings, over all accounts
    max_percent: Decimal = Decimal(5)  # of an account's recordings that are still on that side


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The switch, the caps and the patience of deletion."""

    mode: Mode = Mode.DISABLED
    source: Caps = Caps()
    archive: Caps = Caps()
    archive_mode: Mode = Mode.APPROVE  # of the archive's side, where `mode` allows as much
    cooling_off: timedelta = timedelta(days=7)  # after a change of the policies the earlier ones still bind so long
    plan_valid: timedelta = timedelta(days=7)  # a plan can be applied so long

    @property
    def in_archive(self) -> Mode:
        """What holds for the archive: the more careful of both modes."""
        return min(self.mode, self.archive_mode, key=lambda mode: mode.freedom)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """A policies file. Its order means nothing."""

    policies: tuple[Policy, ...] = ()
    deletion: Deletion = field(default_factory=Deletion)
    zone: tzinfo = UTC  # whose calendar durations go by
    text: str = field(default="", repr=False, compare=False)  # the file as it was read, for the record

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what the policies mean: not of comments, order, spelling, switch or caps."""
        meanings = sorted((_meaning(policy) for policy in self.policies), key=lambda one: str(one["name"]))
        meant = json.dumps([str(self.zone), meanings], sort_keys=True)
        return hashlib.sha256(meant.encode()).hexdigest()

    @property
    def wants_locks(self) -> bool:
        """Whether any policy asks the bucket to hold objects."""
        return any(policy.lock for policy in self.policies)


def matching(call: Call, policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Return the policies that are surely about the call."""
    return tuple(policy for policy in policies if policy.match.fits(call) is Fit.YES)


def _meaning(policy: Policy) -> dict[str, object]:
    return {
        "name": policy.name,
        "match": _asked(policy.match),
        "source_delete_after": _length(policy.source_delete_after),
        "archive": policy.archive,
        "keep_at_least": _length(policy.keep_at_least),
        "delete_after": _length(policy.delete_after),
        "storage_class": policy.storage_class,
        "lock": policy.lock,
    }


def _asked(match: Match) -> dict[str, object]:
    lists = ("accounts", "extensions", "directions", "callers", "dnis", "numbers", "cnam", "rule_ids")
    hours, dates = match.hours, match.dates
    return {
        **{name: sorted(set(getattr(match, name))) for name in lists},
        "min_duration": _length(match.min_duration),
        "max_duration": _length(match.max_duration),
        "hours": hours and [hours.since.isoformat(), hours.until.isoformat()],
        "dates": dates and [str(dates.since), str(dates.until)],
    }


def _length(duration: Wait | None) -> object:
    if duration is None or isinstance(duration, str):
        return duration
    return [duration.total_months, duration.days, duration.seconds]
