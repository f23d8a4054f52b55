"""Query strings of the list operation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from archiver.simulator.account import SimRecording
from archiver.simulator.behaviour import Behaviour, PageZero

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", re.ASCII)
_TEXT_FILTERS = ("call_direction", "call_id", "caller_id", "cnam", "dnis", "extension")
_MOST_DIGITS = 18  # as far as 64 bits go
_NUMBER_FILTERS = ("duration:gte", "duration:lte")
FILTERS = ("start:gte", "start:lte", *_TEXT_FILTERS, *_NUMBER_FILTERS)  # all that an export knows

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """What a list request asked for, as it was sent. None stands for what was left out or makes no sense."""

    since: datetime | None  # in UTC, like `until`
    until: datetime | None
    page: int | None  # by the base that the client takes for the service's
    page_size: int | None  # before any cap


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
    since, until = _seconds(params, "start:gte", -math.inf), _seconds(params, "start:lte", math.inf)
    return Query(
        since=-math.inf if behaviour.ignore_window else since,
        until=math.inf if behaviour.ignore_window else until,
        filters=tuple((name, params[name]) for name in (*_TEXT_FILTERS, *_NUMBER_FILTERS) if name in params),
        descending=order == "start:DESC",
        index=_page_index(params.get("page"), behaviour),
        page_size=min(asked, behaviour.page_size_cap),
    )


def list_request(params: Mapping[str, str]) -> ListRequest:
    """Note what a query string (already decoded) asks for, be it acceptable or not."""
    return ListRequest(
        since=_sent(params, "start:gte", _moment),
        until=_sent(params, "start:lte", _moment),
        page=_sent(params, "page", _from_zero),
        page_size=_sent(params, "page_size", _from_zero),
    )


def _sent(params: Mapping[str, str], name: str, read: Callable[[str, str], T]) -> T | None:
    try:
        return read(params[name], name)
    except (KeyError, ValueError):
        return None


def _from_zero(text: str, name: str) -> int:
    return _whole(text, name, least=0)


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


def _seconds(params: Mapping[str, str], name: str, default: float) -> float:
    return _moment(params[name], name).timestamp() if name in params else default


def _moment(text: str, name: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(f"{name} must look like 2019-01-01T00:00:00+0000")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
