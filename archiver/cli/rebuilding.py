"""`rebuild`: a lost catalogue is made again from the bucket."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from archiver.app import new_run_id, open_app
from archiver.cli.common import AsJson, State, leave, out, print_json, run, table, words
from archiver.cli.progress import live
from archiver.cli.summary import many
from archiver.core.rebuilding import RebuildReport
from archiver.rebuilding import Rebuilding
from archiver.scheduler import INTERRUPTED, Interrupt
from archiver.settings import Settings

MOST_NAMED = 20  # objects named on the terminal; `--json` names all


def add_to(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(rebuild)


def rebuild(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done; nothing is written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a lost catalogue again from the bucket alone. Adds what is missing, changes no row and no object.

    It can be stopped at any time: the same command goes on where it was.
    """
    state: State = context.obj
    leave(run(_rebuild(state.settings(), dry_run=dry_run, as_json=as_json)))


async def _rebuild(settings: Settings, *, dry_run: bool, as_json: bool) -> int:
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    report = RebuildReport(most_named=None if as_json else MOST_NAMED)
    async with open_app(settings) as app:
        work = Rebuilding(app=app, run=new_run_id(), stopping=interrupt.stopping, dry_run=dry_run, report=report)
        async with live(partial(_progress, report), settings):
            code = await interrupt.finish(work.work())
    code = INTERRUPTED if code is None else code
    if as_json:
        print_json(
            {"run": work.run, "exit_code": code, "dry_run": dry_run, **report.as_counts(), "named": report.named}
        )
    else:
        _show(report, dry_run=dry_run)
    return code


def _progress(report: RebuildReport) -> Table:
    columns = ("objects", "known", "rebuilt", "tombstones", "not taken on")
    shown = table(*columns, right=columns)
    numbers = (report.objects, report.known, report.stored, report.expired, sum(report.troubles.values()))
    shown.add_row(*map(str, numbers))
    return shown


def _show(report: RebuildReport, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    out.print(f"{many(report.objects, 'object')} in the bucket; {many(report.known, 'recording')} known already")
    out.print(
        f"{many(report.stored, 'recording')} {would}rebuilt, {report.purged} of them deleted at the source before; "
        f"{many(report.expired, 'tombstone')}; {many(report.decisions, 'decision')} about deletion"
    )
    if report.held:
        out.print(f"{report.held} on legal hold in the bucket, {report.uncased} of them without a case")
    for case in report.cases:
        out.print(f"[red]Case {case} was opened[/] for what is on hold without a case: archiver hold show {case}")
    for trouble, count in sorted(report.troubles.items()):
        out.print(f"[red]not taken on[/]: {count} {trouble.replace('_', ' ')}")
    for one in report.named:
        out.print(words(f"  {one.key}: {one.reason}"))
    if sum(report.troubles.values()) > len(report.named):
        out.print("  … all of them: archiver rebuild --dry-run --json")
