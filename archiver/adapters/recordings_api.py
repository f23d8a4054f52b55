"""The recordings API of one account: list, get one, delete one, download. Implements `ports.RecordingSource`."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlencode

import httpx

from archiver.adapters.http_client import close, discard, read_bounded
from archiver.adapters.http_outcomes import LIBRARY_ERRORS, Outcome, original, outcome_of_exception
from archiver.adapters.limiter import Clock, Limiter, Sleep, utc_now
from archiver.adapters.source_http import Call, SourceHttp
from archiver.adapters.token import TokenProvider
from archiver.core.listing import ID_PATTERN, format_time, parse_page, parse_recording
from archiver.core.model import Malformed, Page, Recording, Slice
from archiver.errors import BodyRejected, ConfigError, SkipItem, Transient
from archiver.stages.ports import AudioStream

T = TypeVar("T")

_PAGE_LIMIT = 64 * 1024 * 1024  # bytes of one page
_RECORDING_LIMIT = 4 * 1024 * 1024  # bytes of one recording's metadata
_GRACE_SECONDS = 300.0  # of waiting for audio before its pace counts
_LENGTH_DIGITS = 18
_SLOWEST = 1024.0  # bytes a second: slower than this a body counts as stalled


class RecordingsApi:
    """One account of the API. All waiting goes through `sleep`, all measuring through `clock`, the time is `now`."""

    def __init__(
        self,
        *,
        base_url: str,
        account: str,
        account_id: str,
        tokens: TokenProvider,
        limiter: Limiter,
        client: httpx.AsyncClient,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`account` is the name in the configuration, `account_id` the source's. Raises ConfigError."""
        base = _base(base_url, account_id)
        self._account, self._clock = account, clock
        self._recordings = f"{base}/api/accounts/{quote(account_id, safe='')}/company_call_recordings"
        self._audio = f"{base}/api/audio/recording"
        self._http = SourceHttp(
            account=account,
            origin=httpx.URL(base),
            tokens=tokens,
            limiter=limiter,
            client=client,
            sleep=sleep,
            clock=clock,
            now=now,
        )

    @property
    def requests_sent(self) -> int:
        """How many requests went out so far, retries and redirects included."""
        return self._http.requests_sent

    @property
    def retries(self) -> Counter[str]:
        """How many attempts were repeated so far, by cause."""
        return self._http.retries.copy()

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far the source's clock is ahead of ours, by its last answer, in whole seconds. None: it has not said."""
        return self._http.clock_ahead

    async def list_page(self, window: Slice, *, page: int, page_size: int) -> Page:
        """List calls that start inside the slice, oldest first. Raises BodyRejected for what is no listing."""
        query = {
            "start:gte": format_time(window.since),
            "start:lte": format_time(window.until),
            "order": "start:ASC",
            "page": str(page),
            "page_size": str(page_size),
        }
        call = Call(operation="list", method="GET", url=httpx.URL(f"{self._recordings}?{urlencode(query)}"))
        return await self._read(call, _PAGE_LIMIT, lambda payload: parse_page(self._account, payload))

    async def get(self, recording_id: str) -> Recording:
        """Read one recording. Raises NotFound, and BodyRejected when the answer is not about this recording."""
        call = self._item("get", "GET", self._recordings, recording_id)
        return await self._read(call, _RECORDING_LIMIT, lambda payload: self._same(recording_id, payload))

    async def delete(self, recording_id: str, *, still: Callable[[], Awaitable[None]]) -> bool:
        """Delete one recording. True: deleted now (204, 200, 202). False: it was already gone (404, 410).

        `still` is asked just before each request goes out; what it raises ends it.
        """
        call = self._item("delete", "DELETE", self._recordings, recording_id)
        call.still = still
        call.accept = frozenset({200, 202, 204, 404, 410})
        response = await self._http.run(call, self._http.open)
        await discard(response)
        return response.is_success

    def download(self, recording_id: str) -> AbstractAsyncContextManager[AudioStream]:
        """Open the audio; the address is built from the base URL, a listed `download_url` is never followed."""
        return self._download(recording_id)

    @asynccontextmanager
    async def _download(self, recording_id: str) -> AsyncIterator[AudioStream]:
        call = self._item("download", "GET", self._audio, recording_id)
        call.may_leave = True
        response = await self._http.run(call, self._http.open)
        try:
            yield AudioStream(
                content_type=response.headers.get("content-type"),
                content_length=_content_length(response.headers),
                chunks=self._chunks(call, response),
            )
        finally:
            await close(response)

    async def _chunks(self, call: Call, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the body. Raises Transient when it breaks, stalls, or drips without end."""
        received, waited, since = 0, 0.0, self._clock()
        try:
            async for chunk in response.aiter_bytes():
                received += len(chunk)
                waited += self._clock() - since
                if waited > _GRACE_SECONDS + received / _SLOWEST:
                    raise Transient("download: the body comes too slowly")
                yield chunk
                since = self._clock()  # the time that the consumer takes is not the source's
        except LIBRARY_ERRORS as error:
            raise _broken(call, error) from None

    async def _read(self, call: Call, limit: int, parse: Callable[[object], T]) -> T:
        """Send, read and parse; junk in a body is tried again like any other failure."""

        async def attempt(call: Call) -> T:
            response = await self._http.open(call)
            try:
                body = await read_bounded(response, limit)
            except LIBRARY_ERRORS as error:
                raise _broken(call, error) from None
            finally:
                await close(response)
            return parse(_decoded(body))

        return await self._http.run(call, attempt)

    def _item(self, operation: str, method: str, collection: str, recording_id: str) -> Call:
        """Build the request for one recording. Raises SkipItem for an id that would name something else."""
        if not ID_PATTERN.fullmatch(recording_id):
            raise SkipItem(f"{operation}: the recording id is not usable")
        url = httpx.URL(f"{collection}/{quote(recording_id, safe='')}")
        return Call(operation=operation, method=method, url=url, recording_id=recording_id)

    def _same(self, recording_id: str, payload: object) -> Recording:
        """Read the answer to `get`; a deletion stands on it, so it must be about the recording that was asked for."""
        recording = parse_recording(self._account, payload)
        if isinstance(recording, Malformed):
            raise BodyRejected(f"get: {recording.reason}")
        if recording.id != recording_id:
            raise BodyRejected("get: the answer is about another recording")
        return recording


def _base(base_url: str, account_id: str) -> str:
    """Check what every address is built from."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ConfigError("base_url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
        raise ConfigError("base_url must be http(s)://host/path, without credentials and query")
    if account_id in ("", ".", ".."):
        raise ConfigError("account_id is not usable", hint="give the account's number, or: self")
    return base_url.rstrip("/")


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


def _content_length(headers: httpx.Headers) -> int | None:
    """Read Content-Length where it counts the bytes that will be yielded."""
    text = headers.get("content-length", "")
    encoded = headers.get("content-encoding", "identity").lower() != "identity"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS and not encoded else None
