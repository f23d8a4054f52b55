"""Decisions about deletion as such, of people and of the policies file: an append-only log, and what follows from it.

Each entry says when, by whom and why something was decided. Where things stand is never stored beside it: it is
read out of the entries, so nothing can disagree with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import cast

from archiver.core.holds import Hold, Query
from archiver.core.people import same_person


class Kind(StrEnum):
    """What a decision is about. `subject` names which."""

    HOLD = "hold"  # subject: the case
    PLAN = "plan"  # subject: the plan's digest
    PAUSE = "pause"  # subject: nothing
    POLICIES = "policies"  # subject: the account


class Event(StrEnum):
    """What was decided."""

    ADDED = "added"  # a case
    RELEASE_ASKED = "release_asked"
    RELEASE_WITHDRAWN = "release_withdrawn"
    RELEASED = "released"
    WRITTEN = "written"  # a plan
    APPROVED = "approved"
    USED = "used"
    PAUSED = "paused"  # all deletion
    RESUMED = "resumed"
    IN_FORCE = "in_force"  # a policies file


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One decision. `at` is aware, in UTC; `by` a person, or the run that noticed it."""

    at: datetime
    kind: Kind
    subject: str
    event: Event
    by: str
    reason: str
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """What the catalogue knows of a plan that this archive has written."""

    digest: str
    author: str
    written_at: datetime
    expires_at: datetime
    purpose: str
    counts: Mapping[str, object]
    approved_by: str | None = None
    approved_at: datetime | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    """Policies that were in force for an account and no longer are; they bind until then."""

    digest: str
    until: datetime


def opening(case: Hold) -> Control:
    """Return the entry of the record that opens a case."""
    detail = {"query": case.query.as_json(), "future": case.future}
    return Control(
        at=case.at, kind=Kind.HOLD, subject=case.name, event=Event.ADDED, by=case.author, reason=case.reason,
        detail=detail,
    )  # fmt: skip


def holds_in(controls: Iterable[Control]) -> tuple[Hold, ...]:
    """Read the cases, released ones too, in the order of their opening."""
    cases: dict[str, Hold] = {}
    for one in controls:
        if one.kind is Kind.HOLD:
            cases[one.subject] = _hold(cases.get(one.subject), one)
    return tuple(cases.values())


def _hold(before: Hold | None, one: Control) -> Hold:
    if before is None:
        query = Query.of_json(cast("Mapping[str, object]", one.detail["query"]))
        future = bool(one.detail["future"])
        return Hold(name=one.subject, reason=one.reason, author=one.by, at=one.at, query=query, future=future)
    if one.event is Event.RELEASE_ASKED:
        return replace(before, release_asked_by=one.by, release_asked_at=one.at, release_reason=one.reason)
    if one.event is Event.RELEASED:
        asked_by = before.release_asked_by
        second = asked_by is not None and not same_person(asked_by, one.by)
        return replace(before, released_by=one.by, released_at=one.at) if second else before
    return replace(before, release_asked_by=None, release_asked_at=None, release_reason=None)


def pause_in(controls: Iterable[Control]) -> Control | None:
    """Return who paused all deletion, when and why; None: it is not paused."""
    last: Control | None = None
    for one in controls:
        if one.kind is Kind.PAUSE:
            last = one
    return last if last is not None and last.event is Event.PAUSED else None


def plans_in(controls: Iterable[Control]) -> dict[str, PlanRecord]:
    """Read the plans by digest, in the order in which they were written."""
    plans: dict[str, PlanRecord] = {}
    for one in controls:
        if one.kind is not Kind.PLAN:
            continue
        if one.event is Event.WRITTEN:
            plans[one.subject] = PlanRecord(
                digest=one.subject,
                author=one.by,
                written_at=one.at,
                expires_at=datetime.fromisoformat(str(one.detail["expires_at"])),
                purpose=one.reason,
                counts=cast("Mapping[str, object]", one.detail["counts"]),
            )
        elif one.event is Event.APPROVED:
            plans[one.subject] = replace(plans[one.subject], approved_by=one.by, approved_at=one.at)
        else:
            plans[one.subject] = replace(plans[one.subject], used_at=one.at)
    return plans


def replaced_in(log: Sequence[Control], now: datetime) -> tuple[Replaced, ...]:
    """Read which earlier policies of one account still bind.

    `log` holds its entries of kind `policies`, oldest first. A set that is replaced binds for the longest cooling-off
    period that counts at that moment.
    """
    binding: dict[str, datetime] = {}
    for place, (one, following) in enumerate(pairwise(log)):
        until = following.at + _period(log[: place + 2])
        digest = str(one.detail["digest"])
        if until > now and digest != str(following.detail["digest"]):
            binding[digest] = max(until, binding.get(digest, until))
    if log:  # what is in force binds anyway
        binding.pop(str(log[-1].detail["digest"]), None)
    return tuple(Replaced(digest, until) for digest, until in sorted(binding.items()))


def _period(log: Sequence[Control]) -> timedelta:
    """Return the cooling-off period that the last entry begins.

    To shorten the period is itself a change that has to wait: a longer one counts until it has run out.
    """
    moment = log[-1].at
    earlier = (_cooling_off(one) for one, following in pairwise(log) if following.at + _cooling_off(one) > moment)
    return max(_cooling_off(log[-1]), *earlier, timedelta(0))


def _cooling_off(one: Control) -> timedelta:
    return timedelta(seconds=float(str(one.detail["cooling_off"])))
