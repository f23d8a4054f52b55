"""What a real Postgres says about a row that it refuses: the driver's error, and SQLAlchemy's round it."""

from __future__ import annotations

import io

import psycopg
import pytest
import sqlalchemy
import structlog
from sqlalchemy.exc import DBAPIError

from archiver import logs

pytest_plugins = ["tests.support.logs"]
pytestmark = pytest.mark.usefixtures("logging_restored")

NAME = "Canary Sharma"
STATEMENTS = [
    ("insert into calls values (1, %s)", "SQLSTATE 23514, constraint short_name, table calls"),
    ("insert into calls select 0, %s", "SQLSTATE 23505, constraint calls_pkey, table calls"),
    ("insert into calls (name) values (%s)", "SQLSTATE 23502, table calls, column id"),
    ("select %s::integer", "SQLSTATE 22P02"),
    ("select %s::timestamptz", "SQLSTATE 22007"),
    ("select %s from absent", 'SQLSTATE 42P01, relation "absent" does not exist'),
]
TABLE = (
    "create temp table calls (id int primary key, name text, constraint short_name check (id = 0 or length(name) < 5))"
)


@pytest.mark.parametrize(("statement", "logged"), STATEMENTS)
def test_the_driver_s_error_names_the_constraint_and_not_the_row(postgres: str, statement: str, logged: str) -> None:
    with psycopg.connect(postgres) as connection:
        connection.execute(TABLE)
        connection.execute("insert into calls values (0, 'x')")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.encode(), [NAME])

    text = logged_text(caught.value)

    assert logged in text
    assert "Canary" not in text


@pytest.mark.parametrize(("statement", "logged"), STATEMENTS)
def test_sqlalchemy_adds_the_statement_and_not_its_parameters(postgres: str, statement: str, logged: str) -> None:
    engine = sqlalchemy.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
        connection.exec_driver_sql("insert into calls values (0, 'x')")
        with pytest.raises(DBAPIError) as caught, connection.begin_nested():
            connection.exec_driver_sql(statement, (NAME,))
    engine.dispose()

    text = logged_text(caught.value)

    assert logged in text
    assert f"[SQL: {statement}]" in text
    assert "Canary" not in text


def logged_text(error: Exception) -> str:
    stream = io.StringIO()
    logs.configure(format="console", level="info", stream=stream, secrets=())
    structlog.get_logger().error("failed", exc_info=error, error=error)
    return stream.getvalue()
