"""How long things took: a histogram of fixed size, and the few that took longest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Upper bounds in seconds. From an answer on the same host to a transfer that hangs for its whole deadline.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
MOST_SLOW = 5


@dataclass(slots=True)
class Durations:
    """A histogram over `BOUNDS`; whatever is longer than the last one is counted behind it. It only grows."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0  # of all together

    def observe(self, seconds: float) -> None:
        """Count one thing that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def add(self, other: Durations) -> None:
        """Count all that another histogram has."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Give each bound with the number of things that took at most so long; the last is infinity."""
        so_far = 0
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            so_far += count
            yield bound, so_far


@dataclass(slots=True)
class Slowest:
    """The few that took longest, the longest first."""

    found: list[tuple[float, str]] = field(default_factory=list)  # seconds, id

    def observe(self, seconds: float, name: str) -> None:
        """Keep it if it is among the slowest."""
        self.found = sorted([*self.found, (seconds, name)], reverse=True)[:MOST_SLOW]
