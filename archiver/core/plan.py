"""A deletion plan: what would be deleted, where and why. `core.plan_file` writes it down and reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.model import require_aware
from archiver.core.retention import Terms, decide_both

VERSION = 2
SOURCE, ARCHIVE = "source", "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One deletion that the policies, or a request for erasure, permit."""

    account: str
    recording_id: str
    action: Action  # at the source, or in the archive
    reason: Reason
    policy: str | None  # None: an erasure needs no policy
    not_before: datetime | None  # since when it is permitted
    sha256: str  # of the archived copy
    size: int  # bytes, of the archived copy
    ended_at: datetime  # end of the call

    @property
    def key(self) -> tuple[str, str, str]:
        """Recording and side; plans are sorted by it. The source's copy goes before the archive's."""
        side = SOURCE if self.action is Action.DELETE_AT_SOURCE else ARCHIVE
        return self.account, self.recording_id, "0" if side == SOURCE else "1"


Kept = Mapping[str, Mapping[Reason, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one run would delete, made at one moment by one person under one set of policies."""

    created_at: datetime
    expires_at: datetime
    author: str
    policies_digest: str
    items: tuple[PlanItem, ...]  # sorted by key, no key twice
    kept: Kept  # for each side: how many recordings stay, and why; no zeros
    version: int = VERSION

    def at_source(self) -> tuple[PlanItem, ...]:
        """The deletions at the source."""
        return tuple(item for item in self.items if item.action is Action.DELETE_AT_SOURCE)

    def in_archive(self) -> tuple[PlanItem, ...]:
        """The deletions in the archive."""
        return tuple(item for item in self.items if item.action is Action.DELETE_IN_ARCHIVE)


@dataclass(slots=True, kw_only=True)
class Draft:
    """Gathers a plan from a stream of candidates: keeps are counted, only deletions are held in memory."""

    terms: Terms
    now: datetime
    _items: dict[tuple[str, str, str], PlanItem] = field(default_factory=dict, init=False)
    _kept: dict[str, Counter[Reason]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Count each side by itself."""
        self._kept |= {SOURCE: Counter(), ARCHIVE: Counter()}

    def consider(self, candidate: Candidate) -> None:
        """Decide on one recording, on both sides, and note the outcome. The same deletion twice is noted once."""
        source, archive = decide_both(candidate, self.terms, self.now)
        self._note(SOURCE, candidate, source)
        self._note(ARCHIVE, candidate, archive)

    def _note(self, side: str, candidate: Candidate, decision: Decision) -> None:
        if decision.action is Action.KEEP:
            self._kept[side][decision.reason] += 1
        else:
            item = planned(candidate, decision, decision.action)
            self._items[item.key] = item

    def plan(self, *, author: str) -> Plan:
        """Return the plan of everything considered so far."""
        policies = self.terms.rules.policies
        now = require_aware(self.now)
        return Plan(
            created_at=now,
            expires_at=now + policies.deletion.plan_valid,
            author=author,
            policies_digest=policies.digest,
            items=tuple(self._items[key] for key in sorted(self._items)),
            kept={side: dict(sorted(counts.items())) for side, counts in self._kept.items()},
        )


def planned(candidate: Candidate, decision: Decision, action: Action) -> PlanItem:
    """Return the plan's line for a decision. Raises ValueError where there is no copy: nothing may permit that."""
    if candidate.sha256 is None or candidate.size is None:
        msg = f"recording {candidate.recording_id} has no copy on record"
        raise ValueError(msg)
    return PlanItem(
        account=candidate.account,
        recording_id=candidate.recording_id,
        action=action,
        reason=decision.reason,
        policy=decision.policy,
        not_before=decision.not_before,
        sha256=candidate.sha256,
        size=candidate.size,
        ended_at=require_aware(candidate.ended_at),
    )


def erasure(candidates: Iterable[tuple[Candidate, Decision]], terms: Terms, now: datetime, *, author: str) -> Plan:
    """Return a plan that erases recordings on request, where they still are."""
    items = []
    for candidate, decision in candidates:
        sides = [Action.DELETE_AT_SOURCE] if candidate.at_source else []
        items += [planned(candidate, decision, side) for side in (*sides, Action.DELETE_IN_ARCHIVE)]
    plan = Draft(terms=terms, now=now).plan(author=author)
    return replace(plan, items=tuple(sorted(items, key=lambda item: item.key)))


def total_bytes(items: Iterable[PlanItem]) -> int:
    """Size of the copies of all items together."""
    return sum(item.size for item in items)
