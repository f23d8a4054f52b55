"""What all commands share: configuration, logging, running a coroutine, and how things look."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from archiver import logs
from archiver.errors import ArchiverError, ConfigError
from archiver.settings import Settings, load

T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True, slots=True)
class State:
    """What stands before the command: which configuration."""

    config: Path

    def settings(self, *, quiet: bool = False) -> Settings:
        """Load the configuration and set logging up. `quiet`: warnings only, for commands that print an answer."""
        logs.configure(format="auto", level="warning", stream=sys.stderr, secrets=())
        loaded = load(self.config, os.environ)
        level = "warning" if quiet and loaded.logging.level in ("debug", "info") else loaded.logging.level
        logs.configure(format=loaded.logging.format, level=level, stream=sys.stderr, secrets=loaded.secrets())
        return loaded


def run(main: Coroutine[None, None, T]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(main)


def leave(code: int) -> None:
    """End the command with one of the contract's exit codes."""
    if code:
        raise typer.Exit(code)


def complain(error: ArchiverError) -> None:
    """Say on stderr what went wrong, everything at once, and what to do."""
    err.print(Text("error: ", style="bold red").append(str(error), style="default"))
    if isinstance(error, ConfigError):
        for path, problem in error.problems:
            err.print(Text(f"  {path}: ", style="bold").append(problem, style="default"))
    if error.hint:
        err.print(Text(f"  hint: {error.hint}", style="cyan"))


def print_json(value: object) -> None:
    """Print one JSON document; moments in ISO 8601, UTC."""
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
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
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


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
