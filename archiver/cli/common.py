"""What all commands share: configuration, logging, running a coroutine, and how things look."""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import json
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from archiver import logs
from archiver.core.people import person
from archiver.errors import ArchiverError, ConfigError
from archiver.settings import Settings, load

T = TypeVar("T")

WIDE = 1000  # columns where no terminal limits them: a line stays a line for grep and cut
#: Columns that are copied into the next command, so they are never broken into two lines.
WHOLE = frozenset({"recording", "call start", "call ended", "due since", "state", "at", "gap", "day", "proved at"})


class OutputClosed(Exception):
    """Whoever read the answer has stopped reading it, as in `archiver search | head`."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise OutputClosed


out = _Console(highlight=False, soft_wrap=True, emoji=False)
err = _Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; default: your login name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True, slots=True)
class State:
    """What stands before the command: which configuration."""

    config: Path

    def settings(self, *, quiet: bool = False) -> Settings:
        """Load the configuration and set logging up. `quiet`: warnings only, for commands that print an answer."""
        return self.opened(quiet=quiet)[0]

    def opened(self, *, quiet: bool = False) -> tuple[Settings, logs.Redactor]:
        """Do the same, and return what keeps secrets out of the log, too: it can learn others."""
        loaded = load(self.config, os.environ)
        level = "warning" if quiet and loaded.logging.level in ("debug", "info") else loaded.logging.level
        form, secrets = loaded.logging.format, loaded.secrets()
        return loaded, logs.configure(format=form, level=level, stream=sys.stderr, secrets=secrets)


def run(main: Coroutine[None, None, T]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(main)


def who(by: str | None) -> str:
    """Tell who decides: a decision without a name is worth nothing to an auditor. Raises ConfigError."""
    if by is not None:
        return person(by)
    try:
        return person(getpass.getuser())
    except (KeyError, ImportError, OSError):  # a container's user often has no name
        raise ConfigError("your login name is not known here", hint="say who you are: --by NAME") from None


def leave(code: int) -> None:
    """End the command with one of the contract's exit codes."""
    if code:
        raise typer.Exit(code)


def complain(error: ArchiverError) -> None:
    """Say on stderr what went wrong, everything at once, and what to do."""
    err.print(Text("error: ", style="bold red"), words(error), sep="")
    if isinstance(error, ConfigError):
        for path, problem in error.problems:
            err.print(Text(f"  {path}: ", style="bold"), words(problem), sep="")
    if error.hint:
        err.print(Text("  hint: ", style="cyan"), words(error.hint), sep="")


def words(value: object) -> Text:
    """Show text from elsewhere as it is: no markup in it counts, and nothing in it steers the terminal."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)))


def echo(text: str) -> None:
    """Print text as it is. Raises OutputClosed."""
    try:
        typer.echo(text, nl=False)
    except BrokenPipeError:
        raise OutputClosed from None


def print_json(value: object) -> None:
    """Print one JSON document; moments in ISO 8601, UTC."""
    echo(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """Make an empty table in the house style."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        justify: Literal["right", "left"] = "right" if column in right else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column in WHOLE)
    return made


def add(rows: Table, *cells: object) -> None:
    """Add a row of plain text."""
    rows.add_row(*map(words, cells))


def show(rows: Table, *, whole: bool = False) -> None:
    """Print a table as wide as the terminal; where there is none, or `whole` is asked for, one line for each row."""
    before = out.width
    out.width = WIDE if whole or not out.is_terminal else before
    out.print(rows)
    out.width = before


def moment(value: datetime | None) -> str:
    """Show a moment in UTC, to the second."""
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"


def span(value: timedelta | float | None) -> str:
    """Show a length of time, roughly: 45s, 12m, 5h, 3d."""
    if value is None:
        return "-"
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds >= 10 else f"{seconds:.1f}s"  # noqa: PLR2004 - a tenth matters below ten


def size(count: int) -> str:
    """Show a number of bytes in the largest fitting unit."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - SI units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
