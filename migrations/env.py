"""Run migrations: one at a time in the whole cluster of processes, and never waiting for ever behind a lock."""

from __future__ import annotations

import os
from collections.abc import Collection

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, create_engine, text

from archiver.adapters.tables import metadata

LOCK = 0x61726368  # one advisory lock for all migrations of this program


def note(ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], run_args: object) -> None:  # noqa: ARG001 - as it is called
    """Let the schema say which programs work with it, in the same transaction; and keep what it was before."""
    context.config.attributes.get("began_at", []).append(next(iter(step.source_revision_ids), None))
    for head in heads:
        script = context.script.get_revision(head)
        oldest = getattr(script.module, "works_from", head)
        said = f"schema {head} works with programs from {oldest}"
        ctx.impl.execute(text(f"comment on table alembic_version is '{said}'"))


def run(connection: Connection) -> None:
    """Apply what is pending on an open connection, each migration in a transaction of its own."""
    connection.execute(text("set statement_timeout = '15min'"))
    connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
    # only from here on: another process may need longer than that for its migrations
    connection.execute(text("set lock_timeout = '10s'"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_type=True,
            on_version_apply=note,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.execute(text("reset lock_timeout; reset statement_timeout"))
        connection.commit()


def main() -> None:
    """Use the connection that the program (or a test) hands over; else ARCHIVER_DATABASE_URL, for developers."""
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        run(given)
        return
    engine = create_engine(os.environ["ARCHIVER_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        run(connection)


main()
