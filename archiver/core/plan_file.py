"""A deletion plan as a file that a person reads and signs for, and that the program trusts only unaltered.

The file is JSON, ASCII, one deletion to a line, sorted, and ends with the SHA-256 of everything before that
digest. It shows alteration; that it is one of this archive's own plans, the catalogue knows. It never holds a phone
number or a name from a call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from archiver.core.decision import Action, Reason
from archiver.core.model import require_aware
from archiver.core.people import person
from archiver.core.plan import ARCHIVE, SOURCE, VERSION, Plan, PlanItem, total_bytes
from archiver.errors import ConfigError

_PLANNED = {  # what a plan may hold, and what a request for erasure may
    (Action.DELETE_AT_SOURCE, Reason.DUE),
    (Action.DELETE_IN_ARCHIVE, Reason.DUE),
    (Action.DELETE_AT_SOURCE, Reason.ERASURE_REQUESTED),
    (Action.DELETE_IN_ARCHIVE, Reason.ERASURE_REQUESTED),
}
_HEX = re.compile("[0-9a-f]{64}")
_TAIL = '"digest": "'
_ALTERED = "this plan was altered, or cut, after it was written"


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
        "expires_at": _moment(plan.expires_at),
        "author": plan.author,
        "policies_digest": plan.policies_digest,
        "totals": {SOURCE: _totals(plan, SOURCE, plan.at_source()), ARCHIVE: _totals(plan, ARCHIVE, plan.in_archive())},
        "kept": {side: dict(sorted(plan.kept[side].items())) for side in (SOURCE, ARCHIVE)},
    }
    yield "{\n"
    yield from (f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    yield '"items": ['
    for number, item in enumerate(sorted(plan.items, key=lambda item: item.key)):
        yield ("," if number else "") + "\n" + json.dumps(_row(item))
    yield "\n],\n"


def _totals(plan: Plan, side: str, items: tuple[PlanItem, ...]) -> dict[str, int]:
    return {"delete": len(items), "bytes": total_bytes(items), "keep": sum(plan.kept[side].values())}


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
    items = tuple(_items(data.get("items")))
    repeated = [key for key, count in Counter(item.key for item in items).items() if count > 1]
    if repeated:
        raise ConfigError(f"this plan lists recording {repeated[0][1]} of account {repeated[0][0]} twice")
    kept = _object(data.get("kept"), "kept")
    return Plan(
        created_at=_when(data, "created_at", ""),
        expires_at=_when(data, "expires_at", ""),
        author=person(_text(data, "author", ""), "author"),
        policies_digest=_hex(data, "policies_digest", ""),
        items=items,
        kept={side: _counts(kept.get(side), f"kept.{side}") for side in (SOURCE, ARCHIVE)},
    )


def _counts(value: object, where: str) -> dict[Reason, int]:
    counts = _object(value, where)
    return {_reason(key, where): _count(counts, key, f"{where}.") for key in counts}


def _items(rows: object) -> Iterator[PlanItem]:
    if not isinstance(rows, list):
        raise ConfigError("items: must be a list")
    for number, row in enumerate(rows):
        rows[number] = None  # let go of it: a long plan would otherwise be held twice
        where = f"items[{number}]"
        yield _read_item(_object(row, where), f"{where}.")


def _read_item(row: Mapping[str, object], where: str) -> PlanItem:
    if (_text(row, "action", where), _text(row, "reason", where)) not in _PLANNED:
        raise ConfigError(f"{where}action: a plan holds only deletions that are due, or erasures that were requested")
    action, reason = Action(_text(row, "action", where)), Reason(_text(row, "reason", where))
    due = reason is Reason.DUE
    return PlanItem(
        account=_text(row, "account", where),
        recording_id=_text(row, "recording_id", where),
        action=action,
        reason=reason,
        policy=_text(row, "policy", where) if due else None,
        not_before=_when(row, "not_before", where) if due or row.get("not_before") is not None else None,
        sha256=_hex(row, "sha256", where),
        size=_count(row, "size", where),
        ended_at=_when(row, "ended_at", where),
    )


def _row(item: PlanItem) -> dict[str, str | int | None]:
    return {
        "account": item.account,
        "recording_id": item.recording_id,
        "action": item.action,
        "reason": item.reason,
        "policy": item.policy,
        "not_before": None if item.not_before is None else _moment(item.not_before),
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
    except (ValueError, OverflowError):
        raise ConfigError(f"{where}{key}: must be a moment like 2025-01-31T00:00:00Z") from None


def _reason(text: str, where: str) -> Reason:
    try:
        return Reason(text)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is not a reason that this program knows") from None
