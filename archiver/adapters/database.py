"""Engine, transactions, locks and migrations: everything about Postgres that is not about recordings."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from archiver.errors import AccountBusy, ArchiverError, SchemaError, StopDaemon, Unreachable

log = structlog.get_logger()

if TYPE_CHECKING:
    from alembic.config import Config

#: A process that vanished with its machine must not hold its locks for two hours (the kernel's default).
#: And it idles by design: a server that cuts idle sessions off must not take its locks away.
KEEPALIVE = (
    "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3; "
    "set idle_session_timeout = 0"
)
PING_AFTER = 1.0  # seconds
LOCK_ID = "hashtextextended(:name, 0)"
#: And a server that vanished must not hold this process: libpq's own settings, in seconds and milliseconds.
LOST_SERVER = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
#: What a schema says of itself (migrations/env.py writes it): which programs work with it.
OLDEST_PROGRAM = """
select substring(obj_description('alembic_version'::regclass, 'pg_class')
    from '^schema ' || version_num || ' works with programs from (.+)$') from alembic_version
"""
UPGRADE_HINT = "run: archiver db upgrade (or set database.migrate: on_start, and archiver run does it)"
UNREACHABLE = re.compile(r"08...|57P0[123]|53300|25006")  # connection, shutdown, too many clients, read-only standby


def open_engine(url: str, *, pool_size: int, ping_after: float = PING_AFTER) -> AsyncEngine:
    """Make an engine; nothing is connected yet. `hide_parameters`: values of a row never reach an error message.

    A connection that lay idle for `ping_after` seconds is tried before it is used.
    """
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=2,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "application_name": "archiver", **LOST_SERVER},
    )
    _ping_idle(engine.sync_engine, ping_after)
    return engine


def _ping_idle(engine: Engine, after: float) -> None:
    """Replace SQLAlchemy's own pre-ping, which costs a round trip each time: half of what a pass asks the database."""

    @event.listens_for(engine, "checkin")
    def left(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get("idle_since", float("inf")) < after:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise DisconnectionError from None  # the pool opens another


def translate(error: SQLAlchemyError) -> ArchiverError:
    """Turn a database error into ours. Only SQLSTATE and constraint name are kept: details hold row values."""
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    if isinstance(error, PoolTimeout):
        return Unreachable("no database connection became free in time", hint="raise database.pool_size")
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or UNREACHABLE.fullmatch(state) or (isinstance(error, OperationalError | InterfaceError) and not state):
        return Unreachable(
            "the database is out of reach", hint="is it running, and are database.url and its password right?"
        )
    if state in {"28P01", "28000", "3D000", "42501"}:
        return _refused(state, original)
    if state in {"42P01", "42703", "42704"}:
        return SchemaError("the catalogue's tables are missing or old", hint="run: archiver db upgrade")
    if state[:2] in {"53", "58"} or state in {"40001", "40P01", "55P03", "57014"}:
        return Unreachable(f"the database cannot do it now (SQLSTATE {state})", hint="disk full, or a lock was held")
    constraint = getattr(getattr(original, "diag", None), "constraint_name", None)
    return StopDaemon(f"the database refused a change (SQLSTATE {state or '?'}, constraint {constraint or '-'})")


def _refused(state: str, error: object) -> Unreachable:
    """Say that the database refused us; for a missing right on what, where it says so in English."""
    if state != "42501":
        return Unreachable(f"the database refused us (SQLSTATE {state})", hint="check user, password and rights")
    found = re.match(r"permission denied for (table|schema|sequence) (\w+)", str(error))
    where = f"on {found[1]} {found[2]} of" if found else "in"
    hint = "log in as the role that has the rights for this: docs/privileges.md"
    return Unreachable(f"a right is missing {where} the database (SQLSTATE {state})", hint=hint)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate the database's errors once, at the edge."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from None
    except UnicodeEncodeError:
        msg = "a text holds what no database can (a lone surrogate)"
        raise StopDaemon(msg) from None
    except TimeoutError:
        msg = "the database did not answer in time"
        raise Unreachable(msg) from None


@asynccontextmanager
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction: committed at the end, rolled back on any error."""
    async with translated(), engine.begin() as opened:
        yield opened


@asynccontextmanager
async def at_once(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection for single statements: each is atomic by itself and needs no BEGIN and COMMIT around it.

    The engine could open it so; but whoever is cancelled in that very moment leaves a connection that nobody closes.
    """
    async with translated(), engine.connect() as opened:
        await opened.execution_options(isolation_level="AUTOCOMMIT")
        yield opened


#: What people decide about deletion, and the marks that begin one, stand in one order: each sees all before it.
DECIDE = text("select pg_advisory_xact_lock(hashtextextended('archiver/decide', 0))")
MARK = text("select pg_advisory_xact_lock_shared(hashtextextended('archiver/decide', 0))")


@asynccontextmanager
async def exclusive(engine: AsyncEngine, account: str, *stages: str) -> AsyncIterator[None]:
    """Hold the locks of one account's stages as long as the context lasts. Raises AccountBusy."""
    names = {f"archiver/{account}/{stage}": stage for stage in stages}
    async with _session_of(engine, *names) as taken:
        if taken is not None:
            msg = f"another archiver works on {names[taken]} of account {account!r}"
            raise AccountBusy(msg, hint="wait for it to end, or stop the other process")
        yield


@asynccontextmanager
async def locked(engine: AsyncEngine, name: str) -> AsyncIterator[bool]:
    """Hold a lock of this name as long as the context lasts. False: somebody else has it."""
    async with _session_of(engine, name) as taken:
        yield taken is None


@asynccontextmanager
async def _session_of(engine: AsyncEngine, *names: str) -> AsyncIterator[str | None]:
    """Hold locks as long as the context lasts, or yield the first one that somebody else has.

    They belong to a database session, so a killed process frees them at once; nothing has to time out.
    """
    async with AsyncExitStack() as stack:
        async with translated():
            held = await stack.enter_async_context(engine.connect())
            await held.execution_options(isolation_level="AUTOCOMMIT")
            await held.execute(text(KEEPALIVE))
        for name in names:
            async with translated():
                got = await held.scalar(text(f"select pg_try_advisory_lock({LOCK_ID})"), {"name": name})
            if not got:
                yield name
                return
            stack.push_async_callback(_release, held, name)
        yield None


async def _release(held: AsyncConnection, name: str) -> None:
    """Free the lock, whatever has become of its session."""
    freed = False
    try:
        # closing the session alone would free it a moment later: who asks next must not find it taken
        with suppress(SQLAlchemyError):
            freed = bool(await held.scalar(text(f"select pg_advisory_unlock({LOCK_ID})"), {"name": name}))
    finally:
        if not freed:  # it may still hold the lock: never hand it back to the pool
            await held.invalidate()


def migrations_folder() -> Path:
    """Where the migrations lie: in an installed package inside it, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def known_revisions() -> list[str]:
    """Revisions that this version of the program knows, oldest first: the name of a migration's file begins with it."""
    return sorted(path.name.partition("_")[0] for path in (migrations_folder() / "versions").glob("[0-9]*_*.py"))


def head_revision() -> str:
    """Newest revision that this version of the program knows."""
    return known_revisions()[-1]


async def current_revision(engine: AsyncEngine) -> str | None:
    """Revision that the catalogue is at; None: no table was ever made."""
    async with connection(engine) as opened:
        if await opened.scalar(text("select to_regclass('alembic_version')")) is None:
            return None
        found: str | None = await opened.scalar(text("select version_num from alembic_version"))
        return found


async def require_schema(engine: AsyncEngine, *, warn: bool = True) -> None:
    """Raise SchemaError unless the schema is this version's, or a newer one that lets programs like this one go on."""
    current, head = await current_revision(engine), head_revision()
    if current == head:
        return
    if current is None:
        msg = f"the catalogue has no tables (this version needs schema {head})"
        raise SchemaError(msg, hint=UPGRADE_HINT)
    if current in known_revisions():
        msg = f"the catalogue's schema is at {current}, older than the {head} that this version needs"
        raise SchemaError(msg, hint=UPGRADE_HINT)
    oldest = await oldest_program(engine)
    if oldest is None or oldest > head:
        raise _newer(current, oldest)
    if warn:
        log.warning("schema_newer", schema=current, own=head)


async def oldest_program(engine: AsyncEngine) -> str | None:
    """Head revision of the oldest program that the schema says it works with; None: it does not say."""
    async with connection(engine) as opened:
        found: str | None = await opened.scalar(text(OLDEST_PROGRAM))
        return found


def _newer(current: str, oldest: str | None) -> SchemaError:
    head = head_revision()
    since = "" if oldest is None else f"; programs work with it from schema {oldest} on"
    msg = f"the catalogue's schema is at {current}, newer than the {head} of this version{since}"
    return SchemaError(msg, hint="start the version that upgraded it, or a later one; or restore the dump from before")


def alembic_config() -> Config:
    """Configure Alembic without any file."""
    # imported here: every other command would wait for it, and none has a use for it
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return config


async def upgrade(engine: AsyncEngine) -> tuple[str | None, str]:
    """Bring the schema to the newest revision. Returns the revision before and after. Raises SchemaError.

    Processes that do it at once take turns; for all but the first there is nothing left to do.
    """
    current, head = await current_revision(engine), head_revision()
    if current is not None and current not in known_revisions():
        raise _newer(current, await oldest_program(engine))

    from alembic import command  # noqa: PLC0415 - as below

    began_at: list[str | None] = []

    def run(opened: Connection) -> None:
        config = alembic_config()
        config.attributes.update(connection=opened, began_at=began_at)
        command.upgrade(config, "head")

    async with translated(), engine.connect() as opened:
        await opened.run_sync(run)
    return began_at[0] if began_at else head, head


async def upgrade_older(engine: AsyncEngine) -> None:
    """Upgrade the schema if it is older than this version's, and say so. A newer one is left as it is."""
    current = await current_revision(engine)
    if current == head_revision() or (current is not None and current not in known_revisions()):
        return
    before, after = await upgrade(engine)
    if before != after:
        log.info("schema_upgraded", before=before, after=after)
