"""What a day is worth, and what many days come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

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


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (100.0, "100.00 %"), (99.9999, "99.99 %"), (0.0, "0.00 %")])
def test_a_percentage_is_cut_and_never_rounded_up(value: float | None, text: str) -> None:
    assert in_percent(value) == text
