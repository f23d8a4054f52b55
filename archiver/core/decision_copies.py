"""Copies of the decisions about deletion in the bucket: cases, pauses, plans and policies outlive the catalogue.

A copy is written once under a key that follows from the decision and its place in the log. So whoever looks at the keys
knows which decisions have no copy yet, and no catalogue has to remember it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from archiver.core.controls import Control, Event, Kind, holds_in, plans_in
from archiver.core.documents import Unreadable, document, moment, part, text, texts
from archiver.core.model import require_aware
from archiver.core.naming import decisions_folder
from archiver.core.rebuilding import Refusal, Trouble

FORMAT = "call-recording-decision/1"
ONCE = frozenset({Event.ADDED, Event.RELEASED, Event.WRITTEN, Event.APPROVED, Event.USED})  # about one thing
_LONGEST = 10_000  # characters of a text


def copies(log: Iterable[Control], prefix: str) -> Iterator[tuple[str, bytes]]:
    """Give key and bytes of the copy of each decision. `log`: all of them, in the order in which they were made."""
    place, number = datetime.min.replace(tzinfo=UTC), 0
    for one in log:
        # hosts have clocks of their own: the order of the keys must be that of the log all the same
        place, number = (one.at, 0) if one.at > place else (place, number + 1)
        body = render(one)
        digest = hashlib.sha256(body).hexdigest()[:16]
        yield f"{decisions_folder(prefix)}{place:%Y%m%dT%H%M%S.%fZ}-{number:04d}-{digest}.decision.json", body


def render(one: Control) -> bytes:
    """Write a decision."""
    content = {
        "format": FORMAT,
        "at": one.at.astimezone(UTC).isoformat(),
        "kind": one.kind,
        "subject": one.subject,
        "event": one.event,
        "by": one.by,
        "reason": one.reason,
        "detail": dict(one.detail),
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def parse(body: bytes) -> Control:
    """Read a decision. Raises Unreadable."""
    content = document(body, FORMAT)
    try:
        kind, event = Kind(text(content, "kind")), Event(text(content, "event"))
    except ValueError as error:
        raise Unreadable("it is no decision that this version knows") from error
    return Control(
        at=moment(content, "at"),
        kind=kind,
        subject=text(content, "subject", longest=_LONGEST),
        event=event,
        by=text(content, "by"),
        reason=text(content, "reason", longest=_LONGEST),
        detail=part(content, "detail"),
    )


def missing(given: Sequence[tuple[str, Control]], present: Sequence[Control]) -> tuple[list[Control], list[Refusal]]:
    """Choose which decisions a catalogue lacks, and name those that it must not take. `given`: keys and decisions.

    What it has decided about by itself since (a case of the same name, a pause) stands: an old release must not end a
    new case. Policies that were in force before are taken on beside those of today, for they may still bind.
    """
    have = {render(one) for one in present}
    decided = {_about(one) for one in present if one.kind is not Kind.POLICIES}
    chosen, refused = list[_Given](), list[Refusal]()
    for about, group in _grouped(given).items():
        good, problem = _sensible([each.one for each in group])
        for each in group:
            if render(each.one) in have:
                continue
            if each.one not in good:
                refused.append(Refusal(each.key, Trouble.UNREADABLE, problem))
            elif about in decided:
                refused.append(Refusal(each.key, Trouble.CONTRADICTION, "the catalogue has its own about this"))
            else:
                chosen.append(each)
    return [each.one for each in sorted(chosen, key=lambda each: each.place)], refused


@dataclass(frozen=True, slots=True)
class _Given:
    place: int  # in the order of the copies
    key: str
    one: Control


def _grouped(given: Sequence[tuple[str, Control]]) -> dict[tuple[Kind, str], list[_Given]]:
    """Put together what is about one thing. A case that was opened twice, by two catalogues, becomes two."""
    groups: dict[tuple[Kind, str], list[_Given]] = {}
    opened: Counter[str] = Counter()
    seen: set[bytes] = set()
    for place, (key, one) in enumerate(given):
        if render(one) in seen:
            continue
        opened[one.subject] += one.event is Event.ADDED
        again = opened[one.subject] if one.kind is Kind.HOLD else 1
        renamed = one if again < 2 else replace(one, subject=f"{one.subject}-{again}")  # noqa: PLR2004 - the second
        if render(renamed) not in seen:
            groups.setdefault(_about(renamed), []).append(_Given(place, key, renamed))
        seen |= {render(one), render(renamed)}
    return groups


def _about(one: Control) -> tuple[Kind, str]:
    return one.kind, one.subject


def _sensible(log: Sequence[Control]) -> tuple[Sequence[Control], str]:
    """Return which decisions about one thing can be taken on, and why the others cannot.

    Where they do not go together nothing is, but the opening of a case: rather held too long than not at all.
    """
    problem = _problem(log)
    if problem is None:
        return log, ""
    return [one for one in log if one.event is Event.ADDED and _problem([one]) is None][:1], problem


def _problem(log: Sequence[Control]) -> str | None:
    """Read decisions about one thing as deletions will read them; say where that cannot be done."""
    once = Counter(one.event for one in log if one.event in ONCE)
    if any(count > 1 for count in once.values()):
        return "it says twice what can be decided once"
    try:
        for case in holds_in(log):
            _require_texts(case.query.as_json())
        for plan in plans_in(log).values():
            require_aware(plan.expires_at)
        for one in log:
            if one.kind is Kind.POLICIES:
                text(one.detail, "digest")
                timedelta(seconds=float(str(one.detail["cooling_off"])))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return "it makes no sense by itself, or not after those before it"
    return None


def _require_texts(query: Mapping[str, object]) -> None:
    for name, value in query.items():
        if not isinstance(value, str):
            texts(query, name)
