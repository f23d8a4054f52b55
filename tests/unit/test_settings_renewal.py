"""Which secrets of a later reading are taken over, and what waits for a restart."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import pytest
from pydantic import SecretStr

from archiver.settings import PasswordAuth, Settings, TokenAuth, renew
from tests.support.settings import FERNET, load_document

KEYS = {"bucket": "call-archive", "access_key_id": "AK", "secret_access_key": "SK"}
GRANT = {"token_url": "https://h/t", "username": "u", "password": "p", "client_id": "c", "client_secret": "s"}
DOCUMENT: dict[str, object] = {
    "database": {"url": "postgresql://archiver:first@db/archiver"},
    "vault": KEYS,
    "accounts": [
        {"name": name, "base_url": f"https://{name}.example.com", "auth": auth, "start_from": "2024-01-01T00:00:00Z"}
        for name, auth in (("acme", {"token": "t0"}), ("bond", GRANT))
    ],
    "notifications": {
        "channels": [{"name": "desk", "url": "json://localhost/first"}],
        "pings": [{"name": "switch", "url": "https://hc.example.com/first"}],
    },
    "encryption_key": FERNET,
}


def read(folder: Path, *changes: tuple[str, object]) -> Settings:
    """Read the document with other values at some paths."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        here: object = document
        *steps, last = path.split(".")
        for step in steps:
            here = here[int(step)] if isinstance(here, list) else cast("dict[str, object]", here)[step]
        cast("dict[str, object]", here)[last] = value
    return load_document(folder, document)


def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    settings = read(tmp_path)
    renewal = renew(settings, read(tmp_path))
    assert (renewal.settings, renewal.secrets, renewal.restart) == (settings, (), ())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("accounts.0.auth.token", "t1", "accounts[acme].auth.token"),
        ("accounts.1.auth.password", "p1", "accounts[bond].auth.password"),
        ("accounts.1.auth.client_secret", "s1", "accounts[bond].auth.client_secret"),
        ("vault.secret_access_key", "SK1", "vault.secret_access_key"),
        ("database.url", "postgresql://archiver:second@db/archiver", "database.url"),
    ],
)
def test_a_secret_is_taken_over_and_named(tmp_path: Path, path: str, value: str, said: str) -> None:
    after = read(tmp_path, (path, value))
    renewal = renew(read(tmp_path), after)
    assert (renewal.settings, renewal.secrets, renewal.restart) == (after, (said,), ())


def test_a_password_beside_the_url_is_named_once(tmp_path: Path) -> None:
    url = ("database.url", "postgresql://archiver@db/archiver")
    before, after = (read(tmp_path, url, ("database.password", word)) for word in ("p@ss/1", "p@ss/2"))
    renewal = renew(before, after)
    assert (renewal.settings, renewal.secrets, renewal.restart) == (after, ("database.password",), ())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://archiver:first@elsewhere/archiver",
        "postgresql://archiver:first@db/other",
        "postgresql://owner:first@db/archiver",
        "postgresql://archiver:second@db:5433/archiver",
    ],
)
def test_another_server_user_or_database_waits(tmp_path: Path, url: str) -> None:
    before = read(tmp_path)
    renewal = renew(before, read(tmp_path, ("database.url", url)))
    assert (renewal.settings, renewal.secrets, renewal.restart) == (before, (), ("database.url",))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("sync", {"every": "1h"}, "sync"),
        ("logging", {"level": "debug"}, "logging"),
        ("policies", "other.yaml", "policies"),
        ("encryption_key", FERNET.replace("A", "B", 1), "encryption_key"),
        ("vault.bucket", "other-archive", "vault.bucket"),
        ("http", {"listen": None}, "http"),
        ("health", {"gap": "2d"}, "health"),
        ("notifications.settle", "1m", "notifications.settle"),
        ("notifications.pings", [], "notifications.pings"),
        ("notifications.channels.0.level", "info", "notifications.channels[desk].level"),
        ("accounts.0.requests_per_minute", 7, "accounts[acme].requests_per_minute"),
    ],
)
def test_everything_else_waits(tmp_path: Path, path: str, value: object, said: str) -> None:
    before = read(tmp_path)
    renewal = renew(before, read(tmp_path, (path, value)))
    assert (renewal.settings, renewal.secrets, renewal.restart) == (before, (), (said,))


def test_channels_and_switches_get_new_addresses(tmp_path: Path) -> None:
    changes = [("notifications.channels.0.url", "json://localhost/next"),
               ("notifications.pings.0.url", "https://hc.example.com/next")]  # fmt: skip
    renewal = renew(read(tmp_path), read(tmp_path, *changes))
    assert renewal.secrets == ("notifications.channels[desk].url", "notifications.pings[switch].url")
    assert renewal.restart == ()
    assert renewal.settings.notifications.addresses() == ["json://localhost/next", "https://hc.example.com/next"]


def test_a_new_token_never_goes_to_an_old_address(tmp_path: Path) -> None:
    """Nor the other way round: the section waits as a whole, and the others do not wait for it."""
    before = read(tmp_path)
    changes = [("accounts.0.base_url", "https://new.example.com"), ("accounts.0.auth.token", "t1")]
    renewal = renew(before, read(tmp_path, *changes, ("accounts.1.auth.password", "p1")))
    assert renewal.secrets == ("accounts[bond].auth.password",)
    assert renewal.restart == ("accounts[acme].base_url", "accounts[acme].auth.token")
    acme, bond = renewal.settings.accounts
    assert acme == before.accounts[0]
    assert isinstance(bond.auth, PasswordAuth)
    assert bond.auth.password == SecretStr("p1")


def test_another_way_in_waits(tmp_path: Path) -> None:
    before = read(tmp_path)
    renewal = renew(before, read(tmp_path, ("accounts.1.auth", {"token": "t"}), ("vault", {"bucket": "call-archive"})))
    assert renewal.settings == before
    assert renewal.secrets == ()
    assert {"accounts[bond].auth.token", "accounts[bond].auth.password", "vault.access_key_id"} <= set(renewal.restart)


def test_an_account_that_comes_or_goes_waits_and_the_others_are_renewed(tmp_path: Path) -> None:
    before = read(tmp_path)
    accounts = copy.deepcopy(cast("list[dict[str, object]]", DOCUMENT["accounts"]))
    third = {**accounts[1], "name": "third"}
    renewal = renew(before, read(tmp_path, ("accounts", [third, {**accounts[0], "auth": {"token": "t1"}}])))
    assert (renewal.secrets, renewal.restart) == (("accounts[acme].auth.token",), ("accounts",))
    acme, bond = renewal.settings.accounts
    assert isinstance(acme.auth, TokenAuth)
    assert acme.auth.token == SecretStr("t1")
    assert bond == before.accounts[1]
