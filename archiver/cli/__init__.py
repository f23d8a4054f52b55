"""The command line: commands, what they print, and exit codes. No logic."""

from __future__ import annotations

import os
import platform
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, cast

import structlog
import typer

from archiver import __version__, logs
from archiver.adapters import database
from archiver.cli import (
    backfilling,
    budget,
    covering,
    deleting,
    erasing,
    explaining,
    gapping,
    holding,
    looking,
    mending,
    notifying,
    pausing,
    proving,
    rebuilding,
    reporting,
    running,
    setting_up,
)
from archiver.cli.common import OutputClosed, State, complain, err
from archiver.cli.tuning import tune
from archiver.errors import ArchiverError
from archiver.scheduler import INTERRUPTED

EPILOG = (
    "Exit codes: 0 done; 1 a bug; 2 usage or configuration; 3 done, but some recordings failed or a gap is open; "
    "4 refused by a safety limit; 5 a neighbour is out of reach."
)

#: Base of all that typer raises for wrong usage. Newer versions bring a click of their own, so it is not click's.
WrongUsage = cast(
    "type[typer.BadParameter]", next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
)

cli = typer.Typer(
    name="archiver",
    help="Copies every call recording of a Vonage Business Communications account into S3, proves it, "
    "and deletes only what policy allows.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (running, backfilling, deleting, erasing, holding, pausing, looking, reporting, budget, explaining,
               covering, gapping, mending, notifying, proving, rebuilding, setting_up):  # fmt: skip
    module.add_to(cli)


def _version(wanted: bool) -> None:  # noqa: FBT001 - a callback of typer's
    if wanted:
        schema = f"catalogue schema {database.head_revision()}"
        typer.echo(f"archiver {__version__}\n{schema}\nPython {platform.python_version()}")
        raise typer.Exit


@cli.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option(envvar="ARCHIVER_CONFIG", help="Configuration file.", show_default=True)
    ] = Path("config/archiver.yaml"),
    version: Annotated[  # noqa: ARG001, FBT002 - read by its callback
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print version, schema and Python, and leave."
        ),
    ] = False,
) -> None:
    context.obj = State(config)


def main() -> None:
    """Run the command line and leave with the contract's exit code."""
    # until the configuration is read: even then no traceback may show the values of variables
    logs.configure(format="auto", level="warning", stream=sys.stderr, secrets=())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal cannot show must not end the command
            stream.reconfigure(errors="backslashreplace")
    tune()
    sys.exit(_code())


def _code() -> int:
    try:
        return int(cli(prog_name="archiver", standalone_mode=False) or 0)
    except WrongUsage as wrong:
        wrong.show()
        return 2
    except ArchiverError as error:
        complain(error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OutputClosed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes there at the end
        return 0
    except Exception:  # noqa: BLE001 - the last net: whatever comes must end in a log line and exit code 1
        structlog.get_logger().exception("bug")
        err.print("[red]This is a bug.[/] The log line above says where; nothing was deleted because of it.")
        return 1
