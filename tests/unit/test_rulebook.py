"""What a rulebook keeps to be quick changes no answer: not its dates, not its regimes, not with full caches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core import rulebook
from archiver.core.decision import Candidate
from archiver.core.duration import Duration, add, parse
from archiver.core.match import Dates, Fit, Hours, Match
from archiver.core.model import LockMode
from archiver.core.policy import NEVER, PolicySet
from archiver.core.retention import Terms, ask
from archiver.core.rulebook import Deadlines, Rulebook
from tests.support.retention import ENDED, NOW, Sample, policy
from tests.support.retention_drawn import candidates, policy_sets, tried

GOVERNANCE, COMPLIANCE = LockMode
#: Moments at which the clocks of a zone are put back, or on; those of one zone lie whole weeks or years apart.
CHANGES: Final = {
    "Europe/London": (
        "2025-03-30T01:00",
        "2025-10-26T01:00",
        "2026-03-29T01:00",
        "2026-10-25T01:00",
        "2031-10-26T01:00",
    ),
    "America/New_York": ("2025-03-09T07:00", "2025-11-02T06:00", "2026-11-01T06:00", "2031-11-02T06:00"),
    "America/Santiago": ("2025-04-06T03:00", "2025-09-07T04:00", "2026-04-05T03:00"),  # back at midnight
    "Australia/Lord_Howe": ("2025-04-05T15:00", "2025-10-04T15:30", "2026-04-04T15:00"),  # by half an hour
    "Asia/Kolkata": ("2025-01-31T18:30",),  # never
    "Pacific/Apia": ("2011-12-30T10:00", "2012-03-31T14:00"),  # over a whole day
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+00:00")


def plain(policies: PolicySet, candidate: Candidate, ended: datetime) -> Deadlines:
    """The dates, each reckoned by itself."""
    named = sorted(policies.policies, key=lambda one: one.name)
    fits = {one.name: one.match.fits(candidate) for one in named}

    def ends(least: Fit, pairs: list[tuple[str, object]]) -> list[rulebook.Bound]:
        mine = ((name, wait) for name, wait in pairs if fits[name] >= least and isinstance(wait, Duration))
        return [rulebook.Bound(add(ended, wait, policies.zone), name) for name, wait in mine]

    source = ends(Fit.MAYBE, [(one.name, one.source_delete_after) for one in named])
    floors = ends(Fit.MAYBE, [(one.name, one.keep_at_least) for one in named])
    ceilings = ends(Fit.YES, [(one.name, one.delete_after) for one in named])
    floor = max(floors, key=lambda one: one.at, default=None)
    fitting = [one for one in ceilings if floor is None or one.at >= floor.at]
    return Deadlines(
        max(source, key=lambda one: one.at, default=None), floor, min(fitting, key=lambda one: one.at, default=None)
    )


@tried(60)
@given(st.lists(candidates(), min_size=1, max_size=5), policy_sets())
def test_the_dates_are_those_of_the_calendar(rows: list[Candidate], policies: PolicySet) -> None:
    used = Terms.of(policies)
    for row in (*rows, *rows):
        asked = ask(row, used, NOW)
        ended = max(row.start, row.ended_at, row.start + timedelta(milliseconds=max(0, row.duration_ms or 0)))
        assert asked.dates == plain(policies, row, ended)


def around(zone: str) -> Iterator[tuple[Duration, list[datetime]]]:
    """Waits from a day of change, or one beside it, to such a day; and every half hour of three days to wait from."""
    there, changes = ZoneInfo(zone), [moment(text) for text in CHANGES[zone]]
    for near, far in product(changes, changes):
        days = (far.astimezone(there).date() - near.astimezone(there).date()).days
        ended = [near + timedelta(minutes=30 * step) for step in range(-52, 52)]
        yield from ((Duration(days=each), ended) for each in range(max(0, days - 1), days + 2))


@pytest.mark.parametrize("zone", CHANGES)
def test_the_dates_are_those_of_the_calendar_where_clocks_change(zone: str) -> None:
    """Also from one such day to another, and within the hour that comes twice."""
    sample, there = Sample().candidate(), ZoneInfo(zone)
    wrong = []
    for wait, moments in around(zone):
        rules = Rulebook(PolicySet(policies=(policy("p", floor=str(wait)),), zone=there))
        for ended in moments:
            floor = rules.deadlines(rules.regime(sample), ended).floor
            if floor is None or floor.at != add(ended, wait, there):
                wrong.append((str(ended), str(wait), floor))
    assert wrong == []


def test_in_the_hour_that_comes_twice_the_later_end_counts_also_from_such_an_hour() -> None:
    """26 October 2025, 01:30, summer time, and six years: 26 October 2031, 01:30, winter time."""
    rules = Rulebook(PolicySet(policies=(policy("p", floor="6y"),), zone=ZoneInfo("Europe/London")))
    floor = rules.deadlines(rules.regime(Sample().candidate()), moment("2025-10-26T00:30")).floor
    assert floor == rulebook.Bound(moment("2031-10-26T01:30"), "p")


def test_full_caches_are_emptied_and_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "MOST_KEPT", 3)
    policies = PolicySet(policies=(policy("a", floor="1mo"), policy("b", source="1y", ceiling="2y")))
    small = Rulebook(policies)
    samples = [Sample(account=f"a{n % 7}", ended_at=ENDED + timedelta(days=n)).candidate() for n in range(40)]
    for one in (*samples, *samples):
        assert ask(one, Terms(rules=small), NOW).dates == ask(one, Terms.of(policies), NOW).dates
        assert small.regime(one) == Rulebook(policies).regime(one)


def test_what_a_call_alone_has_is_asked_anew_for_each() -> None:
    """Account, direction, extensions and rules are the same; number, name, length and time are not."""
    day = ENDED.date()
    matches = {
        "dates": Match(dates=Dates(until=day)),
        "hours": Match(hours=Hours(datetime.min.time(), ENDED.time())),
        "number": Match(numbers=("15550199",)),
        "name": Match(cnam=("caller*",)),
        "length": Match(max_duration=parse("10m")),
    }
    rules = Rulebook(PolicySet(policies=tuple(policy(name, match=match) for name, match in matches.items())))
    later = Sample(ended_at=ENDED + timedelta(days=1, hours=9), duration_ms=600_001, cnam="x", dnis="1")
    assert {name for name, _ in rules.regime(Sample().candidate()).about} == set(matches)
    assert rules.regime(later.candidate()).about == ()
    assert {name for name, _ in rules.regime(Sample().candidate()).about} == set(matches)


def test_a_regime_gathers_what_all_say() -> None:
    sure, perhaps, other = Match(), Match(directions=("INBOUND",)), Match(accounts=("zenith",))
    policies = (
        policy("b-perhaps", match=perhaps, source="1d", floor="2d", ceiling="3d", lock=COMPLIANCE),
        policy(
            "a-sure", match=sure, source="4d", floor="5d", ceiling="6d", lock=LockMode.GOVERNANCE, storage_class="X"
        ),
        policy("c-other", match=other, source=NEVER, ceiling=NEVER, storage_class="Y", archive=False),
    )
    regime = Rulebook(PolicySet(policies=policies)).regime(Sample(direction=None).candidate())
    assert regime.about == (("a-sure", Fit.YES), ("b-perhaps", Fit.MAYBE))
    assert [name for name, _ in regime.source_waits] == [name for name, _ in regime.floors] == ["a-sure", "b-perhaps"]
    assert [name for name, _ in regime.ceilings] == ["a-sure"]
    assert (regime.source_never, regime.archive_never, regime.excluding) == (None, None, None)
    assert (regime.lock, regime.storage_class) == (COMPLIANCE, "X")
    assert regime.source_sure
