"""Which calls a match is about: surely, perhaps, or not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Candidate
from archiver.core.duration import Duration, parse
from archiver.core.match import DIRECTIONS, Dates, Fit, Hours, Match, number
from tests.support.retention import Sample
from tests.support.retention_drawn import candidates, matches, narrow_matches, tried

RULES = ("accounts", "extensions", "directions", "callers", "dnis", "numbers", "cnam", "rule_ids")


@pytest.mark.parametrize(
    ("pattern", "extension", "fits"),
    [
        ("21*", "21", True),
        ("21*", "2199", True),
        ("21*", "121", False),
        ("2?1", "2x1", True),
        ("2?1", "21", False),
        ("2.1", "2x1", False),
        ("[12]", "1", False),
        ("+91*", "+9122", True),
        ("a|b", "b", False),
        ("*", "0", True),
        ("*", "a\nb", True),
        ("A*", "a1", False),
        ("2 1", "21", False),
        ("*" * 60 + "x", "1" * 60, False),
    ],
)
def test_patterns_know_only_star_and_question_mark(pattern: str, extension: str, *, fits: bool) -> None:
    match = Match(extensions=(pattern,))
    assert match.fits(Sample(extensions=(extension,)).candidate()) is (Fit.YES if fits else Fit.NO)


def test_one_value_of_a_rule_is_enough_and_every_rule_must_fit() -> None:
    match = Match(extensions=("1*", "3001"), directions=("OUTBOUND", "INBOUND"), accounts=("zenith", "acme"))
    assert match.fits(Sample(extensions=("9", "3001")).candidate()) is Fit.YES
    assert match.fits(Sample(direction="INTRA_PBX").candidate()) is Fit.NO
    assert match.fits(Sample(account="other").candidate()) is Fit.NO


@tried()
@given(candidates())
def test_an_empty_match_is_about_every_call(candidate: Candidate) -> None:
    assert Match().fits(candidate) is Fit.YES
    assert Match().asks_nothing
    assert not Match(accounts=("acme",)).asks_nothing


@tried()
@given(candidates(), narrow_matches(), narrow_matches())
def test_rules_together_fit_no_more_surely_than_the_least_sure_of_them(
    candidate: Candidate, one: Match, other: Match
) -> None:
    asked = [name for name in RULES if getattr(one, name)]
    alone = [Match(**{name: getattr(one, name)}).fits(candidate) for name in asked]
    rest = Match(min_duration=one.min_duration, max_duration=one.max_duration, hours=one.hours, dates=one.dates)
    assert one.fits(candidate) == min([*alone, rest.fits(candidate)])


@tried()
@given(candidates(sound=True), matches())
def test_a_maybe_stands_only_where_a_fact_is_missing(candidate: Candidate, match: Match) -> None:
    texts = (candidate.caller_id, candidate.dnis, candidate.cnam, "".join(candidate.extensions))
    known = all(texts) and any(candidate.rule_ids) and candidate.direction in DIRECTIONS
    if known and (candidate.duration_ms or -1) >= 0:
        assert match.fits(candidate) is not Fit.MAYBE


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("+91 (22) 5550-100", "91225550100"),
        ("0091 22 5550 0100", "912255500100"),
        ("+44 (0)20 7946 0000", "442079460000"),
        ("tel:+91-22-5550-0100", "912255500100"),
        ("sip:+912255500100@pbx.example;user=phone", "912255500100"),
        ("SIPS:2101@pbx.example", "2101"),
        ("91\u201122\u20135550\u200e", "91225550"),
        ("\u0967\u0968\u0969", "123"),
        ("\uff0b\uff19\uff11", "91"),
        ("0012", "0012"),
        ("*21", "*21"),
        ("+1.555.0199/7", "155501997"),
        ("\u00a09 1\t2\n", "912"),
        ("Anonymous", "anonymous"),
        ("+*?", "*?"),
        ("+", ""),
    ],
)
def test_a_number_is_read_without_its_spelling(text: str, plain: str) -> None:
    assert number(text) == plain


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("0091 22*", True),
        ("00912255*", True),
        ("+91 22*", True),
        ("0091*", True),
        ("*0100", True),
        ("009122????0100", True),
        ("0044*", False),
    ],
)
def test_a_pattern_that_begins_as_the_number_is_written_fits_it(pattern: str, *, fits: bool) -> None:
    for written in ("0091 22 5550 0100", "+912255500100"):
        fit = Match(callers=(pattern,)).fits(Sample(caller_id=written).candidate())
        assert fit is (Fit.YES if fits else Fit.NO), written


@pytest.mark.parametrize("rule", ["callers", "dnis", "numbers"])
@pytest.mark.parametrize(
    ("value", "fit"),
    [
        ("+91 22 5550 0100", Fit.YES),
        ("912255500100", Fit.YES),
        ("91-(22)-5550/0199", Fit.YES),
        ("+44 20 7946 0000", Fit.NO),
        ("", Fit.MAYBE),
        ("+ ", Fit.MAYBE),
        (None, Fit.MAYBE),
    ],
)
def test_numbers_fit_whatever_their_spelling(rule: str, value: str | None, fit: Fit) -> None:
    match = Match(**{rule: ("+91 (22) 5550-01??",)})  # type: ignore[arg-type]
    far = "15550000"
    assert match.fits(Sample(caller_id=value, dnis=value).candidate()) is fit
    by_caller = match.fits(Sample(caller_id=value, dnis=far).candidate())
    by_dnis = match.fits(Sample(caller_id=far, dnis=value).candidate())
    assert by_caller is (Fit.NO if rule == "dnis" else fit)
    assert by_dnis is (Fit.NO if rule == "callers" else fit)


@pytest.mark.parametrize(
    ("value", "fit"),
    [
        ("ANNA B", Fit.YES),
        (" anna baker ", Fit.YES),
        ("Anna", Fit.NO),
        ("", Fit.MAYBE),
        (" ", Fit.MAYBE),
        (None, Fit.MAYBE),
    ],
)
def test_names_fit_without_regard_to_capitals(value: str | None, fit: Fit) -> None:
    assert Match(cnam=("anna B*",)).fits(Sample(cnam=value).candidate()) is fit
    assert Match(cnam=("STRASSE", "x")).fits(Sample(cnam="Straße").candidate()) is Fit.YES
    assert Match(cnam=(" É* ",)).fits(Sample(cnam="e\u0301mile").candidate()) is Fit.YES


@pytest.mark.parametrize(
    ("milliseconds", "fit"), [(4_999, 0), (5_000, 2), (60_000, 2), (60_001, 0), (None, 1), (-1, 1)]
)
def test_both_lengths_belong_to_it(milliseconds: int | None, fit: int) -> None:
    match = Match(min_duration=parse("5s"), max_duration=parse("1m"))
    assert match.fits(Sample(duration_ms=milliseconds).candidate()) == fit


def test_a_shortest_length_of_nothing_asks_for_no_length() -> None:
    assert Match(min_duration=Duration()).fits(Sample(duration_ms=None).candidate()) is Fit.YES
    assert Match(max_duration=Duration()).fits(Sample(duration_ms=None).candidate()) is Fit.MAYBE
    assert Match(max_duration=Duration()).fits(Sample(duration_ms=0).candidate()) is Fit.YES
    assert Match(max_duration=Duration()).fits(Sample(duration_ms=1).candidate()) is Fit.NO


@pytest.mark.parametrize(
    ("since", "until", "moment", "covered"),
    [
        ("09:00", "17:30", "09:00:00", True),
        ("09:00", "17:30", "17:29:59.999999", True),
        ("09:00", "17:30", "17:30:00", False),
        ("09:00", "17:30", "08:59:59", False),
        ("22:00", "06:00", "22:00:00", True),
        ("22:00", "06:00", "23:59:59", True),
        ("22:00", "06:00", "00:00:00", True),
        ("22:00", "06:00", "06:00:00", False),
        ("22:00", "06:00", "12:00:00", False),
        ("18:00", "00:00", "23:59:59", True),
        ("18:00", "00:00", "00:00:00", False),
        ("00:00", "00:00", "12:00:00", True),
    ],
)
def test_a_time_of_day_has_its_beginning_and_not_its_end(since: str, until: str, moment: str, *, covered: bool) -> None:
    hours = Hours(time.fromisoformat(since), time.fromisoformat(until))
    assert hours.covers(time.fromisoformat(moment)) is covered


@tried()
@given(st.times(), st.times(), st.times())
def test_a_time_of_day_and_its_rest_are_the_whole_day(one: time, other: time, moment: time) -> None:
    if one != other:
        assert Hours(one, other).covers(moment) is not Hours(other, one).covers(moment)


def test_hours_and_dates_are_those_of_the_start_in_the_match_s_zone() -> None:
    start = datetime(2024, 12, 31, 18, 30, tzinfo=UTC)  # midnight in Kolkata
    call, before = Sample(start=start).candidate(), Sample(start=start - timedelta(seconds=1)).candidate()
    there = ZoneInfo("Asia/Kolkata")
    new_year = Match(dates=Dates(date(2025, 1, 1), date(2025, 1, 1)), zone=there)
    assert (new_year.fits(call), new_year.fits(before)) == (Fit.YES, Fit.NO)
    early = Match(hours=Hours(time(0), time(1)), zone=there)
    assert (early.fits(call), early.fits(before)) == (Fit.YES, Fit.NO)
    both = Match(hours=Hours(time(23), time(1)), dates=Dates(until=date(2024, 12, 31)), zone=there)
    assert (both.fits(call), both.fits(before)) == (Fit.NO, Fit.YES)


def test_an_open_end_of_dates_is_no_bound() -> None:
    day = date(2025, 1, 1)
    assert Dates().covers(day)
    assert Dates(since=day).covers(date.max)
    assert Dates(until=day).covers(date.min)
    assert not Dates(since=day).covers(day - timedelta(days=1))
    assert not Dates(until=day).covers(day + timedelta(days=1))


@pytest.mark.parametrize("rule_ids", [("7",), ("3", "7"), ("", "7")])
def test_a_recording_rule_s_whole_id_counts(rule_ids: tuple[str, ...]) -> None:
    match = Match(rule_ids=("7", "*"))
    assert match.fits(Sample(rule_ids=rule_ids).candidate()) is Fit.YES
    assert match.fits(Sample(rule_ids=("77", "70")).candidate()) is Fit.NO
    assert match.fits(Sample(rule_ids=("", "")).candidate()) is Fit.MAYBE
