"""The token endpoint of the gateway, and the check of bearer tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from archiver.simulator.behaviour import Behaviour, Credentials
from archiver.simulator.replies import Reply, fault_reply, json_reply

_DOMAIN = "@vbc.prod"


class Tokens:
    """Issues, rotates, revokes and checks tokens."""

    def __init__(self, credentials: Credentials) -> None:
        """Accept the static token and the first refresh token of the credentials."""
        self._credentials = credentials
        self._static_valid = True
        self._issued = 0
        self._access: dict[str, datetime] = {}
        self._refresh: dict[str, datetime | None] = {credentials.refresh_token: None}

    def refusal(self, authorization: str | None, now: datetime) -> Reply | None:
        """Return the 401 for a missing or invalid bearer token, None for a good one."""
        if authorization is None:
            return fault_reply(401, code=900902, description="Missing Credentials")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return fault_reply(401, code=900902, description="Missing Credentials")
        if token == self._credentials.token and self._static_valid:
            return None
        expires = self._access.get(token)
        return None if expires is not None and now < expires else fault_reply(401)

    def revoke_access(self, *, static: bool) -> None:
        """End every access token that was issued, on request the static one too."""
        self._access.clear()
        self._static_valid = self._static_valid and not static

    def revoke_one(self, authorization: str | None) -> None:
        """End the token of one request."""
        token = (authorization or "").partition(" ")[2]
        self._access.pop(token, None)
        if token == self._credentials.token:
            self._static_valid = False

    def revoke_refresh(self) -> None:
        """End every refresh token: a person must log in again."""
        self._refresh.clear()

    def exchange(self, form: Mapping[str, str], behaviour: Behaviour, now: datetime) -> Reply:
        """Answer a request to the token endpoint."""
        known = self._credentials
        if (form.get("client_id"), form.get("client_secret")) != (known.client_id, known.client_secret):
            return _oauth_error(401, "invalid_client", "Client authentication failed")
        grant = form.get("grant_type")
        if grant == "password":
            wanted = (known.username + _DOMAIN, known.password)
            good = (form.get("username"), form.get("password")) == wanted
        elif grant == "refresh_token":
            good = self._use_refresh(form.get("refresh_token", ""), now)
        else:
            return _oauth_error(400, "unsupported_grant_type", "Unsupported grant_type value")
        return self._issue(behaviour, now) if good else _oauth_error(400, "invalid_grant", "The grant was refused")

    def _use_refresh(self, token: str, now: datetime) -> bool:
        if token not in self._refresh:
            return False
        expires = self._refresh.pop(token)
        return expires is None or now < expires

    def _issue(self, behaviour: Behaviour, now: datetime) -> Reply:
        if behaviour.refresh_revokes:
            self._access.clear()
        self._issued += 1
        access, refresh = f"sim-access-{self._issued}", f"sim-refresh-{self._issued}"
        self._access[access] = now + timedelta(seconds=behaviour.expires_in)
        self._refresh[refresh] = now + behaviour.refresh_lives
        return json_reply(
            {
                "access_token": access,
                "refresh_token": refresh,
                "scope": "openid",
                "token_type": "Bearer",
                "expires_in": behaviour.expires_in,
            },
        )


def _oauth_error(status: int, error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status)
