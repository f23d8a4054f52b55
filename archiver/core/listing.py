"""Read what the recordings API answers: pages, recordings, times. Tolerant of types, strict about keys.

The API's documents contradict themselves (numbers as text, text as numbers, totals that are wrong), so every
field is read for what it can mean. Only the id and the start are required: without them a recording has no key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from archiver.core.model import Malformed, Page, Recording, require_aware
from archiver.errors import BodyRejected

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WHOLE_TEXT = re.compile(r"[0-9]{1,19}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # also what neither UTF-8 nor a database can hold
_LONGEST_ID = 10**64
_LONGEST_TEXT = 500  # characters: an index entry has to hold it; `raw` keeps the whole
_MOST_ITEMS = 1000
_LARGEST = 2**63 - 1  # the catalogue's integers
_LONGEST_CALL_MS = 366 * 24 * 3600 * 1000  # beyond it is junk, and would overflow a date
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def format_time(moment: datetime) -> str:
    """Write a filter's time, `2019-01-01T00:00:00+0000`. Raises ValueError for a naive one."""
    return require_aware(moment).strftime("%Y-%m-%dT%H:%M:%S+0000")


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with a zone (`+0000`, `+05:30`, `Z`), as UTC. Raises ValueError, for naive ones too."""
    try:
        moment = require_aware(datetime.fromisoformat(text.strip()))
    except OverflowError as error:
        raise ValueError("time is out of range") from error
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError("time is out of range")
    return moment


def parse_page(account: str, payload: object) -> Page:
    """Read one page of a listing. Raises BodyRejected for anything else: junk must never look like "no calls"."""
    if not isinstance(payload, Mapping):
        raise BodyRejected("the listing is not a JSON object")
    items = _placed([parse_recording(account, item) for item in _items(payload)])
    return Page(
        recordings=tuple(item for item in items if isinstance(item, Recording)),
        malformed=tuple(item for item in items if isinstance(item, Malformed)),
        number=_whole(payload.get("page")),
        size=_whole(payload.get("page_size")),
        total_items=_whole(payload.get("total_items")),
        total_pages=_whole(payload.get("total_pages")),
    )


def _placed(items: list[Recording | Malformed]) -> list[Recording | Malformed]:
    """Say of each unreadable item between which starts it stands: the listing is asked for in the order of starts."""
    placed, last = list[Recording | Malformed](), None
    for index, item in enumerate(items):
        if isinstance(item, Recording):
            last = item.start
            placed.append(item)
        elif item.since is not None:
            placed.append(item)
        else:
            following = (one.start for one in items[index:] if isinstance(one, Recording))
            placed.append(replace(item, since=last, until=next(following, None)))
    return placed


def parse_recording(account: str, payload: object) -> Recording | Malformed:
    """Read one recording. `raw` stays as it came; text is cleaned; fields that make no sense are None."""
    if not isinstance(payload, Mapping):
        return Malformed(reason="not a JSON object", raw=payload)
    recording_id = _id(payload.get("id"))
    if recording_id is None:
        began = _time(payload.get("start"))
        return Malformed(reason="id is missing or unusable", raw=payload, since=began, until=began)
    start = _time(payload.get("start"))
    if start is None:
        return Malformed(reason="start is missing or is not a time with a zone", raw=payload, id=recording_id)
    end = _time(payload.get("end"))
    return Recording(
        account=account,
        id=recording_id,
        start=start.replace(microsecond=0),
        # An end before the start would let retention count from too early a day.
        end=end if end is not None and end >= start else None,
        duration_ms=_whole(payload.get("duration"), largest=_LONGEST_CALL_MS),
        size=_whole(payload.get("file_size_in_bytes")),
        call_id=_text(payload.get("call_id")),
        direction=_text(payload.get("call_direction")),
        caller_id=_text(payload.get("caller_id")),
        dnis=_text(payload.get("dnis")),
        cnam=_text(payload.get("cnam")),
        extensions=_texts(payload.get("extensions")),
        rule_ids=_texts(payload.get("rule_ids")),
        file_name=_text(payload.get("file_name")),
        raw=payload,
    )


def _items(payload: Mapping[str, object]) -> Iterable[object]:
    """List the page's items. Only an explicit list, or an explicit total of zero, says that there are none."""
    embedded = payload.get("_embedded")
    recordings = embedded.get("recordings") if isinstance(embedded, Mapping) else embedded
    if isinstance(embedded, Mapping) and isinstance(recordings, list):
        return recordings
    if recordings is None and _whole(payload.get("total_items")) == 0:
        return ()  # HAL servers leave `_embedded` out of an empty result
    raise BodyRejected("the listing has no list of recordings")


def _id(value: object) -> str | None:
    """Text of an id that is safe in a path and in a key."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, int):
        return str(value) if 0 <= value < _LONGEST_ID else None
    return value if ID_PATTERN.fullmatch(value) else None


def _time(value: object) -> datetime | None:
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _whole(value: object, *, largest: int = _LARGEST) -> int | None:
    """Read a non-negative whole number, also out of text or out of 12.0."""
    number: int | None = None
    if isinstance(value, str):
        number = int(value) if _WHOLE_TEXT.fullmatch(value.strip()) else None
    elif isinstance(value, float):
        number = int(value) if math.isfinite(value) and value.is_integer() else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    return number if number is not None and 0 <= number <= largest else None


def _text(value: object) -> str | None:
    """Read text or a number as text without control characters; None where there is none."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_ID:
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    return _UNPRINTABLE.sub("\ufffd", value[:_LONGEST_TEXT])


def _texts(value: object) -> tuple[str, ...]:
    """Read a list of texts; a single one counts as a list of one."""
    values = value[:_MOST_ITEMS] if isinstance(value, list) else [value]
    return tuple(text for text in map(_text, values) if text is not None)
