"""Retention policies as values, and which of them speak about a call.

What the source left out may decide either way, so a match is yes, maybe or no. Whoever asks takes the safe
side: only a sure match permits a deletion or an exclusion, a possible one is enough to delay or forbid it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archiver.core.duration import Duration

NEVER: Final = "never"
DIRECTIONS: Final = ("INBOUND", "OUTBOUND", "INTRA_PBX")  # all that the source documents


class Call(Protocol):
    """What a policy can ask about a recording: `Recording` and `Candidate` both answer."""

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    @property
    def direction(self) -> str | None:
        """As the source says it; None when it does not."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]:
        """Extensions that took part; empty when the source names none."""
        ...

    @property
    def duration_ms(self) -> int | None:
        """Length of the call in milliseconds."""
        ...


class Fit(IntEnum):
    """How surely a rule is about a call. The smallest of several rules counts."""

    NO = 0
    MAYBE = 1  # the source left out, or garbled, what the rule asks for
    YES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which calls a policy is about; an empty rule is about all. All rules must fit."""

    accounts: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()  # patterns: * is any text, ? one character; one extension that fits is enough
    directions: tuple[str, ...] = ()
    min_duration: Duration | None = None  # both included; without years and months
    max_duration: Duration | None = None

    def fits(self, call: Call) -> Fit:
        """Return how surely the policy is about the call."""
        if self.accounts and call.account not in self.accounts:
            return Fit.NO
        return min(self._direction(call.direction), self._extensions(call.extensions), self._duration(call.duration_ms))

    def _direction(self, direction: str | None) -> Fit:
        if not self.directions or direction in self.directions:
            return Fit.YES
        return Fit.NO if direction in DIRECTIONS else Fit.MAYBE

    def _extensions(self, extensions: tuple[str, ...]) -> Fit:
        if not self.extensions:
            return Fit.YES
        if not any(extensions):
            return Fit.MAYBE
        pattern = _compiled(self.extensions)
        return Fit.YES if any(pattern.fullmatch(one) for one in extensions) else Fit.NO

    def _duration(self, milliseconds: int | None) -> Fit:
        shortest = self.min_duration.total_seconds * 1000 if self.min_duration else 0
        longest = self.max_duration.total_seconds * 1000 if self.max_duration else None
        if not shortest and longest is None:
            return Fit.YES
        if milliseconds is None or milliseconds < 0:
            return Fit.MAYBE
        return Fit.NO if milliseconds < shortest or (longest is not None and milliseconds > longest) else Fit.YES


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One named rule of the policies file. None: the policy says nothing about it."""

    name: str
    match: Match = field(default_factory=Match)
    source_delete_after: Duration | Literal["never"] | None = None  # from the end of the call
    archive: bool | None = None
    keep_at_least: Duration | None = None  # in the archive; no part of this program deletes there yet
    delete_after: Duration | None = None


class Mode(StrEnum):
    """Whether anything may be deleted at the source."""

    DISABLED = "disabled"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The switch and the caps of deletion at the source."""

    mode: Mode = Mode.DISABLED
    max_per_run: int = 500  # recordings, over all accounts
    max_percent: Decimal = Decimal(5)  # of an account's recordings that are still at the source


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """A policies file. Its order means nothing."""

    policies: tuple[Policy, ...] = ()
    deletion: Deletion = field(default_factory=Deletion)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what the policies mean: not of comments, order, spelling, switch or caps."""
        meanings = sorted((_meaning(policy) for policy in self.policies), key=lambda one: str(one["name"]))
        return hashlib.sha256(json.dumps(meanings, sort_keys=True).encode()).hexdigest()


def matching(call: Call, policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Return the policies that are surely about the call."""
    return tuple(policy for policy in policies if policy.match.fits(call) is Fit.YES)


def possible(call: Call, policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Return the policies that are or may be about the call."""
    return tuple(policy for policy in policies if policy.match.fits(call) is not Fit.NO)


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    wild = (re.escape(re.sub(r"\*+", "*", one)).replace(r"\*", ".*").replace(r"\?", ".") for one in patterns)
    return re.compile("|".join(wild), re.DOTALL)


def _meaning(policy: Policy) -> dict[str, object]:
    match = policy.match
    return {
        "name": policy.name,
        "accounts": sorted(set(match.accounts)),
        "extensions": sorted(set(match.extensions)),
        "directions": sorted(set(match.directions)),
        "min_duration": _length(match.min_duration),
        "max_duration": _length(match.max_duration),
        "source_delete_after": _length(policy.source_delete_after),
        "archive": policy.archive,
        "keep_at_least": _length(policy.keep_at_least),
        "delete_after": _length(policy.delete_after),
    }


def _length(duration: Duration | Literal["never"] | None) -> object:
    if duration is None or isinstance(duration, str):
        return duration
    return [duration.total_months, duration.total_seconds]
