"""Two readings of one configuration: which secrets may be taken over while the daemon runs, and what waits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from archiver.settings.models import Account, Database, Settings, Vault
from archiver.settings.notifying import Channel, Ping

S = TypeVar("S", Database, Vault, Account, Channel, Ping)
N = TypeVar("N", Account, Channel, Ping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a later reading is worth. Paths name accounts by their name: `accounts[acme].auth.token`."""

    settings: Settings  # those in force, with the new secrets
    secrets: tuple[str, ...] = ()  # paths of secrets that are others now
    restart: tuple[str, ...] = ()  # paths of all that counts after a restart only


def renew(before: Settings, after: Settings) -> Renewal:
    """Take the secrets of `after` over, section by section: `database`, `vault`, each account, channel and ping.

    A section of which anything else has changed too is left as it was, secrets included: a new token must not go to
    an old address. So is `encryption_key`: what is stored under it can be read with the old one only.
    """
    secrets: list[str] = []
    waiting: list[str] = []

    def taken(path: str, old: S, new: S) -> S:
        changed = dict(_changed(path, old, new))
        if all(changed.values()):
            secrets.extend(changed)
            return new
        waiting.extend(changed)
        return old

    def each(path: str, old: tuple[N, ...], new: tuple[N, ...]) -> tuple[N, ...]:
        named = {one.name: one for one in new}
        if {one.name for one in old} != set(named):
            waiting.append(path)
        return tuple(taken(f"{path}[{one.name}]", one, named.get(one.name, one)) for one in old)

    was, told = before.notifications, after.notifications
    heard = {
        "channels": each("notifications.channels", was.channels, told.channels),
        "pings": each("notifications.pings", was.pings, told.pings),
    }
    waiting += (f"notifications.{name}" for name in _differ(was, told) if name not in heard)
    renewed = {
        "database": taken("database", before.database, after.database),
        "vault": taken("vault", before.vault, after.vault),
        "accounts": each("accounts", before.accounts, after.accounts),
        "notifications": was.model_copy(update=heard),
    }
    waiting += (name for name in _differ(before, after) if name not in renewed)
    return Renewal(settings=before.model_copy(update=renewed), secrets=tuple(secrets), restart=tuple(waiting))


def _differ(old: BaseModel, new: BaseModel) -> Iterator[str]:
    """Yield the keys of a section whose values differ."""
    return (name for name in type(old).model_fields if getattr(old, name) != getattr(new, name))


def _changed(path: str, old: BaseModel, new: BaseModel) -> Iterator[tuple[str, bool]]:
    """Yield each path that differs, and whether all that differs there is a secret."""
    was, now = dict(_leaves(path, old)), dict(_leaves(path, new))
    changed = [place for place in {**was, **now} if was.get(place) != now.get(place)]
    for place in changed:
        if place == "database.url" and "database.password" in changed and _same_server(was[place], now.get(place)):
            continue  # the password was put into it
        yield place, _is_renewed(place, was.get(place), now.get(place))


def _leaves(path: str, section: BaseModel) -> Iterator[tuple[str, object]]:
    for name, value in section:
        if isinstance(value, BaseModel):
            yield from _leaves(f"{path}.{name}", value)
        else:
            yield f"{path}.{name}", value


def _is_renewed(place: str, old: object, new: object) -> bool:
    both = isinstance(old, SecretStr) and isinstance(new, SecretStr)
    return both and (place != "database.url" or _same_server(old, new))


def _same_server(old: object, new: object) -> bool:
    return isinstance(old, SecretStr) and isinstance(new, SecretStr) and _server(old) == _server(new)


def _server(url: SecretStr) -> Mapping[str, object]:
    parts = urlsplit(url.get_secret_value())
    return {"parts": parts._replace(netloc=""), "user": parts.username, "at": parts.netloc.rpartition("@")[2]}
