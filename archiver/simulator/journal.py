"""What was asked of the simulator: counters, and the last requests in full."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from http import HTTPStatus

from archiver.simulator.exports import ExportRequest
from archiver.simulator.faults import Operation
from archiver.simulator.query import ListRequest
from archiver.simulator.replies import Ending, Reply

_KEPT = 1000
_LISTINGS_KEPT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived."""

    method: str
    operation: Operation
    recording: int | None
    path: str  # with the query as it was sent, escapes and all
    authorized: bool  # whether it carried an Authorization header: whatever was in it
    listing: ListRequest | None = None  # what a list request asked for


class Journal:
    """Counts requests. Its size does not grow with their number, but for an entry for each DELETE, audio and export."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.counts: Counter[Operation] = Counter()
        self.statuses: Counter[tuple[Operation, int]] = Counter()  # answers, 0 where there was none
        self.audio: Counter[int] = Counter()  # requests by recording id
        self.deletes: list[int] = []  # every DELETE that arrived, in order, whatever the answer
        self.exports: list[ExportRequest] = []  # every POST that was answered, in order, whatever the answer
        self.recent: deque[Seen] = deque(maxlen=_KEPT)
        self.listings: deque[ListRequest] = deque(maxlen=_LISTINGS_KEPT)  # the last that arrived, whatever the answer
        self.downloads = 0  # whole answers with status 200 to audio requests
        self.in_flight = 0
        self.peak = 0  # most requests that were being answered at once

    def __len__(self) -> int:
        """How many requests arrived."""
        return self.counts.total()

    def arrived(self, seen: Seen) -> None:
        """Count a request."""
        self.counts[seen.operation] += 1
        self.recent.append(seen)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if seen.listing is not None:
            self.listings.append(seen.listing)
        if seen.recording is None:
            return
        if seen.operation is Operation.DELETE:
            self.deletes.append(seen.recording)
        elif seen.operation is Operation.AUDIO:
            self.audio[seen.recording] += 1

    @property
    def listed(self) -> int:
        """How many whole answers with status 200 were given to list requests, whatever was in them."""
        return self.statuses[Operation.LIST, HTTPStatus.OK]

    def answered(self, operation: Operation, reply: Reply) -> None:
        """Count an answer that was sent, or withheld on purpose."""
        whole = reply.ending is Ending.WHOLE
        self.statuses[operation, reply.status if whole else 0] += 1
        if operation is Operation.AUDIO and reply.status == HTTPStatus.OK and whole:
            self.downloads += 1

    def of(self, operation: Operation) -> list[Seen]:
        """Return the recent requests of one operation, oldest first."""
        return [seen for seen in self.recent if seen.operation is operation]
