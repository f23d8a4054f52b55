"""A dump of the catalogue, restored when bucket and source have gone on: nothing is fetched twice, or missed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from archiver.adapters import database
from archiver.simulator import Account, Fault, Operation, Status
from archiver.simulator.server import utc_now
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.postgres import PROGRAMS
from tests.support.world import calls

OLD = calls(8)
SHORT = {"name": "short", "match": {"extensions": ["8888"]}, "archive": {"delete_after": "10d"}}
AUTOMATIC = {"mode": "automatic", "max_percent": 100, "archive": {"mode": "automatic", "max_percent": 100}}


def program(name: str, *words: str | Path) -> None:
    """Run one of PostgreSQL's programs; it must have nothing to say."""
    done = subprocess.run([PROGRAMS / name, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextmanager
def restored(desk: Desk, dump: Path) -> Iterator[None]:
    """Let the commands work with what the dump holds, in a database of its own."""
    url, eye, name = desk.world.database_url, desk.world.eye, "restored_catalogue"
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(f"create database {name}")
        another = url.replace(urlsplit(url).path, f"/{name}", 1)
        program("pg_restore", "--exit-on-error", "--dbname", another, dump)
        desk.world.document["database"] = {"url": another}
        desk.world.eye = database.open_engine(another, pool_size=1)
        try:
            yield
        finally:
            desk.backstage.call(desk.world.eye.dispose())
            desk.world.eye = eye
            opened.execute(f"drop database {name} with (force)")


def test_a_dump_is_restored_and_the_archive_goes_on(desk: MakeDesk) -> None:
    """Since the dump: new calls, one that was archived and deleted at the source, most deleted there, one expired."""
    here = desk(Account(recordings=(*OLD[:7], replace(OLD[7], extensions=("8888",)))))
    here.simulator.script(Fault(on=Operation.AUDIO, do=Status(404), recording=7))
    assert here.run("sync").code == 3
    dump = here.folder / "catalogue.dump"
    program("pg_dump", "--format=custom", "--file", dump, here.world.database_url)

    hour_ago = utc_now().replace(microsecond=0) - timedelta(hours=1)
    for number in (9, 10):
        recent = replace(OLD[0], id=number, start=hour_ago + timedelta(minutes=number))
        here.backstage.do(partial(here.simulator.put, recent))
    here.does("retry", "7")
    here.policies(DAILY, SHORT, **AUTOMATIC)
    here.does("sync")
    here.does("sync")
    end = {**dict.fromkeys("1234567", "purged"), "8": "expired", "9": "verified", "10": "verified"}
    assert here.states() == end
    fetched, deleted = dict(here.simulator.requests.audio), list(here.simulator.requests.deletes)
    objects = here.objects()

    with restored(here, dump):
        assert here.states() == {**dict.fromkeys("1234568", "verified"), "7": "discovered"}
        assert "archiver pause" in here.refuses(4, "sync", "--restored")
        here.does("pause", "--reason", "restored; cases are to be opened again", "--by", "Asha Rao")
        here.does("retry", "--all")
        done = here.run("sync", "--restored")
        assert done.code == 0, done
        assert here.states() == dict.fromkeys(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], "verified")
        assert (here.simulator.requests.audio, here.objects()) == (fetched, objects)  # sidecars, too
        assert done.of("listing_shrunken") == []

        assert here.run("verify", "--all").code == 3
        [gap] = here.run("gaps", "list", "--json").answers
        assert gap["recording_id"] == "8"
        assert "the policies let it go: a restored dump does not know of deletions after it" in str(gap["reason"])
        here.does("gaps", "explain", str(gap["id"]), "--reason", "deleted after the dump", "--by", "Asha Rao")

        here.does("resume", "--by", "Asha Rao")
        here.run("sync")
        assert here.states() == {**end, "8": "quarantined"}
        assert (here.simulator.requests.audio, here.simulator.requests.deletes) == (fetched, deleted)
        assert here.objects() == objects
