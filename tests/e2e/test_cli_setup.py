"""check, doctor, db upgrade and simulate: getting it to run."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from archiver.simulator import Account
from tests.support.commands import Process
from tests.support.desk import PASSWORD, TOKEN, Desk, MakeDesk
from tests.support.stores import free_port
from tests.support.world import calls

SECRETS = (TOKEN, PASSWORD, "archivertest-secret")


@pytest.fixture(scope="module")
def shared(module_desk: MakeDesk) -> Desk:
    """A world in which nothing was archived yet."""
    return module_desk(Account(recordings=calls(3)))


@pytest.fixture
def fresh(shared: Desk) -> Iterator[Desk]:
    """The same, whose configuration may be changed."""
    before = yaml.safe_dump(shared.world.document), shared.world.policies
    yield shared
    shared.world.document, shared.world.policies = yaml.safe_load(before[0]), before[1]


def empty_database(desk: Desk) -> None:
    """Point to a database in which there is nothing."""
    desk.change("create schema if not exists bare")
    desk.world.section("database")["url"] = f"{desk.gate.url}?options=-csearch_path%3Dbare"


# check ------------------------------------------------------------------------------------------------------


def test_a_valid_configuration_is_summed_up(fresh: Desk) -> None:
    """For people and as JSON, without any neighbour."""
    fresh.world.section("database")["url"] = f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/none"
    fresh.policies({"name": "keep", "archive": {"keep_at_least": "5y"}}, mode="automatic", archive={"mode": "approve"})
    told, counted = fresh.run("check"), fresh.run("check", "--json")

    assert told.code == counted.code == 0
    assert "accounts acme" in told.out
    assert "1 policies; deletion at the source is automatic, in the archive approve" in told.out
    answer = counted.answer
    digest = answer.pop("policies_digest")
    assert answer == {
        "accounts": ["acme"],
        "policies": 1,
        "deletion": "automatic",
        "deletion_in_archive": "approve",
    }
    assert len(str(digest)) == 64


def test_all_problems_come_at_once_with_their_paths(fresh: Desk) -> None:
    """And no secret is among what is quoted."""
    fresh.world.section("sync")["every"] = "often"
    fresh.world.section("sync")["evry"] = "15m"
    fresh.world.section("accounts")["base_url"] = "http://api.example.com/x"
    fresh.world.section("accounts")["auth"] = {"token": TOKEN, "password": "pw secret"}
    fresh.world.section("vault").pop("bucket")
    done = fresh.run("check")

    assert (done.code, done.out) == (2, "")
    paths = {line.split(":")[0].strip() for line in done.err.splitlines()}
    assert {"sync.every", "sync.evry", "accounts[0].base_url", "accounts[0].auth", "vault.bucket"} <= paths
    assert "did you mean 'every'" in done.err or "'every'" in done.err
    assert [secret for secret in (*SECRETS, "pw secret") if secret in done.err] == []


def test_problems_of_the_policies_come_with_their_paths(fresh: Desk) -> None:
    """They are refused before anything else happens, by every command that reads policies."""
    fresh.policies({"name": "odd", "source": {"delete_afer": "1d"}})
    for command in ("check", "sync", "plan"):
        done = fresh.run(command)
        assert (done.code, done.out) == (2, "")
        assert "policies[0].source.delete_afer" in done.err
        assert "policy 'odd'" in done.err


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "empty"), (b"- 1\n", "keys and values"), (b"a: [", "line"), (b"\xff\xfe\x00", "")],
)  # fmt: skip
def test_an_unreadable_configuration_is_exit_2(shared: Desk, content: bytes | None, said: str) -> None:
    """Missing, empty, no mapping, no YAML, no text."""
    path = shared.folder / "odd.yaml"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    for command in ("check", "status", "run"):
        done = shared.bare("--config", str(path), command)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert said in done.err


def test_a_folder_is_no_configuration(shared: Desk) -> None:
    done = shared.bare("--config", str(shared.folder), "check")
    assert done.code == 2
    assert done.err.startswith("error: ")


def test_the_configuration_is_found_by_the_environment(shared: Desk) -> None:
    """ARCHIVER_CONFIG instead of --config; and secrets from the environment are not shown."""
    path = shared.folder / "environment.yaml"
    document = yaml.safe_load(shared.world.write().read_text())
    document["accounts"][0]["auth"]["token"] = "${VBC_TOKEN}"
    path.write_text(yaml.safe_dump(document))
    given = {"ARCHIVER_CONFIG": str(path)}

    assert shared.bare("check", env={**given, "VBC_TOKEN": TOKEN}).code == 0
    missing = shared.bare("check", env=given)
    assert missing.code == 2
    assert "accounts[0].auth.token" in missing.err
    assert "VBC_TOKEN" in missing.err


LOCKING = {"name": "keep", "archive": {"keep_at_least": "5y", "lock": "compliance"}}


def test_a_lock_needs_a_bucket_that_has_locks(desk: MakeDesk) -> None:
    """Said by check and by doctor, as exit 2 with what to do; a configuration alone can be checked without asking."""
    here = desk(locks=True)
    without = here.world.section("vault")["bucket"] = here.world.store.new_bucket()
    here.policies(LOCKING)
    said = here.refuses(2, "check")
    assert f"bucket {without} has no object lock" in said
    assert "make a bucket with object lock" in said
    assert "nobody can take that back" in here.does("check", "--offline")
    doctor = here.run("doctor")
    assert doctor.code == 2
    assert "a policy wants a lock, and the bucket has no object lock" in doctor.out

    here.world.section("vault")["bucket"] = here.world.bucket
    assert "policy keep locks for 5y in compliance mode" in here.does("check")
    assert "versioned; object lock" in here.does("doctor")


# doctor -----------------------------------------------------------------------------------------------------


def test_a_healthy_world(fresh: Desk) -> None:
    """Each neighbour was tried; the answer says what the bucket does."""
    told, listed = fresh.run("doctor"), fresh.run("doctor", "--json")
    assert told.code == listed.code == 0
    assert [line.split()[0] for line in told.out.splitlines()] == ["ok", "ok", "ok"]
    assert [one["neighbour"] for one in listed.answers] == ["database", f"bucket {fresh.world.bucket}", "account acme"]
    assert all(one["good"] is True and one["exit_code"] == 0 for one in listed.answers)
    assert fresh.objects() == {}


def sick(desk: Desk, illness: str) -> None:
    """Let one neighbour be in trouble."""
    if illness == "database":
        desk.world.section("database")["url"] = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{free_port()}/none"
    elif illness == "schema":
        empty_database(desk)
    elif illness == "bucket":
        desk.world.section("vault")["bucket"] = "no-such-bucket"
    elif illness == "store":
        desk.world.section("vault")["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    elif illness == "token":
        desk.world.section("accounts")["auth"] = {"token": "wrong-" + TOKEN}
    elif illness == "address":
        desk.world.section("accounts")["base_url"] = desk.simulator.origin + "/t/other"


@pytest.mark.parametrize(
    ("illness", "neighbour", "code", "advice"),
    [
        ("database", "database", 5, "database.url"),
        ("schema", "database", 2, "archiver db upgrade"),
        ("bucket", "bucket", 2, "vault.bucket"),
        ("store", "bucket", 5, "endpoint_url"),
        ("token", "account", 5, "token"),
        ("address", "account", 5, "base_url"),
    ],
)
def test_a_neighbour_in_trouble(fresh: Desk, illness: str, neighbour: str, code: int, advice: str) -> None:
    """It is named with what to do; the others are still tried; no secret is shown."""
    sick(fresh, illness)
    done = fresh.run("doctor", "--json")
    bad = [one for one in done.answers if not one["good"]]

    assert [str(one["neighbour"]).split()[0] for one in bad] == [neighbour]
    assert len(done.answers) == 3
    assert done.code == bad[0]["exit_code"] == code
    assert advice in f"{bad[0]['found']} {bad[0]['advice']}"
    assert bad[0]["advice"]
    assert [secret for secret in SECRETS if secret in done.out + done.err] == []


def test_several_neighbours_in_trouble(fresh: Desk) -> None:
    """Each one is told, for people too."""
    for illness in ("database", "bucket", "token"):
        sick(fresh, illness)
    done = fresh.run("doctor")
    assert done.code == 5
    assert [line.split()[0] for line in done.out.splitlines()].count("bad") == 3
    assert done.out.count("do:") == 3


# db upgrade -------------------------------------------------------------------------------------------------


def test_upgrade_makes_the_tables_once(fresh: Desk) -> None:
    """A second time nothing changes; before the first time every command says what to do."""
    empty_database(fresh)
    for command in ("status", "sync", "run", "search", "verify", "plan"):
        before = fresh.run(command)
        assert (before.code, before.out) == (2, ""), before
        assert "archiver db upgrade" in before.err

    first, second = fresh.run("db", "upgrade"), fresh.run("db", "upgrade")
    assert first.code == second.code == 0
    assert "was at nothing" in first.out
    assert "was at" not in second.out
    assert fresh.run("status").code == 0
    fresh.change("drop schema bare cascade")


def test_a_newer_schema_is_left_alone(desk: MakeDesk) -> None:
    """An old program must not work on a catalogue that a newer one has changed."""
    newer = desk()
    newer.change("update alembic_version set version_num = '9999'")
    for command in (["sync"], ["db", "upgrade"]):
        done = newer.run(*command)
        assert done.code == 2, done
        assert "9999" in done.err


# simulate ---------------------------------------------------------------------------------------------------


def test_simulate_serves_until_it_is_told_to_stop() -> None:
    """Port 0 takes a free one; standard output says where, for scripts."""
    with Process("simulate", "--port", "0", "--count", "25", "--kind", "ordinary") as process:
        stdout = process.first_line()
        assert stdout.startswith("base_url: http://127.0.0.1:")
        request = urllib.request.Request(
            f"{stdout.split()[1]}/api/accounts/self/company_call_recordings?page=1&page_size=1",
            headers={"Authorization": "Bearer sim-token"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["total_items"] == 25
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert "Traceback" not in process.log


@pytest.mark.parametrize(("delay", "start"), [("0", b"PK"), ("3600", b"{")])
def test_simulate_serves_exports_after_their_delay(delay: str, start: bytes) -> None:
    with Process("simulate", "--port", "0", "--count", "20", "--export-delay", delay) as process:
        base = process.first_line().split()[1]
        bearer = {"Authorization": "Bearer sim-token"}
        url = f"{base}/api/accounts/self/company_call_recordings/export"
        with urllib.request.urlopen(urllib.request.Request(url, data=b"{}", headers=bearer), timeout=30) as answer:
            (job,) = json.load(answer)["job_ids"]
        url = f"{base}/api/bulkDownload/retrieve?jobId={job}&userName=auditor"
        with urllib.request.urlopen(urllib.request.Request(url, headers=bearer), timeout=30) as answer:
            assert answer.read().startswith(start)


def test_simulate_says_that_the_port_is_taken(shared: Desk) -> None:
    done = shared.bare("simulate", "--port", str(shared.gate.port))
    assert done.code == 2
    assert f"127.0.0.1:{shared.gate.port}" in done.err
