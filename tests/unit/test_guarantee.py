"""Nothing is missed: random histories of a source, with delays, deletions, failures and crashes, end complete.

What is tried is the real discovery over a model of source and ledger (`tests/support/model.py`), with a clock that
moves by itself. The same stages over the real ledger are tried in tests/integration/test_recount.py.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archiver.core.report import PassReport
from archiver.errors import Unreachable
from archiver.stages.context import Context
from archiver.stages.discover import Discover
from archiver.stages.reading import Reader
from archiver.stages.recounting import Recount
from tests.support.model import Call, CrashError, ModelLedger, ModelSource, Told
from tests.support.simulator import Clock

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOKBACK = 30 * HOUR
EVERY = 7 * DAY
MINUTES = st.integers(0, 5 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


@dataclass
class World:
    """A source, a ledger, and the passes between."""

    source: ModelSource
    ledger: ModelLedger
    clock: Clock
    page_size: int = 3
    passes: int = 0

    async def run(self) -> PassReport:
        """Make one pass, as a process that knows only the ledger."""
        self.passes += 1
        report = PassReport("acme")
        context = Context("acme", f"run-{self.passes}", self.clock, report, lambda: False)
        reader = Reader(context=context, source=self.source, ledger=self.ledger, page_size=self.page_size)
        recount = Recount(
            context=context, reader=reader, ledger=self.ledger, start_from=START, source_retention=None
        )  # fmt: skip
        await Discover(
            context=context, source=self.source, ledger=self.ledger, reader=reader, recount=recount,
            start_from=START, lookback=LOOKBACK, recount_every=EVERY, allowance=100_000,
        ).run()  # fmt: skip
        return report

    async def live(self, pauses: list[timedelta]) -> None:
        """Make passes with pauses between; a crash or a source out of reach ends one early."""
        for pause in pauses:
            try:
                await self.run()
            except CrashError:  # what the last page showed may have died with the process
                self.source.shown -= self.source.last - set(self.ledger.known)
            except Unreachable:
                pass
            self.clock.now += pause

    async def settle(self) -> None:
        """Let all be published and every lookback pass, then make quiet passes."""
        last = max((call.published for call in self.source.calls), default=self.clock())
        self.clock.now = max(self.clock(), last, START + 5 * DAY) + LOOKBACK + 2 * DAY
        self.source.failing, self.ledger.crash_at = frozenset(), 0
        for _ in range(3):
            await self.run()
            self.clock.now += HOUR

    def there(self) -> set[str]:
        """What the source lists now."""
        return {str(call.number) for call in self.source.calls if call.listed(self.clock())}


@st.composite
def worlds(
    draw: st.DrawFn, *, longest: timedelta = LOOKBACK, told: Told = Told.TRUE, deletions: bool = True
) -> tuple[World, list[timedelta]]:
    """A history: calls with their delays, deletions by others, failures, a crash, and when passes begin."""
    calls = []
    delays = st.integers(0, int(longest.total_seconds())).map(lambda seconds: timedelta(seconds=seconds))
    for number in range(draw(st.integers(0, 14))):
        start = START + draw(MINUTES)
        published = start + draw(delays)
        lives = draw(st.none() | MINUTES) if deletions else None
        calls.append(Call(number, start, published, None if lives is None else published + lives))
    clock = Clock(START + draw(st.sampled_from([HOUR, DAY, 4 * DAY])))
    source = ModelSource(
        clock,
        calls,
        base=draw(st.sampled_from([0, 1])),
        cap=draw(st.sampled_from([1, 2, 100])),
        told=told,
        pace=draw(st.sampled_from([timedelta(seconds=1), timedelta(minutes=7)])),
        failing=frozenset(draw(st.lists(st.integers(1, 60), max_size=4))),
    )
    ledger = ModelLedger(crash_at=draw(st.integers(-25, 25)))
    pauses = draw(st.lists(st.sampled_from([timedelta(minutes=15), HOUR, 5 * HOUR, DAY, 3 * DAY]), max_size=8))
    return World(source, ledger, clock), pauses


MANY = settings(deadline=None, max_examples=700, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Thousands of passes would log for longer than they work."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_dropped])


def _dropped(*_: object) -> str:
    raise structlog.DropEvent


def play(world: World, pauses: list[timedelta]) -> None:
    async def whole() -> None:
        await world.live(pauses)
        await world.settle()

    asyncio.run(whole())


@MANY
@given(worlds())
def test_what_is_published_within_the_lookback_is_found_whatever_happens(made: tuple[World, list[timedelta]]) -> None:
    """Delays, deletions by others, a source out of reach, crashes between commits, any paging: nothing is missed."""
    world, pauses = made
    play(world, pauses)
    assert world.there() <= set(world.ledger.known)
    assert world.source.shown <= set(world.ledger.known)
    assert not world.ledger.absent & world.there()


@FEW
@given(worlds(deletions=False))
def test_a_quiet_source_ends_with_every_day_proved_and_no_gap(made: tuple[World, list[timedelta]]) -> None:
    world, pauses = made
    play(world, pauses)
    assert world.there() == set(world.ledger.known)
    assert world.ledger.gaps == {}
    assert {day.doubt for day in world.ledger.days.values()} <= {None}


@FEW
@given(worlds(longest=40 * DAY, deletions=False))
def test_what_is_published_later_is_found_by_the_full_recount(made: tuple[World, list[timedelta]]) -> None:
    world, pauses = made
    play(world, pauses)
    world.clock.now += EVERY + DAY
    asyncio.run(world.run())
    assert world.there() == set(world.ledger.known)


@FEW
@given(st.sampled_from([Told.ABSENT, Told.ZERO, Told.PAGE]).flatmap(lambda told: worlds(told=told, deletions=False)))
def test_without_usable_totals_everything_is_found_all_the_same(made: tuple[World, list[timedelta]]) -> None:
    """And no day with calls is called proved where no total was ever given."""
    world, pauses = made
    play(world, pauses)
    assert world.there() == set(world.ledger.known)
    if world.source.told in {Told.ABSENT, Told.ZERO}:
        busy = {start.date() for start in world.ledger.known.values()}
        assert all(world.ledger.days[day].doubt for day in busy)


@FEW
@given(worlds())
def test_the_watermark_never_passes_what_could_be_listed_and_never_the_clock(
    made: tuple[World, list[timedelta]],
) -> None:
    """Behind it lies nothing that was listed as it moved and is not known; what came later is the recount's."""
    world, pauses = made
    for pause in pauses:
        before, began = world.ledger.watermark, world.clock()
        with suppress(CrashError, Unreachable):
            asyncio.run(world.run())
        after = world.ledger.watermark
        if after is not None:
            assert before is None or after >= before
            assert after <= world.clock()
            stable = {
                str(call.number)
                for call in world.source.calls
                if (before or START) < call.start <= after and call.listed(began) and call.listed(world.clock())
                and all(other.listed(began) == other.listed(world.clock()) for other in world.source.calls)
            }  # fmt: skip
            assert stable <= set(world.ledger.known)
        world.clock.now += pause


@pytest.mark.parametrize("hours", [1, 30, 200])
def test_a_source_that_looks_empty_for_a_while_moves_nothing_and_is_caught_up_with(hours: int) -> None:
    calls = [Call(n, START + n * HOUR, START + n * HOUR) for n in range(24)]
    later = [Call(100 + n, START + DAY + n * HOUR, START + DAY + n * HOUR) for n in range(24 * 10)]
    clock = Clock(START + DAY)
    empty = (START + DAY + HOUR, START + DAY + HOUR * (1 + hours))
    world = World(ModelSource(clock, [*calls, *later], empty=empty), ModelLedger(), clock)
    asyncio.run(world.run())
    clock.now = empty[0]
    watermark = world.ledger.watermark

    async def while_empty() -> None:
        while clock() < empty[1]:
            await world.run()
            assert world.ledger.watermark == watermark
            assert world.ledger.absent == set()
            assert world.ledger.gaps
            clock.now += timedelta(minutes=50)
        await world.settle()

    asyncio.run(while_empty())
    assert world.there() == set(world.ledger.known)
    assert world.ledger.gaps == {}


def test_a_pass_with_nothing_new_costs_two_requests() -> None:
    calls = [Call(n, START + n * timedelta(minutes=5), START + n * timedelta(minutes=5)) for n in range(1000)]
    clock = Clock(START + 4 * DAY)
    world = World(ModelSource(clock, calls), ModelLedger(), clock)

    async def passes() -> int:
        await world.run()
        clock.now += HOUR
        await world.run()
        clock.now += HOUR
        before = world.source.requests
        await world.run()
        return world.source.requests - before

    assert asyncio.run(passes()) == 2
