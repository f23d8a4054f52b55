"""Least privilege in the database: packaging/postgres/roles.sql, tried with everything that the roles are for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from archiver.adapters.tables import metadata
from archiver.simulator import Account, Fault, Operation, Status
from tests.support.commands import ROOT
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.postgres import PROGRAMS
from tests.support.world import calls

ROLES = ("archiver_owner", "archiver_app", "archiver_approver", "archiver_auditor")
WRITTEN_ONCE = {"history", "ledger", "gap_events", "controls", "policy_sets"}


def as_role(desk: Desk, role: str) -> str:
    """URL of the catalogue for one of the roles."""
    return desk.world.database_url.replace("postgres:@", f"{role}:@", 1)


def log_in(desk: Desk, role: str) -> None:
    """Let the commands work as a role from now on."""
    desk.world.document["database"] = {"url": as_role(desk, role)}


def give(desk: Desk) -> None:
    """Run the script as the server's admin."""
    script = ROOT / "packaging/postgres/roles.sql"
    done = subprocess.run(
        [PROGRAMS / "psql", "--no-psqlrc", "--quiet", "--file", script, desk.world.database_url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def here(desk: MakeDesk) -> Iterator[Desk]:
    """A world whose catalogue was made by its owner, and that its roles may use."""
    made = desk(Account(recordings=calls(6)))
    made.change("drop schema public cascade")
    made.change("create schema public")
    give(made)
    log_in(made, "archiver_owner")
    made.does("db", "upgrade")
    give(made)
    log_in(made, "archiver_app")
    yield made
    made.change("drop schema public cascade")
    for role in ROLES:
        made.change(f"drop owned by {role} cascade")
        made.change(f"drop role {role}")


def test_the_daily_role_does_all_the_work_and_cannot_change_what_was_written_once(here: Desk) -> None:
    """Archiving, a gap and its reason, a case, a pause, deletion on both sides, by plan and by itself."""
    give(here)  # once more: it may be repeated
    here.simulator.script(Fault(on=Operation.AUDIO, do=Status(404), recording=6))
    here.policies()
    assert here.run("sync").code == 3
    [gap] = here.run("gaps", "list", "--json").answers
    here.does("gaps", "explain", str(gap["id"]), "--reason", "the trunk failed", "--by", "Asha Rao")
    here.does("retry", "--all")
    here.does("sync")
    here.does("verify", "--all")
    here.does("hold", "add", "case-1", "--reason", "a dispute", "--id", "1", "--by", "Asha Rao")
    here.does("pause", "--reason", "an audit", "--by", "Asha Rao")
    here.does("resume", "--by", "Asha Rao")
    here.does("backfill", "--from", "2023-01-01", "--to", "2023-01-31", "--detach")

    here.policies(DAILY, mode="automatic", max_percent=100, archive={"mode": "approve"})
    here.does("sync")
    assert here.states() == {"1": "verified", **{str(number): "purged" for number in range(2, 7)}}
    plan = str(here.folder / "erase.json")
    here.does("erase", "2", "--reason", "request 7", "--by", "Asha Rao", "--out", plan)
    log_in(here, "archiver_approver")
    here.does("approve", plan, "--by", "Vikram Iyer")
    assert "a right is missing on table" in here.refuses(5, "sync")
    log_in(here, "archiver_app")
    here.does("apply", plan)
    assert here.states()["2"] == "expired"

    denied = psycopg.errors.InsufficientPrivilege
    with psycopg.connect(as_role(here, "archiver_app"), autocommit=True) as opened:
        for table in WRITTEN_ONCE:
            assert opened.execute(f"select count(*) from {table}").fetchone() != (0,)
            for statement in (f"update {table} set at = now()", f"delete from {table}", f"truncate {table}"):
                with pytest.raises(denied):
                    opened.execute(statement)
            with pytest.raises(denied):
                opened.execute(f"alter table {table} disable trigger all")
        for statement in ("delete from recordings", "truncate recordings", "create table more ()", "drop table runs"):
            with pytest.raises(denied):
                opened.execute(statement)
    with psycopg.connect(as_role(here, "archiver_owner"), autocommit=True) as opened:
        for table in WRITTEN_ONCE:
            for statement in (f"update {table} set at = now()", f"delete from {table}", f"truncate {table} cascade"):
                with pytest.raises(psycopg.errors.RestrictViolation):
                    opened.execute(statement)


def test_the_auditor_sees_and_changes_nothing(here: Desk) -> None:
    here.does("sync")
    log_in(here, "archiver_auditor")
    for words in (["status"], ["search"], ["coverage"], ["gaps"], ["explain", "1"], ["plans"], ["hold", "list"]):
        here.does(*words)
    said = here.refuses(5, "sync")
    assert "a right is missing on table runs of the database (SQLSTATE 42501)" in said
    assert "docs/privileges.md" in said
    for words in (["pause", "--reason", "x", "--by", "Asha Rao"], ["verify", "--all"]):
        assert "a right is missing" in here.refuses(5, *words)
    denied = psycopg.errors.InsufficientPrivilege
    with psycopg.connect(as_role(here, "archiver_auditor")) as opened, pytest.raises(denied):
        opened.execute("select from refresh_tokens")
    assert here.query("select count(*) from controls where kind = 'pause'") == [(0,)]


def test_each_table_is_given_to_each_role_as_it_should_be(here: Desk) -> None:
    """Also tables of migrations to come, before the script is run again."""
    here.change("set role archiver_owner; create table to_come (id int); reset role")
    rights = {
        (str(role), str(table)): str(given)
        for role, table, given in here.query(
            "select grantee, table_name, string_agg(privilege_type, ' ' order by privilege_type)"
            " from information_schema.role_table_grants where table_schema = 'public'"
            " and grantee like 'archiver\\_%' and grantee <> 'archiver_owner' group by 1, 2"
        )
    }
    expected = {("archiver_app", "to_come"): "INSERT SELECT UPDATE", ("archiver_auditor", "to_come"): "SELECT"}
    for table in metadata.tables:
        once = table in WRITTEN_ONCE
        expected["archiver_app", table] = "INSERT SELECT" if once else "INSERT SELECT UPDATE"
        if table != "refresh_tokens":
            expected["archiver_auditor", table] = "SELECT"
            expected["archiver_approver", table] = "INSERT SELECT" if table == "controls" else "SELECT"
    expected["archiver_app", "quota_used"] = "DELETE INSERT SELECT UPDATE"
    expected |= {(role, "alembic_version"): "SELECT" for role in ROLES[1:]}
    assert rights == expected
    here.change("drop table to_come")
