"""The daemon's endpoint: /livez, /readyz, /healthz and /metrics, while things go well and while they do not."""

from __future__ import annotations

import shutil
import socket
import subprocess
from dataclasses import replace

import psycopg

from archiver.simulator import Account
from tests.support.commands import Process
from tests.support.desk import PASSWORD, TOKEN, Desk, MakeDesk
from tests.support.metrics import OFFERED
from tests.support.watching import Endpoint, endpoint_of, passes_more
from tests.support.world import calls

CALLER, CALLED, NAME, FILE = "+910000054321", "+910000098765", "ZARINA CANARYWALA", "zarina-from-home.mp3"
CANARIES = (TOKEN, PASSWORD, CALLER, CALLER[1:], CALLED, CALLED[1:], "ZARINA", "zarina")
CALLS = tuple(replace(call, caller_id=CALLER, dnis=CALLED, cnam=NAME, file_name=FILE) for call in calls(4))
WELL, ILL = (200, 200, 200), (200, 200, 503)
BLIND = (200, 503, 503)


def watched(desk: MakeDesk) -> Desk:
    """A world for a daemon that does a pass every second, and listens where there is room."""
    made = desk(Account(recordings=CALLS), sync={"every": "1s"})
    made.world.document["http"] = {"listen": "127.0.0.1:0"}
    return made


def never_fell(before: Endpoint, daemon: Process) -> None:
    """What counts only grows, from one scrape to the next."""
    earlier = before.metrics()
    passes_more(daemon)
    later = before.metrics()
    counted = [name for name in earlier if name.endswith(("_total", "_count", "_sum", "_bucket"))]
    assert len(counted) > 10
    for name in counted:
        fallen = {labels for labels, value in earlier[name].items() if later[name][labels] < value}
        assert (name, fallen) == (name, set())
    assert later["archiver_passes_total"]["0",] > earlier["archiver_passes_total"]["0",]


def lint(exposition: str) -> None:
    """Let Prometheus' own tool read it, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run(
            [promtool, "check", "metrics"], input=exposition, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_life_of_three_accounts(desk: MakeDesk) -> None:
    """All is well; then one's token is revoked; then the database is away, and comes back."""
    here, elsewhere = watched(desk), desk(Account(recordings=CALLS[:1]))
    account = here.world.section("accounts")
    third = {**account, "name": "third", "base_url": elsewhere.simulator.base_url}
    here.world.document["accounts"] = [account, {**account, "name": "second"}, third]
    with here.start("run") as daemon:
        asked = endpoint_of(daemon)
        passes_more(daemon)
        assert asked.statuses() == WELL
        assert asked.health()["status"] == "ok"
        never_fell(asked, daemon)
        exposition = asked.get("/metrics")[1]
        lint(exposition)
        told = asked.metrics()
        assert set(told) <= OFFERED
        assert told["archiver_recordings"]["acme", "verified"] == 4
        assert told["archiver_recordings_handled_total"]["second", "archived"] == 4
        assert told["archiver_transfer_seconds_count"]["third",] == 1
        assert told["archiver_archived_bytes"]["acme",] == told["archiver_stored_bytes_total"]["acme",] == 8_010
        assert [canary for canary in CANARIES if canary in exposition + asked.get("/healthz")[1]] == []

        elsewhere.simulator.revoke_tokens(static=True)
        daemon.wait_for("stage_stopped", count=2)
        assert asked.statuses() == ILL
        assert asked.reasons() == [("third", "stopped", "critical")]
        assert asked.metrics()["archiver_health_reason"] == {("third", "stopped"): 2}
        assert [canary for canary in CANARIES if canary in asked.get("/healthz")[1]] == []

        here.backstage.call(here.gate.shut())
        daemon.wait_for("neighbour_awaited")
        assert asked.statuses() == BLIND
        assert asked.reasons() == [(None, "catalogue", "critical")]
        blind = asked.metrics()
        assert blind["archiver_catalogue_up"] == {(): 0}
        assert not {"archiver_recordings", "archiver_watermark_timestamp_seconds"} & set(blind)
        assert blind["archiver_recordings_handled_total"]["second", "archived"] == 4

        here.backstage.call(here.gate.open())
        passes_more(daemon)
        assert asked.statuses() == ILL
        assert asked.metrics()["archiver_recordings"]["acme", "verified"] == 4
        assert daemon.stop() == 0
    assert daemon.events("bug") == []


def test_before_it_can_begin_it_says_what_it_waits_for(desk: MakeDesk) -> None:
    """A database that is not there yet is no reason to restart the daemon, and none to send it work."""
    here = watched(desk)
    here.backstage.call(here.gate.shut())
    with here.start("run") as daemon:
        asked = endpoint_of(daemon)
        daemon.wait_for("neighbour_awaited")
        assert asked.statuses() == BLIND
        assert asked.reasons() == [(None, "starting", "critical")]
        assert "out of reach" in asked.get("/healthz")[1]
        assert asked.metrics()["archiver_catalogue_up"] == {(): 0}
        here.backstage.call(here.gate.open())
        passes_more(daemon)
        assert asked.statuses() == WELL
        assert daemon.stop() == 0


def test_a_port_that_is_taken_does_not_keep_it_from_archiving(desk: MakeDesk) -> None:
    here = watched(desk)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        here.world.document["http"] = {"listen": listen}
        with here.start("run") as daemon:
            said = daemon.wait_for("http_unavailable")
            passes_more(daemon, 1)
            assert daemon.stop() == 0
    assert said["address"] == listen
    assert "http.listen" in str(said["hint"])


def test_an_address_that_is_not_ours(desk: MakeDesk) -> None:
    """Exit 2 before any work, and it says which key to change."""
    here = watched(desk)
    here.world.document["http"] = {"listen": "203.0.113.1:9464"}
    assert "http.listen: 203.0.113.1:9464 cannot be listened at" in here.refuses(2, "run")
    assert here.simulator.requests.listed == 0


def line(desk: Desk, code: int) -> tuple[str, dict[str, str]]:
    """What `status --check` says in its one line: the text, and the figures by their name."""
    done = desk.run("status", "--check")
    assert done.code == code, done
    (only,) = done.out.splitlines()
    text, _, figures = only.partition(" | ")
    return text, dict(figure.split("=", 1) for figure in figures.split())


def test_one_line_for_nagios(desk: MakeDesk) -> None:
    """Level, words, performance data, and a plugin's exit codes: 0, 1, 2 and 3."""
    here = desk(Account(recordings=CALLS))
    text, figures = line(here, 2)
    assert text == "ARCHIVER CRITICAL - acme: no pass was ever begun for this account"
    here.does("sync")
    text, figures = line(here, 0)
    assert text.startswith("ARCHIVER OK - 1 account, every one passed well in the last ")
    assert figures["acme_archived_bytes"] == "8010B"
    assert figures["acme_open_gaps"] == "0"
    assert figures["acme_last_good_pass"].endswith("s;1800;3600")
    assert here.run("status", "--check", "--json").answer["status"] == "ok"

    stopped = "stop_kind = 'Unreachable', stop_final = false, stop_reason = concat('a | b', chr(10), 'c')"
    here.change(f"update accounts set good_pass_at = now() - interval '40 minutes', {stopped}")
    text, figures = line(here, 1)
    told = "acme: the last good pass is long ago; the last one stopped: a / b c (40m)"
    again = "acme: the last pass was stopped, the next one tries again: a / b c"
    assert text == f"ARCHIVER WARNING - {told}; {again}"
    here.change("update accounts set good_pass_at = now() - interval '3 hours'")
    assert line(here, 2)[0].startswith("ARCHIVER CRITICAL - acme: the last good pass is long ago")

    here.backstage.call(here.gate.shut())
    assert line(here, 2) == ("ARCHIVER CRITICAL - the database is out of reach", {})
    here.world.document["sync"] = {"every": "now and then"}
    assert line(here, 3)[0].startswith("ARCHIVER UNKNOWN - ")
    unknown = here.run("status", "--check", "--json")
    assert (unknown.code, unknown.answer["status"]) == (3, "unknown")


def test_another_process_at_work_is_no_bad_pass(desk: MakeDesk) -> None:
    """Whoever holds the lock says how it went; a pass that was kept out says nothing of the account."""
    here = watched(desk)
    here.does("sync")
    before = here.query("select good_pass_at, stop_kind from accounts")
    with psycopg.connect(here.world.database_url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('archiver/acme/discover', 0))")
        assert here.run("sync").code == 4
    assert here.query("select good_pass_at, stop_kind from accounts") == before
    assert here.run("status", "--check").code == 0
