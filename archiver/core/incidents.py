"""Single recordings that a report names: those that failed, and those that were tried again. So many and no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOST_NAMED = 200  # named one by one while a pass is at work; beyond that they are only counted
MOST_KEPT = 20  # of those, kept with the report


@dataclass(frozen=True, slots=True)
class Failure:
    """One recording that could not be handled."""

    recording_id: str
    kind: str  # name of the error's class, or `quarantined`
    reason: str


@dataclass(slots=True)
class Repeats:
    """Recordings for which something was done again: how often, by cause."""

    causes: dict[str, Counter[str]] = field(default_factory=dict)  # by recording id
    beyond: int = 0  # times that it was done for recordings that are not named

    def note(self, recording_id: str, cause: str, times: int = 1) -> None:
        """Count one recording that is tried again."""
        if recording_id in self.causes or len(self.causes) < MOST_NAMED:
            self.causes.setdefault(recording_id, Counter())[cause] += times
        else:
            self.beyond += times

    def add(self, other: Repeats) -> None:
        """Count all that another one has."""
        for recording_id, causes in other.causes.items():
            for cause, times in causes.items():
                self.note(recording_id, cause, times)
        self.beyond += other.beyond

    def take(self) -> Repeats:
        """Give all that was noted, and begin anew."""
        taken = Repeats(self.causes, self.beyond)
        self.causes, self.beyond = {}, 0
        return taken

    def first(self, most: int) -> Repeats:
        """Name the first ones only, and count the rest."""
        named = list(self.causes.items())
        rest = sum(causes.total() for _, causes in named[most:])
        return Repeats(dict(named[:most]), self.beyond + rest)
