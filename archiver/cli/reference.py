"""Write every command's --help as one page: `python -m archiver.cli.reference docs/command-help.md`.

The plain form, without a terminal's frames: so the page depends on the program alone, not on who makes it where.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import typer
from typer.core import TyperCommand, TyperGroup

from archiver.cli import cli

WIDTH = 100
HEAD = """# Help of every command

What `archiver COMMAND --help` says, written by `make reference` and held by a test. Meant to be searched;
[commands](commands.md) tells what each command is for, with examples and exit codes.
"""


def reference() -> str:
    """Return the page."""
    program = cast("TyperGroup", typer.main.get_command(cli))
    return HEAD + "".join(f"\n## {name}\n\n```text\n{told}\n```\n" for name, told in _told(program))


def _told(command: TyperCommand | TyperGroup, above: typer.Context | None = None) -> Iterator[tuple[str, str]]:
    """Name and help of a command, then of those below it."""
    command.rich_markup_mode = None  # frames, colours and the width of a terminal come with it
    context = typer.Context(
        command, info_name=command.name, parent=above, terminal_width=WIDTH, **command.context_settings
    )
    yield context.command_path, command.get_help(context)
    for below in getattr(command, "commands", {}).values():
        yield from _told(below, context)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
