"""docs/command-help.md says what `--help` says, and does not depend on who writes it where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from archiver.cli import cli
from tests.support.commands import ROOT, environment

PAGE = ROOT / "docs" / "command-help.md"
#: A narrow, coloured terminal of another country, in CI, with a configuration: none of it may be seen in the page.
ELSEWHERE = {
    "ARCHIVER_CONFIG": "/etc/archiver/archiver.yaml",
    "COLUMNS": "40",
    "FORCE_COLOR": "1",
    "GITHUB_ACTIONS": "true",
    "LANG": "de_DE.UTF-8",
    "LANGUAGE": "de",
    "PYTHONIOENCODING": "ascii",
    "TERM": "xterm-256color",
    "TERMINAL_WIDTH": "40",
}


def test_the_page_is_what_the_program_says_anywhere(tmp_path: Path) -> None:
    made = tmp_path / "help.md"
    command = [sys.executable, "-m", "archiver.cli.reference", str(made)]
    subprocess.run(command, cwd=ROOT, env=environment(ELSEWHERE), check=True)

    assert made.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), "run: make reference"


def test_every_command_has_a_section() -> None:
    """The test above would pass on a page that left some out."""

    def names(command: object, name: str) -> list[str]:
        below = getattr(command, "commands", {})
        return [name, *(one for part in below for one in names(below[part], f"{name} {part}"))]

    sections = [line.removeprefix("## ") for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert sections == names(typer.main.get_command(cli), "archiver")
    assert "archiver hold add" in sections
