"""What counts as ill: each limit, both sides of it, and that nothing gets better by getting older."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.health import AccountFacts, Cause, Level, Limits, Reason, Stop, judge, worst

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
LIMITS = Limits(
    last_pass=HOUR, pending=DAY, gap=2 * DAY, fixity=100 * DAY, newest_call=4 * DAY, source_retention={"acme": 30 * DAY}
)
FRESH = AccountFacts(
    account="acme",
    added=NOW - 90 * DAY,
    good_pass=NOW - timedelta(minutes=5),
    newest_call=NOW - HOUR,
    oldest_fixity=NOW - DAY,
    clock_ahead=SECOND,
)
AWAY = Stop("Unreachable", "discover: the source is out of reach", final=False)


def told(
    changes: Mapping[str, object] | None = None, /, limits: Limits = LIMITS, **more: object
) -> list[tuple[Cause, Level]]:
    """What is found of a fresh account with these changes."""
    facts = replace(FRESH, **(changes or {}), **more)  # type: ignore[arg-type]
    return [(reason.cause, reason.level) for reason in judge([facts], limits, NOW)]


def test_a_fresh_account_gives_no_reason() -> None:
    assert judge([FRESH], LIMITS, NOW) == []
    assert worst([]) is Level.OK


AGED: Mapping[str, tuple[Cause, timedelta]] = {
    "good_pass": (Cause.LAST_PASS, LIMITS.last_pass),
    "oldest_pending": (Cause.PENDING, LIMITS.pending),
    "oldest_backlog": (Cause.PENDING, LIMITS.pending),
    "oldest_fixity": (Cause.FIXITY, 100 * DAY),
    "newest_call": (Cause.NEWEST_CALL, 4 * DAY),
}


@pytest.mark.parametrize("field", AGED)
def test_each_limit_has_a_warning_at_half_of_it(field: str) -> None:
    """And only beyond: what is exactly as old as allowed is well."""
    cause, limit = AGED[field]
    assert told({field: NOW - limit / 2}) == []
    assert told({field: NOW - limit / 2 - SECOND}) == [(cause, Level.WARNING)]
    assert told({field: NOW - limit}) == [(cause, Level.WARNING)]
    assert told({field: NOW - limit - SECOND}) == [(cause, Level.CRITICAL)]


def test_without_a_limit_nothing_is_too_old() -> None:
    limits = replace(LIMITS, fixity=None, newest_call=None, source_retention={"other": DAY})
    old = NOW - 900 * DAY
    assert told(limits=limits, oldest_fixity=old, newest_call=old, oldest_pending_call=old) == []


def test_a_gap_is_a_warning_at_once_and_critical_beyond_its_limit() -> None:
    """It names kinds and counts."""
    gaps = {"unlisted": 2, "failed": 1}
    assert told(gaps=gaps, oldest_gap=NOW) == [(Cause.GAP, Level.WARNING)]
    assert told(gaps=gaps, oldest_gap=NOW - 2 * DAY) == [(Cause.GAP, Level.WARNING)]
    (found,) = judge([replace(FRESH, gaps=gaps, oldest_gap=NOW - 2 * DAY - SECOND)], LIMITS, NOW)
    assert (found.level, found.message) == (Level.CRITICAL, "gaps are open: failed 1, unlisted 2")


def test_an_account_that_never_had_a_pass() -> None:
    """It has the limit's time from its beginning; one that was never begun is critical."""
    assert told(good_pass=None, added=NOW - timedelta(minutes=20)) == []
    assert told(good_pass=None, added=NOW - 2 * HOUR) == [(Cause.LAST_PASS, Level.CRITICAL)]
    assert [(one.cause, one.level) for one in judge([AccountFacts(account="acme")], LIMITS, NOW)] == [
        (Cause.LAST_PASS, Level.CRITICAL)
    ]


LONG: Mapping[str, object] = {
    "good_pass": None,
    "at_work_since": NOW - 20 * HOUR,
    "progress": NOW - timedelta(minutes=2),
}


def test_a_long_pass_that_gets_on_is_no_more_than_a_warning() -> None:
    """The first one may list for a day. Where nothing moves any more, it hangs."""
    assert told(LONG) == [(Cause.LAST_PASS, Level.WARNING)]
    assert told({**LONG, "good_pass": NOW - 21 * HOUR}) == [(Cause.LAST_PASS, Level.WARNING)]
    assert told({**LONG, "progress": NOW - HOUR}) == [(Cause.LAST_PASS, Level.CRITICAL)]
    assert told({**LONG, "progress": None}) == [(Cause.LAST_PASS, Level.CRITICAL)]


def test_many_short_passes_that_die_are_no_long_one() -> None:
    """However much each of them archives before."""
    assert told({**LONG, "at_work_since": NOW - timedelta(minutes=3)}) == [(Cause.LAST_PASS, Level.CRITICAL)]
    assert told({**LONG, "at_work_since": None}) == [(Cause.LAST_PASS, Level.CRITICAL)]
    assert (Cause.LAST_PASS, Level.CRITICAL) in told({**LONG, "stop": AWAY})


def test_a_stop_is_told_at_once_and_is_critical_where_a_person_must_act() -> None:
    """A neighbour that is away comes back; until then somebody may want to know."""
    assert told(stop=AWAY) == [(Cause.STOPPED, Level.WARNING)]
    refused = Stop("AccessDenied", "discover: the token was refused", final=True)
    assert told(stop=refused) == [(Cause.STOPPED, Level.CRITICAL)]
    late, _ = judge([replace(FRESH, stop=AWAY, good_pass=NOW - 2 * HOUR)], LIMITS, NOW)
    assert late.message == "the last good pass is long ago; the last one stopped: discover: the source is out of reach"


def test_a_backlog_may_take_weeks_while_it_moves() -> None:
    """A quota of ten requests a minute is nobody's fault; a new call that waits is."""
    old = NOW - 40 * DAY
    assert told(oldest_backlog=old, last_stored=NOW - HOUR) == []
    assert told(oldest_backlog=old, last_stored=NOW - 13 * HOUR) == [(Cause.PENDING, Level.WARNING)]
    assert told(oldest_backlog=old, last_stored=NOW - 2 * DAY) == [(Cause.PENDING, Level.CRITICAL)]
    assert told(oldest_backlog=old) == [(Cause.PENDING, Level.CRITICAL)]
    assert told(oldest_backlog=NOW - HOUR, last_stored=old) == []  # listed just now, after a long silence
    assert told(oldest_pending=NOW - 2 * DAY, last_stored=NOW) == [(Cause.PENDING, Level.CRITICAL)]


def test_what_the_source_soon_deletes_is_critical() -> None:
    """Two days before, and after it: in between nobody may sleep."""
    assert told(oldest_pending_call=NOW - 28 * DAY + SECOND) == []
    assert told(oldest_pending_call=NOW - 28 * DAY) == [(Cause.ENDANGERED, Level.CRITICAL)]
    assert told(oldest_pending_call=NOW - 31 * DAY) == [(Cause.ENDANGERED, Level.CRITICAL)]


@pytest.mark.parametrize(("ahead", "says"), [(-400, "400 s behind"), (400, "400 s ahead")])
def test_a_wrong_clock(ahead: int, says: str) -> None:
    (found,) = judge([replace(FRESH, clock_ahead=timedelta(seconds=ahead))], LIMITS, NOW)
    assert (found.cause, found.level) == (Cause.CLOCK, Level.CRITICAL)
    assert says in found.message


def test_the_worst_comes_first_and_each_account_speaks_for_itself() -> None:
    ill = replace(FRESH, account="ill", good_pass=NOW - 2 * HOUR)
    weak = replace(FRESH, account="weak", gaps={"failed": 1}, oldest_gap=NOW)
    found = judge([weak, FRESH, ill], LIMITS, NOW)
    assert [(one.account, one.level) for one in found] == [("ill", Level.CRITICAL), ("weak", Level.WARNING)]
    assert worst(found) is Level.CRITICAL


def test_a_reason_as_a_document() -> None:
    """Levels and causes as words, times in seconds; what there is none of is null."""
    reason = Reason(
        level=Level.WARNING, cause=Cause.GAP, message="m", account="acme", age=timedelta(hours=3), limit=DAY
    )
    assert reason.as_document() == {
        "level": "warning", "cause": "gap", "account": "acme", "message": "m", "age_seconds": 10800,
        "limit_seconds": 86400,
    }  # fmt: skip
    bare = Reason(level=Level.CRITICAL, cause=Cause.CATALOGUE, message="m").as_document()
    assert (bare["account"], bare["age_seconds"], bare["limit_seconds"]) == (None, None, None)


MOMENTS = st.none() | st.timedeltas(timedelta(0), 300 * DAY).map(lambda age: NOW - age)
FACTS = st.builds(
    AccountFacts,
    account=st.just("acme"),
    added=MOMENTS,
    good_pass=MOMENTS,
    stop=st.sampled_from([None, AWAY, replace(AWAY, final=True)]),
    oldest_pending=MOMENTS,
    oldest_backlog=MOMENTS,
    last_stored=MOMENTS,
    oldest_pending_call=MOMENTS,
    newest_call=MOMENTS,
    oldest_fixity=MOMENTS,
    gaps=st.just({"failed": 1}),
    oldest_gap=MOMENTS,
    at_work_since=MOMENTS,
    progress=MOMENTS,
)
#: `at_work_since` is not among them: a pass that has been at work for long is better than one that has just begun.
OLDER = [
    "added", "good_pass", "oldest_pending", "oldest_backlog", "last_stored", "oldest_pending_call", "newest_call",
    "oldest_fixity", "oldest_gap", "progress",
]  # fmt: skip


def by_cause(facts: AccountFacts, now: datetime = NOW) -> dict[Cause, Level]:
    """Worst level of each cause."""
    found: dict[Cause, Level] = {}
    for reason in judge([facts], LIMITS, now):
        found[reason.cause] = max(reason.level, found.get(reason.cause, Level.OK))
    return found


@given(facts=FACTS, field=st.sampled_from(OLDER), age=st.timedeltas(timedelta(0), 300 * DAY))
def test_nothing_gets_better_by_getting_older(facts: AccountFacts, field: str, age: timedelta) -> None:
    at = getattr(facts, field)
    older = facts if at is None else replace(facts, **{field: at - age})
    after = by_cause(older)
    assert all(after.get(cause, Level.OK) >= level for cause, level in by_cause(facts).items())


@given(facts=FACTS.filter(lambda one: one.at_work_since is None), later=st.timedeltas(timedelta(0), 300 * DAY))
def test_time_alone_makes_nothing_better(facts: AccountFacts, later: timedelta) -> None:
    after = by_cause(facts, NOW + later)
    assert all(after.get(cause, Level.OK) >= level for cause, level in by_cause(facts).items())
