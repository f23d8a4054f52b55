"""Items of a listing that no client should have to read, and yet will."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

Item = dict[str, object]


def _with(**fields: object) -> Callable[[Item], object]:
    return lambda item: {**item, **fields}


def _without(name: str) -> Callable[[Item], object]:
    return lambda item: {key: value for key, value in item.items() if key != name}


def _same(item: Item) -> object:
    return item


# Each kind makes the bad item from a good one of the page; only `id_twice` keeps the good one's id.
KINDS: Mapping[str, Callable[[Item], object]] = MappingProxyType(
    {
        "null_start": _with(start=None),
        "missing_start": _without("start"),
        "start_in_wrong_format": _with(start="01/02/2019 3:04 PM"),
        "start_without_zone": _with(start="2019-01-01T00:00:00"),
        "impossible_start": _with(start="2019-02-30T25:61:00+0000"),
        "start_as_number": _with(start=1546300800),
        "missing_id": _without("id"),
        "null_id": _with(id=None),
        "id_as_text": _with(id="900000001"),
        "id_as_object": _with(id={"value": 900000001}),
        "id_twice": _same,
        "size_as_text": _with(file_size_in_bytes="100000"),
        "negative_size": _with(file_size_in_bytes=-1),
        "size_as_list": _with(file_size_in_bytes=[1]),
        "duration_as_text": _with(duration="60000"),
        "extensions_as_text": _with(extensions="2101"),
        "null_fields": _with(caller_id=None, cnam=None, dnis=None, extensions=None, file_name=None, end=None),
        "unknown_direction": _with(call_direction="SIDEWAYS"),
        "file_name_climbs": _with(file_name="../../etc/passwd"),
        "control_characters": _with(file_name="call\u0000\r\n\u001b[31m.mp3", cnam="\u0000"),
        "outside_window": _with(start="2001-01-01T00:00:00+0000", end="2001-01-01T00:01:00+0000"),
        "not_an_object": lambda _item: "recording",
        "null_item": lambda _item: None,
    },
)
INJECTED_ID = 900_000_001
_FALLBACK: Item = {"id": INJECTED_ID, "start": "2024-01-01T00:00:00+0000", "file_size_in_bytes": 100_000}


def malformed_item(kind: str, like: Item | None) -> object:
    """Make one bad item like a good one of the same page (None: the page has none). Raises KeyError."""
    template = dict(like or _FALLBACK)
    if kind != "id_twice":
        template["id"] = INJECTED_ID
    return KINDS[kind](template)
