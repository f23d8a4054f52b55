"""Recordings, policies and terms for retention tests: ordinary as they come, changed where a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from archiver.core.decision import Candidate
from archiver.core.duration import parse
from archiver.core.holds import Hold, Query
from archiver.core.lifecycle import AT_SOURCE
from archiver.core.match import Match
from archiver.core.model import Lock, LockMode, State
from archiver.core.policy import NEVER, Policy, PolicySet, Wait
from archiver.core.retention import Earlier, Terms
from archiver.core.rulebook import Rulebook

ENDED = datetime(2025, 1, 1, 0, 10, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
FAR_FUTURE = datetime(2099, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EVERYTHING = Match()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What tests usually vary; the rest is an ordinary verified recording."""

    recording_id: str = "1"
    account: str = "acme"
    direction: str | None = "INBOUND"
    extensions: tuple[str, ...] = ("3001",)
    duration_ms: int | None = 600_000
    ended_at: datetime = ENDED
    start: datetime | None = None  # ten minutes before the end
    state: State = State.VERIFIED
    listed_at: datetime = ENDED + timedelta(minutes=50)
    verified_at: datetime | None = ENDED + timedelta(minutes=110)
    size_disagrees: bool = False
    sha256: str | None = "a" * 64
    size: int | None = 400_000
    caller_id: str | None = "+91 22 5550 0100"
    dnis: str | None = "15550199"
    cnam: str | None = "CALLER 1"
    rule_ids: tuple[str, ...] = ("7",)
    at_source: bool | None = None  # as the state says
    lock: Lock | None = None
    on_hold: bool = False

    def candidate(self) -> Candidate:
        return Candidate(
            account=self.account,
            recording_id=self.recording_id,
            direction=self.direction,
            extensions=self.extensions,
            duration_ms=self.duration_ms,
            start=self.start or self.ended_at - timedelta(minutes=10),
            ended_at=self.ended_at,
            state=self.state,
            listed_at=self.listed_at,
            verified_at=self.verified_at,
            size_disagrees=self.size_disagrees,
            sha256=self.sha256,
            size=self.size,
            caller_id=self.caller_id,
            dnis=self.dnis,
            cnam=self.cnam,
            rule_ids=self.rule_ids,
            at_source=self.state in AT_SOURCE if self.at_source is None else self.at_source,
            lock=self.lock,
            on_hold=self.on_hold,
        )


def wait(text: str | None) -> Wait | None:
    """`30d`, `never`, or nothing."""
    if text is None or text == NEVER:
        return NEVER if text else None
    return parse(text)


def policy(
    name: str = "desk",
    *,
    match: Match = EVERYTHING,
    source: str | None = None,
    floor: str | None = None,
    ceiling: str | None = None,
    lock: LockMode | None = None,
    storage_class: str | None = None,
    archive: bool | None = None,
) -> Policy:
    """A policy with durations as people write them."""
    return Policy(
        name=name,
        match=match,
        source_delete_after=wait(source),
        keep_at_least=None if floor is None else parse(floor),
        delete_after=wait(ceiling),
        lock=lock,
        storage_class=storage_class,
        archive=archive,
    )


def terms(
    *policies: Policy,
    zone: tzinfo = UTC,
    holds: Sequence[Hold] = (),
    earlier: Sequence[tuple[Sequence[Policy] | None, datetime]] = (),
) -> Terms:
    """Terms of policies; `earlier` are sets that still bind the account acme, None one that cannot be read."""
    before = tuple(
        Earlier(None if old is None else Rulebook(PolicySet(policies=tuple(old), zone=zone)), until)
        for old, until in earlier
    )
    book = Rulebook(PolicySet(policies=policies, zone=zone))
    return Terms(rules=book, holds=tuple(holds), earlier={"acme": before} if before else {})


def hold(
    name: str = "case-1", *, at: datetime = NOW, future: bool = False, ids: Sequence[str] = (), **asked: object
) -> Hold:
    """An open case of one author; `asked` are rules of its match."""
    query = Query(ids=tuple(ids), match=Match(**asked))  # type: ignore[arg-type]
    return Hold(name=name, reason="a complaint", author="Anna", at=at, query=query, future=future)
