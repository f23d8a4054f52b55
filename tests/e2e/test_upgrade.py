"""A daemon and the schema of its catalogue: older, newer, none; and two daemons that upgrade it at once."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import Connection

from archiver.adapters import database
from archiver.simulator import Account
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

CALLS = calls(3)
HEAD = database.head_revision()


def empty(desk: Desk, revision: str | None) -> None:
    """Leave the catalogue as an older version would have it; None: without a table."""
    desk.change("drop schema public cascade")
    desk.change("create schema public")

    def run(opened: Connection) -> None:
        config = database.alembic_config()
        config.attributes["connection"] = opened
        command.upgrade(config, str(revision))

    async def moving() -> None:
        engine = database.open_engine(desk.world.database_url, pool_size=1)
        async with engine.connect() as opened:
            await opened.run_sync(run)
        await engine.dispose()

    if revision is not None:
        desk.backstage.call(moving())


def test_without_being_told_no_command_upgrades_the_schema(desk: MakeDesk) -> None:
    """Exit code 2, what there is, what is needed, and what to do."""
    here = desk(Account(recordings=CALLS))
    for revision, words in ((None, "has no tables"), ("0001", f"is at 0001, older than the {HEAD}")):
        empty(here, revision)
        for name in ("run", "sync", "status"):
            said = here.refuses(2, name)
            assert words in said
            assert "archiver db upgrade" in said
    here.change("update alembic_version set version_num = '9999'")
    for name in ("run", "sync", "status"):
        said = here.refuses(2, name)
        assert f"is at 9999, newer than the {HEAD} of this version" in said
        assert "start the version that upgraded it" in said


@pytest.mark.parametrize("revision", [None, "0003"])
def test_two_daemons_upgrade_it_once_when_they_are_told_to(desk: MakeDesk, revision: str | None) -> None:
    """One does and says so, the other waits and goes on; a command beside them refuses as ever."""
    here = desk(Account(recordings=CALLS), sync={"every": "1s"})
    here.world.section("database")["migrate"] = "on_start"
    here.world.document["http"] = {"listen": None}  # one port is not enough for both
    empty(here, revision)
    assert "archiver db upgrade" in here.refuses(2, "sync")
    with here.start("run") as first, here.start("run") as second:
        for daemon in (first, second):
            daemon.wait_for("pass_finished", where=lambda event: event["exit_code"] == 0)
        assert (first.stop(), second.stop()) == (0, 0)
    told = [one for daemon in (first, second) for one in daemon.events("schema_upgraded")]
    assert [(one["before"], one["after"]) for one in told] == [(revision, HEAD)]
    assert set(here.states().values()) == {"verified"}


def test_told_to_upgrade_a_daemon_still_refuses_a_newer_schema(desk: MakeDesk) -> None:
    here = desk(Account(recordings=CALLS))
    here.world.section("database")["migrate"] = "on_start"
    here.change("update alembic_version set version_num = '9999'")
    assert "start the version that upgraded it" in here.refuses(2, "run")
    assert here.query("select version_num from alembic_version") == [("9999",)]
