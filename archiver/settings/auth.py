"""How an account gets in: exactly one of three grants."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Discriminator, Field, Tag

from archiver.settings.section import Section
from archiver.settings.types import HeaderSecret, Secret, WebUrl


class TokenAuth(Section):
    """A bearer token that somebody else renews."""

    token: HeaderSecret = Field(description="The bearer token.")


class PasswordAuth(Section):
    """OAuth 2 password grant."""

    token_url: WebUrl = Field(description="Where access tokens are made.")
    username: Secret = Field(description="Login name; @vbc.prod may be left off.")
    password: Secret = Field(description="The user's password.")
    client_id: Secret = Field(description="Of the application.")
    client_secret: Secret = Field(description="Of the application.")
    scope: str | None = Field(default=None, description="OAuth scope to ask for, such as openid.")


class RefreshAuth(Section):
    """OAuth 2 refresh grant: the first refresh token; its successors are kept in the catalogue, encrypted."""

    token_url: WebUrl = Field(description="Where access tokens are made.")
    refresh_token: Secret = Field(description="The first refresh token, from a login in a browser.")
    client_id: Secret = Field(description="Of the application.")
    client_secret: Secret = Field(description="Of the application.")


_MARKS = {"token": "TokenAuth", "password": "PasswordAuth", "refresh_token": "RefreshAuth"}


def _kind(value: object) -> str | None:
    """Choose the grant by the key that only it has; None unless there is exactly one."""
    if isinstance(value, BaseModel):
        return type(value).__name__
    found = {_MARKS[key] for key in value if key in _MARKS} if isinstance(value, dict) else set()
    if not found and isinstance(value, dict) and "username" in value:
        return "PasswordAuth"
    return found.pop() if len(found) == 1 else None


Auth = Annotated[
    Annotated[TokenAuth, Tag("TokenAuth")]
    | Annotated[PasswordAuth, Tag("PasswordAuth")]
    | Annotated[RefreshAuth, Tag("RefreshAuth")],
    Discriminator(
        _kind,
        custom_error_type="auth_kind",
        custom_error_message=(
            "must be exactly one of {token}, {token_url, username, password, client_id, client_secret} "
            "and {token_url, refresh_token, client_id, client_secret}"
        ),
    ),
]
