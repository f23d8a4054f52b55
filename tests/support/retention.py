"""Candidates, policies and Hypothesis strategies for retention tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from archiver.core.duration import Duration
from archiver.core.model import State
from archiver.core.policy import DIRECTIONS, NEVER, Match, Policy
from archiver.core.retention import Candidate

ENDED = datetime(2025, 1, 1, 0, 10, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
EARLY = datetime(2020, 1, 1, tzinfo=UTC)  # before every moment of `moments`


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
        )


def waits() -> st.SearchStrategy[Duration]:
    """Short enough that some candidates are due."""
    return st.builds(Duration, years=st.integers(0, 3), months=st.integers(0, 8), days=st.integers(0, 300))


def durations() -> st.SearchStrategy[Duration]:
    return st.builds(
        Duration,
        years=st.integers(0, 12),
        months=st.integers(0, 30),
        days=st.integers(0, 800),
        seconds=st.integers(0, 200_000),
    )


def moments(until: int = 2032) -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime(2020, 1, 1), datetime(until, 12, 31), timezones=st.just(UTC))


def matches() -> st.SearchStrategy[Match]:
    short = st.builds(Duration, seconds=st.integers(0, 3_600))
    return st.builds(
        Match,
        accounts=st.lists(st.sampled_from(["acme", "zenith"]), max_size=1).map(tuple),
        extensions=st.lists(st.sampled_from(["21*", "3001", "?00?"]), max_size=2).map(tuple),
        directions=st.lists(st.sampled_from(DIRECTIONS), max_size=2, unique=True).map(tuple),
        min_duration=st.none() | short,
        max_duration=st.none() | short,
    )


def policy_sets() -> st.SearchStrategy[tuple[Policy, ...]]:
    one = st.builds(
        Policy,
        name=st.text("abcdef", min_size=1, max_size=4),
        match=st.one_of(matches(), st.just(Match()), st.just(Match())),
        source_delete_after=st.one_of(waits(), waits(), waits(), waits(), st.none(), st.just(NEVER)),
        archive=st.sampled_from([None, True, False]),
    )
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda policy: policy.name).map(tuple)


def candidates() -> st.SearchStrategy[Candidate]:
    return st.one_of(_candidates(sound=True), _candidates(sound=True), _candidates(sound=False))


def _candidates(*, sound: bool) -> st.SearchStrategy[Candidate]:
    """Sound ones could be deleted if a policy says so; of the others few could."""
    return st.builds(
        Candidate,
        account=st.sampled_from(["acme", "zenith"]),
        recording_id=st.text("0123456789", min_size=1, max_size=6),
        direction=st.none() | st.sampled_from([*DIRECTIONS, "sideways"]),
        extensions=st.lists(st.sampled_from(["2101", "3001", "9"]), max_size=2).map(tuple),
        duration_ms=st.none() | st.integers(-1, 8_000_000),
        start=moments(2023 if sound else 2032),
        ended_at=moments(2023 if sound else 2032),
        state=st.just(State.VERIFIED) if sound else st.sampled_from(State),
        listed_at=st.just(EARLY) if sound else moments(),
        verified_at=st.just(EARLY) if sound else moments() | st.none(),
        size_disagrees=st.just(value=False) if sound else st.booleans(),
        sha256=st.just("b" * 64) if sound else st.just("b" * 64) | st.none(),
        size=st.integers(0, 10**9) if sound else st.integers(0, 10**9) | st.none(),
    )
