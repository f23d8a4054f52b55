"""Dates of HTTP headers: read where they are dates, and never a reason to fail."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.adapters.http_dates import read_date


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 01 Mar 2024 12:00:00 GMT",
        "Friday, 01-Mar-24 12:00:00 GMT",
        "Fri Mar  1 12:00:00 2024",
        "Fri, 01 Mar 2024 12:00:00 -0000",
        "Fri, 01 Mar 2024 17:30:00 +0530",
    ],
)
def test_every_form_of_a_date_is_read(text: str) -> None:
    assert read_date(text) == datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2024-03-01T12:00:00Z",
        "Fri, 32 Mar 2024 12:00:00 GMT",
        "Fri, 01 Mar 99999 12:00:00 GMT",
        "Fri, 01 Mar 2024 12:00:00 +9999",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_date(text) is None


@given(st.datetimes(datetime(1900, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_a_date_comes_back_to_the_second(moment: datetime) -> None:
    assert read_date(format_datetime(moment, usegmt=True)) == moment.replace(microsecond=0)


@given(st.text() | st.text("FriMa,0123 :GT+-"))
def test_whatever_a_header_holds_is_survived(text: str) -> None:
    moment = read_date(text)
    assert moment is None or moment.tzinfo is not None
