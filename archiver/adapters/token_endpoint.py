"""The OAuth token endpoint: one form out, one grant or one clear error back."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
from httpx import codes

from archiver.adapters.http_client import close, read_bounded
from archiver.adapters.http_outcomes import LIBRARY_ERRORS, Outcome, original, outcome_of_exception
from archiver.errors import AccessDenied, ArchiverError, ConfigError, Transient

_LIMIT = 64 * 1024  # bytes of an answer
_SECONDS = 60.0  # for one exchange, connecting included
_TOKEN = re.compile(r"[\x21-\x7e]{1,32768}")  # what may stand in a header
_LONGEST_LIFE = 366 * 24 * 3600.0  # seconds
_PASSING = (408, 425, 429)  # statuses of trouble that passes by itself, as all of 5xx are
_LOG_IN = "log in again and configure the new credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the endpoint granted. `expires_in` is in seconds, None where it was not said."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float | None


class TokenEndpoint:
    """One `token_url` with the application's client id and secret."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, client_id: str, client_secret: str) -> None:
        """`client` must not follow redirects by itself: they would carry the password elsewhere."""
        self._client, self._url = client, url
        self._application = {"client_id": client_id, "client_secret": client_secret}

    async def exchange(self, form: Mapping[str, str]) -> Grant:
        """Send one grant request. Raises AccessDenied, ConfigError or Transient; never quotes what was sent."""
        try:
            async with asyncio.timeout(_SECONDS):
                status, body = await self._post({**form, **self._application})
        except LIBRARY_ERRORS as error:
            # The cause is cut off: its representation may hold the request.
            raise _failed(error) from None
        if status != codes.OK:
            raise _refused(status, _object(body).get("error"))
        return _grant(_object(body))

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        # surrogateescape: a password that is not UTF-8 in the environment goes out as the bytes it was
        content = urlencode(form, errors="surrogateescape")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        request = self._client.build_request("POST", self._url, content=content, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            return response.status_code, await read_bounded(response, _LIMIT)
        finally:
            await close(response)


def _failed(error: BaseException) -> ArchiverError:
    what = f"the token endpoint did not answer: {type(original(error)).__name__}"
    if outcome_of_exception(error) is Outcome.STOP_DAEMON:
        return ConfigError(what, hint="correct the account's token_url")
    return Transient(what)


def _refused(status: int, code: object) -> ArchiverError:
    """Tell refused credentials from a wrong address and from trouble that passes."""
    if status in _PASSING or not (codes.is_client_error(status) or codes.is_redirect(status)):
        return Transient(f"the token endpoint answered {status}")
    if code == "invalid_grant":
        return AccessDenied("the token endpoint refused the password or refresh token", hint=_LOG_IN)
    if status in (400, 401, 403):
        return AccessDenied(f"the token endpoint answered {status}", hint="check client_id and client_secret")
    return AccessDenied(f"the token endpoint answered {status}", hint="check token_url")


def _object(body: bytes) -> Mapping[str, object]:
    try:
        payload: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _grant(payload: Mapping[str, object]) -> Grant:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise Transient("the token endpoint's answer holds no token")
    return Grant(
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) and _TOKEN.fullmatch(refresh) else None,
        expires_in=_life(payload.get("expires_in")),
    )


def _life(value: object) -> float | None:
    """Read `expires_in`, a number or text; None where it makes no sense."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else None
