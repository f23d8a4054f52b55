"""New secrets while the daemon runs: taken over between two passes, nothing else with them, and none in the log."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from archiver.simulator import Account, Fault, Hang, Operation
from archiver.simulator.server import utc_now
from tests.support.commands import Event
from tests.support.desk import TOKEN, Desk, MakeDesk
from tests.support.world import calls

CALLS = calls(4)
SELDOM = {"every": "1h", "concurrency": 1}  # what happens again happens because of new secrets
REVOKED = "tk-revoked-canary"


def quiet(desk: Desk) -> Desk:
    """Let the daemon listen at no port: another test's may be there."""
    desk.world.document["http"] = {"listen": None}
    return desk


def well(event: Event) -> bool:
    """A pass in which nothing went wrong."""
    return event["exit_code"] == 0


def put(desk: Desk, name: str, secret: str) -> str:
    """Write a secret's file as Kubernetes does: another one takes its place. Returns its path."""
    file = desk.folder / name
    fresh = file.with_name(f"{name}.new")
    fresh.write_text(f"{secret}\n")
    fresh.rename(file)
    return str(file)


def hang(desk: Desk, recording: int) -> None:
    """Let the next download of a recording wait until it is released."""
    desk.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), recording=recording))


def test_a_revoked_token_stops_its_account_alone_until_its_file_has_another(desk: MakeDesk) -> None:
    here = quiet(desk(Account(recordings=CALLS), sync=SELDOM))
    accounts = [here.world.section("accounts")]
    for name in ("bond", "cole"):
        other = desk(Account(recordings=CALLS)).world.section("accounts")
        accounts.append({**other, "name": name})
    accounts[1]["auth"] = {"token_file": put(here, "bond.token", REVOKED)}
    here.world.document["accounts"] = accounts

    with here.start("run") as daemon:
        stopped = daemon.wait_for("stage_stopped")
        assert (stopped["account"], stopped["kind"]) == ("bond", "AccessDenied")
        assert daemon.wait_for("pass_finished")["exit_code"] == 5
        found = "select account, state::text, count(*) from recordings group by 1, 2 order by 1"
        assert here.query(found) == [("acme", "verified", 4), ("cole", "verified", 4)]

        put(here, "bond.token", TOKEN)
        daemon.wait_for("pass_finished", where=well)
        assert daemon.stop() == 0

    assert here.query(found) == [("acme", "verified", 4), ("bond", "verified", 4), ("cole", "verified", 4)]
    assert [one["paths"] for one in daemon.events("secrets_reloaded")] == [["accounts[bond].auth.token"]]
    assert here.simulator.requests.audio == {call.id: 1 for call in CALLS}  # nothing was begun anew for it
    assert TOKEN not in daemon.log
    assert REVOKED not in daemon.log
    assert daemon.events("bug") == []


def test_sighup_ends_the_pass_in_order_and_takes_over_secrets_only(desk: MakeDesk) -> None:
    """A broken file is told with all its problems, and the old configuration stays; what else changed has to wait."""
    here = quiet(desk(Account(recordings=CALLS), sync=SELDOM))
    accounts, good = here.world.section("accounts"), here.world.section("vault")["secret_access_key"]
    hang(here, 2)
    with here.start("run") as daemon:
        here.arrived(Operation.AUDIO, 2)
        here.world.section("vault")["bukket"] = "x"
        here.world.write()
        daemon.signal(signal.SIGHUP)
        refused = daemon.wait_for("configuration_refused")
        assert refused["problems"] == ["vault.bukket: unknown key; did you mean 'bucket'?"]

        del here.world.section("vault")["bukket"]
        here.world.section("vault")["secret_access_key"] = f"{good}-2"
        here.world.section("sync")["every"] = "2h"
        accounts["requests_per_minute"], accounts["auth"] = 90_000, {"token": REVOKED}
        here.world.policies = {"deletion": {"mode": "nonsense"}}  # not read
        here.world.write()
        daemon.signal(signal.SIGHUP)
        waits = daemon.wait_for("restart_needed")
        assert waits["paths"] == ["accounts[acme].auth.token", "accounts[acme].requests_per_minute", "sync"]
        assert len(here.query("select from runs")) == 1  # the download goes on, and nobody cuts it off

        here.backstage.do(here.simulator.release)
        first = daemon.wait_for("pass_finished")
        daemon.wait_for("pass_finished", where=well)
        assert daemon.stop() == 0

    assert first["exit_code"] == 130
    assert here.query("select exit_code from runs order by started_at") == [(130,), (0,)]
    assert set(here.states().values()) == {"verified"}
    assert here.simulator.requests.audio == {call.id: 1 for call in CALLS}
    assert [one["paths"] for one in daemon.events("secrets_reloaded")] == [["vault.secret_access_key"]]
    assert f"{good}-2" not in daemon.log


@contextmanager
def checked_role(desk: Desk, name: str, password: str) -> Iterator[None]:
    """A role that the server asks for its password, unlike all others."""
    [(found,)] = desk.query("select current_setting('hba_file')")
    rules = Path(str(found))
    before = rules.read_text()
    desk.change(f"create role {name} login password '{password}'")
    desk.change(f"grant all on all tables in schema public to {name}")
    try:
        rules.write_text(f"local all {name} scram-sha-256\n{before}")
        desk.change("do $$ begin perform pg_reload_conf(); end $$")
        yield
    finally:
        rules.write_text(before)
        desk.change("do $$ begin perform pg_reload_conf(); end $$")
        desk.change(f"drop owned by {name}")
        desk.change(f"drop role {name}")


def test_the_database_password_and_the_keys_of_the_store_are_rotated(desk: MakeDesk) -> None:
    """Open connections live on; wrong new ones are told, and the old ones stay in force; then the right ones count."""
    here = quiet(desk(Account(recordings=CALLS), sync=SELDOM))
    port, database = here.gate.port, urlsplit(here.world.database_url).path
    with checked_role(here, "rotated", "old-password-canary"):
        here.world.document["database"] = {
            "url": f"postgresql://rotated@127.0.0.1:{port}{database}",
            "password_file": put(here, "db", "old-password-canary"),
        }
        vault = here.world.section("vault")
        vault["access_key_id_file"] = put(here, "key", str(vault.pop("access_key_id")))
        hang(here, 2)
        with here.start("run") as daemon:
            here.arrived(Operation.AUDIO, 2)
            put(here, "db", "wrong-password-canary")
            here.world.write()
            daemon.signal(signal.SIGHUP)
            here.backstage.do(here.simulator.release)
            refused = daemon.wait_for("secrets_not_usable")
            assert refused["paths"] == ["database.password"]
            assert "password" in str(refused["hint"])
            daemon.wait_for("pass_finished", where=well)  # with what was open

            here.change("alter role rotated password 'new-password-canary'")
            store = here.world.store.strict_state
            earlier, store.access_key_id = store.access_key_id, "rotatedkey"
            hour_ago = utc_now().replace(microsecond=0) - timedelta(hours=1)
            here.backstage.do(lambda: here.simulator.put(replace(CALLS[0], id=5, start=hour_ago)))
            put(here, "db", "new-password-canary")
            put(here, "key", "rotatedkey")
            daemon.wait_for("pass_finished", where=well, count=2)
            assert daemon.stop() == 0
        store.access_key_id = earlier
    assert set(here.states().values()) == {"verified"}
    assert len(here.states()) == 5
    told = [path for one in daemon.events("secrets_reloaded") for path in cast("list[str]", one["paths"])]
    assert set(told) == {"database.password", "vault.access_key_id"}
    assert "password-canary" not in daemon.log
    assert "rotatedkey" not in daemon.log
    assert here.simulator.requests.audio == dict.fromkeys(range(1, 6), 1)
