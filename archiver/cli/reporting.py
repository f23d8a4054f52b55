"""`runs`: what each run of the program did, and how it ended."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.adapters import database
from archiver.adapters.run_reads import Asked, RunReads
from archiver.app import open_engine
from archiver.cli.common import AsJson, State, out, print_json, run
from archiver.cli.looking import ACCOUNT, read_time
from archiver.cli.run_report import show_run, show_runs
from archiver.core.runs import Run
from archiver.errors import ConfigError
from archiver.settings import Settings

USUAL, MOST = 20, 10_000
LONGEST_NUMBER = 6  # digits; more of them are the beginning of a run's id, which is a date


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(invoke_without_command=True, callback=runs)
    group.command("show")(show)
    cli.add_typer(group, name="runs")


def runs(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, the latest first.")] = USUAL,
    account: Annotated[str | None, ACCOUNT] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only with an exit code but 0, or without end.")] = False,
    since: Annotated[str | None, typer.Option(help="Begun from then on: 2026-01-31, or with T09:30:00; UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """What each run did, and how it ended. Alone: the latest."""
    if context.invoked_subcommand is None:
        state: State = context.obj
        asked = Asked(account=account, since=read_time("--since", since), failed=failed)
        run(_list(state.settings(quiet=True), asked, limit, as_json=as_json))


async def _list(settings: Settings, asked: Asked, limit: int, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await RunReads(engine).latest(asked, limit=limit)
    if as_json:
        print_json([one.as_document() for one in found])
    elif not found:
        out.print("No such run is on record.")
    else:
        show_runs(found, asked.account)
        more = f" There may be more: --limit {min(limit * 10, MOST)}" if len(found) == limit < MOST else ""
        out.print(f"One whole report: archiver runs show NO.{more}")


def show(
    context: typer.Context,
    which: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Its id, the beginning of that, or its number in the list.")
    ] = "1",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the whole report of one run; the latest, if none is named."""
    state: State = context.obj
    run(_show(state.settings(quiet=True), which, as_json=as_json))


async def _show(settings: Settings, which: str, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await _one(RunReads(engine), which)
    if as_json:
        print_json(found.as_document())
    else:
        show_run(found)


async def _one(reads: RunReads, which: str) -> Run:
    """Find exactly one run. Raises ConfigError when there is none, or when several begin so."""
    if which.isdecimal() and len(which) <= LONGEST_NUMBER:
        numbered = await reads.numbered(int(which)) if int(which) else None
        found = [] if numbered is None else [numbered]
    else:
        found = await reads.beginning(which)
    if len(found) > 1:
        msg = f"several runs begin with {which}"
        raise ConfigError(msg, hint="write more of its id: archiver runs")
    if not found:
        msg = f"no run {which} is on record"
        raise ConfigError(msg, hint="see: archiver runs")
    return found[0]
