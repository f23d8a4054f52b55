"""status, search, explain and fetch: finding things out, and getting a recording back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.simulator import Account, Fault, Html, Operation, audio_bytes
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls, key_of

ODD = {"caller_id": "100%_'\"; drop table recordings; --", "call_id": "[/red]:cat:\x1b[2J", "extensions": ("0417",)}
CALLS = tuple(
    replace(call, direction="OUTBOUND" if call.id == 2 else "INBOUND", **(ODD if call.id == 3 else {}))  # type: ignore[arg-type]
    for call in calls(5)
)
GAP = Fault(on=Operation.AUDIO, do=Html(), recording=5, times=None)


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """Four recordings in the archive, one of them with odd text everywhere, and a gap."""
    made = module_desk(Account(recordings=CALLS, faults=(GAP,)))
    made.policies(DAILY)
    assert made.run("sync").code == 3
    return made


# status -----------------------------------------------------------------------------------------------------


def test_status_of_a_new_archive(desk: MakeDesk) -> None:
    """Says how to begin; nothing is wrong yet."""
    fresh = desk(Account(recordings=CALLS))
    told, counted = fresh.run("status"), fresh.run("status", "--json")
    assert told.code == counted.code == 0
    assert "archiver sync" in told.out
    nothing: dict[str, object] = {"accounts": [], "gaps": [], "open_holds": []}
    answer = counted.answer
    assert [one["account"] for one in counted.rows("budgets")] == ["acme"]
    del answer["budgets"]
    assert answer == {**nothing, "last_run": None, "open_gaps": 0, "deletion_paused": None}


def test_status_after_a_pass(desk: MakeDesk) -> None:
    """Exit 0 when nothing is missing."""
    here = desk(Account(recordings=CALLS))
    assert here.run("sync").code == 0
    told, counted = here.run("status"), here.run("status", "--json")
    assert told.code == counted.code == 0
    assert "verified 5" in told.out
    assert "No gap is open." in told.out
    (account,) = counted.rows("accounts")
    assert account["counts"] == {"verified": 5}
    assert account["bytes"] == sum(call.size for call in CALLS)
    assert account["oldest_pending"] is None
    assert 0 <= int(str(account["lag_seconds"])) < 600


def test_status_with_a_gap_is_exit_3(archive: Desk) -> None:
    """What is missing is named, with its reason."""
    told, counted = archive.run("status"), archive.run("status", "--json")
    assert told.code == counted.code == 3
    assert "discovered 1, verified 4" in told.out
    assert "Open gaps: 1" in told.out
    assert counted.answer["open_gaps"] == 1
    (gap,) = counted.rows("gaps")
    assert (gap["recording_id"], gap["kind"], gap["reason"]) == ("5", "retrying", "the body is a web page, not audio")
    last = counted.section("last_run")
    assert (last["command"], last["exit_code"]) == ("sync", 3)


# search -----------------------------------------------------------------------------------------------------


def found(archive: Desk, *words: str) -> list[str]:
    """Ids of the recordings that a search finds, in its order."""
    done = archive.run("search", *words, "--json")
    assert (done.code, done.err) == (0, "")
    return [str(one["recording_id"]) for one in done.answers]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], "54321"),
        (["--limit", "2"], "54"),
        (["--since", "2024-01-31T12:03:00"], "543"),
        (["--since", "2024-01-31T17:33:00+05:30", "--until", "2024-01-31T12:04:00Z"], "43"),
        (["--until", "2024-01-30"], ""),
        (["--since", "0001-01-01"], "54321"),
        (["--until", "9999-12-31T23:59:59-12:00"], None),
        (["--number", "+910000000000"], "5421"),
        (["--number", "910000000000"], ""),
        (["--number", "100%"], ""),
        (["--number", "%"], ""),
        (["--number", str(ODD["caller_id"])], "3"),
        (["--number", "+910000099999"], "54321"),
        (["--extension", "0417"], "3"),
        (["--extension", "417"], ""),
        (["--call-id", str(ODD["call_id"]).replace("\x1b", "\N{REPLACEMENT CHARACTER}")], "3"),
        (["--state", "verified", "--extension", "2101"], "421"),
        (["--state", "discovered"], "5"),
        (["--account", "acme"], "54321"),
        (["--account", "nobody"], ""),
    ],
)
def test_search(archive: Desk, words: list[str], ids: str | None) -> None:
    """Each option narrows the search, as text, exactly; the latest call comes first."""
    if ids is None:
        assert archive.run("search", *words).code == 2
    else:
        assert found(archive, *words) == list(ids)


@pytest.mark.parametrize("time", ["yesterday", "2024-13-01", "", "31.01.2024", "12:00", "0001-01-01T00:00:00+05:30"])
def test_search_for_no_time_is_exit_2(archive: Desk, time: str) -> None:
    """With an example of how to write it."""
    done = archive.run("search", "--since", time)
    assert (done.code, done.out) == (2, "")
    assert "2026-01-31" in done.err


def test_odd_text_from_the_source_is_shown_harmlessly(archive: Desk) -> None:
    """No markup is obeyed, and no escape sequence reaches the terminal."""
    for words in (["search"], ["explain", "3"]):
        done = archive.run(*words, env={"FORCE_COLOR": "1"})
        assert done.code == 0
        assert str(ODD["caller_id"]) in done.out
        assert "\x1b[2J" not in done.out
    assert "[/red]:cat:\N{REPLACEMENT CHARACTER}[2J" in done.out


# explain ----------------------------------------------------------------------------------------------------


def test_explain_tells_the_whole_story(archive: Desk) -> None:
    """The record, today's decision with its policy, and every step."""
    told, listed = archive.run("explain", "1"), archive.run("explain", "1", "--json")
    assert told.code == listed.code == 0
    answer = listed.answer
    digest = hashlib.sha256(audio_bytes(1, CALLS[0].size)).hexdigest()
    assert (answer["state"], answer["sha256"], answer["key"]) == ("verified", digest, key_of(CALLS[0]))
    decision, history = listed.section("source"), listed.rows("history")
    assert (decision["action"], decision["policy"]) == ("delete_at_source", "old")
    assert [step["after"] for step in history] == ["discovered", "transferring", "stored", "verified"]
    assert digest in told.out
    assert "policy old permits it since 2024-03-01" in told.out


def test_explain_names_the_problem_of_a_gap(archive: Desk) -> None:
    done = archive.run("explain", "5")
    assert done.code == 0
    assert "the body is a web page, not audio" in done.out


@pytest.mark.parametrize("words", [["99"], ["1", "--account", "other"], [""], ["1' or '1'='1"]])
def test_an_unknown_recording_is_exit_2(archive: Desk, words: list[str]) -> None:
    """For every command that takes an id."""
    for command in (["explain"], ["fetch", "-o", str(archive.folder / "none.mp3")], ["retry"]):
        done = archive.run(*command, *words)
        assert (done.code, done.out) == (2, "")
        assert "no recording" in done.err


# fetch ------------------------------------------------------------------------------------------------------


def left(folder: Path) -> list[str]:
    """Names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_fetch_writes_the_bytes_on_record(archive: Desk, tmp_path: Path) -> None:
    """With the digest in the answer, and nothing else in the folder."""
    done = archive.run("fetch", "1", "-o", str(tmp_path / "one.mp3"), "--json")
    assert done.code == 0
    body = audio_bytes(1, CALLS[0].size)
    assert (tmp_path / "one.mp3").read_bytes() == body
    digest = hashlib.sha256(body).hexdigest()
    key, path = key_of(CALLS[0]), str(tmp_path / "one.mp3")
    assert done.answer == {"file": path, "sha256": digest, "size": len(body), "key": key}
    assert left(tmp_path) == ["one.mp3"]
    assert digest in archive.run("fetch", "1", "-o", str(tmp_path / "two.mp3")).out


def test_fetch_overwrites_only_when_it_is_told_to(archive: Desk, tmp_path: Path) -> None:
    """Not even a file that looks like its own half-written one."""
    path, beside = tmp_path / "one.mp3", tmp_path / "one.mp3.partial"
    path.write_text("mine")
    beside.write_text("mine too")
    refused = archive.run("fetch", "1", "-o", str(path))
    assert refused.code == 2
    assert "--force" in refused.err
    assert path.read_text() == "mine"

    assert archive.run("fetch", "1", "-o", str(path), "--force").code == 0
    assert path.read_bytes() == audio_bytes(1, CALLS[0].size)
    assert beside.read_text() == "mine too"


def test_fetch_into_no_folder_is_exit_2(archive: Desk, tmp_path: Path) -> None:
    """The folder may be missing, or what is named may be one."""
    missing = archive.run("fetch", "1", "-o", str(tmp_path / "no" / "one.mp3"))
    folder = archive.run("fetch", "1", "-o", str(tmp_path), "--force")
    assert (missing.code, folder.code) == (2, 2)
    assert "cannot be written" in missing.err
    assert left(tmp_path) == []


def test_fetch_to_a_full_disk_leaves_nothing(archive: Desk, tmp_path: Path) -> None:
    """And an older file of the name stays whole."""
    path = tmp_path / "one.mp3"
    path.write_text("old")
    done = archive.run("fetch", "1", "-o", str(path), "--force", room=1000)
    assert done.code == 2
    assert "cannot be written" in done.err
    assert path.read_text() == "old"
    assert left(tmp_path) == ["one.mp3"]


def test_fetch_of_an_altered_copy_writes_nothing(desk: MakeDesk, tmp_path: Path) -> None:
    """Exit 3: the same for a copy that is gone, and one that never was there."""
    here = desk(Account(recordings=CALLS, faults=(GAP,)))
    assert here.run("sync").code == 3
    here.spoil(key_of(CALLS[0]))
    here.world.store.client.delete_object(Bucket=here.world.bucket, Key=key_of(CALLS[1]))
    altered, gone, never = (here.run("fetch", str(number), "-o", str(tmp_path / "x.mp3")) for number in (1, 2, 5))

    assert [done.code for done in (altered, gone, never)] == [3, 3, 3]
    assert "archiver verify 1" in altered.err
    assert "no copy on record" in never.err
    assert left(tmp_path) == []


def test_a_recording_of_two_accounts_must_be_told_apart(desk: MakeDesk, tmp_path: Path) -> None:
    """Ids are the source's: two accounts may have the same."""
    here = desk(Account(recordings=CALLS[:1]))
    first = here.world.section("accounts")
    here.world.document["accounts"] = [first, {**first, "name": "zenith"}]
    assert here.run("sync").code == 0

    for command in (["explain"], ["fetch", "-o", str(tmp_path / "x.mp3")], ["retry"]):
        done = here.run(*command, "1")
        assert done.code == 2
        assert "acme, zenith" in done.err
        assert "--account" in done.err
    assert here.run("fetch", "1", "--account", "zenith", "-o", str(tmp_path / "x.mp3")).code == 0
    assert here.run("explain", "1", "--account", "zenith", "--json").answer["account"] == "zenith"
    assert found(here, "--account", "zenith") == ["1"]
    assert datetime.fromisoformat(str(here.run("search", "--json").answers[0]["call_start"])).tzinfo == UTC
