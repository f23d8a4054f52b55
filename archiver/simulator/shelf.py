"""What is visible at the source now, in the order of listings."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TypeVar

from archiver.simulator.account import SimRecording
from archiver.simulator.query import Query

Threshold = TypeVar("Threshold", datetime, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the world has come: what recordings wait for."""

    now: datetime
    downloads: int  # whole ones
    listings: int  # list requests answered


def _is_free(recording: SimRecording) -> bool:
    return recording.published_at is None and not recording.after_downloads and not recording.after_listings


def _has_come(recording: SimRecording, progress: Progress) -> bool:
    return (
        (recording.published_at is None or recording.published_at <= progress.now)
        and recording.after_downloads <= progress.downloads
        and recording.after_listings <= progress.listings
    )


def _has_gone(recording: SimRecording, progress: Progress) -> bool:
    at, after = recording.gone_at, recording.gone_after_listings
    return (at is not None and at <= progress.now) or (after is not None and after <= progress.listings)


def _popped(heap: list[tuple[Threshold, int]], reached: Threshold) -> Iterator[int]:
    while heap and heap[0][0] <= reached:
        yield heapq.heappop(heap)[1]


class Shelf:
    """Recordings by id and by (start, id). A window costs two bisections, however many recordings there are."""

    def __init__(self, recordings: Iterable[SimRecording]) -> None:
        """Put up what waits for nothing; the others wait for their time or for their number of answers."""
        self._known: dict[int, SimRecording] = {}
        self._keys: list[tuple[int, int]] = []
        self._by_time: list[tuple[datetime, int]] = []
        self._by_downloads: list[tuple[int, int]] = []
        self._by_listings: list[tuple[int, int]] = []
        for recording in recordings:
            self._file(recording)
            if _is_free(recording):
                self._keys.append(recording.key)
        self._keys.sort()

    def __len__(self) -> int:
        """How many recordings can be listed now."""
        return len(self._keys)

    def _file(self, recording: SimRecording) -> None:
        self._known[recording.id] = recording
        for time in (recording.published_at, recording.gone_at):
            if time is not None:
                heapq.heappush(self._by_time, (time, recording.id))
        if recording.after_downloads:
            heapq.heappush(self._by_downloads, (recording.after_downloads, recording.id))
        for count in (recording.after_listings or None, recording.gone_after_listings):
            if count is not None:
                heapq.heappush(self._by_listings, (count, recording.id))

    def add(self, recording: SimRecording) -> None:
        """Put up one more recording, or a changed one in the place of the old."""
        self.remove(recording.id)
        self._file(recording)
        if _is_free(recording):
            insort(self._keys, recording.key)

    def remove(self, recording_id: int) -> bool:
        """Take a recording away for good. False when there was none that could be seen."""
        recording = self.get(recording_id)
        if recording is not None:
            del self._keys[bisect_left(self._keys, recording.key)]
        self._known.pop(recording_id, None)
        return recording is not None

    def get(self, recording_id: int) -> SimRecording | None:
        """Find a visible recording."""
        recording = self._known.get(recording_id)
        if recording is None:
            return None
        place = bisect_left(self._keys, recording.key)
        return recording if self._keys[place : place + 1] == [recording.key] else None

    def publish(self, progress: Progress) -> None:
        """Put up every recording whose turn has come, and take away for good what is to be gone by now."""
        due = [
            *_popped(self._by_time, progress.now),
            *_popped(self._by_downloads, progress.downloads),
            *_popped(self._by_listings, progress.listings),
        ]
        for number in due:
            # May have been removed or changed since it was filed: what it says now decides.
            recording = self._known.get(number)
            if recording is None:
                continue
            if _has_gone(recording, progress):
                self.remove(number)
            elif _has_come(recording, progress) and self.get(number) is None:
                insort(self._keys, recording.key)

    def purge(self, before: datetime) -> None:
        """Take away for good what began before then. Costs a bisection, and what there is to take away."""
        count = bisect_left(self._keys, (before.timestamp(), -inf))
        if count:
            for _, number in self._keys[:count]:
                del self._known[number]
            del self._keys[:count]

    def page(self, query: Query) -> tuple[int, list[SimRecording]]:
        """Return how many recordings match, and those of the page."""
        keys = self._keys
        low = bisect_left(keys, (query.since, -inf))
        high = bisect_right(keys, (query.until, inf))
        if query.filters:
            keys = [key for key in keys[low:high] if query.matches(self._known[key[1]])]
            low, high = 0, len(keys)
        first = query.index * query.page_size
        if query.descending:
            chosen = keys[max(low, high - first - query.page_size) : max(low, high - first)][::-1]
        else:
            chosen = keys[low + first : min(high, low + first + query.page_size)]
        return high - low, [self._known[recording_id] for _, recording_id in chosen]
