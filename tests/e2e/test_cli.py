"""The command line as such: help, wrong usage, pipes, terminals, and what goes where."""

from __future__ import annotations

import json
import os
import platform
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver import __version__
from archiver.adapters import database
from archiver.simulator import Account, Fault, Hang, Html, Operation
from tests.support.commands import ROOT, environment
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

VERSION = f"archiver {__version__}\ncatalogue schema {database.head_revision()}\nPython {platform.python_version()}\n"
COMMANDS = {
    "run": "--help",
    "sync": "--json",
    "verify": "--all",
    "plan": "--out",
    "approve": "--by",
    "apply": "--json",
    "plans": "--json",
    "erase": "--reason",
    "hold add": "--future",
    "hold list": "--all",
    "hold show": "--json",
    "hold release": "--withdraw",
    "hold check": "--json",
    "pause": "--reason",
    "resume": "--by",
    "status": "--json",
    "search": "--extension",
    "explain": "--account",
    "fetch": "--force",
    "retry": "--all",
    "accept": "--reason",
    "check": "--json",
    "doctor": "--json",
    "db upgrade": "--help",
    "simulate": "--port",
    "demo": "--folder",
}


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """An archive with a gap in it."""
    gap = Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None)
    made = module_desk(Account(recordings=calls(60), faults=(gap,)))
    assert made.run("sync").code == 3
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(archive: Desk, command: str) -> None:
    """--help names the options, on standard output, and is no failure."""
    done = archive.bare(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert COMMANDS[command] in done.out


def test_the_program_explains_itself(archive: Desk) -> None:
    """Every command and every exit code stands in the overview."""
    done = archive.bare("--help", env={"COLUMNS": "200"})
    assert done.code == 0
    assert [name for name in COMMANDS if name.split()[0] not in done.out] == []
    assert "5 a neighbour is out of reach" in " ".join(done.out.split())


def test_the_version_needs_no_configuration(archive: Desk) -> None:
    """Nor a database: it says which schema this program needs, not which one is there."""
    done = archive.bare("--version", env={"ARCHIVER_CONFIG": "nowhere.yaml"})
    assert (done.code, done.out, done.err) == (0, VERSION, "")


@pytest.mark.parametrize(
    "words",
    ["", "db", "nonsense", "sync --nonsense", "explain", "search --limit 0", "search --state nowhere", "retry",
     "fetch 1", "retry --all 7", "simulate --kind none", "demo --count 3"],
)  # fmt: skip
def test_wrong_usage_is_exit_2(archive: Desk, words: str) -> None:
    """Whatever is wrong in the words: help on standard error or output, and never a traceback."""
    done = archive.bare(*words.split())
    assert done.code == 2
    assert "archiver" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_unreadable_text_on_the_command_line_is_exit_2(archive: Desk) -> None:
    """Bytes that are no text cannot stand in the catalogue, so they are no reason for a traceback either."""
    for words in (["search", "--number", "\udcff"], ["explain", "\udcff"], ["search", "--since", "\udcff"]):
        done = archive.run(*words)
        assert done.code == 2, done.err
        assert done.err.startswith("error: ")


@pytest.mark.parametrize("words", ["status --json", "search --json", "explain 3 --json", "plan --json", "check --json"])
def test_with_json_standard_output_is_json_alone(archive: Desk, words: str) -> None:
    """Nothing but the document, whatever the terminal is like."""
    done = archive.run(*words.split(), env={"FORCE_COLOR": "1", "COLUMNS": "20"})
    assert json.loads(done.out)
    assert re.sub(r"\x1b\[\?25[lh]", "", done.err) == ""  # a cursor may be hidden while one waits


def test_without_a_terminal_a_row_is_a_line(archive: Desk) -> None:
    """So that grep, cut and awk find whole rows."""
    done = archive.run("search", "--limit", "100")
    rows = [line for line in done.out.splitlines() if "+910000000000" in line]
    assert len(rows) == 60
    assert all("INBOUND" in row and row.rstrip().endswith(("verified", "discovered")) for row in rows)


def test_logs_are_json_lines_on_standard_error(archive: Desk) -> None:
    """The answer is on standard output, and every line of the other stream is an event."""
    done = archive.run("verify")
    assert done.out == "acme: 0 good, 0 bad\n"
    assert [one["event"] for one in done.events] == ["pass_finished"]
    assert len(done.events) == len(done.err.splitlines())


@pytest.mark.parametrize("words", ["search --limit 1000", "search --limit 1000 --json", "plan --json"])
def test_a_reader_may_stop_reading(archive: Desk, words: str) -> None:
    """`archiver search | head`: no traceback, no word, and not the exit code of a bug."""
    read, write = os.pipe()
    os.close(read)  # the reader is gone before anything is written
    command = [sys.executable, "-m", "archiver", "--config", str(archive.world.write()), *words.split()]
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment(), cwd=ROOT, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_markup_in_a_path_is_shown_as_it_is(archive: Desk) -> None:
    """Brackets in names are no instructions to the terminal."""
    odd = archive.folder / "[red]:cat: \x1b[31m.yaml"
    odd.write_text(archive.world.write().read_text())
    done = archive.bare("--config", str(odd), "check", env={"FORCE_COLOR": "1"})
    assert done.code == 0
    assert "[red]:cat: \N{REPLACEMENT CHARACTER}[31m.yaml" in done.out


def test_a_poor_terminal_is_no_reason_to_fail(archive: Desk) -> None:
    """What an ASCII stream cannot show is written as an escape."""
    odd = archive.folder / "häuser.yaml"
    odd.write_text(archive.world.write().read_text())
    done = archive.bare("--config", str(odd), "check", env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    command = [sys.executable, "-m", "archiver", "--config", str(odd), "check"]
    fresh = subprocess.run(
        command, capture_output=True, text=True, env=environment({"PYTHONIOENCODING": "ascii"}), cwd=ROOT, check=False
    )
    assert fresh.returncode == 0
    assert r"h\xe4user.yaml is valid" in fresh.stdout


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        """Start `archiver WORDS`."""
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "archiver", *words]
        env = environment({"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=ROOT, start_new_session=True
        )
        os.close(slave)
        self._seen: list[bytes] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for piece in iter(self._piece, b""):
            with self._news:
                self._seen.append(piece)
                self._news.notify_all()

    def _piece(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError:  # the other end was closed
            return b""

    def wait_for(self, text: str) -> None:
        """Wait until a text has appeared."""
        with self._news:
            assert self._news.wait_for(lambda: text.encode() in b"".join(self._seen), timeout=60)

    def ended(self) -> tuple[int, str]:
        """Wait for the end: exit code, and everything that appeared."""
        code = self.process.wait(60)
        self._reader.join()
        os.close(self._master)
        return code, b"".join(self._seen).decode()


@pytest.fixture
def slow(desk: MakeDesk) -> Iterator[Desk]:
    """A source that takes its time for the last recording, until it is released."""
    made = desk(Account(recordings=calls(5)), sync={"concurrency": 1})
    made.world.document["logging"] = {"format": "json", "level": "debug"}
    yield made
    made.backstage.do(made.simulator.heal)


def test_a_terminal_shows_progress_and_no_json(slow: Desk) -> None:
    """While it works a live table, in the end a summary for people; the log is cut down to warnings."""
    slow.simulator.script(
        Fault(on=Operation.AUDIO, do=Html(), recording=2), Fault(on=Operation.AUDIO, do=Hang(), recording=5)
    )
    terminal = Terminal("--config", str(slow.world.write()), "sync")
    slow.arrived(Operation.AUDIO, 6)
    terminal.wait_for("transfer")  # the stage at work
    slow.backstage.do(slow.simulator.release)
    code, shown = terminal.ended()

    assert code == 0
    assert "retried" in shown  # a column of the live table
    assert "5 archived" in shown
    assert "No gap is open." in shown
    assert '{"' not in shown
    assert "recording_stored" not in shown


def test_a_terminal_can_interrupt(slow: Desk) -> None:
    """Ctrl-C once: what is in flight ends, the summary is shown, the code is 130."""
    slow.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), recording=2))
    terminal = Terminal("--config", str(slow.world.write()), "sync")
    slow.arrived(Operation.AUDIO, 2)
    terminal.process.send_signal(signal.SIGINT)
    slow.backstage.do(slow.simulator.release)
    code, shown = terminal.ended()

    assert code == 130
    assert "Traceback" not in shown
    states = slow.states()
    assert states["2"] in {"stored", "verified"}
    assert states["5"] == "discovered"


def test_the_installed_program_is_the_same(archive: Desk) -> None:
    """The console script beside the interpreter."""
    script = Path(sys.executable).parent / "archiver"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, VERSION)
