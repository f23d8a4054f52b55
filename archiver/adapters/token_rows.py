"""Where rotated refresh tokens are kept, encrypted. Implements `token_vault.TokenRows`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import connection
from archiver.adapters.tables import refresh_tokens


class RefreshTokenRows:
    """One row for each account."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], datetime]) -> None:
        self.engine, self.clock = engine, clock

    async def load_token(self, account: str) -> tuple[str, bytes] | None:
        """Return fingerprint and ciphertext, or None."""
        table = refresh_tokens.c
        query = select(table.fingerprint, table.ciphertext).where(table.account == account)
        async with connection(self.engine) as opened:
            row = (await opened.execute(query)).one_or_none()
        return None if row is None else (row.fingerprint, bytes(row.ciphertext))

    async def save_token(self, account: str, fingerprint: str, ciphertext: bytes) -> None:
        """Insert or replace the row; committed when this returns."""
        values = {"fingerprint": fingerprint, "ciphertext": ciphertext, "stored_at": self.clock()}
        row = insert(refresh_tokens).values(account=account, **values)
        async with connection(self.engine) as opened:
            await opened.execute(row.on_conflict_do_update(index_elements=["account"], set_=values))
