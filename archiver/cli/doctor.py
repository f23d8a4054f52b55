"""Trying every neighbour, one after the other; a neighbour in trouble does not hide the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.limiter import OwnWindow
from archiver.app import now, open_engine, open_source, open_store, policies_of
from archiver.core.model import Slice, StoreFacts
from archiver.errors import ArchiverError
from archiver.settings import Account, Settings
from archiver.watch.channels import messengers

OLDEST_POSTGRES = 140000
LOCKLESS = "make a bucket with object lock (it cannot be added to every bucket later), or take lock out of the policies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one try found, and what to do about it. `exit_code` is 0 when all is well."""

    neighbour: str
    good: bool
    found: str
    advice: str = ""
    exit_code: int = 0


def bad(neighbour: str, error: ArchiverError) -> Finding:
    """Turn an error into a finding."""
    return Finding(neighbour=neighbour, good=False, found=str(error), advice=error.hint, exit_code=error.exit_code)


async def examine(settings: Settings) -> list[Finding]:
    """Try database, bucket and each account."""
    findings: list[Finding] = []
    try:
        async with open_engine(settings) as engine:
            findings.append(await _database(engine))
            findings.extend([await _account(settings, account, engine) for account in settings.accounts])
    except ArchiverError as error:
        findings.append(bad("database", error))
    findings.insert(1, await _bucket(settings))
    return [*findings, *_notifications(settings)]


def _notifications(settings: Settings) -> Iterator[Finding]:
    """Look whether the channels could be used; nobody is told anything by this."""
    wanted = settings.notifications
    if not wanted.addresses():
        return
    try:
        messengers(settings)
    except ArchiverError as error:
        yield bad("notifications", error)
        return
    found = f"{len(wanted.channels)} channels, {len(wanted.pings)} pings; to send a test: archiver notify --test"
    yield Finding(neighbour="notifications", good=True, found=found)


async def _database(engine: AsyncEngine) -> Finding:
    try:
        async with database.connection(engine) as opened:
            version = int(await opened.scalar(text("select current_setting('server_version_num')")) or 0)
            name = await opened.scalar(text("select current_setting('server_version')"))
        await database.require_schema(engine)
    except ArchiverError as error:
        return bad("database", error)
    if version < OLDEST_POSTGRES:
        advice = "use PostgreSQL 14 or later"
        return Finding(neighbour="database", good=False, found=f"PostgreSQL {name}", advice=advice, exit_code=5)
    return Finding(neighbour="database", good=True, found=f"PostgreSQL {name}, schema {database.head_revision()}")


async def _bucket(settings: Settings) -> Finding:
    neighbour = f"bucket {settings.vault.bucket}"
    try:
        async with open_store(settings) as store:
            facts = await store.probe()
            rights = await store.try_rights()
    except ArchiverError as error:
        return bad(neighbour, error)
    missing = {right: why for right, why in rights.items() if why is not None}
    if "write" in missing or "read" in missing:
        found = "; ".join(f"{right}: {why}" for right, why in missing.items())
        return Finding(neighbour=neighbour, good=False, found=found, advice="give the missing right", exit_code=5)
    if policies_of(settings).wants_locks and not facts.object_lock:
        found = f"a policy wants a lock, and the bucket has no object lock ({_described(facts, missing)})"
        return Finding(neighbour=neighbour, good=False, found=found, advice=LOCKLESS, exit_code=2)
    return Finding(neighbour=neighbour, good=True, found=_described(facts, missing))


def _described(facts: StoreFacts, missing: Mapping[str, str]) -> str:
    parts = [
        "write and read work",
        "no right to delete (deleting in the archive needs it)"
        if "delete" in missing
        else "its scratch object can be deleted",
        "checks SHA-256 on upload" if facts.checks_sha256 else "ignores wrong checksums: copies are read back",
        "refuses to overwrite" if facts.conditional_create else "would overwrite: the archiver looks first",
        "versioned" if facts.versioned else "not versioned",
        "object lock" if facts.object_lock else "no object lock",
    ]
    return "; ".join(parts)


async def _account(settings: Settings, account: Account, engine: AsyncEngine) -> Finding:
    neighbour = f"account {account.name}"
    until = now().replace(microsecond=0)
    try:
        window = OwnWindow(account.requests_per_minute)  # the catalogue may not be there yet
        async with open_source(settings, account, engine, window) as source:
            page = await source.list_page(Slice(until - timedelta(days=1), until), page=1, page_size=1)
    except ArchiverError as error:
        return bad(neighbour, error)
    total = "an unknown number of" if page.total_items is None else page.total_items
    return Finding(neighbour=neighbour, good=True, found=f"token accepted; {total} recordings in the last 24 hours")
