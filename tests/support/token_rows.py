"""Rotated refresh tokens in memory, behind the real vault."""

from __future__ import annotations

import asyncio

from cryptography.fernet import Fernet

from archiver import errors
from archiver.adapters.token_vault import TokenVault

KEY = Fernet.generate_key().decode()


class Rows:
    """One row for each account, in memory; refuses the next `broken` writes."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, bytes]] = {}
        self.broken = 0
        self.gate: asyncio.Event | None = None

    async def load_token(self, account: str) -> tuple[str, bytes] | None:
        return self.rows.get(account)

    async def save_token(self, account: str, fingerprint: str, ciphertext: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            self.broken -= 1
            raise errors.Transient("the database is away")
        self.rows[account] = (fingerprint, ciphertext)


def vault_of(rows: Rows, configured: str = "sim-refresh-0", *keys: str) -> TokenVault:
    return TokenVault("acme", configured=configured, keys=keys or (KEY,), rows=rows)
