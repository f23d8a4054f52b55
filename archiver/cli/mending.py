"""`retry` and `accept`: what a person decides about recordings that did not go through by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
import typer

from archiver.adapters import database
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.app import new_run_id, now, open_engine
from archiver.cli.common import AsJson, State, leave, out, print_json, run, words
from archiver.cli.looking import ACCOUNT, one
from archiver.core.model import Entry, Mark
from archiver.core.model import State as Stage
from archiver.errors import ConfigError, Conflict
from archiver.settings import Settings

log = structlog.get_logger()

RETRIED = (Stage.FAILED, Stage.QUARANTINED, Stage.DISCOVERED)


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command()(retry)
    cli.command()(accept)


def retry(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Everything failed, quarantined or waiting.")] = False,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """Make recordings on the gap list due again at once; the next pass tries them."""
    if bool(ids) == everything:
        raise typer.BadParameter("give recording ids, or --all")
    state: State = context.obj
    leave(run(_retry(state.settings(quiet=True), ids or [], account, as_json=as_json)))


async def _retry(settings: Settings, ids: list[str], account: str | None, *, as_json: bool) -> int:
    queued: list[str] = []
    refused: dict[str, str] = {}
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        catalogue, reads, run_id = Catalogue(engine), Reads(engine), new_run_id()
        async for entry in _chosen(reads, settings, ids, account):
            problem = _no_retry(entry) or await _queue(catalogue, entry, Mark(run_id, now(), "retried by hand"))
            if problem:
                refused[entry.id] = problem
            else:
                queued.append(entry.id)
    log.info("retry_requested", recordings=len(queued))
    if as_json:
        print_json({"queued": queued, "refused": refused})
    else:
        out.print(f"{len(queued)} due again; the next pass tries them: archiver sync")
        for identity, problem in refused.items():
            out.print(words(f"  {identity}: not retried, {problem}"))
    return 3 if refused else 0


async def _queue(catalogue: Catalogue, entry: Entry, mark: Mark) -> str | None:
    """Make it due. Returns why that was not possible."""
    values = {"next_attempt_at": mark.at, "attempts": 0}
    try:
        if entry.state is Stage.DISCOVERED:
            await catalogue.note(entry, mark, **values)
        else:
            await catalogue.advance(entry, Stage.DISCOVERED, mark, **values)
    except Conflict as error:
        return str(error)
    return None


async def _chosen(reads: Reads, settings: Settings, ids: list[str], account: str | None) -> AsyncIterator[Entry]:
    for entry in [await one(reads, identity, account) for identity in dict.fromkeys(ids)]:  # all known, or none queued
        yield entry
    if not ids:
        names = [account] if account else [each.name for each in settings.accounts]
        for name in names:
            async for entry in reads.entries(name, RETRIED):
                if entry.problem is not None and _no_retry(entry) is None:
                    yield entry


def _no_retry(entry: Entry) -> str | None:
    if entry.state not in RETRIED:
        return f"it is {entry.state}"
    if entry.purged_at is not None:
        return "the source no longer has it: only a good copy in the bucket helps (archiver verify)"
    return None


def accept(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(metavar="ID")],
    by: Annotated[str, typer.Option("--by", help="Who decides; goes into the history.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the copy is good; goes into the history.")],
    *,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """Accept a copy whose size is not the listed one, so that retention may delete it at the source like others."""
    state: State = context.obj
    run(_accept(state.settings(quiet=True), recording, account, by.strip(), reason.strip(), as_json=as_json))


async def _accept(
    settings: Settings, identity: str, account: str | None, by: str, reason: str, *, as_json: bool
) -> None:
    if not by or not reason:
        msg = "--by and --reason must not be empty: they are the evidence for the decision"
        raise ConfigError(msg)
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        entry = await one(Reads(engine), identity, account)
        if entry.state is Stage.QUARANTINED:
            msg = f"recording {identity} is quarantined: {entry.problem}"
            raise ConfigError(msg, hint="a size can be accepted when the copy itself is good: archiver verify, retry")
        if not entry.size_disagrees:
            msg = f"recording {identity} has nothing to accept: its size is the listed one"
            raise ConfigError(msg)
        mark = Mark(new_run_id(), now(), "size accepted by a person", {"by": by, "reason": reason})
        await Catalogue(engine).note(entry, mark, size_disagrees=False, problem=None)
    log.info("size_accepted", recording_id=identity)
    if as_json:
        print_json({"recording_id": identity, "accepted": True})
    else:
        out.print(words(f"Recording {identity}: size accepted, decision of {by} kept in the history."))
