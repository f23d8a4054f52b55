"""What a day is worth, and what many days come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.coverage import Coverage, DayFacts, in_percent, judge_day, total

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
GOOD = DayFacts(
    account="acme", day=date(2024, 3, 1), said=5, known=5, verified=5, deleted=0, excluded=0, waiting=0,
    checked_at=NOW, proved_at=NOW,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, Coverage.PROVED, ""),
        ({"said": 0, "known": 0, "verified": 0}, Coverage.PROVED, ""),
        ({"verified": 3, "waiting": 2}, Coverage.UNPROVEN, "2 not archived yet"),
        ({"doubt": "the source gave no usable total"}, Coverage.UNPROVEN, "the source gave no usable total"),
        ({"checked_at": None, "proved_at": None}, Coverage.UNPROVEN, "not compared with the source yet"),
        ({"proved_at": None}, Coverage.UNPROVEN, "not compared with the source yet"),
        ({"missing": {"failed": 1, "unlisted": 2}, "open_gaps": 2}, Coverage.GAP, "1 failed, 2 unlisted"),
        ({"missing": {"failed": 1}, "explained_gaps": 1}, Coverage.GAP, "explained: 1 failed"),
        ({"open_gaps": 1, "doubt": "the source lists 0"}, Coverage.GAP, "the source lists 0"),
    ],
)
def test_a_day_is_worth_what_is_known_of_it(changes: dict[str, object], state: Coverage, reason: str) -> None:
    row = judge_day(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert (row.state, row.reason) == (state, reason)


COUNTS = st.integers(0, 50)
DAYS = st.builds(
    lambda verified, excluded, waiting, unlisted, failed: judge_day(
        replace(
            GOOD,
            known=verified + excluded + waiting + failed,
            verified=verified,
            excluded=excluded,
            waiting=waiting,
            missing={"unlisted": unlisted, "failed": failed},
            open_gaps=unlisted + failed,
        )
    ),
    COUNTS, COUNTS, COUNTS, COUNTS, COUNTS,
)  # fmt: skip


@given(st.lists(DAYS, max_size=20))
def test_all_is_covered_only_where_nothing_is_missing_and_nothing_waits(rows: list[object]) -> None:
    sums = total(rows)  # type: ignore[arg-type]
    assert sum(sums.days.values()) == len(rows)
    if sums.percent is None:
        assert sums.verified == sums.missing == sums.waiting == 0
        return
    assert 0 <= sums.percent <= 100
    assert (in_percent(sums.percent) == "100.00 %") == (sums.missing == 0 and sums.waiting == 0)


@given(st.lists(DAYS), st.lists(DAYS))
def test_sums_of_two_stretches_of_days_are_the_sums_of_both(one: list[object], other: list[object]) -> None:
    first, second, both = total(one), total(other), total([*one, *other])  # type: ignore[arg-type, list-item]
    for name in ("known", "verified", "excluded", "waiting", "missing"):
        assert getattr(both, name) == getattr(first, name) + getattr(second, name)
    assert both.days == {state: first.days[state] + second.days[state] for state in Coverage}
    parts = [sums.percent for sums in (first, second) if sums.percent is not None]
    assert (both.percent is None) == (not parts)
    assert both.percent is None or min(parts) - 1e-9 <= both.percent <= max(parts) + 1e-9


@given(st.integers(1, 10**9).flatmap(lambda wanted: st.tuples(st.integers(0, wanted), st.just(wanted))))
def test_the_percentage_that_is_shown_never_says_more_than_is_true(counts: tuple[int, int]) -> None:
    """And at most a hundredth less."""
    verified, wanted = counts
    shown = Fraction(in_percent(100 * verified / wanted).removesuffix(" %"))
    assert shown <= Fraction(100 * verified, wanted) <= shown + Fraction(1, 100)
    assert (shown == 100) == (verified == wanted)


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (100.0, "100.00 %"), (99.9999, "99.99 %"), (0.0, "0.00 %")])
def test_a_percentage_is_cut_and_never_rounded_up(value: float | None, text: str) -> None:
    assert in_percent(value) == text
