"""What to do about an HTTP status or a library's exception: one table for each, and the error that follows."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from enum import StrEnum

import aiohttp
import httpx
from aiohttp import client_exceptions, http_exceptions
from httpx import codes

from archiver import errors


class Outcome(StrEnum):
    """What follows from one answer, or from the lack of one."""

    DONE = "done"
    REDIRECT = "redirect"
    RETRY = "retry"  # then give this item up for now
    THROTTLED = "throttled"  # try again after the pause
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name, not a secret
    NOT_FOUND = "not_found"
    SKIP = "skip"  # this item cannot be had; the others can
    UNREACHABLE = "unreachable"  # try again, then stop the stage
    STOP_STAGE = "stop_stage"
    DENIED = "denied"  # a person must grant a right: stop the daemon
    STOP_DAEMON = "stop_daemon"  # the configuration is wrong
    BUG = "bug"  # our own misuse of a library: let it surface


# What the status of a request about one recording means; other 4xx: SKIP, other 5xx: RETRY.
_ITEM: Mapping[int, Outcome] = {
    401: Outcome.REFRESH_TOKEN,
    404: Outcome.NOT_FOUND,
    407: Outcome.STOP_STAGE,  # the proxy's doing, not the recording's
    408: Outcome.RETRY,
    409: Outcome.RETRY,
    410: Outcome.NOT_FOUND,
    421: Outcome.RETRY,
    423: Outcome.RETRY,
    425: Outcome.RETRY,
    429: Outcome.THROTTLED,
    501: Outcome.SKIP,
    505: Outcome.STOP_STAGE,
    511: Outcome.STOP_STAGE,  # a captive portal answered
}
# The same for a listing, where it differs: no item is to blame; other 4xx: STOP_STAGE, other 5xx: UNREACHABLE.
_LISTING: Mapping[int, Outcome] = {
    **_ITEM,
    403: Outcome.DENIED,
    404: Outcome.STOP_STAGE,
    410: Outcome.STOP_STAGE,
    501: Outcome.STOP_STAGE,
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

EXCEPTIONS: Mapping[type[BaseException], Outcome] = {
    httpx.HTTPError: Outcome.RETRY,
    httpx.RequestError: Outcome.RETRY,
    httpx.TransportError: Outcome.RETRY,
    httpx.TimeoutException: Outcome.RETRY,
    httpx.ConnectTimeout: Outcome.UNREACHABLE,
    httpx.ReadTimeout: Outcome.RETRY,
    httpx.WriteTimeout: Outcome.RETRY,
    httpx.PoolTimeout: Outcome.RETRY,
    httpx.NetworkError: Outcome.RETRY,
    httpx.ConnectError: Outcome.UNREACHABLE,
    httpx.ReadError: Outcome.RETRY,
    httpx.WriteError: Outcome.RETRY,
    httpx.CloseError: Outcome.RETRY,
    httpx.ProxyError: Outcome.UNREACHABLE,
    httpx.ProtocolError: Outcome.RETRY,
    httpx.RemoteProtocolError: Outcome.RETRY,
    httpx.LocalProtocolError: Outcome.BUG,
    httpx.DecodingError: Outcome.RETRY,
    httpx.UnsupportedProtocol: Outcome.STOP_DAEMON,
    httpx.InvalidURL: Outcome.STOP_DAEMON,
    httpx.TooManyRedirects: Outcome.STOP_STAGE,
    httpx.HTTPStatusError: Outcome.BUG,
    httpx.CookieConflict: Outcome.BUG,
    httpx.StreamError: Outcome.BUG,
    httpx.StreamConsumed: Outcome.BUG,
    httpx.StreamClosed: Outcome.BUG,
    httpx.ResponseNotRead: Outcome.BUG,
    httpx.RequestNotRead: Outcome.BUG,
    aiohttp.ClientError: Outcome.RETRY,
    aiohttp.ClientResponseError: Outcome.RETRY,  # an answer that is not HTTP
    aiohttp.ContentTypeError: Outcome.RETRY,
    aiohttp.WSServerHandshakeError: Outcome.BUG,
    aiohttp.WSMessageTypeError: Outcome.BUG,
    aiohttp.ClientHttpProxyError: Outcome.UNREACHABLE,
    aiohttp.TooManyRedirects: Outcome.STOP_STAGE,
    aiohttp.ClientConnectionError: Outcome.RETRY,
    aiohttp.ClientConnectionResetError: Outcome.RETRY,
    aiohttp.ClientOSError: Outcome.RETRY,
    aiohttp.ClientConnectorError: Outcome.UNREACHABLE,
    aiohttp.ClientConnectorDNSError: Outcome.UNREACHABLE,
    aiohttp.ClientProxyConnectionError: Outcome.UNREACHABLE,
    client_exceptions.UnixClientConnectorError: Outcome.UNREACHABLE,
    aiohttp.ClientSSLError: Outcome.UNREACHABLE,
    aiohttp.ClientConnectorSSLError: Outcome.UNREACHABLE,
    aiohttp.ClientConnectorCertificateError: Outcome.STOP_STAGE,  # no retry makes a certificate trusted
    aiohttp.ServerConnectionError: Outcome.RETRY,
    aiohttp.ServerDisconnectedError: Outcome.RETRY,
    aiohttp.ServerTimeoutError: Outcome.RETRY,
    aiohttp.ConnectionTimeoutError: Outcome.UNREACHABLE,
    aiohttp.SocketTimeoutError: Outcome.RETRY,
    aiohttp.ServerFingerprintMismatch: Outcome.STOP_DAEMON,
    aiohttp.ClientPayloadError: Outcome.RETRY,
    client_exceptions.UploadAbortedError: Outcome.RETRY,
    aiohttp.InvalidURL: Outcome.STOP_DAEMON,
    aiohttp.InvalidUrlClientError: Outcome.STOP_DAEMON,
    aiohttp.NonHttpUrlClientError: Outcome.STOP_DAEMON,
    aiohttp.RedirectClientError: Outcome.STOP_STAGE,
    aiohttp.InvalidUrlRedirectClientError: Outcome.STOP_STAGE,
    aiohttp.NonHttpUrlRedirectClientError: Outcome.STOP_STAGE,
    http_exceptions.HttpProcessingError: Outcome.RETRY,
    OSError: Outcome.RETRY,
    TimeoutError: Outcome.RETRY,
    ConnectionError: Outcome.RETRY,
    ConnectionRefusedError: Outcome.UNREACHABLE,
    socket.gaierror: Outcome.UNREACHABLE,
    ssl.SSLError: Outcome.UNREACHABLE,
    ssl.SSLCertVerificationError: Outcome.STOP_STAGE,
    asyncio.IncompleteReadError: Outcome.RETRY,
}
# Everything that the client's libraries raise; what is in no table is a bug and passes.
LIBRARY_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    http_exceptions.HttpProcessingError,
    asyncio.IncompleteReadError,
    OSError,
)


def outcome_of_status(status: int, *, item: bool, retry_after: bool = False) -> Outcome:
    """What an answer means for a request about one recording (`item`) or for a listing. Total over all integers."""
    if codes.is_success(status):
        return Outcome.DONE
    if status in _REDIRECTS:
        return Outcome.REDIRECT
    if status == codes.SERVICE_UNAVAILABLE and retry_after:
        return Outcome.THROTTLED
    known = (_ITEM if item else _LISTING).get(status)
    if known is not None:
        return known
    if codes.is_client_error(status):
        return Outcome.SKIP if item else Outcome.STOP_STAGE
    return Outcome.RETRY if item else Outcome.UNREACHABLE


def original(error: BaseException) -> BaseException:
    """Undo the transport's renaming: it calls a connection that the source closed a connect timeout."""
    cause = error.__cause__
    return cause if isinstance(error, httpx.HTTPError) and isinstance(cause, aiohttp.ClientError) else error


def outcome_of_exception(error: BaseException) -> Outcome:
    """What a library's exception means; BUG for what is none of theirs."""
    kinds = type(original(error)).__mro__
    return next((EXCEPTIONS[kind] for kind in kinds if kind in EXCEPTIONS), Outcome.BUG)


def error_of(outcome: Outcome, what: str) -> errors.ArchiverError:
    """Build the error to raise for an outcome. `what` names operation and cause, nothing secret."""
    kind, hint = _ERRORS[outcome]
    return kind(what, hint=hint)


_PROXY_HINT = "see whether base_url is right and whether a proxy or firewall answers in its place"
_ERRORS: Mapping[Outcome, tuple[type[errors.ArchiverError], str]] = {
    Outcome.RETRY: (errors.Transient, ""),
    Outcome.UNREACHABLE: (errors.Unreachable, "try `archiver doctor`; the next pass tries again"),
    Outcome.NOT_FOUND: (errors.NotFound, ""),
    Outcome.SKIP: (errors.SkipItem, ""),
    Outcome.REDIRECT: (errors.StopStage, _PROXY_HINT),
    Outcome.STOP_STAGE: (errors.StopStage, _PROXY_HINT),
    Outcome.STOP_DAEMON: (errors.ConfigError, "correct the account's base_url"),
    Outcome.REFRESH_TOKEN: (errors.AccessDenied, "the token was refused: log in again and configure a new one"),
    Outcome.DENIED: (
        errors.AccessDenied,
        "subscribe the application to the Call Recording suite and give the user the administrator's role",
    ),
}
