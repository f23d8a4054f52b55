"""Hypothesis strategies for retention: calls, policies, holds, locks and terms, close enough together to meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from itertools import permutations
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from archiver.core.decision import Candidate
from archiver.core.duration import Duration
from archiver.core.holds import Hold, Query
from archiver.core.lifecycle import AT_SOURCE
from archiver.core.match import DIRECTIONS, Dates, Hours, Match
from archiver.core.model import Lock, LockMode, State
from archiver.core.policy import NEVER, Policy, PolicySet
from archiver.core.retention import Earlier, Terms
from archiver.core.rulebook import Rulebook

EARLY: Final = datetime(2020, 1, 1, tzinfo=UTC)  # before every moment of `moments`
ACCOUNTS: Final = ("acme", "zenith")
NUMBERS: Final = ("+91 22 5550-0100", "912255500100", "(022) 5550 0199", "15550199", "anonymous")
CNAMES: Final = ("ANNA", "anna b", "Émile", "")
EXTENSIONS: Final = ("2101", "3001", "9")


def tried(examples: int = 100) -> settings:
    """Without a deadline: beside other work on the machine a slow example says nothing."""
    return settings(deadline=None, max_examples=examples)


def zones() -> SearchStrategy[tzinfo]:
    return st.sampled_from([UTC, UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/London"), ZoneInfo("Pacific/Apia")])


def moments(until: int = 2032) -> SearchStrategy[datetime]:
    return st.datetimes(datetime(2020, 1, 1), datetime(until, 12, 31), timezones=st.just(UTC))


def durations() -> SearchStrategy[Duration]:
    return st.builds(
        Duration,
        years=st.integers(0, 12),
        months=st.integers(0, 30),
        days=st.integers(0, 800),
        seconds=st.integers(0, 200_000),
    )


def waits() -> SearchStrategy[Duration]:
    """Short enough that some candidates are due; some of them equal, or nearly so."""
    plain = st.sampled_from([Duration(), Duration(days=30), Duration(months=1), Duration(years=1), Duration(days=365)])
    drawn = st.builds(Duration, years=st.integers(0, 3), months=st.integers(0, 8), days=st.integers(0, 300))
    return plain | drawn


def _few(values: tuple[str, ...]) -> SearchStrategy[tuple[str, ...]]:
    return st.sampled_from([*((one,) for one in values), values[:2]])


def _hours() -> SearchStrategy[Hours]:
    clocks = (time(0), time(6), time(9, 30), time(18), time(23, 59))
    return st.sampled_from([Hours(*pair) for pair in permutations(clocks, 2)])


def days() -> SearchStrategy[Dates]:
    day = st.dates(date(2020, 1, 1), date(2024, 12, 31))
    both = st.tuples(day, day).map(lambda pair: Dates(min(pair), max(pair)))
    return both | st.builds(Dates, since=day) | st.builds(Dates, until=day)


@cache
def narrow_matches(zone: tzinfo = UTC) -> SearchStrategy[Match]:
    """Rules of any one or two kinds; the others ask nothing."""
    rules: dict[str, SearchStrategy[object]] = {
        "accounts": _few(ACCOUNTS),
        "directions": _few(DIRECTIONS),
        "extensions": _few(("21*", "3001", "?00?")),
        "callers": _few(("+91*", "anonymous", "*0199")),
        "dnis": _few(("1555*", "0225550????")),
        "numbers": _few(("15550199", "91 22*")),
        "cnam": _few(("anna*", "É*", "?*")),
        "rule_ids": _few(("7", "8")),
        "min_duration": st.builds(Duration, seconds=st.integers(0, 3_600)),
        "max_duration": st.builds(Duration, seconds=st.integers(0, 3_600)),
        "hours": _hours(),
        "dates": days(),
    }
    rule = st.one_of([st.tuples(st.just(name), drawn) for name, drawn in rules.items()])
    asked = st.lists(rule, min_size=1, max_size=2)
    return asked.map(lambda pairs: Match(zone=zone, **dict(pairs)))  # type: ignore[arg-type]


@cache
def matches(zone: tzinfo = UTC) -> SearchStrategy[Match]:
    return st.just(Match(zone=zone)) | narrow_matches(zone)


@cache
def policies(zone: tzinfo = UTC) -> SearchStrategy[Policy]:
    most = (waits(), waits(), waits(), waits())
    return st.builds(
        Policy,
        name=st.text("abcdef", min_size=1, max_size=3),
        match=matches(zone),
        source_delete_after=st.one_of(*most, st.none(), st.just(NEVER)),
        archive=st.sampled_from([None, None, True, False]),
        keep_at_least=st.none() | st.none() | waits(),
        delete_after=st.one_of(*most, st.none(), st.just(NEVER)),
        storage_class=st.sampled_from([None, "STANDARD_IA"]),
        lock=st.sampled_from([None, None, *LockMode]),
    )


@cache
def policy_lists(zone: tzinfo = UTC, least: int = 1) -> SearchStrategy[tuple[Policy, ...]]:
    return st.lists(policies(zone), min_size=least, max_size=4, unique_by=lambda one: one.name).map(tuple)


@cache
def policy_sets() -> SearchStrategy[PolicySet]:
    return zones().flatmap(_policy_sets_in)


@cache
def _policy_sets_in(zone: tzinfo) -> SearchStrategy[PolicySet]:
    return st.builds(PolicySet, policies=policy_lists(zone), zone=st.just(zone))


def queries() -> SearchStrategy[Query]:
    """Those that `as_json` can write."""
    lists = ("accounts", "extensions", "directions", "callers", "dnis", "numbers", "cnam", "rule_ids")
    texts = st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple)
    rules = dict.fromkeys(lists, texts)
    dated = st.builds(Match, dates=days(), zone=zones(), **rules)
    return st.builds(Query, ids=texts, match=st.builds(Match, **rules) | dated)


def holds() -> SearchStrategy[Hold]:
    ids = st.just(()) | st.lists(st.sampled_from("0123456789"), min_size=1, max_size=5).map(tuple)
    released = st.none() | moments()
    return st.builds(
        Hold,
        name=st.text("abc", min_size=1, max_size=3),
        reason=st.just("a complaint"),
        author=st.just("Anna"),
        at=moments(),
        query=st.builds(Query, ids=ids, match=narrow_matches()),
        future=st.booleans(),
        released_at=released,
        released_by=st.just("Bob"),
    )


def locks() -> SearchStrategy[Lock | None]:
    return st.none() | st.builds(Lock, st.sampled_from(LockMode), moments())


def earlier() -> SearchStrategy[Earlier]:
    return st.builds(Earlier, rules=policy_sets().map(Rulebook) | st.none(), until=moments())


def terms(sets: SearchStrategy[PolicySet] | None = None) -> SearchStrategy[Terms]:
    """Half of them are policies alone: with everything at once hardly anything would ever be due."""
    books = (policy_sets() if sets is None else sets).map(Rulebook)
    few = st.lists(earlier(), max_size=2).map(tuple)
    whole = st.builds(
        Terms,
        rules=books,
        holds=st.lists(holds(), max_size=2).map(tuple),
        earlier=st.fixed_dictionaries({}, optional=dict.fromkeys(ACCOUNTS, few)),
        cooling_at=st.none() | moments(),
    )
    return st.builds(Terms, rules=books) | whole


def candidates(*, sound: bool | None = None) -> SearchStrategy[Candidate]:
    """Two of three could be deleted if a policy says so; of the others few could."""
    if sound is None:
        return st.one_of(candidates(sound=True), candidates(sound=True), candidates(sound=False))
    states = [State.VERIFIED, State.VERIFIED, State.PURGED] if sound else list(State)
    text = st.none() | st.sampled_from(NUMBERS)
    drawn = st.builds(
        Candidate,
        account=st.sampled_from(ACCOUNTS),
        recording_id=st.text("0123456789", min_size=1, max_size=2),
        direction=st.none() | st.sampled_from([*DIRECTIONS, "sideways"]),
        extensions=st.lists(st.sampled_from(EXTENSIONS), max_size=2).map(tuple),
        duration_ms=st.none() | st.integers(-1, 8_000_000),
        start=moments(2023 if sound else 2032),
        ended_at=moments(2023 if sound else 2032),
        state=st.sampled_from(states),
        listed_at=st.just(EARLY) if sound else moments(),
        verified_at=st.just(EARLY) if sound else moments() | st.none(),
        size_disagrees=st.just(value=False) if sound else st.booleans(),
        sha256=st.just("b" * 64) if sound else st.just("b" * 64) | st.none(),
        size=st.integers(0, 10**9) if sound else st.integers(0, 10**9) | st.none(),
        caller_id=text,
        dnis=text,
        cnam=st.none() | st.sampled_from(CNAMES),
        rule_ids=st.lists(st.sampled_from("789"), max_size=2).map(tuple),
        at_source=st.booleans(),
        lock=locks(),
        on_hold=st.sampled_from([False] * 9 + [not sound]),
    )
    return drawn.map(_consistent)


def _consistent(candidate: Candidate) -> Candidate:
    """The source no longer has what the state says is gone."""
    return candidate if candidate.state in AT_SOURCE else replace(candidate, at_source=False)


def steps() -> SearchStrategy[timedelta]:
    return st.timedeltas(timedelta(0), timedelta(days=4000))
