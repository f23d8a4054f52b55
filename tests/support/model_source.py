"""A model of the source: calls that come late and go, odd totals, refusals, stretches of time without sight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.core.model import Page, Recording, Slice
from archiver.errors import StopStage, Throttled, Unreachable
from archiver.stages.ports import AudioStream
from tests.support.rows import recording
from tests.support.simulator import Clock


class Told(StrEnum):
    """What the totals say."""

    TRUE = "true"
    ABSENT = "absent"
    ZERO = "zero"  # beside items
    PAGE = "page"  # the items of the page alone
    OFF = "off"  # by a constant, in every answer


class Zero(StrEnum):
    """What a source that counts pages from 1 makes of page 0."""

    FIRST = "first"
    EMPTY = "empty"
    REFUSED = "refused"


class Failure(StrEnum):
    """How a request fails after all retries."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Call:
    """A recording at the source; `deleted` there by someone else. All times are the source's."""

    number: int
    start: datetime
    published: datetime
    deleted: datetime | None = None
    hidden: bool = False  # counted, and never listed

    @property
    def id(self) -> str:
        """Its id at the source."""
        return str(self.number)

    def there(self, now: datetime) -> bool:
        """Whether the source has it, and would list it if it is well."""
        return self.published <= now and (self.deleted is None or now < self.deleted)


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of the source's time in which it lists one call of each `keeps` (0: none), and counts no others."""

    since: datetime
    until: datetime
    keeps: int = 0

    def hides(self, call: Call, now: datetime) -> bool:
        """Whether a call is not to be seen."""
        return self.since <= now < self.until and (self.keeps == 0 or call.number % self.keeps != 0)


@dataclass(slots=True, kw_only=True)
class ModelSource:
    """Implements of `ports.RecordingSource` what discovery uses. A request takes `pace`, and the world goes on."""

    clock: Clock
    account: str = "acme"
    calls: list[Call] = field(default_factory=list)
    base: int = 1
    zero: Zero = Zero.FIRST
    cap: int = 100
    says_size: bool = True
    told: Told = Told.TRUE
    off_by: int = 0
    pace: timedelta = timedelta(seconds=1)
    ahead: timedelta = timedelta(0)  # of its clock over ours
    failures: dict[int, Failure] = field(default_factory=dict)  # by number of the request
    outages: tuple[Outage, ...] = ()
    requests: int = 0
    answered: bool = False  # since the process began
    answers: list[frozenset[str]] = field(default_factory=list)  # the ids on each page that was answered

    @property
    def now(self) -> datetime:
        """The source's time."""
        return self.clock() + self.ahead

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far its clock is ahead, once it has answered."""
        return self.ahead if self.answered else None

    def listed(self) -> list[Call]:
        """What it would list now, in its order."""
        now = self.now
        found = [one for one in self.calls if one.there(now) and not any(out.hides(one, now) for out in self.outages)]
        return sorted(found, key=lambda one: (one.start, one.number))

    async def list_page(self, window: Slice, *, page: int, page_size: int) -> Page:
        """Answer one request, or fail. Raises Throttled, Unreachable, or StopStage where page 0 is refused."""
        self.requests += 1
        self.clock.now += self.pace
        self._fail()
        self.answered = True
        if page < self.base and self.zero is Zero.REFUSED:
            raise StopStage("list: status_400")
        matching = [one for one in self.listed() if window.since <= one.start <= window.until]
        size, index = min(page_size, self.cap), max(page - self.base, 0)
        blank = page < self.base and self.zero is Zero.EMPTY
        items = [] if blank else matching[index * size : (index + 1) * size]
        items = [one for one in items if not one.hidden]
        self.answers.append(frozenset(one.id for one in items))
        return Page(
            recordings=tuple(recording(one.id, account=self.account, start=one.start) for one in items),
            malformed=(),
            number=page,
            size=size if self.says_size else None,
            total_items=self._total(len(matching), len(items)),
            total_pages=None,
        )

    def _fail(self) -> None:
        failure = self.failures.get(self.requests)
        if failure is Failure.THROTTLED:
            raise Throttled("list: status_429", retry_after=60)
        if failure is Failure.UNREACHABLE:
            raise Unreachable("list: status_503")

    def _total(self, matching: int, items: int) -> int | None:
        wrong = max(matching + self.off_by, 0)
        return {Told.TRUE: matching, Told.ABSENT: None, Told.ZERO: 0, Told.PAGE: items, Told.OFF: wrong}[self.told]

    async def get(self, recording_id: str) -> Recording:
        """Discovery reads no recording by itself."""
        raise NotImplementedError

    async def delete(self, recording_id: str, *, still: Callable[[], Awaitable[None]]) -> bool:
        """Discovery deletes nothing."""
        raise NotImplementedError

    def download(self, recording_id: str) -> AbstractAsyncContextManager[AudioStream]:
        """Discovery downloads nothing."""
        raise NotImplementedError
