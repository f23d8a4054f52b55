"""One authorised request to the source, made to succeed: quota, token, redirects, retries, and what they count."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from archiver.adapters.http_client import discard, location_of, may_be_followed, same_origin
from archiver.adapters.http_dates import read_date
from archiver.adapters.http_outcomes import (
    LIBRARY_ERRORS,
    Outcome,
    error_of,
    original,
    outcome_of_exception,
    outcome_of_status,
)
from archiver.adapters.limiter import PATIENCE, Clock, Limiter, Sleep, utc_now
from archiver.adapters.token import TokenProvider
from archiver.core.incidents import Repeats
from archiver.core.timing import Durations
from archiver.errors import ArchiverError, BodyRejected, Throttled, Transient, Unreachable

log = structlog.get_logger()
T = TypeVar("T")

_ATTEMPTS = 4
_APART = frozenset({"export", "retrieve"})  # all goes on without them
_REDIRECTS = 3
_LONGEST_WAIT = 30.0  # seconds between two attempts
_HEADERS_SECONDS = 180.0  # for an answer to begin, however slowly its headers drip


@dataclass(slots=True, kw_only=True)
class Call:
    """One logical request and how far it has come."""

    operation: str
    method: str
    url: httpx.URL
    recording_id: str | None = None
    body: Mapping[str, object] | None = None  # JSON to be sent
    share: float = 1.0  # of the quota, at most so much for calls of its kind
    attempts: int = _ATTEMPTS  # failures after which it is given up
    accept: frozenset[int] = frozenset({200})
    may_leave: bool = False  # a redirect to another origin may be followed, without the token
    still: Callable[[], Awaitable[None]] | None = None  # asked just before the request goes out
    failures: int = field(default=0, init=False)
    cause: str = field(default="", init=False)
    outcome: Outcome = field(default=Outcome.RETRY, init=False)
    refreshed: bool = field(default=False, init=False)
    give_up_at: float | None = field(default=None, init=False)

    @property
    def item(self) -> bool:
        """Whether an answer that refuses it says nothing about all other requests."""
        return self.recording_id is not None or self.operation in _APART

    def failed(self, outcome: Outcome, cause: str) -> ArchiverError:
        """Note why this attempt failed and build its error."""
        self.outcome, self.cause = outcome, cause
        return error_of(outcome, f"{self.operation}: {cause}")

    def misled(self, cause: str) -> ArchiverError:
        """Build the error of a redirect that is not followed: one recording's trouble, or the listing's."""
        return self.failed(Outcome.SKIP if self.item else Outcome.REDIRECT, cause)


class SourceHttp:
    """Sends the requests of one account. `requests_sent`, `sent`, `retries` (by cause) and `took` only ever grow."""

    def __init__(
        self,
        *,
        account: str,
        origin: httpx.URL,
        tokens: TokenProvider,
        limiter: Limiter,
        client: httpx.AsyncClient,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`origin` is the one place that the bearer token goes to, and the one whose clock is looked at."""
        self._account, self._origin = account, origin
        self._tokens, self._limiter, self._client = tokens, limiter, client
        self._sleep, self._clock, self._now = sleep, clock, now
        self.clock_ahead: timedelta | None = None  # of the origin over ours, whole seconds; None: it has not said
        self.requests_sent = 0
        self.sent: Counter[str] = Counter()  # requests by operation
        self.retries: Counter[str] = Counter()
        self.repeats = Repeats()  # of requests for single recordings, since they were last taken
        self.took: defaultdict[str, Durations] = defaultdict(Durations)  # until an answer began, by operation

    def count_on(self, earlier: SourceHttp) -> None:
        """Begin to count where an earlier one has ended."""
        self.requests_sent += earlier.requests_sent
        self.sent += earlier.sent
        self.retries += earlier.retries
        for operation, spent in earlier.took.items():
            self.took[operation].add(spent)

    async def run(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        """Make attempts until one succeeds. Raises the last one's error, Unreachable where retrying was no help."""
        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception_type((Transient, Unreachable)),
            stop=lambda state: self._enough(call, state),
            wait=lambda state: _wait(call, state),
            before_sleep=lambda state: self._note_retry(call, state),
            reraise=True,
        )
        try:
            return await retrying(_counted, call, attempt)
        except Transient as error:
            if call.outcome is Outcome.UNREACHABLE:  # no token to be had: nothing else will work either
                raise Unreachable(str(error), hint=error.hint) from error
            raise

    async def open(self, call: Call) -> httpx.Response:
        """Send once, body unread; the caller closes. A refused token is refreshed once in a call's life."""
        token = await self._token(call, None)
        response = await self._follow(call, token)
        if response.status_code == httpx.codes.UNAUTHORIZED and not call.refreshed:
            await discard(response)
            call.refreshed = True
            self.retries["status_401"] += 1
            token = await self._token(call, token)
            response = await self._follow(call, token)
        if response.status_code in call.accept:
            return response
        raise await self._reject(call, response)

    def translated(self, call: Call, error: BaseException) -> BaseException:
        """Turn a library's exception into ours. What is a bug stays what it is."""
        outcome = outcome_of_exception(error)
        return error if outcome is Outcome.BUG else call.failed(outcome, type(original(error)).__name__)

    async def _token(self, call: Call, stale: str | None) -> str:
        call.outcome, call.cause = Outcome.UNREACHABLE, "token"
        token = await (self._tokens.token() if stale is None else self._tokens.refresh(stale))
        call.outcome = Outcome.RETRY
        return token

    async def _follow(self, call: Call, token: str) -> httpx.Response:
        """Send, and follow up to three redirects; once the origin is left, the token stays behind."""
        url, authorised = call.url, True
        for _ in range(_REDIRECTS + 1):
            response = await self._send(call, url, token if authorised else None)
            if outcome_of_status(response.status_code, item=True) is not Outcome.REDIRECT:
                return response if authorised else await self._foreign(call, response)
            await discard(response)
            url = self._target(call, url, location_of(response))
            authorised = authorised and same_origin(url, self._origin)
        raise call.misled("too many redirects")

    def _target(self, call: Call, url: httpx.URL, location: str | None) -> httpx.URL:
        """Decide where a redirect may lead. A DELETE is never sent anywhere but where it was meant for."""
        if location is None or call.method != "GET":
            raise call.misled("a redirect that cannot be followed")
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            raise call.misled("a redirect to no valid address") from None
        if not same_origin(target, self._origin) and not (call.may_leave and may_be_followed(target)):
            raise call.misled("a redirect to an origin that is not trusted")
        return target

    async def _foreign(self, call: Call, response: httpx.Response) -> httpx.Response:
        """Another origin's refusal (an expired link, say) tells nothing about the recording or the token."""
        if response.status_code in call.accept:
            return response
        await discard(response)
        raise call.failed(Outcome.RETRY, f"redirect_status_{response.status_code}")

    async def _send(self, call: Call, url: httpx.URL, token: str | None) -> httpx.Response:
        sent_at = await self._limiter.acquire(call.share) if token is not None else self._clock()
        if call.still is not None:  # waiting for the quota can take minutes
            await call.still()
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        request = self._client.build_request(call.method, url, headers=headers, json=call.body)
        self.requests_sent += 1
        self.sent[call.operation] += 1
        began = self._clock()
        try:
            async with asyncio.timeout(_HEADERS_SECONDS):
                response = await self._client.send(request, stream=True)
        except LIBRARY_ERRORS as error:
            # Its representation may hold the request's headers, so it is cut off.
            if token is None:
                raise call.failed(Outcome.RETRY, f"redirect_{type(original(error)).__name__}") from None
            raise self.translated(call, error) from None
        self.took[call.operation].observe(self._clock() - began)
        if token is not None:
            self._compare_clocks(response)
        if token is not None and self._is_throttled(call, response):
            raise await self._throttled(call, response, sent_at)
        return response

    def _compare_clocks(self, response: httpx.Response) -> None:
        """Learn the origin's time from an answer whose headers have just come; one without a date changes nothing."""
        if (there := read_date(response.headers.get("date", ""))) is not None:
            self.clock_ahead = there - self._now().replace(microsecond=0)

    def _is_throttled(self, call: Call, response: httpx.Response) -> bool:
        outcome = outcome_of_status(response.status_code, item=call.item, retry_after="retry-after" in response.headers)
        return outcome is Outcome.THROTTLED

    async def _throttled(self, call: Call, response: httpx.Response, sent_at: float) -> Throttled:
        await discard(response)
        teaches = response.status_code == httpx.codes.TOO_MANY_REQUESTS
        wait = await self._limiter.throttled(sent_at, response.headers.get("retry-after"), teaches=teaches)
        call.outcome, call.cause = Outcome.THROTTLED, f"status_{response.status_code}"
        log.warning("source_throttled", account=self._account, operation=call.operation, wait=round(wait, 1))
        return Throttled(f"{call.operation}: the source asked for a pause", retry_after=wait)

    async def _reject(self, call: Call, response: httpx.Response) -> ArchiverError:
        await discard(response)
        outcome = outcome_of_status(response.status_code, item=call.item)
        # A success that the operation does not know (204 to a listing, 206 to a download) is no success.
        return call.failed(Outcome.RETRY if outcome is Outcome.DONE else outcome, f"status_{response.status_code}")

    def _enough(self, call: Call, state: RetryCallState) -> bool:
        """Say whether to stop: after four failures, or when throttling would take longer than patience allows."""
        if not isinstance(_error(state), Throttled):
            return call.failures >= call.attempts
        now = self._clock()
        call.give_up_at = call.give_up_at or now + PATIENCE
        return now + self._limiter.paused_for() > call.give_up_at

    def _note_retry(self, call: Call, state: RetryCallState) -> None:
        self.retries[call.cause] += 1
        if call.recording_id is not None:
            self.repeats.note(call.recording_id, call.cause)
        log.info(
            "request_retried",
            account=self._account,
            operation=call.operation,
            recording_id=call.recording_id,
            cause=call.cause,
            attempt=state.attempt_number,
            wait=round(state.upcoming_sleep, 2),
        )


async def _counted(call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
    """Make one attempt, and note the failures that the retries are counted by."""
    try:
        return await attempt(call)
    except Throttled:
        call.outcome = Outcome.THROTTLED
        raise
    except BodyRejected:
        call.outcome, call.cause = Outcome.RETRY, "body_rejected"
        call.failures += 1
        raise
    except (Transient, Unreachable):
        call.failures += 1
        raise


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _wait(call: Call, state: RetryCallState) -> float:
    """Seconds to the next attempt: doubling, jittered. After throttling none: the limiter holds it back."""
    if isinstance(_error(state), Throttled):
        return 0.0
    return min(2.0 ** (call.failures - 1), _LONGEST_WAIT) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
