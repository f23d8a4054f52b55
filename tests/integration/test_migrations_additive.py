"""Migrations add and take nothing away, and a schema says which programs may go on working with it."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from archiver.adapters import database
from archiver.errors import SchemaError
from tests.support.postgres import a_database
from tests.support.rows import execute, query

#: No migration does these: what is there stays, and stays what it is.
DESTROYS = re.compile(
    r"\b(DROP (TABLE|COLUMN|TYPE|SCHEMA|FUNCTION|TRIGGER|VIEW)|RENAME|(?<!or )TRUNCATE|DELETE FROM|UPDATE \w+ SET)\b"
    r"|\bALTER COLUMN \w+ (TYPE|SET DATA|SET NOT NULL|DROP DEFAULT)\b"
    r"|\bADD COLUMN (?!.*\bDEFAULT\b).*\bNOT NULL\b",
    re.IGNORECASE | re.DOTALL,
)
#: Nor one these that says of itself that the version before can go on.
NARROWS = re.compile(
    r"\b(DROP (INDEX|CONSTRAINT)|ADD CONSTRAINT|CREATE UNIQUE INDEX|CREATE (CONSTRAINT )?TRIGGER|ADD VALUE)\b",
    re.IGNORECASE,
)
MADE = re.compile(r"CREATE TABLE (\w+)", re.IGNORECASE)
SCRIPTS = sorted(
    ScriptDirectory.from_config(database.alembic_config()).walk_revisions(), key=lambda script: script.revision
)
LATER = SCRIPTS[1:]
COLUMNS = """
select table_name || '.' || column_name, udt_name, is_nullable = 'YES',
    column_default is not null or is_identity = 'YES', table_name
from information_schema.columns where table_schema = 'public'
"""


def named(script: Script) -> str:
    """The name of a test."""
    return script.revision


def works_from(script: Script) -> str | None:
    """What a migration says of itself."""
    found: str | None = getattr(script.module, "works_from", None)
    return found


def statements(script: Script) -> list[str]:
    """What a migration would send, each statement in one piece."""
    written = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    with context.begin_transaction(), Operations.context(context):
        script.module.upgrade()
    return [one.strip() for one in written.getvalue().split(";") if one.strip()]


@pytest.mark.parametrize("script", LATER, ids=named)
def test_nothing_is_taken_away(script: Script) -> None:
    sent = statements(script)
    assert any("ADD COLUMN" in one or MADE.search(one) for one in sent)
    assert [one for one in sent if DESTROYS.search(one)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE days",
        "ALTER TABLE gaps DROP COLUMN raw",
        "ALTER TABLE gaps ALTER COLUMN raw TYPE TEXT",
        "ALTER TABLE gaps ALTER COLUMN raw SET NOT NULL",
        "ALTER TABLE gaps ADD COLUMN more TEXT NOT NULL",
        "ALTER TABLE gaps RENAME COLUMN raw TO item",
        "delete from gaps where kind = 'x'",
        "with old as (select 1) update gaps set kind = 'x'",
        "truncate gaps",
    ],
)
def test_the_rule_knows_what_it_refuses(statement: str) -> None:
    assert DESTROYS.search(statement)
    assert not DESTROYS.search("ALTER TABLE gaps ADD COLUMN claimed INTEGER DEFAULT 0 NOT NULL")
    assert not DESTROYS.search("create trigger t before update or delete or truncate on days execute function f()")


def about(statement: str, columns: set[str]) -> bool:
    """Whether a CHECK asks about these columns alone, which the version before leaves empty."""
    check = statement.partition(" CHECK ")[2]
    return bool(check) and set(re.findall(r"\w+", check)) <= columns | {"is", "not", "null", "and", "or"}


@pytest.mark.parametrize("script", [one for one in LATER if works_from(one) not in {None, one.revision}], ids=named)
def test_what_claims_to_be_safe_for_the_version_before_narrows_nothing(script: Script) -> None:
    sent = statements(script)
    new = {found[1] for one in sent if (found := MADE.search(one))}
    added = {name for one in sent for name in re.findall(r"ADD COLUMN (\w+)", one)}
    narrowing = [one for one in sent if NARROWS.search(one) and not any(f" {table} " in f"{one} " for table in new)]
    assert [one for one in narrowing if not about(one, added)] == []
    assert works_from(script) == script.down_revision  # farther back nobody has looked


def test_every_migration_says_which_programs_it_is_safe_for() -> None:
    """Since the schema keeps it; the first three were made before, and no program before them reads it."""
    assert [one.revision for one in SCRIPTS if works_from(one) is None] == ["0001", "0002", "0003"]


@pytest.fixture
def empty_url(postgres: str) -> Iterator[str]:
    """URL of a database without a table."""
    with a_database(postgres) as url:
        yield url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """Engine on a database without a table."""
    engine = database.open_engine(empty_url, pool_size=2)
    yield engine
    await engine.dispose()


async def move(engine: AsyncEngine, revision: str) -> None:
    """Migrate up to a revision, as `db upgrade` does to the newest."""

    def run(opened: Connection) -> None:
        config = database.alembic_config()
        config.attributes["connection"] = opened
        command.upgrade(config, revision)

    async with engine.connect() as opened:
        await opened.run_sync(run)


async def test_rows_of_the_version_before_can_still_be_written(empty: AsyncEngine) -> None:
    """From each revision to the next no column goes or changes its type, and no new one asks for a value."""
    before: dict[object, tuple[object, ...]] = {}
    for script in SCRIPTS:
        await move(empty, script.revision)
        now = {name: tuple(rest) for name, *rest in await query(empty, COLUMNS)}
        tables = {table for *_, table in before.values()}
        assert {name: now.get(name) for name in before} == before
        added = {name: rest for name, rest in now.items() if name not in before and rest[-1] in tables}
        assert [name for name, (_, optional, filled, _) in added.items() if not (optional or filled)] == []
        before = now
    assert len(before) > 100


async def test_a_schema_says_which_programs_work_with_it(empty: AsyncEngine) -> None:
    for revision, oldest in (("0003", "0003"), ("0004", "0003"), ("0005", "0004"), ("0006", "0005"), ("0007", "0006")):
        await move(empty, revision)
        assert await database.oldest_program(empty) == oldest


async def test_a_newer_schema_is_worked_with_only_where_it_says_so(empty: AsyncEngine) -> None:
    head = database.head_revision()
    await database.upgrade(empty)
    await execute(empty, "update alembic_version set version_num = '9999'")
    for said, oldest in (
        ("schema 9999 works with programs from 9998", "9998"),
        (f"schema {head} works with programs from {head}", None),
        ("another comment", None),
    ):
        await execute(empty, f"comment on table alembic_version is '{said}'")
        assert await database.oldest_program(empty) == oldest
        with pytest.raises(SchemaError, match=f"at 9999, newer than the {head} of this version") as refused:
            await database.require_schema(empty)
        assert "start the version that upgraded it" in refused.value.hint

    await execute(empty, f"comment on table alembic_version is 'schema 9999 works with programs from {head}'")
    with capture_logs() as told:
        await database.require_schema(empty)
        await database.upgrade_older(empty)
    assert [(one["event"], one["schema"], one["own"]) for one in told] == [("schema_newer", "9999", head)]
    with pytest.raises(SchemaError):
        await database.upgrade(empty)
