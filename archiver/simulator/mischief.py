"""Applies a scripted fault: from an answer to a worse answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from itertools import chain, repeat

from archiver.simulator.audio import BLOCK_SIZE, SMALLEST
from archiver.simulator.faults import (
    Changed,
    CutAfter,
    Document,
    Empty,
    EmptyListing,
    Extra,
    Flip,
    Garbage,
    Html,
    Instead,
    JsonError,
    NeverEnds,
    Redirect,
    Revoke,
    StallAfter,
    Status,
    Stream,
    Truncate,
    Upon,
)
from archiver.simulator.malformed import malformed_item
from archiver.simulator.replies import Ending, Headers, Reply, fault_reply, json_reply
from archiver.simulator.throttle import retry_after_header

_HTML = b"<!DOCTYPE html><html><head><title>Service error</title></head><body>Something went wrong.</body></html>\n"
_JSON_ERROR = b'{"error":"recording not available","code":500,"retry":true}'
_ENDINGS: Mapping[type, Ending] = {CutAfter: Ending.CUT, StallAfter: Ending.STALLED}
_DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
_JSON = "application/json"
_GARBAGE = b'{"_embedded":{"recordings":[{"id":193228,"start":"2019-01-0'


def instead(action: Instead, now: datetime) -> Reply:
    """Return the answer that takes the operation's place."""
    match action:
        case Status():
            return fault_reply(action.code, headers=_retry_after(action, now))
        case Html():
            return Reply(content_type=action.content_type, chunks=(_HTML,))
        case JsonError():
            return Reply(content_type=action.content_type, chunks=(_JSON_ERROR,))
        case Garbage():
            return Reply(chunks=(_GARBAGE,))
        case Redirect():
            return Reply(status=302, content_type="text/plain", headers=(("Location", action.location),))
        case Revoke():
            return fault_reply(401)


def _retry_after(action: Status, now: datetime) -> Headers:
    if action.retry_after is None:
        return ()
    return retry_after_header(action.retry_after, now, as_date=action.as_date)


def upon(action: Upon, reply: Reply, count: int) -> Reply:
    """Return the operation's answer, spoilt. A fault that does not fit a refused operation leaves it alone."""
    if reply.status not in _DONE:
        return reply
    if isinstance(action, Document):
        return _redone(action, reply)
    ending = _ENDINGS.get(type(action), Ending.WHOLE)
    open_ended = ending is not Ending.WHOLE or isinstance(action, NeverEnds)
    chunks = _spoilt(action, reply.chunks, count)
    return replace(reply, chunks=chunks, chunked=reply.chunked or open_ended, ending=ending)


def _spoilt(action: Stream, chunks: Iterable[bytes], count: int) -> Iterable[bytes]:
    match action:
        case CutAfter() | StallAfter() | Truncate():
            return _first(chunks, action.size)
        case Empty():
            return ()
        case NeverEnds():
            return chain(chunks, repeat(bytes(BLOCK_SIZE)))
        case Extra():
            return chain(chunks, (bytes(action.size),))
        case Flip():
            return _flipped(chunks, count)


def _first(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    left = size
    for chunk in chunks:
        if left <= 0:
            return
        yield chunk[:left]
        left -= len(chunk)


def _flipped(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    # Behind the frame header, so that the first bytes still look like audio; a place of its own each time.
    for number, chunk in enumerate(chunks):
        if number:
            yield chunk
            continue
        turn, place = divmod(count - 1, min(SMALLEST, len(chunk)) - 4)
        spoilt = bytearray(chunk)
        spoilt[4 + place] ^= 1 << (turn % 8)
        yield bytes(spoilt)


def _redone(action: Document, reply: Reply) -> Reply:
    if reply.content_type != _JSON:
        return reply
    rewritten = json_reply(_rewritten(action, json.loads(reply.body())))
    return replace(reply, chunks=rewritten.chunks)


def _rewritten(action: Document, document: dict[str, object]) -> dict[str, object]:
    if isinstance(action, Changed):
        return {**document, **action.fields}
    if isinstance(action, EmptyListing):
        return {**document, "_embedded": {"recordings": []}, "total_items": 0, "total_pages": 0}
    embedded = document["_embedded"]
    items = embedded["recordings"] if isinstance(embedded, dict) else []
    like = items[0] if items else None
    return {**document, "_embedded": {"recordings": [*items, *(malformed_item(kind, like) for kind in action.kinds)]}}
