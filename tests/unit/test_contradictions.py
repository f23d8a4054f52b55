"""Policies that cannot both be kept are found, wherever some call could be meant by both."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.contradictions import contradictions, may_overlap, patterns_meet
from archiver.core.decision import Candidate, Reason
from archiver.core.duration import Duration, parse
from archiver.core.match import Dates, Fit, Hours, Match
from archiver.core.policy import Policy, PolicySet
from archiver.core.retention import Terms, ask, decide_archive
from tests.support.retention import FAR_FUTURE, policy
from tests.support.retention_drawn import candidates, narrow_matches, policy_sets, tried

ALPHABET = "ab*?"
#: Long enough for a text of any two patterns of four characters to be among them.
TEXTS = ["".join(letters) for length in range(7) for letters in product("abc", repeat=length)]


def found(*policies: Policy) -> list[tuple[str, str]]:
    return [(policies[place].name, problem) for place, problem in contradictions(policies)]


def fits(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(pattern.replace("*", ".*").replace("?", "."), text))


@tried()
@given(st.text(ALPHABET, max_size=4), st.text(ALPHABET, max_size=4))
def test_two_patterns_meet_where_some_text_fits_both(one: str, other: str) -> None:
    both = any(fits(one, text) and fits(other, text) for text in TEXTS)
    assert patterns_meet(one, other) is both
    assert patterns_meet(other, one) is both


def patterns() -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.text("12*?", min_size=1, max_size=3), min_size=1, max_size=3).map(tuple)


@tried()
@given(patterns(), patterns())
def test_lists_of_patterns_meet_where_any_two_of_them_do(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    any_two = any(patterns_meet(left, right) for left in one for right in other)
    for rule in ("callers", "dnis", "cnam"):
        asked = Match(**{rule: one}), Match(**{rule: other})  # type: ignore[arg-type]
        assert may_overlap(*asked) is any_two


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("", "", True),
        ("", "*", True),
        ("", "?", False),
        ("*", "*", True),
        ("91*", "*91", True),
        ("91*5", "91", False),
        ("a*b", "*ba*", True),
        ("?" * 100, "*" * 100, True),
        ("*a" * 50, "*b" * 50, False),
        ("[ab]", "a", False),
        (".", "a", False),
    ],
)
def test_patterns_meet_or_not(one: str, other: str, *, meet: bool) -> None:
    assert patterns_meet(one, other) is patterns_meet(other, one) is meet


@tried(200)
@given(candidates(), narrow_matches(), narrow_matches())
def test_no_call_is_meant_by_two_that_are_said_not_to_overlap(candidate: Candidate, one: Match, other: Match) -> None:
    """Nor surely by the one and perhaps by the other: that is where a floor and a ceiling would clash."""
    both = one.fits(candidate), other.fits(candidate)
    if Fit.NO not in both and Fit.YES in both:
        assert may_overlap(one, other)
        assert may_overlap(other, one)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Match(accounts=("a",)), Match(accounts=("b",)), False),
        (Match(accounts=("a", "b")), Match(accounts=("b",)), True),
        (Match(accounts=("a",)), Match(), True),
        (Match(directions=("INBOUND",)), Match(directions=("OUTBOUND", "INTRA_PBX")), False),
        (Match(extensions=("1",)), Match(extensions=("2",)), True),  # a call has several
        (Match(rule_ids=("1",)), Match(rule_ids=("2",)), True),
        (Match(callers=("+91 22*",)), Match(callers=("91-2255*",)), True),
        (Match(callers=("+91*",)), Match(callers=("+44*",)), False),
        (Match(dnis=("1?00",)), Match(dnis=("1 8??",)), True),
        (Match(dnis=("1?00",)), Match(dnis=("18?1",)), False),
        (Match(callers=("1",)), Match(dnis=("2",)), True),
        (Match(cnam=("ANNA*",)), Match(cnam=("anna b",)), True),
        (Match(cnam=("anna",)), Match(cnam=("hanna",)), False),
        (Match(min_duration=parse("1m")), Match(max_duration=parse("60s")), True),
        (Match(min_duration=parse("61s")), Match(max_duration=parse("1m")), False),
        (Match(dates=Dates(until=date(2025, 1, 1))), Match(dates=Dates(since=date(2025, 1, 1))), True),
        (Match(dates=Dates(until=date(2025, 1, 1))), Match(dates=Dates(since=date(2025, 1, 2))), False),
        (Match(hours=Hours(time(9), time(17))), Match(hours=Hours(time(17), time(9))), False),
        (Match(hours=Hours(time(22), time(6))), Match(hours=Hours(time(5), time(7))), True),
        (Match(hours=Hours(time(22), time(6))), Match(hours=Hours(time(6), time(22))), False),
        (Match(hours=Hours(time(22), time(6))), Match(hours=Hours(time(23), time(1))), True),
        (Match(hours=Hours(time(20), time(0))), Match(hours=Hours(time(0), time(4))), False),
        (Match(accounts=("a",), directions=("INBOUND",)), Match(accounts=("a",), directions=("OUTBOUND",)), False),
    ],
)
def test_overlaps(one: Match, other: Match, *, overlap: bool) -> None:
    assert may_overlap(one, other) is may_overlap(other, one) is overlap


def test_a_floor_without_a_ceiling_of_its_own_contradicts_a_lower_ceiling() -> None:
    problem = (
        "contradicts policy 'short': this one keeps for at least 5y, that one lets the copy go after 1y, and both can "
        "be about the same call; give this one an archive.delete_after of its own, a time or never, or narrow one of "
        "both"
    )
    assert found(policy("long", floor="5y"), policy("short", ceiling="1y")) == [("long", problem)]
    assert found(policy("short", ceiling="1y"), policy("long", floor="5y")) == [("long", problem)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (policy("a", floor="5y", ceiling="never"), policy("b", ceiling="1y")),
        (policy("a", floor="5y", ceiling="6y"), policy("b", ceiling="1y")),
        (policy("a", floor="5y"), policy("b", ceiling="5y")),
        (policy("a", floor="12mo"), policy("b", ceiling="366d")),
        (policy("a", floor="5y"), policy("b", ceiling="never")),
        (policy("a", floor="5y"), policy("b", source="1d")),
        (
            policy("a", floor="5y", match=Match(accounts=("x",))),
            policy("b", ceiling="1y", match=Match(accounts=("y",))),
        ),
        (policy("a", storage_class="STANDARD"), policy("b", storage_class="STANDARD")),
        (policy("a", storage_class="STANDARD"), policy("b")),
        (policy("a", archive=False), policy("b", archive=True)),
        (policy("a", source="never"), policy("b", source="1d")),
    ],
)
def test_what_the_rules_settle_is_no_contradiction(one: Policy, other: Policy) -> None:
    assert found(one, other) == []


def test_a_floor_that_can_be_longer_by_a_leap_day_contradicts() -> None:
    assert [name for name, _ in found(policy("a", floor="1y"), policy("b", ceiling="365d"))] == ["a"]


def test_two_storage_classes_contradict_and_it_is_said_once() -> None:
    ia, glacier = policy("z", storage_class="STANDARD_IA"), policy("a", storage_class="GLACIER_IR")
    problem = (
        "contradicts policy 'a': this one wants storage class STANDARD_IA, that one GLACIER_IR, and both can be about "
        "the same call"
    )
    assert found(ia, glacier) == found(glacier, ia) == [("z", problem)]


def test_every_pair_is_named() -> None:
    floors = [policy(name, floor="5y") for name in ("a", "b")]
    ceilings = [policy(name, ceiling="1y") for name in ("c", "d")]
    pairs = {(name, problem.split("'")[1]) for name, problem in found(*floors, *ceilings)}
    assert pairs == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}
    assert found() == found(floors[0]) == []


@tried(50)
@given(policy_sets(), candidates(sound=True))
def test_where_none_contradicts_every_sure_ceiling_leads_to_an_end(policies: PolicySet, candidate: Candidate) -> None:
    """Of a file that was taken, a copy stays for ever below a floor only where that floor only may be meant."""
    whole = tuple(_with_ceiling_above_floor(one) for one in policies.policies)
    if not list(contradictions(whole)):
        terms = Terms.of(PolicySet(policies=whole))
        reason = decide_archive(candidate, terms, FAR_FUTURE).reason
        if reason is Reason.CEILING_BELOW_FLOOR:
            assert Fit.MAYBE in {fit for _, fit in ask(candidate, terms, FAR_FUTURE).regime.about}


def _with_ceiling_above_floor(one: Policy) -> Policy:
    """As a file has it: a policy's own ceiling is never below its own floor."""
    if isinstance(one.delete_after, Duration) and one.keep_at_least is not None:
        both = one.keep_at_least
        return replace(one, delete_after=Duration(months=both.total_months, days=both.days + 1, seconds=both.seconds))
    return one
