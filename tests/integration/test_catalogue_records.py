"""What is kept beside the recordings: rotated refresh tokens, and the log of runs."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.run_log import begin_run
from archiver.adapters.token_rows import RefreshTokenRows
from archiver.adapters.token_vault import TokenVault
from archiver.errors import ConfigError, StopDaemon
from tests.support.rows import NOW, query

KEY, OTHER_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = "rotated-refresh-token"


def vault(engine: AsyncEngine, account: str = "acme", *, configured: str = "first", key: str = KEY) -> TokenVault:
    rows = RefreshTokenRows(engine, lambda: NOW)
    return TokenVault(account, configured=configured, keys=[key], rows=rows)


async def test_a_rotated_token_outlives_the_process_and_is_unreadable_in_the_database(engine: AsyncEngine) -> None:
    assert await vault(engine).load() is None
    await vault(engine).store(TOKEN)
    assert await vault(engine).load() == TOKEN
    [(row, stored_at)] = await query(
        engine, "select t::text || encode(ciphertext, 'escape'), stored_at from refresh_tokens t"
    )
    assert TOKEN not in str(row)
    assert stored_at == NOW


async def test_the_latest_token_replaces_the_one_before(engine: AsyncEngine) -> None:
    for token in ("one", "two", "three"):
        await vault(engine).store(token)
    assert await vault(engine).load() == "three"
    assert await query(engine, "select count(*) from refresh_tokens") == [(1,)]


async def test_each_account_has_its_own(engine: AsyncEngine) -> None:
    await asyncio.gather(*(vault(engine, name).store(f"token of {name}") for name in ("acme", "other")))
    assert await vault(engine, "other").load() == "token of other"
    assert await vault(engine, "third").load() is None


async def test_a_newly_configured_token_outdoes_what_was_stored(engine: AsyncEngine) -> None:
    await vault(engine).store(TOKEN)
    assert await vault(engine, configured="second").load() is None
    await vault(engine, configured="second").store("newer")
    assert await vault(engine).load() is None
    assert await vault(engine, configured="second").load() == "newer"


async def test_another_key_is_told_apart_from_no_token(engine: AsyncEngine) -> None:
    await vault(engine).store(TOKEN)
    with pytest.raises(ConfigError, match="cannot be decrypted"):
        await vault(engine, key=OTHER_KEY).load()


async def test_no_two_runs_share_a_name(engine: AsyncEngine) -> None:
    await begin_run(engine, "run-1", "sync", NOW)
    with pytest.raises(StopDaemon, match="runs_pkey"):
        await begin_run(engine, "run-1", "run", NOW)
    assert await query(engine, "select command from runs") == [("sync",)]
