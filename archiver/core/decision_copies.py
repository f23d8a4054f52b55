"""Copies of the decisions about deletion in the bucket: cases, pauses, plans and policies outlive the catalogue.

A copy is written once under a key that follows from the decision and its place in the log. So whoever looks at the keys
knows which decisions have no copy yet, and no catalogue has to remember it.

Two catalogues may give one name to two cases, and a rebuild may have to call a case otherwise than it was called. So
what is decided about a case later says in its copy which opening it means: its digest, whatever the name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from archiver.core.controls import Control, Event, Kind, holds_in, plans_in
from archiver.core.documents import Unreadable, document, moment, part, text, texts
from archiver.core.model import require_aware
from archiver.core.naming import decisions_folder
from archiver.core.rebuilding import Refusal, Trouble

FORMAT = "call-recording-decision/1"
LIMIT = 16 * 1024 * 1024  # bytes of one copy: a case may name hundreds of thousands of recordings
ONCE = frozenset({Event.ADDED, Event.RELEASED, Event.WRITTEN, Event.APPROVED, Event.USED})  # about one thing
#: What reading a decision may raise that anybody may have written. OSError: a time zone that is a folder.
_NONSENSE = (KeyError, TypeError, ValueError, OverflowError, AttributeError, OSError)


@dataclass(frozen=True, slots=True)
class Copy:
    """A decision as the bucket has it. `opening`: of what came after the opening of a case, the opening's `digest`."""

    one: Control
    opening: str = ""

    @property
    def digest(self) -> str:
        """What tells this decision from all others, whatever a catalogue calls the case."""
        nameless = replace(self.one, subject="") if self.one.kind is Kind.HOLD else self.one
        return hashlib.sha256(render(replace(self, one=nameless))).hexdigest()

    @property
    def about(self) -> tuple[Kind, str]:
        """What it is about: a case by its opening, anything else by its subject."""
        is_case = self.one.kind is Kind.HOLD
        return self.one.kind, (self.opening or self.digest) if is_case else self.one.subject


def copies(log: Iterable[Control], prefix: str) -> Iterator[tuple[str, bytes]]:
    """Give key and bytes of the copy of each decision. `log`: all of them, in the order in which they were made."""
    place, number = datetime.min.replace(tzinfo=UTC), 0
    for copy in copied(log):
        # hosts have clocks of their own: the order of the keys must be that of the log all the same
        at = copy.one.at
        place, number = (at, 0) if at > place else (place, number + 1)
        body = render(copy)
        digest = hashlib.sha256(body).hexdigest()[:16]
        yield f"{decisions_folder(prefix)}{place:%Y%m%dT%H%M%S.%fZ}-{number:08d}-{digest}.decision.json", body


def copied(log: Iterable[Control]) -> Iterator[Copy]:
    """Say of each decision of a catalogue, oldest first, which opening of a case it belongs to."""
    openings: dict[str, str] = {}
    for one in log:
        if one.kind is not Kind.HOLD:
            yield Copy(one)
        elif one.event is Event.ADDED:
            yield (opened := Copy(one))
            openings[one.subject] = opened.digest
        else:
            yield Copy(one, openings.get(one.subject, ""))


def render(copy: Copy) -> bytes:
    """Write a decision."""
    one = copy.one
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
    content |= {"opening": copy.opening} if copy.opening else {}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def parse(body: bytes) -> Copy:
    """Read a decision. Raises Unreadable."""
    content = document(body, FORMAT)
    try:
        kind, event = Kind(text(content, "kind")), Event(text(content, "event"))
    except ValueError as error:
        raise Unreadable("it is no decision that this version knows") from error
    one = Control(
        at=moment(content, "at"),
        kind=kind,
        subject=text(content, "subject"),
        event=event,
        by=text(content, "by"),
        reason=text(content, "reason", longest=LIMIT),
        detail=part(content, "detail"),
    )
    follows = kind is Kind.HOLD and event is not Event.ADDED
    return Copy(one, text(content, "opening") if follows else "")


def require_copy(one: Control) -> None:
    """Raise Unreadable where no rebuild could take on the copy of an opening."""
    body = render(Copy(one))
    if len(body) > LIMIT:
        msg = f"it has {len(body):,} bytes, and {LIMIT:,} are the most"
        raise Unreadable(msg)
    problem = _problem([parse(body).one])
    if problem is not None:
        raise Unreadable(problem)


def missing(given: Sequence[tuple[str, Copy]], present: Sequence[Control]) -> tuple[list[Control], list[Refusal]]:
    """Choose which decisions a catalogue lacks, and name those that it must not take. `given`: keys and copies.

    What it has decided by itself since stands: an old release must not end what was looked at anew. A case of its own
    stands beside one of the same name, which gets another. Policies that were in force before are taken on beside those
    of today, for they may still bind.
    """
    mine = list(copied(present))
    have, told = {copy.digest for copy in mine}, {copy.digest for _, copy in given}
    own = {copy.about for copy in mine if copy.digest not in told and copy.one.kind is not Kind.POLICIES}
    chosen, refused = list[_Given](), list[Refusal]()
    for about, group in _grouped(given, mine).items():
        for each, refusal in _judged(group, have, stands=about in own):
            if refusal is None:
                chosen.append(each)
            else:
                refused.append(refusal)
    return [each.one for each in sorted(chosen, key=lambda each: each.place)], refused


@dataclass(frozen=True, slots=True)
class _Given:
    place: int  # in the order of the copies
    key: str
    digest: str
    one: Control  # with the name that the case shall have


def _grouped(given: Sequence[tuple[str, Copy]], mine: Iterable[Copy]) -> dict[tuple[Kind, str], list[_Given]]:
    """Put together what is about one thing, each decision once."""
    names = _names([copy for _, copy in given], mine)
    groups: dict[tuple[Kind, str], dict[str, _Given]] = {}
    for place, (key, copy) in enumerate(given):
        about, digest = copy.about, copy.digest
        group = groups.setdefault(about, {})
        if copy.one.kind is Kind.PAUSE:  # one that was taken on late, after an end of another, counts from there
            group.pop(digest, None)
        renamed = replace(copy.one, subject=names.get(about, copy.one.subject))
        group.setdefault(digest, _Given(place, key, digest, renamed))
    return {about: list(group.values()) for about, group in groups.items()}


def _names(given: Sequence[Copy], mine: Iterable[Copy]) -> dict[tuple[Kind, str], str]:
    """Choose what each case is called: as in the catalogue, else as it was called last, else what is free.

    A rebuild makes a name longer and never shorter, so the longest is the last.
    """
    names = {copy.about: copy.one.subject for copy in mine if copy.one.kind is Kind.HOLD}
    wanted: dict[tuple[Kind, str], str] = {}
    for copy in given:
        if copy.one.kind is Kind.HOLD and copy.one.event is Event.ADDED and copy.about not in names:
            both = wanted.get(copy.about, ""), copy.one.subject
            wanted[copy.about] = max(both, key=lambda name: (len(name), name))
    taken = set(names.values())
    known = taken | {copy.one.subject for copy in given}
    for about, name in wanted.items():
        names[about] = _free(name, known) if name in taken else name
        taken.add(names[about])
        known.add(names[about])
    return names


def _free(name: str, known: Collection[str]) -> str:
    return next(free for number in count(2) if (free := f"{name}-{number}") not in known)


def _judged(group: Sequence[_Given], have: Collection[str], *, stands: bool) -> Iterator[tuple[_Given, Refusal | None]]:
    """Say of each decision about one thing that the catalogue lacks whether it may be taken on.

    Only what comes after all that the catalogue has may: it would stand there as the latest. But a pause that is the
    latest in the bucket is taken on whatever the catalogue says: rather paused too long.
    """
    good, problem = _sensible([each.one for each in group])
    last = max((each.place for each in group if each.digest in have), default=-1)
    for each in group:
        if each.digest in have:
            continue
        older = each.one.kind is not Kind.POLICIES and each.place < last
        if problem and each.one not in good:
            yield each, Refusal(each.key, Trouble.UNREADABLE, problem)
        elif (stands or older) and not (each is group[-1] and _pauses(each.one)):
            yield each, Refusal(each.key, Trouble.CONTRADICTION, "the catalogue has its own about this")
        else:
            yield each, None


def _pauses(one: Control) -> bool:
    return one.kind is Kind.PAUSE and one.event is Event.PAUSED


def _sensible(log: Sequence[Control]) -> tuple[Sequence[Control], str]:
    """Return which decisions about one thing can be taken on, and why the others cannot.

    Where they do not go together nothing is, but the opening of a case: rather held too long than not at all. Policies
    stand each for itself: all that can be read may bind.
    """
    problem = _problem(log)
    if problem is None:
        return log, ""
    if log[0].kind is Kind.POLICIES:
        return [one for one in log if _problem([one]) is None], problem
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
    except Unreadable as error:
        return str(error)
    except _NONSENSE:
        return "it makes no sense by itself, or not after those before it"
    return None


def _require_texts(query: Mapping[str, object]) -> None:
    for name, value in query.items():
        if not isinstance(value, str):
            texts(query, name)
