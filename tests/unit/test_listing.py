"""Reading pages and recordings, whatever the source makes of its own documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.core.listing import ID_PATTERN, format_time, parse_page, parse_recording, parse_time
from archiver.core.model import Malformed, Page, Recording
from archiver.errors import BodyRejected

ITEM: dict[str, object] = {
    "_links": {"self": {"href": "https://api.example/call_recordings/193228"}},
    "call_direction": "INBOUND",
    "call_id": "c91150a6-8cc4-4e73-9fef-17fd925c6448",
    "caller_id": 15550100,
    "cnam": "CALLER 1",
    "dnis": "+15550100",
    "duration": 60000,
    "end": "2019-01-01T00:01:00+0000",
    "extensions": [999, "0417"],
    "file_name": "730048.mp3",
    "file_size_in_bytes": 100000,
    "id": 193228,
    "rule_ids": [1989, 2012],
    "start": "2019-01-01T00:00:00+0000",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VALUES = JSON | st.sampled_from([10**5000, -1, 1e308, float("inf"), "\ud800", "2019-01-01T00:00:00+0000", "12"])


def read(**changes: object) -> Recording:
    item = parse_recording("acme", {**ITEM, **changes})
    assert isinstance(item, Recording)
    return item


def reason(item: object) -> str:
    read_item = parse_recording("acme", item)
    assert isinstance(read_item, Malformed)
    assert read_item.raw is item
    return read_item.reason


def page_of(*items: object, **fields: object) -> Page:
    return parse_page("acme", {"_embedded": {"recordings": list(items)}, **fields})


def test_the_documented_example_is_read_whole() -> None:
    assert read() == Recording(
        account="acme",
        id="193228",
        start=datetime(2019, 1, 1, tzinfo=UTC),
        end=datetime(2019, 1, 1, 0, 1, tzinfo=UTC),
        duration_ms=60000,
        size=100000,
        call_id="c91150a6-8cc4-4e73-9fef-17fd925c6448",
        direction="INBOUND",
        caller_id="15550100",
        dnis="+15550100",
        cnam="CALLER 1",
        extensions=("999", "0417"),
        rule_ids=("1989", "2012"),
        file_name="730048.mp3",
        raw=ITEM,
    )


def test_numbers_as_text_and_text_as_numbers_mean_the_same() -> None:
    swapped = read(id="193228", caller_id="15550100", file_size_in_bytes="100000", duration=60000.0, extensions="999")
    assert (swapped.id, swapped.caller_id, swapped.size) == ("193228", "15550100", 100000)
    assert (swapped.duration_ms, swapped.extensions) == (60000, ("999",))


def test_only_id_and_start_are_needed() -> None:
    bare = {"id": "a-1_B", "start": "2019-01-01T05:30:00.75+05:30"}
    item = parse_recording("acme", bare)
    assert isinstance(item, Recording)
    assert item.start == datetime(2019, 1, 1, tzinfo=UTC)  # whole seconds, UTC
    assert (item.end, item.duration_ms, item.size, item.call_id, item.direction) == (None,) * 5
    assert (item.caller_id, item.dnis, item.cnam, item.file_name) == (None,) * 4
    assert (item.extensions, item.rule_ids) == ((), ())
    nulls = parse_recording("acme", {**dict.fromkeys(ITEM), **bare})
    assert isinstance(nulls, Recording)
    assert nulls == item or nulls.raw != item.raw


@pytest.mark.parametrize(
    "bad",
    [
        None,
        True,
        1.0,
        -1,
        10**64,
        pytest.param(10**5000, id="huge"),
        "",
        "../etc",
        "a b",
        "1\n",
        "x" * 65,
        "é",
        "a/b",
        [1],
        {},
    ],
)
def test_an_id_that_is_no_safe_key_is_malformed(bad: object) -> None:
    assert reason({**ITEM, "id": bad}) == "id is missing or unusable"


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1546300800000,
        "",
        "yesterday",
        "2019-01-01",
        "2019-01-01T00:00:00",
        "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:30",
        "1969-12-31T23:59:59Z",
        "2019-13-01T00:00:00Z",
        "�",
        {},
    ],
)
def test_a_start_that_names_no_moment_is_malformed(bad: object) -> None:
    assert reason({**ITEM, "start": bad}) == "start is missing or is not a time with a zone"


@pytest.mark.parametrize("bad", [None, 7, "text", [], [ITEM], float("nan")])
def test_an_item_that_is_no_object_is_malformed(bad: object) -> None:
    assert reason(bad) == "not a JSON object"


@pytest.mark.parametrize(
    "bad", [-1, 2**63, True, "many", "-5", 1.5, float("nan"), float("inf"), [], pytest.param("9" * 5000, id="long")]
)
def test_sizes_and_durations_that_make_no_sense_are_unknown(bad: object) -> None:
    item = read(file_size_in_bytes=bad, duration=bad)
    assert (item.size, item.duration_ms) == (None, None)


def test_junk_never_moves_the_end_of_a_call() -> None:
    """Retention counts from the end: one before the start, or beyond any calendar, must not be believed."""
    listed = datetime(2024, 1, 1, tzinfo=UTC)
    assert read(end="2018-01-01T00:00:00Z").ended_at(listed) == datetime(2019, 1, 1, 0, 1, tzinfo=UTC)
    assert read(end=None, duration=2**62).ended_at(listed) == listed
    assert read(end="9999-12-31T23:59:59Z", duration=None).ended_at(listed) == listed


def test_text_is_cleaned_and_raw_is_not() -> None:
    item = read(file_name="..\x00/\x1b[2Ja\ud800\x85\u202e.mp3", cnam="x" * 10_000, call_direction="SIDEWAYS")
    assert item.file_name == "..\ufffd/\ufffd[2Ja\ufffd\ufffd\u202e.mp3"
    assert item.raw["file_name"] == "..\x00/\x1b[2Ja\ud800\x85\u202e.mp3"
    assert item.cnam is not None
    assert len(item.cnam) == 500
    assert item.direction == "SIDEWAYS"


def test_a_page_keeps_what_it_cannot_read() -> None:
    page = page_of(ITEM, {"id": 5}, "junk", ITEM, page="2", page_size=50, total_items="4", total_pages=None)
    assert [item.id for item in page.recordings] == ["193228", "193228"]
    assert [item.raw for item in page.malformed] == [{"id": 5}, "junk"]
    assert (page.number, page.size, page.total_items, page.total_pages) == (2, 50, 4, None)


@pytest.mark.parametrize(
    "empty",
    [
        {"_embedded": {"recordings": []}},
        {"total_items": 0},
        {"_embedded": {}, "total_items": "0"},
        {"_embedded": None, "total_items": 0},
        {"_embedded": {"recordings": None}, "total_items": 0},
    ],
)
def test_an_empty_page_says_so(empty: object) -> None:
    page = parse_page("acme", empty)
    assert (page.recordings, page.malformed) == ((), ())


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        [],
        "<html>",
        0,
        {},
        {"fault": {"code": 900800}},
        {"_embedded": {}},
        {"_embedded": {}, "total_items": 1},
        {"_embedded": {"recordings": None}},
        {"_embedded": {"recordings": {}}, "total_items": 0},
        {"_embedded": [], "total_items": 0},
        {"_embedded": {"recordings": "none"}},
        {"total_items": False},
    ],
)
def test_garbage_is_never_an_empty_page(garbage: object) -> None:
    with pytest.raises(BodyRejected):
        parse_page("acme", garbage)


@pytest.mark.parametrize("text", ["2019-01-01T05:30:00+05:30", "2019-01-01T00:00:00Z", "2018-12-31T19:00:00.000-0500"])
def test_zones_are_read(text: str) -> None:
    assert parse_time(text) == datetime(2019, 1, 1, tzinfo=UTC)


@settings(deadline=None)
@given(st.datetimes(datetime(1971, 1, 1), datetime(2198, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_times_survive_the_filters_form(naive: datetime, minutes: int) -> None:
    moment = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    written = format_time(moment)
    assert parse_time(written) == moment
    assert written.endswith("+0000")
    with pytest.raises(ValueError, match="no time zone"):
        format_time(naive)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*ITEM, "other"]), VALUES))
def test_no_item_raises_and_what_is_read_is_usable(changes: dict[str, object]) -> None:
    item = parse_recording("acme", {**ITEM, **changes})
    assert item.raw == {**ITEM, **changes} or changes != changes  # noqa: PLR0124 - NaN
    if isinstance(item, Recording):
        assert ID_PATTERN.fullmatch(item.id)
        assert item.ended_at(item.start) >= item.start
        assert all(number is None or 0 <= number < 2**63 for number in (item.size, item.duration_ms))
        texts = (item.call_id, item.direction, item.caller_id, item.dnis, item.cnam, item.file_name)
        assert all("\0" not in text and text.encode() for text in texts if text is not None)


@settings(deadline=None)
@given(JSON | st.builds(lambda embedded, total: {"_embedded": embedded, "total_items": total}, VALUES, VALUES))
def test_a_page_is_read_or_rejected(payload: object) -> None:
    try:
        page = parse_page("acme", payload)
    except BodyRejected:
        return
    assert isinstance(payload, dict)
    embedded = payload.get("_embedded")
    listed = embedded.get("recordings") if isinstance(embedded, dict) else None
    assert len(page.recordings) + len(page.malformed) == len(listed or [])


def test_json_as_it_comes_off_the_wire_is_read() -> None:
    good = r'{"id":7,"start":"2019-01-01T00:00:00Z","cnam":"\ud800"}'
    text = '{"_embedded":{"recordings":[{"id":1e400,"start":NaN},' + good + "]}}"
    page = parse_page("acme", json.loads(text))
    assert [item.cnam for item in page.recordings] == ["\ufffd"]
    assert len(page.malformed) == 1


def test_an_unreadable_item_stands_between_its_neighbours() -> None:
    """Or at its own start, where that can be read; at the edge of a page one side stays open."""
    one, two = ({"id": number, "start": f"2024-03-0{number}T09:00:00+0000"} for number in (1, 2))
    nameless = {"start": "2024-03-05T09:00:00+0000"}
    items = [{"id": 7}, one, {"id": 8}, two, {"id": 9}, nameless]
    page = parse_page("acme", {"_embedded": {"recordings": items}})
    first, second, fifth = (datetime(2024, 3, day, 9, tzinfo=UTC) for day in (1, 2, 5))
    places = [(item.since, item.until) for item in page.malformed]
    assert places == [(None, first), (first, second), (second, None), (fifth, fifth)]
