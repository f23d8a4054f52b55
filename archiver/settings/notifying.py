"""Who is told of troubles, and whose clock notices when the archiver falls silent."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from archiver.settings.section import Section
from archiver.settings.types import AccountName, Length, Secret, Whole, refuse_plain, web_url

#: Apprise's schemes that show something on this machine, or hand it to a program here: nobody is told by them.
LOCAL = frozenset({"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
_ADDRESS = re.compile(r"([A-Za-z0-9]{2,30})://[^\s\x00-\x1f\x7f]+")


def _address(url: SecretStr) -> SecretStr:
    found = _ADDRESS.fullmatch(url.get_secret_value())
    if not found:
        msg = "must be one address like jsons://host/path or slack://…, percent-encoded where it has spaces"
        raise ValueError(msg)
    if found[1].lower() in LOCAL:
        msg = f"{found[1].lower()}:// reaches nobody but this machine: use a channel that goes over a network"
        raise ValueError(msg)
    return url


class Channel(Section):
    """Where messages go."""

    name: AccountName = Field(description="Your name for it, in logs and metrics: the address itself is a secret.")
    url: Secret = Field(description="An address of apprise, such as mailtos://…, slack://…, workflows://… or jsons://…")
    allow_http: bool = Field(default=False, description="Permit an unencrypted way to another machine.")
    level: Literal["critical", "warning", "info"] = Field(default="warning", description="Least severe that it gets.")
    quiet_for: Length = Field(
        default=timedelta(hours=4),
        ge=timedelta(minutes=1),
        le=timedelta(days=365),
        description="What has been told and lasts is told again so often.",
    )
    per_hour: Whole = Field(default=10, ge=1, le=1000, description="Most messages in any hour; what is more waits.")

    @field_validator("url")
    @classmethod
    def _over_a_network(cls, url: SecretStr) -> SecretStr:
        return _address(url)


class Ping(Section):
    """A dead-man switch: it raises the alarm when no sign of life comes."""

    name: AccountName = Field(description="Your name for it, in logs and metrics.")
    allow_http: bool = Field(default=False, description="Permit an http:// url on another machine.")
    url: Secret = Field(description="Where a sign of life is sent.")
    style: Literal["healthchecks", "heartbeat"] = Field(
        default="healthchecks",
        description="healthchecks: also url/start and url/fail; heartbeat: url alone, after a good pass.",
    )

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        address, _, query = url.get_secret_value().partition("?")
        whole = f"{refuse_plain(web_url(address), info)}{'?' if query else ''}{query}"
        if re.search(r"[\s#]", query):
            msg = "must have no space and no # in it"
            raise ValueError(msg)
        return SecretStr(whole)


class Notifications(Section):
    """Who is told."""

    channels: tuple[Channel, ...] = Field(default=(), description="Where messages go.")
    pings: tuple[Ping, ...] = Field(default=(), validate_default=True, description="Dead-man switches.")
    every: Length = Field(
        default=timedelta(minutes=1),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="How often the daemon looks at its health for this, besides after each pass.",
    )
    settle: Length = Field(
        default=timedelta(minutes=2),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="How long a change must last before it is told, so that it is told once, with what else changes.",
    )

    @field_validator("pings")
    @classmethod
    def _named_apart(cls, pings: tuple[Ping, ...], info: ValidationInfo) -> tuple[Ping, ...]:
        names = Counter(one.name for one in (*info.data.get("channels", ()), *pings))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            msg = f"channels and pings must have names that differ: {twice[0]} is given twice"
            raise ValueError(msg)
        return pings

    def addresses(self) -> list[str]:
        """Give every address in plain text. Handle with care."""
        channels, pings = self.channels, self.pings
        return [url.get_secret_value() for url in (*(one.url for one in channels), *(one.url for one in pings))]


def parts(url: str) -> set[str]:
    """Give the parts of an address that are secrets by themselves: a library may quote one without the rest."""
    rest = url.partition("://")[2]
    login = re.match(r"[^/]*?:([^/]+)@", rest)
    found = {*re.findall(r"[\w%~+-]{16,}", rest), *([login[1]] if login else [])}
    return {url, *found, *map(unquote, found)}
