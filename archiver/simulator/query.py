"""Query strings of the list operation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from archiver.simulator.account import SimRecording
from archiver.simulator.behaviour import Behaviour, PageZero

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", re.ASCII)
_TEXT_FILTERS = ("call_direction", "call_id", "caller_id", "cnam", "dnis", "extension")
_MOST_DIGITS = 18  # as far as 64 bits go
_NUMBER_FILTERS = ("duration:gte", "duration:lte")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A list request, understood. `index` counts pages from 0, whatever the service's base."""

    since: float  # seconds since 1970
    until: float
    filters: tuple[tuple[str, str], ...]
    descending: bool
    index: int
    page_size: int

    def matches(self, recording: SimRecording) -> bool:
        """Whether the recording passes every filter beside the window."""
        return all(_passes(recording, name, value) for name, value in self.filters)


def _passes(recording: SimRecording, name: str, value: str) -> bool:
    if name == "duration:gte":
        return recording.duration_ms >= int(value)
    if name == "duration:lte":
        return recording.duration_ms <= int(value)
    if name == "extension":
        return value in {str(extension) for extension in recording.extensions}
    held: Mapping[str, object] = {
        "call_direction": recording.direction,
        "call_id": recording.uuid,
        "caller_id": recording.caller_id,
        "cnam": recording.cnam,
        "dnis": recording.dnis,
    }
    return str(held[name]) == value


def read_query(params: Mapping[str, str], behaviour: Behaviour) -> Query:
    """Understand a query string (already decoded). Raises ValueError with what is wrong with it."""
    order = params.get("order", "start:DESC")
    if order not in {"start:ASC", "start:DESC"}:
        raise ValueError("order must be start:ASC or start:DESC")
    for name in _NUMBER_FILTERS:
        _whole(params.get(name, "0"), name, least=0)
    asked = _whole(params.get("page_size", "10"), "page_size", least=1)
    since, until = _moment(params, "start:gte", -math.inf), _moment(params, "start:lte", math.inf)
    return Query(
        since=-math.inf if behaviour.ignore_window else since,
        until=math.inf if behaviour.ignore_window else until,
        filters=tuple((name, params[name]) for name in (*_TEXT_FILTERS, *_NUMBER_FILTERS) if name in params),
        descending=order == "start:DESC",
        index=_page_index(params.get("page"), behaviour),
        page_size=min(asked, behaviour.page_size_cap),
    )


def _whole(text: str, name: str, *, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) < least:
        raise ValueError(f"{name} must be a whole number from {least}")
    return int(text)


def _page_index(text: str | None, behaviour: Behaviour) -> int:
    base = behaviour.page_base
    page = base if text is None else _whole(text, "page", least=0)
    if page < base and behaviour.page_zero is PageZero.REFUSE:
        raise ValueError(f"page must be a whole number from {base}")
    return max(page - base, 0)


def _moment(params: Mapping[str, str], name: str, default: float) -> float:
    if name not in params:
        return default
    if not _TIME.fullmatch(params[name]):
        raise ValueError(f"{name} must look like 2019-01-01T00:00:00+0000")
    return datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp()
