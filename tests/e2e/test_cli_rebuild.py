"""rebuild: the catalogue is lost, and made again from the bucket by one command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archiver.adapters.database import known_revisions
from archiver.simulator import Operation
from tests.support.desk import Desk, MakeDesk
from tests.support.postgres import Databases
from tests.support.world import calls, key_of, sidecar_of

ONE, TWO, *_ = calls(6)
COUNTS = {"objects", "known", "stored", "purged", "expired", "held", "uncased", "decisions", "cases", "troubles"}


@pytest.fixture
def lost(desk: MakeDesk, databases: Databases) -> Iterator[Desk]:
    """Six recordings in the bucket, one of them half, one case, and an empty catalogue."""
    made = desk()
    made.does("sync")
    made.does("hold", "add", "2026-17", "--reason", "complaint", "--by", "Anna", "--id", "3")
    made.does("hold", "check")
    made.world.store.client.delete_object(Bucket=made.world.bucket, Key=key_of(TWO))
    with databases.lend() as url:
        made.world.lose_catalogue(url)
        yield made


def test_one_command_brings_it_back(lost: Desk) -> None:
    """What would be done is told first; exit 3 names what a person has to look at; a pass then fetches that alone."""
    asked = lost.simulator.requests.counts[Operation.AUDIO]
    dry = lost.run("rebuild", "--dry-run", "--json")
    assert (dry.code, lost.states()) == (3, {})
    done = lost.run("rebuild", "--json")
    assert done.code == 3
    assert set(done.answer) == COUNTS | {"run", "exit_code", "dry_run", "named"}
    assert {name: done.answer[name] for name in COUNTS} == {name: dry.answer[name] for name in COUNTS}
    counted = {name: done.answer[name] for name in ("objects", "known", "stored", "held", "decisions", "troubles")}
    assert counted == {
        "objects": 11, "known": 0, "stored": 5, "held": 0, "decisions": 2, "troubles": {"no_audio": 1},
    }  # fmt: skip
    named = {"key": sidecar_of(TWO), "trouble": "no_audio", "reason": "the audio that belongs to it is not there"}
    assert done.answer["named"] == [named]
    assert "2026-17" in lost.does("hold", "list")
    assert "rebuilt from" in lost.does("explain", "1")

    assert lost.run("sync").code == 0
    assert lost.states() == dict.fromkeys(("1", "2", "3", "4", "5", "6"), "verified")
    assert lost.simulator.requests.counts[Operation.AUDIO] == asked + 1


def test_it_tells_people_what_it_did(lost: Desk) -> None:
    done = lost.run("rebuild")
    assert done.code == 3
    assert done.out.splitlines() == [
        "11 objects in the bucket; 0 recordings known already",
        "5 recordings rebuilt, 0 of them deleted at the source before; 0 tombstones; 2 decisions about deletion",
        "not taken on: 1 no audio",
        f"  {sidecar_of(TWO)}: the audio that belongs to it is not there",
    ]
    again = lost.run("rebuild", "--dry-run")
    assert "5 recordings known already\n0 recordings would be rebuilt" in again.out


def test_it_needs_a_catalogue_to_fill_and_a_bucket_to_read(lost: Desk, databases: Databases) -> None:
    vault = lost.world.section("vault")
    vault["bucket"] = "there-is-none"
    assert "bucket" in lost.refuses(2, "rebuild")
    lost.change("delete from alembic_version")
    assert "archiver db upgrade" in lost.refuses(2, "rebuild", "--dry-run")
    lost.change(f"insert into alembic_version values ('{known_revisions()[-1]}')")
