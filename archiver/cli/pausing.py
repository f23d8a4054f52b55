"""`pause` and `resume`: one switch that stops all deletion, on both sides, in every process."""

from __future__ import annotations

from typing import Annotated

import structlog
import typer

from archiver.adapters import database
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.controls import Controls
from archiver.app import now, open_engine
from archiver.cli.common import AsJson, By, State, moment, out, print_json, run, who, words
from archiver.core.controls import Control, Event, Kind, pause_in
from archiver.core.model import State as Stage
from archiver.core.people import reason as said
from archiver.errors import Unreachable
from archiver.settings import Settings

log = structlog.get_logger()


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command()(pause)
    cli.command()(resume)


def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; status shows it, and it stays in the record.")],
    *,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Stop all deletion at once, at the source and in the archive, in every process. Archiving goes on."""
    state: State = context.obj
    run(_switch(state.settings(quiet=True), Event.PAUSED, who(by), said(reason), as_json=as_json))


def resume(
    context: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", help="Why it may go on; stays in the record.")
    ] = "no longer needed",
    *,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End the pause: what policies and approved plans permit may be deleted again."""
    state: State = context.obj
    run(_switch(state.settings(quiet=True), Event.RESUMED, who(by), said(reason), as_json=as_json))


async def _switch(settings: Settings, event: Event, by: str, reason: str, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        controls = Controls(engine)
        before = pause_in(await controls.log([Kind.PAUSE]))
        if before is not None or event is Event.PAUSED:  # a second pause has a reason of its own
            await controls.record(Control(at=now(), kind=Kind.PAUSE, subject="", event=event, by=by, reason=reason))
            log.info("deletion_switched", paused=event is Event.PAUSED)
        standing = pause_in(await controls.log([Kind.PAUSE]))
        begun = await count_begun(Reads(engine))
    if as_json:
        print_json({"paused": standing, "begun": begun})
    elif standing is None:
        was = "" if before is None else f" It was since {moment(before.at)}, by {before.by}: {before.reason}"
        out.print(words("Deletion was not paused." if before is None else f"Deletion is no longer paused.{was}"))
    else:
        out.print(words(told(standing)))
        if begun:
            out.print(
                f"{begun} deletions had begun before; what the source or the bucket was asked for may still happen."
            )


async def count_begun(reads: Reads) -> int:
    """Count the recordings whose deletion has begun and not ended; 0 for somebody who may not see recordings."""
    try:
        counts = [one.counts for one in await reads.status()]
    except Unreachable:
        return 0
    return sum(one.get(stage, 0) for one in counts for stage in (Stage.PURGING, Stage.EXPIRING))


def told(paused: Control) -> str:
    """Say who paused all deletion, since when and why."""
    return f"All deletion is paused since {moment(paused.at)} by {paused.by}: {paused.reason}"
