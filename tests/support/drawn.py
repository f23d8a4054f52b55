"""Histories for Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import strategies as st

from tests.support.histories import DAY, HOUR, START, History
from tests.support.model_source import Call, Failure, ModelSource, Outage, Told, Zero
from tests.support.simulator import Clock

LOOKBACK = 30 * HOUR
MINUTE = timedelta(minutes=1)
SPAN = 5 * 24 * 60  # minutes in which calls begin
PAUSES = [15 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY]
SKEWS = [0, 0, 0, 2, -2, 90, -90]  # minutes


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    longest: timedelta = LOOKBACK,
    deletions: bool = False,
    outages: bool = False,
    hidden: bool = False,
    told: Sequence[Told] = (Told.TRUE,),
) -> History:
    """Any history. `longest`: delay of a publication after the call's start."""
    clock = Clock(START + draw(st.sampled_from([HOUR, DAY, 4 * DAY])))
    source = ModelSource(
        clock=clock,
        calls=draw(calls(longest, deletions=deletions, hidden=hidden)),
        base=draw(st.sampled_from([0, 1])),
        zero=draw(st.sampled_from(Zero)),
        cap=draw(st.sampled_from([1, 2, 100])),
        says_size=draw(st.booleans()),
        told=draw(st.sampled_from(told)),
        off_by=draw(st.sampled_from([-3, -1, 1, 2, 1000])),
        pace=draw(st.sampled_from([timedelta(seconds=1), MINUTE, 7 * MINUTE])),
        ahead=draw(st.sampled_from(SKEWS)) * MINUTE,
        failures=draw(st.dictionaries(st.integers(1, 60), st.sampled_from(Failure), max_size=4)),
        outages=draw(blind()) if outages else (),
    )
    crashes = draw(st.dictionaries(st.integers(1, 60), st.booleans(), max_size=3))
    pauses = draw(st.lists(st.sampled_from(PAUSES), max_size=8))
    return History(source=source, clock=clock, crashes=crashes, pauses=pauses, lookback=LOOKBACK)


@st.composite
def calls(draw: st.DrawFn, longest: timedelta, *, deletions: bool, hidden: bool) -> list[Call]:
    """Draw up to 16 calls, many in the same second."""
    crowded = draw(st.lists(st.integers(0, SPAN), min_size=1, max_size=3))
    starts = st.sampled_from(crowded) | st.integers(0, SPAN)
    delays = st.just(timedelta(0)) | st.integers(0, int(longest / MINUTE)).map(lambda minutes: minutes * MINUTE)
    lives = st.none() | st.integers(0, SPAN).map(lambda minutes: minutes * MINUTE) if deletions else st.none()
    count = draw(st.integers(0, 16))
    unseen = st.integers(0, 5).map(lambda dice: dice == 5) if hidden else st.just(False)
    drawn = draw(st.lists(st.tuples(starts, delays, lives, unseen), min_size=count, max_size=count))
    return [
        _call(number, START + minutes * MINUTE, late, life, hidden=unseen)
        for number, (minutes, late, life, unseen) in enumerate(drawn)
    ]


def _call(number: int, start: datetime, late: timedelta, life: timedelta | None, *, hidden: bool) -> Call:
    return Call(number, start, start + late, None if life is None else start + late + life, hidden)


@st.composite
def blind(draw: st.DrawFn) -> tuple[Outage, ...]:
    """Draw a stretch in which little or nothing is listed."""
    since = START + draw(st.integers(0, SPAN)) * MINUTE
    return (Outage(since, since + draw(st.sampled_from(PAUSES)), draw(st.sampled_from([0, 2, 3]))),)
