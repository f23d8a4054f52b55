"""Histories: discovery over a source as time goes by, with processes that die, and how such histories are drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from archiver.core.backfill import Backfill
from archiver.core.coverage import DayFacts, DayRow, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Learnt, Malformed, Mark, Progress, Recording, Slice
from archiver.core.recount import DueDay, Expected, Lost
from archiver.core.report import PassReport
from archiver.errors import StopStage, Throttled
from archiver.stages.backfilling import Backfilling
from archiver.stages.context import Context
from archiver.stages.discover import Discover
from archiver.stages.ports import Ledger, Recorded
from archiver.stages.reading import Reader
from archiver.stages.recounting import Recount
from tests.support.model_ledger import ModelLedger
from tests.support.model_source import ModelSource
from tests.support.simulator import Clock

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Answer = TypeVar("Answer")


class Crash(Exception):
    """The process died here."""


@dataclass(slots=True)
class Ledgers:
    """Implements `ports.Ledger` over one ledger or several that must agree in every answer.

    The process dies at each write whose number stands in `crashes`: after it where that says True, else before.
    """

    all: Sequence[Ledger]
    crashes: Mapping[int, bool] = field(default_factory=dict)
    writes: int = 0

    async def _ask(self, ask: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
        answers = [await ask(one) for one in self.all]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    async def _write(self, write: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
        self.writes += 1
        applied = self.crashes.get(self.writes)
        if applied is False:
            raise Crash
        answer = await self._ask(write)
        if applied:
            raise Crash
        return answer

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        return await self._write(lambda one: one.open_account(account, start_from))

    async def begin_anew(self, account: str, now: datetime) -> None:
        await self._write(lambda one: one.begin_anew(account, now))

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> Recorded:
        return await self._write(lambda one: one.record_page(account, items, mark))

    async def record_malformed(
        self, account: str, items: Sequence[Malformed], window: Slice, mark: Mark, *, counted: bool
    ) -> int:
        return await self._write(lambda one: one.record_malformed(account, items, window, mark, counted=counted))

    async def record_gap(
        self, account: str, kind: GapKind, window: Slice, mark: Mark, *, fingerprint: str, claimed: int
    ) -> Standing:
        return await self._write(
            lambda one: one.record_gap(account, kind, window, mark, fingerprint=fingerprint, claimed=claimed)
        )

    async def accept_slice(
        self, account: str, window: Slice, proof: Proof, learnt: Learnt, *, moves: bool = True
    ) -> None:
        await self._write(lambda one: one.accept_slice(account, window, proof, learnt, moves=moves))

    async def conclude(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        await self._write(lambda one: one.conclude(account, window, proof, learnt))

    async def expected(self, account: str, window: Slice) -> Mapping[date, Expected]:
        return await self._ask(lambda one: one.expected(account, window))

    async def claims(self, account: str, window: Slice, *, limit: int) -> list[Slice]:
        return await self._ask(lambda one: one.claims(account, window, limit=limit))

    async def lost(self, account: str, window: Slice, listed: Collection[str], *, before: datetime) -> list[Lost]:
        return await self._ask(lambda one: one.lost(account, window, listed, before=before))

    async def mark_absent(self, account: str, recording_ids: Sequence[str], mark: Mark) -> None:
        await self._write(lambda one: one.mark_absent(account, recording_ids, mark))

    async def due_days(
        self, account: str, *, first: date, before: date, proved_before: datetime, troubled_before: datetime
    ) -> list[DueDay]:
        return await self._ask(
            lambda one: one.due_days(
                account, first=first, before=before, proved_before=proved_before, troubled_before=troubled_before
            )
        )

    async def settle_gaps(self, account: str, mark: Mark) -> None:
        await self._write(lambda one: one.settle_gaps(account, mark))

    async def look_through(self, account: str) -> None:
        await self._write(lambda one: one.look_through(account))

    async def stale_days(self, account: str, *, limit: int) -> list[DayFacts]:
        return await self._ask(lambda one: one.stale_days(account, limit=limit))

    async def write_days(self, rows: Sequence[DayRow], mark: Mark) -> None:
        await self._write(lambda one: one.write_days(rows, mark))


class NothingAsked:
    """Nobody wants calls from before the account begins."""

    async def all(self, account: str | None = None) -> list[Backfill]:
        return []

    async def unlisted(self, account: str) -> list[Backfill]:
        return []

    async def listed(self, one: Backfill, until: datetime, now: datetime) -> None:
        raise AssertionError

    async def count_waiting(self, account: str) -> int:
        return 0


@dataclass(slots=True, kw_only=True)
class History:
    """A source, a ledger, a clock, and passes at intervals. Nothing but the ledger outlives a pass."""

    source: ModelSource
    clock: Clock
    pauses: Sequence[timedelta] = ()
    model: ModelLedger = field(default_factory=ModelLedger)
    crashes: Mapping[int, bool] = field(default_factory=dict)
    page_size: int = 3
    lookback: timedelta = 30 * HOUR
    every: timedelta = 7 * DAY
    ledgers: Ledgers = field(init=False)
    passes: int = 0

    def __post_init__(self) -> None:
        self.ledgers = Ledgers([self.model], self.crashes)

    async def run(self) -> int:
        """Make one pass. Returns the requests that it cost."""
        self.passes += 1
        before = self.source.requests
        account, source, ledger = self.source.account, self.source, self.ledgers
        source.answered = False
        context = Context(account, f"run-{self.passes}", self.clock, PassReport(account), lambda: False)
        reader = Reader(context=context, source=source, ledger=ledger, page_size=self.page_size)
        recount = Recount(
            context=context, reader=reader, ledger=ledger, start_from=START, source_retention=None
        )  # fmt: skip
        discover = Discover(
            context=context,
            source=source,
            ledger=ledger,
            reader=reader,
            recount=recount,
            start_from=START,
            lookback=self.lookback,
            recount_every=self.every,
            allowance=100_000,
            history=Backfilling(
                context=context,
                record=NothingAsked(),
                recount=recount,
                page_size=self.page_size,
                allowance=0,
                lookback=self.lookback,
            ),
        )
        await discover.run()
        return source.requests - before

    async def attempt(self) -> None:
        """Make one pass that may end in the middle."""
        try:
            await self.run()
        except (Throttled, StopStage):
            pass
        except Crash:
            # what the page before a death showed, nobody has written down
            self.source.answers[-1:] = []

    async def live(self, each: Callable[[], None] = lambda: None) -> None:
        """Make all passes, and look after each."""
        for pause in self.pauses:
            await self.attempt()
            each()
            self.clock.now += pause

    def calm(self) -> None:
        """From now on nothing fails; go to where everything was published, deleted, seen again, and is settled."""
        self.source.failures, self.ledgers.crashes = {}, {}
        ends = [moment for one in self.source.calls for moment in (one.published, one.deleted) if moment]
        ends += [one.until for one in self.source.outages]
        self.clock.now = max(self.clock(), START + 5 * DAY, *ends) + self.lookback + 2 * DAY

    async def quiet(self, explain: Callable[[], Awaitable[None]] | None = None) -> None:
        """Let all have its turn: the lookback, every day, and twice a person who explains what is shrunken."""
        for pause in (HOUR, DAY + HOUR):
            await self.run()
            self.clock.now += pause
        await (explain or self.explain)()
        for pause in (self.every + DAY, DAY + HOUR):
            await self.run()
            self.clock.now += pause
        await (explain or self.explain)()
        for pause in (DAY + HOUR, HOUR):
            await self.run()
            self.clock.now += pause

    async def explain(self) -> None:
        """Give the reason for what is shrunken: somebody has deleted it."""
        self.model.explain_all()

    def there(self) -> set[str]:
        """What the source lists now."""
        return {one.id for one in self.source.listed() if not one.hidden}

    def shown(self) -> set[str]:
        """What any answered page has shown."""
        return set().union(*self.source.answers)

    def expects(self) -> set[str]:
        """What the ledger takes to be at the source."""
        return {id_ for id_, row in self.model.rows.items() if not row.absent}

    def in_a_gap(self, start: datetime) -> bool:
        """Whether an open gap of the listing covers a start."""
        return any(
            gap.kind is GapKind.UNLISTED and gap.window.since <= start <= gap.window.until
            for gap in self.model.gaps.values()
        )
