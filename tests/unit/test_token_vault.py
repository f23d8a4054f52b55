"""The vault of refresh tokens: its keys and its fingerprint."""

from __future__ import annotations

import traceback

import pytest
from cryptography.fernet import Fernet

from archiver import errors
from archiver.adapters.token_vault import TokenVault
from tests.support.token_rows import KEY, Rows, vault_of

OTHER_KEY = Fernet.generate_key().decode()


async def test_the_vault_says_what_to_do_about_a_wrong_key() -> None:
    rows = Rows()
    await vault_of(rows).store("refresh-canary")
    assert await vault_of(rows, "sim-refresh-0", OTHER_KEY, KEY).load() == "refresh-canary"  # keys can be changed
    with pytest.raises(errors.ConfigError) as caught:
        await vault_of(rows, "sim-refresh-0", OTHER_KEY).load()
    assert caught.value.hint
    rows.rows["acme"] = (rows.rows["acme"][0], b"damaged")
    with pytest.raises(errors.ConfigError):
        await vault_of(rows).load()


@pytest.mark.parametrize("keys", [(), ("",), ("key-canary",), ("é" * 44,), (KEY, "x")])
def test_an_unusable_key_is_a_configuration_error(keys: tuple[str, ...]) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        TokenVault("acme", configured="c", keys=keys, rows=Rows())
    assert "key-canary" not in "".join(traceback.format_exception(caught.value))


async def test_the_fingerprint_is_not_the_token() -> None:
    rows = Rows()
    await vault_of(rows, "configured-canary").store("x")
    assert "canary" not in rows.rows["acme"][0]
