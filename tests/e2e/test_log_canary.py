"""No secret and nobody's data in any line of whole passes, whatever goes wrong in them, at the most talkative level."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.simulator import (
    Account,
    Changed,
    CutAfter,
    Extra,
    Fault,
    Flip,
    Garbage,
    Html,
    JsonError,
    MalformedItems,
    Operation,
    SimRecording,
    Status,
    Truncate,
)
from archiver.simulator.malformed import KINDS
from tests.support.commands import Done
from tests.support.desk import DAILY, PASSWORD, TOKEN, Desk, MakeDesk
from tests.support.stores import SECRET, free_port
from tests.support.world import calls, key_of

CALLER, CALLED, LOCAL = "+910000054321", "+910000098765", "00000424242"
NAME, FILE = "ZARINA CANARYWALA", "zarina-canarywala-from-home.mp3"
CANARIES = (TOKEN, PASSWORD, SECRET, CALLER, CALLER[1:], CALLED, CALLED[1:], LOCAL, NAME, "ZARINA", "zarina", FILE)


def person(call: SimRecording) -> SimRecording:
    """Give the call somebody's data in every field that has any."""
    number = LOCAL if call.id % 2 else CALLER
    return replace(call, caller_id=number, dnis=CALLED, cnam=NAME, file_name=FILE)


CALLS = tuple(person(call) for call in calls(10))


EXPECTED = {
    "malformed_items", "transfer_failed", "recording_quarantined", "recording_purged", "size_disagrees",
    "purge_skipped", "slice_listed",
}  # fmt: skip


def audio(recording: int, do: object, times: int | None = 1) -> Fault:
    """A fault of one download."""
    return Fault(on=Operation.AUDIO, do=do, recording=recording, times=times)  # type: ignore[arg-type]


FAULTS = (
    Fault(on=Operation.LIST, do=Garbage(), after=1),
    Fault(on=Operation.LIST, do=MalformedItems(tuple(KINDS)), after=20, times=30),
    Fault(on=Operation.GET, do=Changed({"call_id": NAME}), recording=9, times=None),
    Fault(on=Operation.DELETE, do=Status(403), recording=10, times=None),
    audio(1, Html(), times=None),
    audio(2, JsonError(content_type="audio/mpeg")),
    audio(3, CutAfter(100)),
    audio(4, Truncate(100), times=None),
    audio(5, Extra(50), times=None),
    audio(6, Flip(), times=None),
    audio(7, Status(404), times=None),
)


@pytest.fixture
def troubled(desk: MakeDesk, style: str) -> Desk:
    """A world full of people and faults, and a talkative archiver."""
    made = desk(Account(recordings=CALLS, faults=FAULTS))
    made.world.document["logging"] = {"format": style, "level": "debug"}
    made.policies(DAILY, mode="automatic", max_percent=100)
    return made


def canaries_in(*done: Done) -> list[str]:
    """What was said that must not be: in the logs, the error output, and the answers of these commands."""
    text = "".join(one.out + one.err for one in done)
    return [canary for canary in CANARIES if canary in text]


@pytest.mark.parametrize("style", ["json", "console"])
def test_passes_full_of_faults_tell_nothing_about_anybody(troubled: Desk) -> None:
    """They tell a lot about the faults, though."""
    troubled.world.store.client.put_object(Bucket=troubled.world.bucket, Key=key_of(CALLS[7]), Body=NAME.encode())
    first = troubled.run("sync")
    plan = troubled.run("plan")
    troubled.spoil(key_of(CALLS[1]))
    others = [
        troubled.run(*words.split()) for words in ("sync --json", "verify --all", "status", "retry --all", "doctor")
    ]

    assert first.code == 3
    told = {str(one["event"]) for one in first.events} or set(re.findall(r"\] (\w+)", first.err))
    assert told >= EXPECTED
    assert canaries_in(first, plan, *others) == []


@pytest.mark.parametrize("style", ["console"])
def test_neighbours_in_trouble_tell_nothing(troubled: Desk) -> None:
    """Errors of libraries like to quote addresses, headers and rows."""
    said = []
    with troubled.start("run") as daemon:
        daemon.seen("pass_finished")
        troubled.backstage.call(troubled.gate.shut())
        daemon.seen("neighbour_awaited")
        daemon.stop()
        said.append(Done(code=0, out=daemon.out, err=daemon.log))
    said += [troubled.run("sync"), troubled.run("doctor"), troubled.run("db", "upgrade")]
    troubled.backstage.call(troubled.gate.open())

    troubled.change("alter table recordings add constraint odd check (state <> 'stored') not valid")
    troubled.change("update recordings set state = 'discovered', next_attempt_at = now() where state = 'failed'")
    troubled.simulator.revoke_tokens(static=True)
    said += [troubled.run("sync"), troubled.run("doctor")]
    vault = troubled.world.section("vault")
    for change in ({"bucket": "nobody-has-this"}, {"endpoint_url": f"http://127.0.0.1:{free_port()}"}):
        vault.update(change)
        said += [troubled.run("doctor"), troubled.run("verify", "--all")]
    assert canaries_in(*said) == []


@pytest.mark.parametrize("style", ["json"])
def test_a_row_that_the_database_refuses_is_not_quoted(troubled: Desk) -> None:
    """Postgres puts the whole row into its message: only the name of the constraint may be told."""
    troubled.change("alter table recordings add constraint nobody_calls check (cnam is null) not valid")
    done = troubled.run("sync")
    assert done.code == 2
    assert "nobody_calls" in done.err
    assert canaries_in(done) == []


@pytest.mark.parametrize("style", ["json"])
def test_a_configuration_with_secrets_in_wrong_places_quotes_none(troubled: Desk) -> None:
    """Where a token was pasted into another key, the complaint does not repeat it."""
    account = troubled.world.section("accounts")
    account["auth"] = {"token": TOKEN + " with a space", "tokn": TOKEN}
    troubled.world.section("database")["url"] = f"postgresql://user:{PASSWORD}@@host/db"
    done = troubled.run("check")
    assert done.code == 2
    assert canaries_in(done) == []


@pytest.mark.parametrize("style", ["json"])
def test_what_people_decide_tells_no_log_about_them(troubled: Desk) -> None:
    """Neither who opened, planned, approved or paused, nor whose number or name a case asks for."""
    people = ("Xanthippe Authorwala", "Yggdrasil Approverson")
    author, second = ["--by", people[0]], ["--by", people[1]]
    path = str(troubled.folder / "plan.json")
    about = ["--number", CALLED, "--caller", CALLER, "--cnam", f"{NAME}*"]
    said = [
        troubled.run(*words)
        for words in (
            ["hold", "add", "case-1", "--reason", "12/26", *author, *about, "--future"],
            ["pause", "--reason", "audit", *author],
            ["sync"],
            ["hold", "list"],
            ["hold", "check"],
            ["hold", "release", "case-1", "--reason", "settled", *author],
            ["hold", "release", "case-1", *author],
            ["hold", "release", "case-1", *second],
            ["plan", "--out", path, *author],
            ["approve", path, *author],
            ["approve", path, *second],
            ["apply", path],
            ["resume", *second],
            ["apply", path],
            ["erase", "8", "--reason", "request 9", *author, "--out", path],
            ["sync"],
        )
    ]
    logs = [line for one in said for line in one.err.splitlines() if line.startswith("{")]
    assert any('"deletion_paused"' in line for line in logs)
    assert any('"on_hold"' in line for line in logs)
    assert canaries_in(*(Done(code=one.code, out="", err=one.err) for one in said)) == []
    assert [line for line in logs if any(part in line for name in people for part in name.split())] == []
    assert [canary for canary in CANARIES if canary in Path(path).read_text()] == []
