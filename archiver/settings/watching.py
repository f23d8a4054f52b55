"""How the archiver is watched: where it answers for its health, and how old things may get."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from archiver.settings.section import Section
from archiver.settings.types import Blank, Length

_LISTEN = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
_MOST_PORTS = 65535


def _address(value: str) -> str:
    if not re.match(_LISTEN, value) or address(value)[1] > _MOST_PORTS:
        msg = "must be an address and a port, like 127.0.0.1:9464"
        raise ValueError(msg)
    return value


def address(listen: str) -> tuple[str, int]:
    """Take host and port of `http.listen` apart."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


Listen = Annotated[str, AfterValidator(_address), WithJsonSchema({"type": "string", "pattern": _LISTEN})]
# the bounds come first: behind the rest, and beside None, they would not be told in words
_Bounds = Field(ge=timedelta(minutes=1), le=timedelta(days=3650))
Limit = Annotated[timedelta, _Bounds, *Length.__metadata__]


class Http(Section):
    """Where `archiver run` answers for its health and gives its metrics."""

    listen: Annotated[Listen | None, Blank] = Field(
        default="127.0.0.1:9464", description="Address and port; null: nowhere. Port 0: any that is free."
    )


class Health(Section):
    """How old things may get before the archive counts as ill. Beyond half of a limit is a warning."""

    last_pass: Annotated[Limit | None, Blank] = Field(
        default=None,
        description="Since an account's last pass that ended without a stop. null: four times sync.every, at least 1h.",
    )
    pending: Limit = Field(
        default=timedelta(days=1), description="Since a new call was listed that waits, or a backlog last moved."
    )
    gap: Limit = Field(default=timedelta(days=1), description="Since a gap was opened that nobody has explained.")
    fixity: Annotated[Limit | None, Blank] = Field(
        default=None, description="Since a copy in the archive was compared with its record. null: no limit."
    )
    newest_call: Annotated[Limit | None, Blank] = Field(
        default=None, description="Since the newest call that the source lists. null: no limit."
    )
