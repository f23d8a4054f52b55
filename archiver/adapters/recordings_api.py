"""The recordings API of one account: list, get one, delete one, download. Implements `ports.RecordingSource`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import httpx

from archiver.adapters.exports_api import ExportsApi
from archiver.adapters.http_client import close, discard
from archiver.adapters.limiter import Clock, Limiter, Sleep, utc_now
from archiver.adapters.source_bodies import chunks_of, content_length, read_json
from archiver.adapters.source_http import Call, SourceHttp
from archiver.adapters.token import TokenProvider
from archiver.core.incidents import Repeats
from archiver.core.listing import ID_PATTERN, format_time, parse_page, parse_recording
from archiver.core.model import Malformed, Page, Recording, Slice
from archiver.core.timing import Durations
from archiver.errors import BodyRejected, ConfigError, SkipItem
from archiver.stages.ports import AudioStream

_PAGE_LIMIT = 64 * 1024 * 1024  # bytes of one page
_RECORDING_LIMIT = 4 * 1024 * 1024  # bytes of one recording's metadata
HALF = 0.5  # of the quota: deleting must leave room for archiving, also that of another process


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
        export_user: str | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`account` is the name in the configuration, `account_id` the source's. Raises ConfigError.

        `export_user` is the login name that exports are fetched under.
        """
        base = _base(base_url, account_id)
        self._account, self._clock, self.tokens = account, clock, tokens
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
        self.exports = ExportsApi(self._http, base=base, collection=self._recordings, user=export_user, clock=clock)

    def count_on(self, earlier: RecordingsApi) -> None:
        """Begin to count where an earlier one of the same account has ended."""
        self._http.count_on(earlier._http)

    @property
    def requests_sent(self) -> int:
        """How many requests went out so far, retries and redirects included."""
        return self._http.requests_sent

    @property
    def sent(self) -> Counter[str]:
        """The same by operation."""
        return self._http.sent.copy()

    @property
    def took(self) -> dict[str, Durations]:
        """How long answers took to begin, by operation."""
        return dict(self._http.took)

    @property
    def retries(self) -> Counter[str]:
        """How many attempts were repeated so far, by cause."""
        return self._http.retries.copy()

    @property
    def repeats(self) -> Repeats:
        """The recordings whose requests were made again, since they were last taken."""
        return self._http.repeats

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
        return await read_json(self._http, call, _PAGE_LIMIT, lambda payload: parse_page(self._account, payload))

    async def get(self, recording_id: str) -> Recording:
        """Read one recording. Raises NotFound, and BodyRejected when the answer is not about this recording."""
        call = self._item("get", "GET", self._recordings, recording_id)
        call.share = HALF  # it is asked before something is deleted
        return await read_json(self._http, call, _RECORDING_LIMIT, lambda payload: self._same(recording_id, payload))

    async def delete(self, recording_id: str, *, still: Callable[[], Awaitable[None]]) -> bool:
        """Delete one recording. True: deleted now (204, 200, 202). False: it was already gone (404, 410).

        `still` is asked just before each request goes out; what it raises ends it.
        """
        call = self._item("delete", "DELETE", self._recordings, recording_id)
        call.still, call.share = still, HALF
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
                content_length=content_length(response.headers),
                chunks=chunks_of(call, response, self._clock),
            )
        finally:
            await close(response)

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
