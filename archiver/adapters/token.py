"""Bearer tokens for the source: a fixed one, a password grant, or a refresh token that is used only once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

import structlog

from archiver.adapters.token_endpoint import Grant, TokenEndpoint
from archiver.errors import AccessDenied

log = structlog.get_logger()

_EARLY = 300.0  # seconds before its end that a token is renewed, or a tenth of its life if that is less
_DENIED_FOR = 3600.0  # seconds


class TokenProvider(Protocol):
    """Gives the bearer token of one account. Raises AccessDenied, or Transient when the endpoint has trouble."""

    async def token(self) -> str:
        """Return a token that should be valid now."""
        ...

    async def refresh(self, stale: str) -> str:
        """Return another token than `stale`, which the source refused."""
        ...

    def carry_on(self, earlier: TokenProvider) -> None:
        """Take over what another provider with the same credentials has learnt."""
        ...


class RefreshTokenStore(Protocol):
    """Keeps the current refresh token of one account durably. Raises ArchiverError when it cannot."""

    async def load(self) -> str | None:
        """Return the token stored last, or None where the configured one counts."""
        ...

    async def store(self, token: str) -> None:
        """Replace the stored token; durable when this returns."""
        ...


class StaticToken:
    """A token from the configuration, which nobody can renew but a person."""

    def __init__(self, token: str) -> None:
        """Surrounding white space, as files have it, does not count."""
        self._token = token.strip()

    async def token(self) -> str:
        """Return the configured token."""
        return self._token

    async def refresh(self, stale: str) -> str:
        """Raise AccessDenied: there is no way to another token."""
        del stale
        raise AccessDenied("the configured token was refused", hint="configure a new token, or a grant that renews it")

    def carry_on(self, earlier: TokenProvider) -> None:
        """Nothing: all that it knows is configured."""


@dataclass(slots=True)
class Known:
    """What a provider has learnt with its credentials."""

    current: str | None = None
    renew_at: float = 0.0
    denied: AccessDenied | None = None  # they must not be sent again so soon
    ask_again_at: float = 0.0
    unsaved: Grant | None = None  # it could not be stored yet, and its predecessor is used up


class _Renewing:
    """Single flight: however many requests meet an old token, one exchange renews it."""

    def __init__(
        self, account: str, renew: Callable[[], Coroutine[None, None, Grant]], clock: Callable[[], float]
    ) -> None:
        self._account, self._renew, self._clock = account, renew, clock
        self._lock = asyncio.Lock()
        self.known = Known()

    async def token(self) -> str:
        """Return the current token, renewed a little before its end."""
        if self.known.current is not None and self._clock() < self.known.renew_at:
            return self.known.current
        async with self._lock:
            if self.known.current is None or self._clock() >= self.known.renew_at:
                return await self._exchange(reason="start" if self.known.current is None else "expiry")
            return self.known.current

    async def refresh(self, stale: str) -> str:
        """Return another token than `stale`; asks the endpoint only if nobody has since."""
        async with self._lock:
            if self.known.current is None or self.known.current == stale:
                return await self._exchange(reason="refused")
            return self.known.current

    def carry_on(self, earlier: TokenProvider) -> None:
        """See `TokenProvider`."""
        if isinstance(earlier, _Renewing):
            self.known = earlier.known

    async def _exchange(self, *, reason: str) -> str:
        if self.known.denied is not None and self._clock() < self.known.ask_again_at:
            raise AccessDenied(str(self.known.denied), hint=self.known.denied.hint)
        try:
            grant = await _to_the_end(self._renew())
        except AccessDenied as error:
            # asking again with refused credentials locks accounts; never asking again outlasts a passing refusal
            self.known.denied, self.known.ask_again_at = error, self._clock() + _DENIED_FOR
            raise
        life = grant.expires_in if grant.expires_in is not None else float("inf")
        self.known.current, self.known.renew_at = grant.access_token, self._clock() + life - min(_EARLY, life / 10)
        log.info("token_refreshed", account=self._account, reason=reason, expires_in=grant.expires_in)
        return self.known.current


class PasswordToken(_Renewing):
    """The password grant."""

    def __init__(
        self,
        account: str,
        endpoint: TokenEndpoint,
        *,
        username: str,
        password: str,
        scope: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`username` may lack the `@vbc.prod` that the grant wants; `scope` is sent where there is one."""
        login = username if username.endswith("@vbc.prod") else f"{username}@vbc.prod"
        form = {"grant_type": "password", "username": login, "password": password}
        form |= {"scope": scope} if scope else {}
        super().__init__(account, lambda: endpoint.exchange(form), clock)


class RotatingToken(_Renewing):
    """The refresh grant: each exchange uses a refresh token up and returns the next, stored before it matters."""

    def __init__(
        self,
        account: str,
        endpoint: TokenEndpoint,
        *,
        configured: str,
        store: RefreshTokenStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`configured` is the refresh token that a person's login yielded."""
        self._endpoint, self._configured, self._store = endpoint, configured.strip(), store
        super().__init__(account, self._rotate, clock)

    async def _rotate(self) -> Grant:
        """Exchange, store, and only then hand out. A grant that could not be stored is kept for the next try."""
        grant = self.known.unsaved or await self._next_grant()
        if grant.refresh_token is not None:  # None: the endpoint lets the old one live
            self.known.unsaved = grant
            await self._store.store(grant.refresh_token)
            self.known.unsaved = None
        return grant

    async def _next_grant(self) -> Grant:
        used = await self._store.load() or self._configured
        try:
            return await self._ask(used)
        except AccessDenied:
            # Another process may have rotated it in the meantime: what it stored counts.
            stored = await self._store.load()
            if stored is None or stored == used:
                raise
            return await self._ask(stored)

    async def _ask(self, refresh_token: str) -> Grant:
        return await self._endpoint.exchange({"grant_type": "refresh_token", "refresh_token": refresh_token})


async def _to_the_end(work: Coroutine[None, None, Grant]) -> Grant:
    """Finish even when the caller is cancelled: a refresh token that is used up and not stored is lost for good."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen, so that nothing complains that it was not
        raise
