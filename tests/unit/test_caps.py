from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.caps import Side, allowed, at_source, check_caps, in_archive
from archiver.core.policy import Caps, Deletion, Mode
from archiver.errors import SafetyLimit


@dataclass(frozen=True)
class Item:
    account: str


def items(**counts: int) -> list[Item]:
    return [Item(account) for account, count in counts.items() for _ in range(count)]


def source(**caps: object) -> Side:
    return at_source(Deletion(source=Caps(**caps)))  # type: ignore[arg-type]


def test_within_the_limits_nothing_is_said() -> None:
    check_caps(items(acme=50, zenith=5), {"acme": 1000, "zenith": 100}, source(max_per_run=55))


def test_a_run_above_max_per_run_is_refused_whole() -> None:
    message = "56 recordings are to be deleted at the source, deletion.max_per_run allows 55"
    with pytest.raises(SafetyLimit) as no:
        check_caps(items(acme=50, zenith=6), {"acme": 1000, "zenith": 1000}, source(max_per_run=55))
    assert str(no.value) == f"{message}; nothing was deleted at the source"
    assert no.value.exit_code == 4
    assert "raise the limit in the policies file" in no.value.hint


def test_an_account_above_max_percent_is_refused_and_named() -> None:
    message = (
        "account zenith: 26 recordings are to be deleted at the source, deletion.max_percent 2.5 allows 25 of the 1000 "
        "that are there; nothing was deleted at the source"
    )
    with pytest.raises(SafetyLimit) as no:
        check_caps(items(acme=25, zenith=26), {"acme": 1000, "zenith": 1000}, source(max_percent=Decimal("2.50")))
    assert str(no.value) == message


def test_each_side_has_caps_of_its_own_and_is_named_by_its_keys() -> None:
    deletion = Deletion(source=Caps(max_per_run=3), archive=Caps(max_per_run=2, max_percent=Decimal(1)))
    check_caps(items(acme=3), {"acme": 1000}, at_source(deletion))
    with pytest.raises(SafetyLimit) as no:
        check_caps(items(acme=3), {"acme": 100}, in_archive(deletion))
    assert str(no.value) == (
        "3 recordings are to be deleted in the archive, deletion.archive.max_per_run allows 2; "
        "account acme: 3 recordings are to be deleted in the archive, deletion.archive.max_percent 1 allows 1 of the "
        "100 that are there; nothing was deleted in the archive"
    )


def test_every_limit_that_is_passed_is_named() -> None:
    with pytest.raises(SafetyLimit, match=r"max_per_run.*account acme.*account zenith"):
        check_caps(items(zenith=9, acme=9), {"acme": 10, "zenith": 10}, source(max_per_run=1))


def test_an_account_that_the_catalogue_does_not_count_allows_nothing() -> None:
    with pytest.raises(SafetyLimit, match="allows 0 of the 0"):
        check_caps(items(acme=1), {}, source(max_percent=Decimal(100)))


def test_nothing_due_is_never_refused() -> None:
    check_caps([], {}, source(max_per_run=0, max_percent=Decimal(0)))


@pytest.mark.parametrize(
    ("total", "percent", "expected"),
    [
        (1000, "5", 50),
        (1019, "5", 50),
        (10, "5", 1),
        (1, "0.01", 1),
        (1000, "0", 0),
        (1000, "100", 1000),
        (0, "100", 0),
        (1000, "0.7", 7),  # in binary fractions 0.7 * 1000 / 100 is a little less
        (300, "29", 87),
    ],
)
def test_allowed_share(total: int, percent: str, expected: int) -> None:
    assert allowed(total, Decimal(percent)) == expected


@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 80),
    st.decimals(0, 100, places=2),
)
def test_passes_only_when_every_limit_holds(
    acme: int, zenith: int, total_acme: int, total_zenith: int, per_run: int, percent: Decimal
) -> None:
    side = source(max_per_run=per_run, max_percent=percent)
    fits = acme + zenith <= per_run and all(
        wanted == 0 or (percent > 0 and wanted <= max(1, int(percent * total / 100)) and wanted <= total)
        for wanted, total in ((acme, total_acme), (zenith, total_zenith))
    )
    try:
        check_caps(items(acme=acme, zenith=zenith), {"acme": total_acme, "zenith": total_zenith}, side)
    except SafetyLimit:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("archive_mode", Mode)
def test_in_the_archive_the_more_careful_mode_holds(mode: Mode, archive_mode: Mode) -> None:
    order = [Mode.DISABLED, Mode.APPROVE, Mode.AUTOMATIC]
    in_force = Deletion(mode=mode, archive_mode=archive_mode).in_archive
    assert order.index(in_force) == min(order.index(mode), order.index(archive_mode))
    assert Deletion().mode is Deletion().in_archive is Mode.DISABLED
    assert Deletion(mode=Mode.AUTOMATIC).in_archive is Mode.APPROVE
