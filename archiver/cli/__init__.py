"""The command line: commands, what they print, and exit codes. No logic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import structlog
import typer

from archiver import __version__
from archiver.cli import deleting, looking, mending, running, setting_up
from archiver.cli.common import State, complain, err
from archiver.errors import ArchiverError

EPILOG = (
    "Exit codes: 0 done; 1 a bug; 2 usage or configuration; 3 done, but some recordings failed or a gap is open; "
    "4 refused by a safety limit; 5 a neighbour is out of reach."
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
for module in (running, deleting, looking, mending, setting_up):
    module.add_to(cli)


def _version(wanted: bool) -> None:  # noqa: FBT001 - a callback of typer's
    if wanted:
        typer.echo(f"archiver {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option(envvar="ARCHIVER_CONFIG", help="Configuration file.", show_default=True)
    ] = Path("config/archiver.yaml"),
    version: Annotated[  # noqa: ARG001, FBT002 - read by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    context.obj = State(config)


def main() -> None:
    """Run the command line and leave with the contract's exit code."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as wrong:
        wrong.show()
        code = 2
    except ArchiverError as error:
        complain(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except Exception:  # noqa: BLE001 - the last net: whatever comes must end in a log line and exit code 1
        structlog.get_logger().exception("bug")
        err.print("[red]This is a bug.[/] The log line above says where; nothing was deleted because of it.")
        code = 1
    sys.exit(code or 0)
