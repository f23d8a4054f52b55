"""The kinds of value that a configuration file holds. Each refuses with a ValueError that says what to write."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

from archiver.core import duration

_ACCOUNT_NAME = "[a-z0-9][a-z0-9_-]{0,62}"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FERNET_BYTES = 32
FERNET_HINT = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
_POSTGRES = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_PREFIX_BYTES = 512  # of the 1024 that S3 allows for a whole key


def _blank_is_absent(value: object) -> object:
    return None if value == "" else value


def _text_of_int(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _whole(value: object) -> object:
    if isinstance(value, bool | float):  # pydantic would take true for 1
        msg = "must be a whole number"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, date):
        msg = "must be a time with its zone, like 2024-01-01T00:00:00Z"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    if not isinstance(value, datetime) or value.tzinfo is None:
        msg = "has no time zone, so it could mean any hour of the day: write 2024-01-01T00:00:00Z or +05:30"
        raise ValueError(msg)
    return value.astimezone(UTC)


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return duration.parse(value if isinstance(value, str) else "").as_timedelta()
    except OverflowError:
        msg = "is longer than any time there is"
        raise ValueError(msg) from None


def length_text(value: timedelta) -> str:
    """Write a length as the file has it: 15m, 3d. Fractions of a second are dropped."""
    return str(duration.Duration(days=value.days, seconds=value.seconds))


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return base / value if isinstance(base, Path) else value


def _without_spaces(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        msg = "must be ASCII text without spaces and line breaks, as the API gave it"
        raise ValueError(msg)
    return value


def _fernet_key(value: SecretStr) -> SecretStr:
    try:
        raw = urlsafe_b64decode(value.get_secret_value().encode())
    except (NotBase64, ValueError):
        raw = b""
    if len(raw) != _FERNET_BYTES:
        msg = f"must be a Fernet key (32 bytes in URL-safe base64); make one with: {FERNET_HINT}"
        raise ValueError(msg)
    return value


def _account_name(value: str) -> str:
    if not re.fullmatch(_ACCOUNT_NAME, value):
        msg = "must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or a digit"
        raise ValueError(msg)
    return value


def _account_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        msg = "must be self, or the account's id: letters, digits, _ and - only"
        raise ValueError(msg)
    return value


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", value) or ".." in value:
        msg = "must be a bucket name: 3 to 63 letters, digits, dots and dashes (no URL, no path: see prefix)"
        raise ValueError(msg)
    return value


def _prefix(value: str) -> str:
    parts = value.removesuffix("/").split("/") if value else []
    if any(part in {"", ".", ".."} for part in parts) or _CONTROL.search(value):
        msg = "must be empty or like calls/2024/: no slash at the start, no //, no . or .. part, no control character"
        raise ValueError(msg)
    if len(value.encode(errors="replace")) > _PREFIX_BYTES:
        msg = f"must be at most {_PREFIX_BYTES} bytes"
        raise ValueError(msg)
    return "/".join([*parts, ""])


def web_url(value: str) -> str:
    """Return an http(s) URL without its last slash. Raises ValueError unless it is a service's plain address."""
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or _CONTROL.search(value) or " " in value:
        msg = "must be a URL like https://api.example.com/path"
        raise ValueError(msg)
    if parts.username is not None or parts.query or parts.fragment:
        msg = "must have no user, password, ? or # in it"
        raise ValueError(msg)
    return value.rstrip("/")


def is_plain_remote(url: str) -> bool:
    """Whether the URL sends everything in the clear over a network: http, and not to this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True


def refuse_plain(url: str, info: ValidationInfo) -> str:
    """Return the URL. Raises ValueError when it is plain and remote, unless the section's `allow_http` permits that."""
    if is_plain_remote(url) and info.data.get("allow_http") is False:  # absent: it has a problem of its own
        msg = "must be https:// (http:// only for this machine, or with allow_http: true beside it)"
        raise ValueError(msg)
    return url


def postgres_url(url: str, password: str | None) -> str:
    """Return `url` as postgresql://…, with `password` put in, escaped. Raises ValueError; it never quotes the URL."""
    try:
        parts = urlsplit(url)
        # an @ after the host is the rest of a password that a / ? or # cut in two
        split = "@" in parts.path + parts.fragment or ("@" in parts.query and "@" not in parts.netloc)
        fits = parts.scheme in _POSTGRES and parts.netloc.count("@") <= 1 and not split
        fits = fits and parts.port != 0 and not _CONTROL.search(url)
    except ValueError:
        fits = False
    if not fits:
        msg = (
            "must be like postgresql://user:password@host:5432/database; special characters of the password "
            "must be percent-encoded (@ is %40), or give the password apart, as database.password"
        )
        raise ValueError(msg)
    user, at, host = parts.netloc.rpartition("@")
    if password is not None:
        if not user or ":" in user:
            msg = "must name a user and hold no password when database.password is given"
            raise ValueError(msg)
        user = f"{user}:{quote(password, safe='')}"
    return parts._replace(scheme="postgresql", netloc=f"{user}{at}{host}").geturl()


Blank = BeforeValidator(_blank_is_absent)  # `${NAME:-}` means: leave it out
Secret = Annotated[SecretStr, Field(min_length=1)]
HeaderSecret = Annotated[Secret, AfterValidator(_without_spaces)]
FernetKey = Annotated[Secret, AfterValidator(_fernet_key)]
Whole = Annotated[int, BeforeValidator(_whole)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
_FROM_TEXT = BeforeValidator(_length)
_TO_TEXT = PlainSerializer(length_text, return_type=str, when_used="json")
_AS_TEXT = WithJsonSchema({"type": "string", "pattern": duration.PATTERN})
Length = Annotated[timedelta, _FROM_TEXT, _TO_TEXT, _AS_TEXT]
# the bounds come first: behind the rest, and beside None, they would not be told in words
Age = Annotated[timedelta, Field(ge=timedelta(days=1), le=timedelta(days=36500)), _FROM_TEXT, _TO_TEXT, _AS_TEXT]
FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
WebUrl = Annotated[str, AfterValidator(web_url)]
AccountName = Annotated[
    str, AfterValidator(_account_name), WithJsonSchema({"type": "string", "pattern": f"^{_ACCOUNT_NAME}$"})
]
AccountId = Annotated[
    str, BeforeValidator(_text_of_int), AfterValidator(_account_id), WithJsonSchema({"type": ["string", "integer"]})
]
Bucket = Annotated[str, AfterValidator(_bucket)]
Prefix = Annotated[str, AfterValidator(_prefix)]
