"""hold: opening cases, what they catch and keep, their release by two people, and the bucket's own holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.core.decision_copies import LIMIT
from archiver.simulator import Account, SimRecording
from archiver.simulator.server import utc_now
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls, key_of

ASHA, VIKRAM = "Asha Rao", "Vikram Iyer"
ODD = "*o'brien [red]*"
CALLS = tuple(
    replace(call, caller_id="+91 22 5550-100" if call.id == 2 else f"+4940{call.id}", cnam="Zarina O'Brien [red]x")
    for call in calls(4)
)
AUTOMATIC = {"mode": "automatic", "max_percent": 100}


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """Four recordings, shared by the tests in which no case changes anything for another one."""
    made = module_desk(Account(recordings=CALLS))
    made.does("sync")
    return made


def opened(desk: Desk, name: str, *words: str) -> str:
    """Open a case; returns what is said about it."""
    return desk.does("hold", "add", name, "--reason", "SEBI letter 12/26", "--by", ASHA, *words)


def late(number: int) -> SimRecording:
    """A call of an hour ago."""
    return replace(CALLS[1], id=number, start=utc_now().replace(microsecond=0))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("x --reason r", "--everything"),
        ("x --id 2", "--reason"),
        ("bad/name --reason r --id 2", "letters, digits"),
        ("x --reason r --id 1.2", "is no id of a recording"),
        ("x --reason r --direction SIDEWAYS", "must be one of INBOUND"),
        ("x --reason r --since 2024-02-01 --until 2024-01-01", "before"),
        ("x --reason r --since yesterday", "--since"),
        ("x --reason r --account nobody", "there is no account 'nobody'"),
        ("x --reason r --id 999", "nothing was opened"),
        ("x --reason r --number +1*", "nothing was opened"),
        ("x --reason r --id 2 --by 7", "--by"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(archive: Desk, words: str, said: str) -> None:
    """Nothing asked, nothing caught, an unknown direction, an order of days that no call fits: exit 2, with a word."""
    assert said in archive.refuses(2, "hold", "add", *words.split())


def test_a_case_of_which_a_rebuild_could_not_read_the_copy_is_refused(archive: Desk) -> None:
    said = archive.refuses(2, "hold", "add", "large", "--reason", "r" * LIMIT, "--id", "2")
    assert "could not come back from the bucket" in said
    assert archive.run("hold", "list", "--all", "--json").answers == []


@pytest.mark.parametrize("option", ["--id", "--number", "--cnam", "--extension", "--rule", "--account", "--reason"])
def test_an_empty_rule_is_refused(archive: Desk, option: str) -> None:
    """A blank is no rule: one reader takes it for nothing and the next for everything."""
    asked = ["--reason", "r", "--id", "2", option, " "]
    assert option in archive.refuses(2, "hold", "add", "blank", *asked)
    assert archive.run("hold", "list", "--all", "--json").answers == []


def test_a_case_from_its_opening_to_its_end(desk: MakeDesk) -> None:
    """What it is about and whom it needs stands in the answers; a release takes two people, and is remembered."""
    here = desk(Account(recordings=CALLS))
    here.does("sync")
    assert "it holds 1 recording on record" in opened(here, "case-1", "--number", "0091 (22) 5550100", "--future")
    assert "there is a case case-1 already" in here.refuses(2, "hold", "add", "case-1", "--reason", "x", "--id", "1")
    assert "it holds 4 recordings on record" in opened(here, "case-2", "--cnam", ODD)
    listed = here.does("hold", "list")
    assert f"cnam {ODD}" in listed  # brackets are no markup
    assert "2 open" in listed

    (first, _) = here.run("hold", "list", "--json").answers
    assert (first["name"], first["author"], first["reason"]) == ("case-1", ASHA, "SEBI letter 12/26")
    assert (first["open"], first["future"], first["query"]) == (True, True, {"numbers": ["0091 (22) 5550100"]})
    shown = here.run("hold", "show", "case-1", "--json").answer
    assert (shown["recordings"], shown["ids"]) == ({"verified": 1}, ["2"])
    assert "there is no case case-9" in here.refuses(2, "hold", "show", "case-9")

    release = ["hold", "release", "case-1", "--by"]
    assert "--reason" in here.refuses(2, *release, ASHA)
    assert "nobody has asked" in here.refuses(2, *release, ASHA, "--withdraw")
    assert "a second person must confirm" in here.does(*release, ASHA, "--reason", "settled")
    assert "a second person must confirm it" in here.refuses(4, *release, "ASHA-RAO")
    assert ": open" in here.does(*release, VIKRAM, "--withdraw")
    here.does(*release, ASHA, "--reason", "settled")
    assert f"by {ASHA} and {VIKRAM}" in here.does(*release, VIKRAM)
    assert "is released" in here.refuses(2, *release, "Meera", "--reason", "again")

    assert "case-1" not in here.does("hold", "list")
    told = here.does("hold", "show", "case-1")
    life = [line.split("Z")[1].split("  ")[1].strip() for line in told.splitlines() if " 20" in f" {line}"[:4]]
    assert life == ["added", "release asked", "release withdrawn", "release asked", "released"]
    assert "1 open, 1 released" in here.does("hold", "list", "--all")


def test_what_is_held_is_deleted_nowhere(desk: MakeDesk) -> None:
    """Neither what was there nor what comes later; several cases on a recording are all to be released."""
    here = desk(Account(recordings=CALLS))
    here.policies(DAILY)
    here.does("sync")
    opened(here, "one", "--id", "2", "--id", "3", "--id", "777")
    opened(here, "two", "--caller", "+91225550100", "--future")
    here.policies(DAILY, {"name": "at-once", "source": {"delete_after": "0s"}}, **AUTOMATIC)
    here.backstage.do(lambda: here.simulator.put(replace(late(9), start=CALLS[3].start)))
    here.backstage.do(lambda: here.simulator.put(late(10)))
    done = here.run("sync", "--json")
    assert done.code == 0
    assert sorted(here.simulator.requests.deletes) == [1, 4]
    assert {name: entry.on_hold for name, entry in here.entries().items() if str(entry.state) != "purged"} == {
        "2": True, "3": True, "10": True,
    }  # fmt: skip

    told, listed = here.does("explain", "2"), here.run("explain", "2", "--json").answer
    assert "it is on legal hold: one, two" in told
    assert "the release of one, two by two people" in told
    assert listed["holds"] == ["one", "two"]
    assert "Legal holds: 2 open" in here.does("status")
    assert here.run("status", "--json").answer["open_holds"] == ["one", "two"]
    for by in (ASHA, VIKRAM):
        here.does("hold", "release", "one", "--by", by, "--reason", "settled")
    assert "2 released" not in here.does("sync")
    assert sorted(here.simulator.requests.deletes) == [1, 3, 4]


def test_the_bucket_is_told_and_watched(desk: MakeDesk) -> None:
    """`hold check` sets the bucket's own holds at once, finds one that somebody took off, and sets it again: exit 3."""
    here = desk(Account(recordings=CALLS), locks=True)
    here.does("sync")
    opened(here, "case-1", "--id", "2")
    client, bucket, key = here.world.store.client, here.world.bucket, key_of(CALLS[1])
    first = here.run("hold", "check", "--json")
    assert (first.code, first.answer["object_lock"], first.answer["drifted"]) == (0, True, 0)
    for name in (key, key.replace(".mp3", ".json")):
        assert client.get_object_legal_hold(Bucket=bucket, Key=name)["LegalHold"]["Status"] == "ON"

    client.put_object_legal_hold(Bucket=bucket, Key=key, LegalHold={"Status": "OFF"})
    drifted = here.run("hold", "check")
    assert drifted.code == 3
    assert "1 object" in drifted.out
    assert [event["key"] for event in drifted.of("protection_drifted")] == [key]
    assert "Nothing had drifted." in here.does("hold", "check")
    assert client.get_object_legal_hold(Bucket=bucket, Key=key)["LegalHold"]["Status"] == "ON"


def test_a_release_reaches_the_bucket_with_the_next_pass(desk: MakeDesk) -> None:
    """Also where `hold check` alone has set the hold, and no pass came in between."""
    here = desk(Account(recordings=CALLS), locks=True)
    here.does("sync")
    opened(here, "case-1", "--id", "2")
    here.does("hold", "check")
    for by in (ASHA, VIKRAM):
        here.does("hold", "release", "case-1", "--by", by, "--reason", "settled")
    assert "1 released from legal hold" in here.does("sync")
    status = here.world.store.client.get_object_legal_hold(Bucket=here.world.bucket, Key=key_of(CALLS[1]))
    assert status["LegalHold"]["Status"] == "OFF"


def test_a_bucket_without_locks_leaves_it_to_the_catalogue(archive: Desk) -> None:
    """The answer says so; nothing is missing for that."""
    told = archive.does("hold", "check")
    assert "The bucket has no object lock: holds are kept by the catalogue alone." in told
