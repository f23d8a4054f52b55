"""`recount`: ask the source again about chosen days, and show what they are worth then."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import new_run_id, open_app
from archiver.cli.common import AsJson, State, leave, out, print_json, run
from archiver.cli.covering import Range, chosen, document, look, show_coverage
from archiver.cli.looking import ACCOUNT
from archiver.cli.progress import shown
from archiver.cli.summary import show_reports
from archiver.core.model import Slice, midnight, whole_day
from archiver.passes import Pass
from archiver.scheduler import INTERRUPTED, Interrupt
from archiver.settings import Settings


def add_to(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(recount)


def recount(
    context: typer.Context,
    *,
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, UTC: 2026-01-31.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day.")],
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """List days again at the source now, however they were proved, and show their coverage. Archives nothing."""
    state: State = context.obj
    settings = state.settings()
    leave(run(_recount(settings, chosen(settings, first, last, account), as_json=as_json)))


async def _recount(settings: Settings, asked: Range, *, as_json: bool) -> int:
    days = Slice(midnight(asked.first), whole_day(asked.last).until)
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    async with open_app(settings) as app:
        work = Pass(app=app, run=new_run_id(), stopping=interrupt.stopping)
        async with shown(work, settings):
            code = await interrupt.finish(work.recount(dict.fromkeys(asked.accounts, days)))
        view = await look(CoverageReads(app.engine), app.backfills, settings, asked)
    if as_json:
        print_json({"run": work.run, "exit_code": code, "accounts": work.counts(), "coverage": document(view)})
    else:
        show_reports(work)
        out.print()
        show_coverage(view)
    return INTERRUPTED if code is None else code
