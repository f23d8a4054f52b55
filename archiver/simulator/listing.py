"""The JSON of recordings and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from archiver.simulator.account import SimRecording
from archiver.simulator.behaviour import Behaviour, Endless, Numbers, Totals
from archiver.simulator.call import Call
from archiver.simulator.query import Query

BASE_PATH = "/t/vbc.prod/call_recording_india"
_WRONG_PATH = "/t/vbc.prod/call_recordingindia"  # the vendor's own examples of `next` and `last` say so
_INVENTED_FROM = 9_000_000_000

Json = dict[str, object]


def _number(value: int | str | None, numbers: Numbers) -> int | str | None:
    if value is None or numbers is Numbers.AS_STORED:
        return value
    text = str(value)
    if numbers is Numbers.INTEGERS and text.isdigit() and str(int(text)) == text:
        return int(text)
    return text


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def recording_json(recording: SimRecording, call: Call, behaviour: Behaviour) -> Json:
    """Write one recording as the service does, with whatever is wrong about it."""
    began, number = recording.key
    collection = f"{call.origin}{BASE_PATH}/api/accounts/{call.account}/company_call_recordings"
    document: Json = {
        "_links": {"self": {"href": f"{collection}/{number}"}},
        "call_direction": recording.direction,
        "call_id": recording.uuid,
        "caller_id": _number(recording.caller_id, behaviour.numbers),
        "cnam": recording.cnam,
        "dnis": recording.dnis,
        "download_url": f"{behaviour.download_origin or call.origin}{BASE_PATH}/api/audio/recording/{number}",
        "duration": recording.duration_ms,
        "end": _time(began + recording.duration_ms // 1000),
        "extensions": [_number(extension, behaviour.numbers) for extension in recording.extensions],
        "file_name": _file_name(recording),
        "file_size_in_bytes": recording.size if recording.listed_size is None else recording.listed_size,
        "id": number,
        "rule_ids": [1989, 2012],
        "start": _time(began),
        **recording.overlay,
    }
    for name in recording.dropped:
        document.pop(name, None)
    return document


def _file_name(recording: SimRecording) -> str:
    began, number = recording.key
    return recording.file_name or f"730048.{number}.{began}.mp3"


def listed_file_name(recording: SimRecording) -> str:
    """Return the file name that a listing shows; where that is no text, the one that it would show."""
    name = recording.overlay.get("file_name")
    return name if isinstance(name, str) else _file_name(recording)


def filled_up(
    found: Sequence[SimRecording], tail: Sequence[SimRecording], query: Query, endless: Endless
) -> list[SimRecording]:
    """Fill a page at or beyond the end of a listing that never ends. `tail` is the last full page of it."""
    missing = query.page_size - len(found)
    if endless is Endless.REPEATING or not tail:
        return [*found, *tail[:missing]]
    first = _INVENTED_FROM + query.index * query.page_size
    return [*found, *(replace(tail[-1], id=first + offset) for offset in range(missing))]


def page_json(items: Sequence[Json], total: int, query: Query, call: Call, behaviour: Behaviour) -> Json:
    """Write one page: the items, the links (two of them wrong, as documented), and the claims about the whole."""
    claimed = max(0, total + behaviour.totals_off_by)
    pages = -(-claimed // query.page_size)
    document: Json = {
        "_embedded": {"recordings": list(items)},
        "_links": _links(query.index, max(pages, 1), call, behaviour),
        "page": query.index + behaviour.page_base,
        "page_size": query.page_size,
        "total_items": claimed,
        "total_pages": pages,
    }
    if behaviour.totals is Totals.ZERO:
        document.update(page=0, page_size=0, total_items=0, total_pages=0)
    elif behaviour.totals is Totals.PAGE:
        document.update(total_items=max(0, len(items) + behaviour.totals_off_by), total_pages=1)
    elif behaviour.totals is Totals.ABSENT:
        del document["total_items"], document["total_pages"]
    return document


def _links(index: int, pages: int, call: Call, behaviour: Behaviour) -> Json:
    targets = {"first": 0, "prev": index - 1, "self": index, "next": index + 1, "last": pages - 1}
    if index == 0:
        del targets["prev"]
    if index >= pages - 1 and behaviour.endless is Endless.NO:
        del targets["next"]
    links: Json = {}
    for name, target in targets.items():
        path = _WRONG_PATH if name in {"next", "last"} else BASE_PATH
        text = urlencode({**call.params, "page": str(target + behaviour.page_base)})
        links[name] = {"href": f"{call.origin}{path}/api/accounts/{call.account}/company_call_recordings?{text}"}
    return links
