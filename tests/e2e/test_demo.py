"""`archiver demo` as a newcomer runs it: everything on this machine, from end to end."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.core.plan_file import parse
from tests.support.commands import Order, Process, Workshop
from tests.support.world import is_for_rebuild

SECTIONS = (
    "The parts",
    "First pass",
    "Second pass",
    "Retention",
    "A case is opened",
    "Exactly that plan is applied",
    "Last pass",
    "Where to look",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which the user may look that Postgres runs as: pytest's own are closed to it."""
    made = Path(tempfile.mkdtemp(prefix="archiver-demo-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_demo_keeps_its_promises(folder: Path) -> None:
    """Each section, the files, the plan and the log; afterwards its configuration works; it can be run again."""
    stage = folder / "demo"
    with Process("demo", "--folder", str(stage), "--count", "40") as process:
        assert process.ended() == 0, process.out + process.log
    assert [section for section in SECTIONS if section not in process.out] == []
    assert "As it should be" in process.out
    assert "archiver apply plan.json: refused, this plan is not approved" in process.out
    assert "not deleted: on_hold 1" in process.out
    assert "Traceback" not in process.out + process.log

    audio, documents = list(stage.glob("files/acme/**/*.mp3")), stage.glob("files/acme/**/*.json")
    assert len(audio) == len([one for one in documents if not is_for_rebuild(one.name)]) == 39
    assert parse((stage / "plan.json").read_text()).items
    events = [json.loads(line) for line in (stage / "archiver.log").read_text().splitlines()]
    assert {"pass_finished", "recording_purged"} <= {event["event"] for event in events}

    with Process("--config", str(stage / "archiver.yaml"), "status", "--json") as status:
        assert status.ended() == 3, status.log
    answer = json.loads(status.out)
    assert [gap["reason"] for gap in answer["gaps"]] == ["the body is a web page, not audio"]
    assert sum(answer["accounts"][0]["counts"].values()) == 40


@pytest.mark.parametrize("kind", ["a folder with something in it", "a file"])
def test_the_demo_touches_nothing_that_is_not_its_own(workshop: Workshop, tmp_path: Path, kind: str) -> None:
    """A folder that no demo wrote is refused, and so is a file: exit 2."""
    foreign = tmp_path / "mine"
    if kind == "a file":
        foreign.write_text("mine")
    else:
        foreign.mkdir()
        (foreign / "letter.txt").write_text("mine")
    out, err = tmp_path / "out", tmp_path / "err"
    code = workshop.run(Order(words=["demo", "--folder", str(foreign)], out=str(out), err=str(err)))

    assert code == 2
    assert "--folder" in err.read_text()
    assert "Traceback" not in err.read_text()
    assert (foreign if kind == "a file" else foreign / "letter.txt").read_text() == "mine"
