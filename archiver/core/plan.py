"""A deletion plan: what would be deleted and why, as a file that a person reads and the program trusts only unaltered.

The file is JSON, ASCII, one recording to a line, sorted, and ends with the SHA-256 of everything before that
digest. It shows alteration; it is no signature. It never holds a phone number or a name from a call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archiver.core.model import require_aware
from archiver.core.retention import Action, Candidate, Decision, Reason, decide
from archiver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from archiver.core.policy import PolicySet

VERSION = 1
_HEX = re.compile("[0-9a-f]{64}")
_TAIL = '"digest": "'
_ALTERED = "this plan was altered, or cut, after it was written"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One recording that the policies permit to delete at the source."""

    account: str
    recording_id: str
    action: Action
    reason: Reason
    policy: str
    not_before: datetime
    sha256: str
    size: int  # bytes, of the archived copy
    ended_at: datetime  # end of the call

    @property
    def key(self) -> tuple[str, str]:
        """The recording's natural key; plans are sorted by it."""
        return self.account, self.recording_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one run would delete, made at one moment under one set of policies."""

    created_at: datetime
    policies_digest: str
    items: tuple[PlanItem, ...]  # sorted by key, no key twice
    kept: Mapping[Reason, int]  # how many recordings stay, and why; no zeros
    version: int = VERSION

    @property
    def bytes(self) -> int:
        """Size of all items together."""
        return sum(item.size for item in self.items)


@dataclass(slots=True, kw_only=True)
class Draft:
    """Gathers a plan from a stream of candidates: keeps are counted, only deletions are held in memory."""

    policies: PolicySet
    now: datetime
    _items: dict[tuple[str, str], PlanItem] = field(default_factory=dict, init=False)
    _kept: Counter[Reason] = field(default_factory=Counter, init=False)

    def consider(self, candidate: Candidate) -> Decision:
        """Decide on one recording and note the outcome. The same deletion twice is noted once."""
        decision = decide(candidate, self.policies.policies, self.now)
        item = _item(candidate, decision)
        if item is None:
            self._kept[decision.reason] += 1
        else:
            self._items[item.key] = item
        return decision

    def plan(self) -> Plan:
        """Return the plan of everything considered so far."""
        items = tuple(self._items[key] for key in sorted(self._items))
        return Plan(
            created_at=require_aware(self.now),
            policies_digest=self.policies.digest,
            items=items,
            kept=dict(sorted(self._kept.items())),
        )


def render(plan: Plan) -> str:
    """Return the plan file's text: the same plan always gives the same text."""
    body = "".join(_body(plan))
    return f'{body}{_TAIL}{_sha256([body])}"\n}}\n'


def digest_of(text: str) -> str:
    """Return the digest at the end of a rendered plan: how people and logs name it."""
    return text.rpartition(_TAIL)[2][:64]


def _body(plan: Plan) -> Iterator[str]:
    head = {
        "version": plan.version,
        "created_at": _moment(plan.created_at),
        "policies_digest": plan.policies_digest,
        "totals": {"delete": len(plan.items), "bytes": plan.bytes, "keep": sum(plan.kept.values())},
        "kept": dict(sorted(plan.kept.items())),
    }
    yield "{\n"
    yield from (f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    yield '"items": ['
    for number, item in enumerate(sorted(plan.items, key=lambda item: item.key)):
        yield ("," if number else "") + "\n" + json.dumps(_row(item))
    yield "\n],\n"


def parse(text: str) -> Plan:
    """Read a plan file. Raises ConfigError, naming the problem, for anything but what `render` wrote."""
    data = _object(_loaded(text), "this file")
    version = data.get("version")
    if type(version) is not int:
        raise ConfigError("this file is not a deletion plan: it has no version")
    if version != VERSION:
        raise ConfigError(f"this plan has version {version}, this program reads version {VERSION}: plan again")
    body, _, tail = text.rpartition(_TAIL)
    digest = _sha256([body])
    if tail != f'{digest}"\n}}\n':
        raise ConfigError(_ALTERED, hint="Make a new plan with `archiver plan`.")
    plan = _plan(data)
    if _sha256(_body(plan)) != digest:
        raise ConfigError("this plan was not written by this program: its totals, order or layout differ")
    return plan


def _plan(data: Mapping[str, object]) -> Plan:
    kept = _object(data.get("kept"), "kept")
    items = tuple(_items(data.get("items")))
    repeated = [key for key, count in Counter(item.key for item in items).items() if count > 1]
    if repeated:
        raise ConfigError(f"this plan lists recording {repeated[0][1]} of account {repeated[0][0]} twice")
    return Plan(
        created_at=_when(data, "created_at", ""),
        policies_digest=_hex(data, "policies_digest", ""),
        items=items,
        kept={_reason(key, "kept"): _count(kept, key, "kept.") for key in kept},
    )


def _items(rows: object) -> Iterator[PlanItem]:
    if not isinstance(rows, list):
        raise ConfigError("items: must be a list")
    for number, row in enumerate(rows):
        rows[number] = None  # let go of it: a long plan would otherwise be held twice
        where = f"items[{number}]"
        yield _read_item(_object(row, where), f"{where}.")


def _read_item(row: Mapping[str, object], where: str) -> PlanItem:
    if (row.get("action"), row.get("reason")) != (Action.DELETE_AT_SOURCE, Reason.DUE):
        raise ConfigError(f"{where}action: a plan holds only {Action.DELETE_AT_SOURCE} for the reason {Reason.DUE}")
    return PlanItem(
        account=_text(row, "account", where),
        recording_id=_text(row, "recording_id", where),
        action=Action.DELETE_AT_SOURCE,
        reason=Reason.DUE,
        policy=_text(row, "policy", where),
        not_before=_when(row, "not_before", where),
        sha256=_hex(row, "sha256", where),
        size=_count(row, "size", where),
        ended_at=_when(row, "ended_at", where),
    )


def _item(candidate: Candidate, decision: Decision) -> PlanItem | None:
    policy, not_before, sha256, size = decision.policy, decision.not_before, candidate.sha256, candidate.size
    if decision.action is Action.KEEP or policy is None or not_before is None or sha256 is None or size is None:
        return None
    return PlanItem(
        account=candidate.account,
        recording_id=candidate.recording_id,
        action=decision.action,
        reason=decision.reason,
        policy=policy,
        not_before=not_before,
        sha256=sha256,
        size=size,
        ended_at=require_aware(candidate.ended_at),
    )


def _row(item: PlanItem) -> dict[str, str | int]:
    return {
        "account": item.account,
        "recording_id": item.recording_id,
        "action": item.action,
        "reason": item.reason,
        "policy": item.policy,
        "not_before": _moment(item.not_before),
        "ended_at": _moment(item.ended_at),
        "sha256": item.sha256,
        "size": item.size,
    }


def _moment(moment: datetime) -> str:
    return require_aware(moment).isoformat().replace("+00:00", "Z")


def _sha256(pieces: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"this file is not a deletion plan, or {_ALTERED}") from None


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must hold keys and values")
    return value


def _text(row: Mapping[str, object], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}{key}: must be text")
    return value


def _hex(row: Mapping[str, object], key: str, where: str) -> str:
    value = _text(row, key, where)
    if not _HEX.fullmatch(value):
        raise ConfigError(f"{where}{key}: must be a SHA-256 of 64 lower-case hex digits")
    return value


def _count(row: Mapping[str, object], key: str, where: str) -> int:
    value = row.get(key)
    if type(value) is not int or value < 0:
        raise ConfigError(f"{where}{key}: must be a whole number, not negative")
    return value


def _when(row: Mapping[str, object], key: str, where: str) -> datetime:
    try:
        return require_aware(datetime.fromisoformat(_text(row, key, where))).astimezone(UTC)
    except ValueError:
        raise ConfigError(f"{where}{key}: must be a moment like 2025-01-31T00:00:00Z") from None


def _reason(text: str, where: str) -> Reason:
    try:
        return Reason(text)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is not a reason that this program knows") from None
