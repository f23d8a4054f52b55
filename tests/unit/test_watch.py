"""How often the catalogue is looked at, whoever asks how often; and counters and histograms that only grow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.health import Cause, Level
from archiver.core.report import PassReport
from archiver.core.timing import BOUNDS, MOST_SLOW, Durations, Slowest
from archiver.errors import Unreachable
from archiver.watch.look import KEPT, KEPT_BLIND, SHARE, Look, Watch
from archiver.watch.tally import EXIT_CODES, STEPS, Tally

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Catalogue:
    """Counts the looks at it. One takes `spends` seconds of a time that the test moves; `shut`: until it opens."""

    spends: float = 0.0
    seconds: float = 100.0
    looks: int = 0
    at_once: int = 0
    most_at_once: int = 0
    error: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self) -> Look:
        self.looks += 1
        self.asked.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            self.seconds += self.spends
            if self.error is not None:
                raise self.error
            return Look(at=NOON, reasons=[])
        finally:
            self.at_once -= 1

    def watch(self, *, shut: bool = False, wait: float = 30.0) -> Watch:
        """Open, unless it is shut."""
        if not shut:
            self.open.set()
        return Watch(clock=lambda: NOON, take=self.take, seconds=lambda: self.seconds, wait=wait)


async def test_many_questions_cost_one_look_and_never_two_at_a_time() -> None:
    catalogue = Catalogue()
    watch = catalogue.watch(shut=True)
    asked = [asyncio.create_task(watch.now()) for _ in range(20)]
    await asyncio.sleep(0)
    catalogue.open.set()
    assert len({id(found) for found in await asyncio.gather(*asked)}) == 1
    assert (catalogue.looks, catalogue.most_at_once) == (1, 1)


@pytest.mark.parametrize(("spends", "good_for"), [(0.0, KEPT), (0.01, KEPT), (3.0, SHARE * 3.0)])
async def test_at_most_a_small_share_of_the_time_is_spent_on_looking(spends: float, good_for: float) -> None:
    catalogue = Catalogue(spends=spends)
    watch = catalogue.watch()
    await watch.now()
    catalogue.seconds += good_for - 0.01
    await watch.now()
    assert catalogue.looks == 1
    catalogue.seconds += 0.02
    await watch.now()
    assert catalogue.looks == 2


async def test_after_a_pass_it_looks_anew() -> None:
    catalogue = Catalogue()
    watch = catalogue.watch()
    await watch.now()
    watch.forget()
    await watch.now()
    assert catalogue.looks == 2


async def test_a_look_that_began_before_a_pass_had_ended_says_nothing_of_it() -> None:
    """Another one follows it, and that one is kept."""
    catalogue = Catalogue()
    watch = catalogue.watch(shut=True)
    asked = asyncio.create_task(watch.fresh(30.0))
    await catalogue.asked.wait()
    watch.forget()
    catalogue.open.set()
    assert await asked is watch.last is await watch.now()
    assert (catalogue.looks, catalogue.most_at_once) == (2, 1)


async def test_a_catalogue_that_fails_is_asked_again_soon() -> None:
    """What it said before is not given any more."""
    catalogue = Catalogue()
    watch = catalogue.watch()
    assert (await watch.now()).level is Level.OK
    catalogue.error = Unreachable("the database is out of reach")
    watch.forget()
    (reason,) = (await watch.now()).reasons
    assert (reason.cause, reason.level) == (Cause.CATALOGUE, Level.CRITICAL)
    catalogue.error = None
    assert (await watch.now()).level is Level.CRITICAL  # it was asked a moment ago
    catalogue.seconds += KEPT_BLIND
    assert (await watch.now()).level is Level.OK


async def test_nobody_waits_for_a_catalogue_that_hangs() -> None:
    """The first question is told so; a later one gets what was last seen. The look goes on, one and the same."""
    catalogue = Catalogue()
    watch = catalogue.watch(shut=True, wait=0.0)
    for _ in range(3):
        (reason,) = (await watch.now()).reasons
        assert (reason.cause, reason.message) == (Cause.CATALOGUE, "the database does not answer in time")
    catalogue.open.set()
    watch.wait = 30.0
    assert (await watch.now()).level is Level.OK
    assert catalogue.looks == 1

    catalogue.open.clear()
    watch.wait = 0.0
    watch.forget()
    assert (await watch.now()).level is Level.OK
    assert await watch.fresh(0.0) is None  # what was seen before is no answer to this
    assert catalogue.looks == 2
    await watch.close()
    assert catalogue.at_once == 0


async def test_before_and_after_it_tells_why_it_sees_nothing() -> None:
    catalogue = Catalogue()
    watch = Watch(clock=lambda: NOON)
    watch.awaited = "waiting for a neighbour: the database is out of reach"
    (reason,) = (await watch.now()).reasons
    assert (reason.cause, reason.message) == (Cause.STARTING, watch.awaited)
    catalogue.open.set()
    watch.take = catalogue.take
    assert (await watch.now()).level is Level.OK
    await watch.close()
    assert [one.cause for one in (await watch.now()).reasons] == [Cause.STARTING]
    assert await watch.fresh(30.0) is None


async def test_a_bug_is_not_taken_for_a_catalogue_that_is_away() -> None:
    """Whoever asks is told, each time."""
    catalogue = Catalogue(error=ZeroDivisionError("a bug"))
    watch = catalogue.watch()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await watch.now()


SPENT = st.floats(0, 5_000, allow_nan=False)


@given(st.lists(SPENT), st.lists(SPENT))
def test_a_histogram_counts_each_once(first: list[float], second: list[float]) -> None:
    """In the first bucket whose bound it does not exceed; the last one has them all."""
    one, other = Durations(), Durations()
    for seconds in first:
        one.observe(seconds)
    for seconds in second:
        other.observe(seconds)
    one.add(other)
    together = [*first, *second]
    assert list(one.cumulative()) == [
        (bound, sum(seconds <= bound for seconds in together)) for bound in (*BOUNDS, float("inf"))
    ]
    assert one.total == len(together)
    assert one.seconds == pytest.approx(sum(together))


@given(st.lists(SPENT, max_size=20))
def test_the_slowest_are_kept_the_longest_first(spent: list[float]) -> None:
    slowest = Slowest()
    for number, seconds in enumerate(spent):
        slowest.observe(seconds, f"{number:03}")
    assert [seconds for seconds, _ in slowest.found] == sorted(spent, reverse=True)[:MOST_SLOW]


def test_what_a_pass_does_counts_while_it_is_at_work_and_once() -> None:
    """Its stages are timed when it has ended: until then a stage that was taken up again would shrink its bucket."""
    tally, report = Tally(), PassReport("acme")
    tally.begin({"acme": report})
    report.archived, report.bytes, report.seconds = 3, 300, {"transfer": 1.0}
    report.fail("1", "failed", "why")
    report.took("2", 0.2)
    during = tally.by_account(["acme", "other"])
    tally.end(3, 1.5)
    after = tally.by_account(["acme", "other"])

    for seen in (during["acme"], after["acme"]):
        assert (seen.steps["archived"], seen.bytes, seen.failures["failed"], seen.transfers.total) == (3, 300, 1, 1)
    assert (during["acme"].stages, after["acme"].stages["transfer"].total) == ({}, 1)
    assert after["other"].steps.total() == 0
    assert {code: count for code, count in tally.passes.items() if count} == {3: 1}
    assert set(tally.passes) == set(EXIT_CODES)
    assert tally.seconds.total == 1


def test_every_step_is_a_number_of_the_report() -> None:
    report = PassReport("acme")
    assert {type(getattr(report, step)) for step in STEPS} == {int}
