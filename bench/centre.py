"""The calls of a call centre in India: when they are made, and when the source has their recordings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from archiver.simulator import Account, Behaviour, Exports, SimRecording

IST = timezone(timedelta(hours=5, minutes=30))
DAY = timedelta(days=1)
#: Calls of a hundred that begin in each hour of the day.
HOURS = (0.4,) * 7 + (1, 3, 8, 11, 13, 11, 7, 8, 10, 9, 7, 4, 2.2, 1.2, 0.8, 0.6, 0.4)
LATE = 0.01  # part of the recordings that is published hours late


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """An account, and what its quota allows. `start` is a midnight in India."""

    days: int
    calls: int  # a day
    per_minute: int  # requests
    every: timedelta = timedelta(minutes=15)  # between passes
    ready_after: timedelta = timedelta(minutes=5)  # an export, since it was asked for
    hours: tuple[float, ...] = HOURS
    start: datetime = field(default_factory=lambda: datetime(2026, 3, 2, tzinfo=IST).astimezone(UTC))

    @property
    def end(self) -> datetime:
        """The last midnight."""
        return self.start + self.days * DAY

    def midnights(self) -> list[datetime]:
        """When each day ends."""
        return [self.start + day * DAY for day in range(1, self.days + 1)]

    def account(self) -> Account:
        """Make all calls, the same each time; small ones, for only requests matter."""
        random = Random(self.days * self.calls)
        starts = sorted(
            self.start + day * DAY + timedelta(hours=hour, seconds=random.randrange(3600))
            for day in range(self.days)
            for hour in random.choices(range(24), self.hours, k=self.calls)
        )
        return Account(recordings=tuple(_call(number, start, random) for number, start in enumerate(starts, 1)))

    def behaviour(self) -> Behaviour:
        """Enforce the quota, and take some time for exports."""
        return Behaviour(requests_per_minute=self.per_minute, exports=Exports(delay=self.ready_after))


def _call(number: int, start: datetime, random: Random) -> SimRecording:
    """A call of some minutes. Its recording is there some minutes after its end, and now and then hours later."""
    lasts = min(max(random.expovariate(1 / 240), 5.0), 3600.0)
    delay = timedelta(minutes=random.uniform(2, 10))
    if random.random() < LATE:
        delay += timedelta(hours=random.uniform(1, 6))
    return SimRecording(
        id=number,
        start=start,
        size=random.randrange(64, 160),
        duration_ms=int(lasts * 1000),
        published_at=start + timedelta(seconds=lasts) + delay,
    )
