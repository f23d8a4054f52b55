"""Takes secrets and people's data out of everything that is logged. Pure: values in, plain values out.

A value whose kind is not known is logged as its type's name only: a repr of a recording names people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from archiver.logs.exceptions import describe
from archiver.logs.patterns import REDACTED, secret_pattern, without_patterns, without_phones

if TYPE_CHECKING:
    from collections.abc import Iterable

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

_DEPTH = 8
_FREE_TEXT = frozenset(
    {"body", "cause", "description", "detail", "details", "error", "event", "exception", "hint", "message", "msg"}
    | {"note", "problem", "problems", "reason", "text", "warning"}
)
_PRIVATE = frozenset(
    {"caller", "callee", "caller_id", "callerid", "cnam", "dnis", "extension", "extensions", "file_name", "filename"}
    | {"raw", "user_name", "username", "login", "login_name", "phone", "phone_number", "email", "authorization"}
    | {"proxy_authorization", "cookie", "set_cookie", "api_key", "apikey", "token", "password", "passwd", "secret"}
    | {"encryption_key"}
)
_PRIVATE_ENDINGS = ("_token", "_password", "_secret", "_api_key", "_phone", "_secret_key", "_access_key", "_cookie")


class Redactor:
    """Knows the secrets of one configuration. Its repr shows none of them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the secrets in plain text; the forms in which they may appear are derived from them."""
        self._known: set[str] = set()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets too, from the next line on. None is ever forgotten."""
        self._known.update(secrets)
        self._secrets = secret_pattern(self._known)

    def text(self, text: str) -> str:
        """Return prose (a message, an exception) without secrets, people's data and phone numbers."""
        return without_phones(self._kept(text), bare=True)

    def event(self, event: Mapping[str, object]) -> dict[str, Plain]:
        """Return what may be logged of an event: plain values only, its keys in the same order."""
        return {str(key): self._value(str(key), value, _DEPTH) for key, value in event.items()}

    def _kept(self, text: str) -> str:
        found = self._secrets.sub(REDACTED, text) if self._secrets else text
        return without_patterns(found)

    def _value(self, key: str, value: object, depth: int) -> Plain:
        if is_private(key) and value is not None:
            return REDACTED
        if isinstance(value, Enum):
            return self._value(key, value.value, depth)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self._string(key, value)
        return self._object(key, value, depth) if depth else "…"

    def _string(self, key: str, value: str) -> str:
        prose = key in _FREE_TEXT or any(char.isspace() for char in value)
        return without_phones(self._kept(value), bare=prose)

    def _object(self, key: str, value: object, depth: int) -> Plain:
        if isinstance(value, Mapping):
            return {self._key(inner): self._value(str(inner), held, depth - 1) for inner, held in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(key, list(value), depth)
        if isinstance(value, BaseException):
            return self.text(describe(value))
        if isinstance(value, PurePath | UUID):
            return self._string(key, str(value))
        return _measure(value)

    def _key(self, key: object) -> str:
        """Keys of nested values may be data: a mapping by phone number, say."""
        return self.text(key) if isinstance(key, str) else self.text(str(key)) if isinstance(key, int) else "<key>"

    def _items(self, key: str, items: list[object], depth: int) -> list[Plain]:
        match items:
            case [str(name), _] if is_private(name):  # a header
                return [name, REDACTED]
        return [self._value(key, item, depth - 1) for item in items]


def _measure(value: object) -> str | float:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else f"<{type(value).__name__}>"


def is_private(key: str) -> bool:
    """Whether a key names a secret or something about a person, whatever its spelling (X-Api-Key, refresh_token)."""
    name = key.lower().replace("-", "_")
    return name in _PRIVATE or name.endswith(_PRIVATE_ENDINGS)
