"""What a legal hold is about, and that its query is on record as it was asked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.clocks import TOLERATED
from archiver.core.decision import Candidate
from archiver.core.holds import Hold, Query, holding
from archiver.core.match import Dates, Fit, Match
from tests.support.retention import ENDED, NOW, Sample, hold
from tests.support.retention_drawn import candidates, holds, matches, queries, tried


@tried(60)
@given(queries())
def test_a_query_reads_back_from_its_record(query: Query) -> None:
    written = query.as_json()
    assert Query.of_json(json.loads(json.dumps(written))) == query
    assert all(written.values())  # what asks nothing is not written
    assert (written == {}) is query.asks_nothing


@tried(60)
@given(candidates(), queries())
def test_a_query_that_was_read_back_catches_the_same(candidate: Candidate, query: Query) -> None:
    assert Query.of_json(query.as_json()).fits(candidate) is query.fits(candidate)


def test_a_query_s_record_is_plain() -> None:
    match = Match(extensions=("21*",), numbers=("+91 22*",), dates=Dates(date(2025, 1, 1), date(2025, 1, 31)))
    assert Query(ids=("7",), match=match).as_json() == {
        "ids": ["7"], "extensions": ["21*"], "numbers": ["+91 22*"], "since": "2025-01-01", "until": "2025-01-31",
        "zone": "UTC",
    }  # fmt: skip
    assert Query.of_json({"since": "2025-01-01"}).match.dates == Dates(since=date(2025, 1, 1))
    assert Query.of_json({"until": "2025-01-01"}).match.dates == Dates(until=date(2025, 1, 1))
    assert Query.of_json({}) == Query()
    there = Query(match=Match(dates=Dates(since=date(2025, 1, 1)), zone=ZoneInfo("Asia/Kolkata")))
    assert there.as_json() == {"since": "2025-01-01", "zone": "Asia/Kolkata"}
    assert Query().asks_nothing
    assert not Query(ids=("7",)).asks_nothing


@tried(60)
@given(candidates(), st.lists(st.sampled_from("0123456789"), max_size=3).map(tuple), matches())
def test_ids_and_match_must_both_fit(candidate: Candidate, ids: tuple[str, ...], match: Match) -> None:
    named = not ids or candidate.recording_id in ids
    assert Query(ids=ids, match=match).fits(candidate) is (match.fits(candidate) if named else Fit.NO)


@tried(60)
@given(candidates(), holds())
def test_only_an_open_case_holds_and_only_what_it_may_catch(candidate: Candidate, case: Hold) -> None:
    caught = case.open and (case.future or min(candidate.start, candidate.listed_at) <= case.at + TOLERATED)
    assert case.open is (case.released_at is None)
    assert case.fits(candidate) is (case.query.fits(candidate) if caught else Fit.NO)
    assert holding(candidate, [case]) == ((case.name,) if case.fits(candidate) else ())


@tried(60)
@given(candidates(), st.lists(holds(), max_size=5, unique_by=lambda one: one.name))
def test_cases_are_named_in_order_and_none_hides_another(candidate: Candidate, cases: list[Hold]) -> None:
    names = holding(candidate, cases)
    assert names == tuple(sorted(one.name for one in cases if holding(candidate, [one])))
    assert holding(candidate, reversed(cases)) == names


def test_to_ask_for_a_release_releases_nothing() -> None:
    asked = replace(hold(), release_asked_by="Anna", release_asked_at=NOW, release_reason="settled")
    assert asked.open
    assert holding(Sample().candidate(), [asked]) == ("case-1",)
    assert holding(Sample().candidate(), [replace(asked, released_by="Bob", released_at=NOW)]) == ()


def test_a_call_that_begins_later_is_caught_only_by_a_case_for_the_future() -> None:
    """Later by more than two clocks may differ. When it is listed does not matter."""
    opened = ENDED + timedelta(minutes=50)
    began = opened + TOLERATED
    sample = Sample(start=began, ended_at=began, listed_at=began + timedelta(days=9)).candidate()
    second = timedelta(seconds=1)
    for at, caught in ((opened - second, False), (opened, True), (opened + second, True)):
        assert bool(holding(sample, [hold(at=at)])) is caught
        assert holding(sample, [hold(at=at, future=True)])


@pytest.mark.parametrize(
    ("sample", "fit"),
    [
        (Sample(caller_id="15550100", dnis=None), Fit.MAYBE),
        (Sample(caller_id=None, dnis="15550100"), Fit.MAYBE),
        (Sample(caller_id="15550100", dnis="15550199"), Fit.NO),
        (Sample(caller_id=None, dnis="+44 20 7946-0000"), Fit.YES),
        (Sample(caller_id="(442) 079.460.000", dnis="15550199"), Fit.YES),
    ],
)
def test_a_number_may_be_on_either_end(sample: Sample, fit: Fit) -> None:
    query = Query(match=Match(numbers=("+442079460000",)))
    assert query.fits(sample.candidate()) is fit
    assert bool(holding(sample.candidate(), [hold(numbers=("+442079460000",))])) is (fit is not Fit.NO)
