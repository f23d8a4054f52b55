"""Bodies of the source's answers: JSON that is read whole, and streams that must keep coming."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import httpx

from archiver.adapters.http_client import close, read_bounded
from archiver.adapters.http_outcomes import LIBRARY_ERRORS, Outcome, original, outcome_of_exception
from archiver.adapters.limiter import Clock
from archiver.adapters.source_http import Call, SourceHttp
from archiver.errors import BodyRejected, Transient

T = TypeVar("T")

_GRACE_SECONDS = 300.0  # of waiting for a body before its pace counts
_LENGTH_DIGITS = 18
_SLOWEST = 1024.0  # bytes a second: slower than this a body counts as stalled


async def chunks_of(call: Call, response: httpx.Response, clock: Clock) -> AsyncIterator[bytes]:
    """Yield the body. Raises Transient when it breaks, stalls, or drips without end."""
    received, waited, since = 0, 0.0, clock()
    try:
        async for chunk in response.aiter_bytes():
            received += len(chunk)
            waited += clock() - since
            if waited > _GRACE_SECONDS + received / _SLOWEST:
                raise Transient(f"{call.operation}: the body comes too slowly")
            yield chunk
            since = clock()  # the time that the consumer takes is not the source's
    except LIBRARY_ERRORS as error:
        raise _broken(call, error) from None


async def read_json(http: SourceHttp, call: Call, limit: int, parse: Callable[[object], T]) -> T:
    """Send, read and parse; junk in a body is tried again like any other failure. `limit` is in bytes."""

    async def attempt(call: Call) -> T:
        response = await http.open(call)
        try:
            body = await read_bounded(response, limit)
        except LIBRARY_ERRORS as error:
            raise _broken(call, error) from None
        finally:
            await close(response)
        return parse(_decoded(body))

    return await http.run(call, attempt)


def _decoded(body: bytes) -> object:
    try:
        payload: object = json.loads(body, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BodyRejected("the answer is not JSON") from None
    return payload


def _finite(text: str) -> float | str:
    """Read a number; one beyond all bounds stays text, as `NaN` does: no database would take it as JSON."""
    number = float(text)
    return number if math.isfinite(number) else text


def _broken(call: Call, error: BaseException) -> BaseException:
    """Translate what went wrong in the middle of a body: whatever it was, another try may do better."""
    if outcome_of_exception(error) is Outcome.BUG:
        return error
    return call.failed(Outcome.RETRY, type(original(error)).__name__)


def content_length(headers: httpx.Headers) -> int | None:
    """Read Content-Length where it counts the bytes that will be yielded."""
    text = headers.get("content-length", "")
    encoded = headers.get("content-encoding", "identity").lower() != "identity"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS and not encoded else None
