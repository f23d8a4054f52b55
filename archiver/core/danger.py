"""Recordings that the source will soon delete by itself: which, and when. Pure: `now` is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

URGENT = timedelta(days=2)  # what is left so long or shorter cannot wait for the next working day


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRetention:
    """A source that deletes a recording once the start of its call is `age` ago.

    `warning` is how long before that a recording that is not archived counts as endangered.
    """

    age: timedelta
    warning: timedelta

    def endangered_before(self, now: datetime) -> datetime:
        """Calls that started earlier than this are in danger. Never later than now."""
        return now - max(self.age - self.warning, timedelta(0))

    def gone_at(self, start: datetime) -> datetime:
        """When the source deletes the recording of a call that started then."""
        return start + self.age

    def urgent(self, start: datetime, now: datetime) -> bool:
        """Whether little time is left for a call that started then, or none."""
        return self.gone_at(start) - now <= URGENT
