"""The model of the ledger says what the real one says: both live through the same histories, side by side.

What the model then proves of discovery is in tests/unit/test_guarantee.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import astuple
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.ledger import Ledger
from tests.support.drawn import histories
from tests.support.histories import History
from tests.support.model_source import Told
from tests.support.rows import execute, query

NUMBERS = count(1)

pytestmark = pytest.mark.usefixtures("no_logs")


@pytest.fixture
def twins(database_url: str) -> Iterator[Callable[[History], None]]:
    """Give a function that plays a history with model and database, each as an account of its own."""
    with asyncio.Runner() as runner:
        engine = database.open_engine(database_url, pool_size=2)
        yield lambda history: runner.run(live_twice(history, engine))
        runner.run(engine.dispose())


async def live_twice(history: History, engine: AsyncEngine) -> None:
    """Every answer of one must be the other's, in the order that they are asked."""
    history.source.account = f"account-{next(NUMBERS)}"
    history.ledgers.all = [history.model, Ledger(engine)]
    await history.live()
    await compare(history, engine)
    history.calm()
    await history.quiet(explaining(history, engine))
    await compare(history, engine)


def explaining(history: History, engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
    """A person explains all gaps of the account, in both."""

    async def explain() -> None:
        history.model.explain_all()
        said = (
            "update gaps set explanation = 'x', explained_by = 'x', explained_at = opened_at where account = :account"
        )
        await execute(engine, said + " and closed_at is null", account=history.source.account)

    return explain


async def compare(history: History, engine: AsyncEngine) -> None:
    """What stands in both, row by row."""
    model, account = history.model, history.source.account
    rows = "select recording_id, call_start, listed_at, absent_since is not null from recordings"
    days = "select day, checked_at, proved_at, settled_at, doubt, said from days"
    gaps = "select fingerprint, kind, since, until, claimed, seen_run, explanation is not null from gaps"
    marks = "select watermark, listed_from, page_base, page_cap from accounts"
    mine = " where account = :account"
    assert await query(engine, rows + mine + " order by recording_id", account=account) == sorted(
        (id_, *astuple(row)) for id_, row in model.rows.items()
    )
    assert await query(engine, days + mine + " order by day", account=account) == sorted(
        (day, *astuple(kept)) for day, kept in model.days.items()
    )
    assert sorted(await query(engine, gaps + mine + " and closed_at is null", account=account)) == sorted(
        (name, gap.kind, gap.window.since, gap.window.until, gap.claimed, gap.seen_run, gap.explained)
        for name, gap in model.gaps.items()
    )
    assert await query(engine, marks + mine, account=account) in (
        [(model.watermark, model.listed_from, model.learnt.page_base, model.learnt.page_cap)],
        [],
    )


def tried(examples: int) -> settings:
    held = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(deadline=None, max_examples=examples, suppress_health_check=held)


@tried(25)
@given(history=histories(deletions=True, outages=True, hidden=True))
def test_model_and_ledger_agree_where_totals_are_true(twins: Callable[[History], None], history: History) -> None:
    twins(history)
    assert all(one.id in history.model.rows or history.in_a_gap(one.start) for one in history.source.listed())


@tried(15)
@given(history=histories(deletions=True, told=(Told.ABSENT, Told.ZERO, Told.PAGE, Told.OFF)))
def test_model_and_ledger_agree_where_totals_lie(twins: Callable[[History], None], history: History) -> None:
    twins(history)
    assert all(one.id in history.model.rows or history.in_a_gap(one.start) for one in history.source.listed())
