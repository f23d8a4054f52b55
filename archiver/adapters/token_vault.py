"""The refresh token's durable home: encrypted, and outdone by a token that the operator has configured since."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from archiver.errors import ConfigError

_KEY_HINT = "make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
_WRONG_KEY_HINT = "give the key that was used before, or log in again and configure the new refresh token"


class TokenRows(Protocol):
    """Storage of one row for each account."""

    async def load_token(self, account: str) -> tuple[str, bytes] | None:
        """Return (fingerprint, ciphertext), or None."""
        ...

    async def save_token(self, account: str, fingerprint: str, ciphertext: bytes) -> None:
        """Insert or replace the row; committed when this returns."""
        ...


class TokenVault:
    """Implements `token.RefreshTokenStore` for one account."""

    def __init__(self, account: str, *, configured: str, keys: Sequence[str], rows: TokenRows) -> None:
        """`keys` are Fernet keys: the first encrypts, all decrypt. Raises ConfigError for an unusable one."""
        self._account, self._rows = account, rows
        self._fingerprint = hashlib.sha256(b"refresh-token\0" + configured.strip().encode(errors="surrogateescape"))
        self._cipher = _cipher(keys)

    async def load(self) -> str | None:
        """Return the stored token; None when there is none for the token configured now. Raises ConfigError."""
        row = await self._rows.load_token(self._account)
        if row is None or row[0] != self._fingerprint.hexdigest():
            return None
        try:
            return self._cipher.decrypt(row[1]).decode()
        except InvalidToken:
            raise ConfigError("the stored refresh token cannot be decrypted", hint=_WRONG_KEY_HINT) from None

    async def store(self, token: str) -> None:
        """Encrypt and save; durable when this returns."""
        ciphertext = self._cipher.encrypt(token.encode())
        await self._rows.save_token(self._account, self._fingerprint.hexdigest(), ciphertext)


def _cipher(keys: Sequence[str]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys])
    except (ValueError, TypeError):  # their text may quote the key
        raise ConfigError("the token key is not usable", hint=_KEY_HINT) from None
