"""What is visible at the source now, in the order of listings."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from datetime import datetime
from math import inf

from archiver.simulator.account import SimRecording
from archiver.simulator.query import Query


class Shelf:
    """Recordings by id and by (start, id). A window costs two bisections, however many recordings there are."""

    def __init__(self, recordings: Iterable[SimRecording]) -> None:
        """Put up what is published; the others wait for their time or for their number of downloads."""
        self._known: dict[int, SimRecording] = {}
        self._keys: list[tuple[int, int]] = []
        self._by_time: list[tuple[datetime, int]] = []
        self._by_downloads: list[tuple[int, int]] = []
        for recording in recordings:
            self._file(recording)
            if self._is_free(recording):
                self._keys.append(recording.key)
        self._keys.sort()

    def __len__(self) -> int:
        """How many recordings can be listed now."""
        return len(self._keys)

    def _is_free(self, recording: SimRecording) -> bool:
        return recording.published_at is None and not recording.after_downloads

    def _file(self, recording: SimRecording) -> None:
        self._known[recording.id] = recording
        if recording.published_at is not None:
            heapq.heappush(self._by_time, (recording.published_at, recording.id))
        elif recording.after_downloads:
            heapq.heappush(self._by_downloads, (recording.after_downloads, recording.id))

    def add(self, recording: SimRecording) -> None:
        """Put up one more recording, or a changed one in the place of the old."""
        self.remove(recording.id)
        self._file(recording)
        if self._is_free(recording):
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

    def publish(self, now: datetime, downloads: int) -> None:
        """Put up every recording whose time has come."""
        while self._by_time and self._by_time[0][0] <= now:
            moment, number = heapq.heappop(self._by_time)
            if number in self._known and self._known[number].published_at == moment:
                self._show(self._known[number])
        while self._by_downloads and self._by_downloads[0][0] <= downloads:
            count, number = heapq.heappop(self._by_downloads)
            if number in self._known and self._known[number].after_downloads == count:
                self._show(self._known[number])

    def _show(self, recording: SimRecording) -> None:
        if self.get(recording.id) is None:
            insort(self._keys, recording.key)

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
