"""Signs of life for dead-man switches: somebody else's clock raises the alarm when they stay away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Literal

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from archiver.adapters.http_client import discard, environment_proxy, make_client
from archiver.adapters.http_outcomes import LIBRARY_ERRORS
from archiver.errors import NotFound, Transient

PATIENCE = 10.0  # seconds for one try
TRIES = 3
Sleep = Callable[[float], Awaitable[None]]
Style = Literal["healthchecks", "heartbeat"]


class Sign(StrEnum):
    """What a sign of life says; the value is the path behind the address."""

    START = "/start"
    SUCCESS = ""
    FAILURE = "/fail"
    LOG = "/log"  # a note that changes nothing


class Heartbeat:
    """One address."""

    def __init__(self, url: str, style: Style, *, patience: float = PATIENCE, sleep: Sleep = asyncio.sleep) -> None:
        """`style`: whether it knows more than the plain address. `patience`: seconds for one try."""
        self._style, self._patience, self._sleep = style, patience, sleep
        self._client = make_client(concurrency=1, proxy=environment_proxy(url))
        self.renew(url)

    def renew(self, url: str) -> None:
        """Use another address from the next sign of life on; by the same proxy."""
        self._address, _, self._query = url.partition("?")

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._client.aclose()

    async def send(self, sign: Sign, body: str) -> None:
        """Send a sign of life; what the other side does not know is left out. Raises Transient or NotFound."""
        if self._style == "heartbeat" and sign is not Sign.SUCCESS:
            return
        tries = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(initial=1, max=5),
            sleep=self._sleep,
            reraise=True,
        )
        await tries(self._once, sign, body)

    async def _once(self, sign: Sign, body: str) -> None:
        url = f"{self._address}{sign.value}{'?' if self._query else ''}{self._query}"
        try:
            method = "GET" if self._style == "heartbeat" else "POST"
            request = self._client.build_request(method, url, content=body.encode() if method == "POST" else None)
            async with asyncio.timeout(self._patience):
                response = await self._client.send(request, stream=True)
                status = response.status_code
                await discard(response)
        except (*LIBRARY_ERRORS, httpx.InvalidURL, TimeoutError) as error:
            raise Transient(f"no answer ({type(error).__name__})") from None  # its text may quote the address
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Transient(f"HTTP {status}")
        if status >= httpx.codes.MULTIPLE_CHOICES:
            raise NotFound(f"HTTP {status}")
