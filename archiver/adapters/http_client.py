"""The HTTP client for the source: httpx over aiohttp, with bounds on everything that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

import archiver
from archiver.adapters.http_outcomes import LIBRARY_ERRORS
from archiver.errors import BodyRejected

CHUNK = 64 * 1024  # bytes: what aiohttp buffers; a quarter less CPU than the transport's own 16 KiB
_ANSWER_SECONDS = 300.0  # for a whole answer that is read into memory, however slowly it drips
_DISCARD = 64 * 1024  # bytes of an error's body that are worth reading to keep the connection


class _Transport(AiohttpTransport):
    """Reads bodies in larger pieces, and keeps a redirect's Location from httpx, which raises for an unusual one."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, AiohttpResponseStream):
            response.stream.CHUNK_SIZE = CHUNK
        response.extensions["location"] = response.headers.pop("location", None)
        return response


def make_client(
    *,
    concurrency: int = 16,
    proxy: str | None = None,
    connect_timeout: float = 10.0,
    read_timeout: float = 60.0,
) -> httpx.AsyncClient:
    """Construct a client for one account. Timeouts in seconds; `read_timeout` is for one stall, not for a body.

    Follows no redirect by itself, keeps no cookie, and asks no environment variable but SSL_CERT_FILE and
    SSL_CERT_DIR; see `environment_proxy` for the proxy.
    """
    context = httpx.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=concurrency + 4, ssl=context, keepalive_timeout=30.0)
        opened = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=CHUNK)
        # aiohttp sends a request again by itself when the connection breaks: past the quota, and uncounted.
        opened._retry_connection = False  # noqa: SLF001 - there is no public switch
        return opened

    transport = _Transport(verify=context, client=session, proxy=httpx.Proxy(proxy) if proxy else None)
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(read_timeout, connect=connect_timeout, pool=60.0),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        # identity: sizes and digests are of the bytes that the source holds
        headers={"User-Agent": f"call-recording-archiver/{archiver.__version__}", "Accept-Encoding": "identity"},
    )


def environment_proxy(url: str) -> str | None:
    """Look up HTTPS_PROXY and NO_PROXY for an https URL; plain http never goes through a proxy."""
    target = httpx.URL(url)
    if target.scheme != "https" or proxy_bypass(target.host):
        return None
    return getproxies_environment().get("https")


def location_of(response: httpx.Response) -> str | None:
    """Return where a redirect leads, as it came."""
    location = response.extensions.get("location")
    return location if isinstance(location, str) else None


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Compare scheme, host and port."""
    return _origin(one) == _origin(other)


def may_be_followed(url: httpx.URL) -> bool:
    """Say whether a redirect to another origin is safe to follow: https, or plain http on this machine."""
    if url.userinfo or not url.host:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))


def is_loopback(host: str) -> bool:
    """Say whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """Read a whole body. Raises BodyRejected above `limit` bytes, and what the client's libraries raise."""
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(_ANSWER_SECONDS):
        async for part in response.aiter_bytes():
            size += len(part)
            if size > limit:
                raise BodyRejected(f"the answer is larger than {limit} bytes")
            parts.append(part)
    return b"".join(parts)


async def discard(response: httpx.Response) -> None:
    """Finish with an answer whose body does not matter; what goes wrong there does not matter either."""
    with contextlib.suppress(*LIBRARY_ERRORS, BodyRejected):
        async with asyncio.timeout(5.0):
            await read_bounded(response, _DISCARD)
    await close(response)


async def close(response: httpx.Response) -> None:
    """Give the connection back, or drop it when the body was not read to its end."""
    with contextlib.suppress(*LIBRARY_ERRORS):
        await response.aclose()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
