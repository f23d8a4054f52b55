"""What is noted while a call centre is archived, and what follows from it for each of its days."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from archiver.simulator import Journal, Operation
from bench.centre import DAY, Centre

ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class Came:
    """One recording: when the source had it, and when the archive did (None: not yet)."""

    published: datetime
    archived: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the account. Ages count from when the source had a recording."""

    calls: int
    highest: int  # backlog
    midnight: int  # backlog at its end
    oldest: timedelta  # age of the oldest in the backlog, at its highest
    requests: Counter[Operation]
    throttled: int  # answers 429


@dataclass(slots=True, kw_only=True)
class Diary:
    """A whole run."""

    centre: Centre
    notes: list[Counter[tuple[Operation, int]]] = field(default_factory=list)  # at each midnight
    last_pass: datetime | None = None
    passes: int = 0
    longest_pass: timedelta = ZERO
    by_export: int = 0  # recordings
    states: Counter[str] = field(default_factory=Counter)  # at the end, of what is known
    came: list[Came] = field(default_factory=list)

    def note(self, journal: Journal) -> None:
        """Note what was asked of the source up to now."""
        self.notes.append(Counter(journal.statuses))

    @property
    def left(self) -> list[Came]:
        """What the last pass should have brought and has not: it was there before that pass began."""
        assert self.last_pass is not None
        return [one for one in self.came if one.archived is None and one.published < self.last_pass]

    @property
    def drained(self) -> bool:
        """Whether all came in time: nothing is left, nothing failed, and all of it was proved."""
        return not self.left and not set(self.states) - {"verified", "discovered"}

    def days(self) -> list[Day]:
        """Tell of each day."""
        return [self._day(number) for number in range(self.centre.days)]

    def _day(self, number: int) -> Day:
        began = self.centre.start + number * DAY
        ended = began + DAY
        answers = self.notes[number] - (self.notes[number - 1] if number else Counter())
        requests: Counter[Operation] = Counter()
        for (operation, _), count in answers.items():
            requests[operation] += count
        open_ones = [one for one in self.came if one.published < ended and (one.archived or ended) > began]
        ages = (min(one.archived or ended, ended) - one.published for one in open_ones)
        return Day(
            calls=sum(began <= one.published < ended for one in self.came),
            highest=max(_backlogs(open_ones, began, ended), default=0),
            midnight=sum((one.archived or ended) >= ended for one in open_ones),
            oldest=max(ages, default=ZERO),
            requests=requests,
            throttled=sum(count for (_, status), count in answers.items() if status == 429),
        )


def _backlogs(open_ones: Sequence[Came], began: datetime, ended: datetime) -> Iterator[int]:
    """Give the backlog's size after each time that it grew."""
    gone: list[datetime] = []
    for one in sorted(open_ones, key=lambda one: one.published):
        heapq.heappush(gone, one.archived or ended)
        while gone[0] <= max(one.published, began):
            heapq.heappop(gone)
        yield len(gone)


def told(diary: Diary) -> str:
    """Lay the days side by side, as Markdown, and the end below them."""
    listed = [Operation.LIST, Operation.AUDIO, Operation.EXPORT, Operation.RETRIEVE]
    names = [f"requests: {operation.value}" for operation in listed]
    heads = ["day", "published", "backlog, highest", "at midnight", "oldest, hours", *names, "all requests", "429s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for number, day in enumerate(diary.days(), 1):
        asked = [day.requests[operation] for operation in listed]
        figures = [number, day.calls, day.highest, day.midnight, f"{day.oldest / timedelta(hours=1):.1f}", *asked]
        figures += [day.requests.total(), day.throttled]
        lines.append(f"| {' | '.join(map(str, figures))} |")
    states = ", ".join(f"{count} {state}" for state, count in sorted(diary.states.items()))
    lines += ["", f"{diary.passes} passes, the longest {diary.longest_pass}; {diary.by_export} recordings by export"]
    lines += [f"at the end: {states}; left of what was there before the last pass: {len(diary.left)}"]
    lines += [f"drained: {'yes' if diary.drained else 'no'}"]
    return "\n".join(lines)
