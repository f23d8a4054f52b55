"""Completion on the command line, by real shells: bash everywhere, zsh and fish where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment

PROGRAMS = Path(sys.executable).parent
#: What is typed before TAB, and what then stands there.
TYPED = (("archiver st", "status"), ("archiver search --state qua", "quarantined"))
KILL_LINE = "\x15"
#: Each shell without its user's habits, and how it learns to complete.
SHELLS = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(_ARCHIVER_COMPLETE=source_bash archiver)"'),
    "zsh": (("-f", "-i"), 'autoload -Uz compinit && compinit -D && eval "$(_ARCHIVER_COMPLETE=source_zsh archiver)"'),
}


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Environment in which `archiver` is the one of this checkout."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return environment({"PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "200", **(extra or {})})


class Shell:
    """A shell on a terminal of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it."""
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=surroundings(), cwd=ROOT, start_new_session=True
        )
        os.close(slave)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until a text has appeared."""
        seen = b""
        while text.encode() not in seen:
            assert select.select([self._master], [], [], 60)[0], seen.decode()
            seen += os.read(self._master, 65536)

    def end(self) -> None:
        """Hang up."""
        os.close(self._master)
        self._process.wait(60)


@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_what_is_typed(name: str) -> None:
    """Commands, and values of options."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name} on this machine")
    options, learn = SHELLS[name]
    shell = Shell([name, *options])
    shell.type(f'{learn}; echo lear""ned\n')
    shell.wait_for("learned")
    for typed, completed in TYPED:
        shell.type(f"{KILL_LINE}{typed}\t")
        shell.wait_for(completed)
    shell.end()


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish on this machine")
def test_fish_completes_what_is_typed() -> None:
    """It can be asked without a terminal."""
    asked = "; ".join(
        ["_ARCHIVER_COMPLETE=source_fish archiver | source", *(f"complete -C '{one}'" for one, _ in TYPED)]
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked], env=surroundings(), capture_output=True, text=True, check=True
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [completed for _, completed in TYPED]


def test_completing_reads_no_configuration_and_says_nothing_else(tmp_path: Path) -> None:
    """Whoever opened the configuration would wait for ever: it is a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "archiver.yaml")
    line = {"_ARCHIVER_COMPLETE": "complete_bash", "COMP_WORDS": "archiver simulate --kind ", "COMP_CWORD": "3"}
    done = subprocess.run(
        [PROGRAMS / "archiver"],
        env=surroundings({"ARCHIVER_CONFIG": str(tmp_path / "archiver.yaml"), **line}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["awkward", "ordinary"], "")
