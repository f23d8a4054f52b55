"""`gaps`: the list of what is missing, the life of each gap, and a person's reason for one."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from archiver.adapters import database, gap_rows
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.database import connection
from archiver.app import now, open_engine
from archiver.cli.common import (
    AsJson,
    By,
    State,
    add,
    echo,
    leave,
    moment,
    out,
    print_json,
    run,
    show,
    span,
    table,
    who,
    words,
)
from archiver.cli.looking import ACCOUNT
from archiver.cli.summary import call_starts, told
from archiver.core.gaps import Gap
from archiver.errors import ConfigError
from archiver.settings import Settings

MOST = 10_000
LARGEST = 2**63 - 1  # number of a row
Number = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=LARGEST, help="The gap's number, as `archiver gaps list` shows it.")
]


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(invoke_without_command=True, callback=gaps)
    group.command("list")(list_gaps)
    group.command("show")(show_gap)
    group.command("explain")(explain_gap)
    cli.add_typer(group, name="gaps")


def gaps(context: typer.Context) -> None:
    """What should be in the archive and is not, or could not be proved. Alone: the list."""
    if context.invoked_subcommand is None:
        list_gaps(context)


def list_gaps(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="The closed ones too, with their evidence.")] = False,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """List gaps: open ones first, then those that a person has explained. Exit code 3 while one is open."""
    state: State = context.obj
    leave(run(_list(state.settings(quiet=True), account, everything=everything, as_json=as_json)))


async def _list(settings: Settings, account: str | None, *, everything: bool, as_json: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await Reads(engine).gaps(limit=MOST, account=account, closed=everything)
    code = 3 if any(gap.closed_at is None and gap.explanation is None for gap in found) else 0
    if as_json:
        print_json(found)
        return code
    rows = table("gap", "account", "recording", "call start", "kind", "standing", "age", "reason")
    for gap in found:
        add(rows, gap.id, gap.account, gap.recording_id or "-", call_starts(gap), gap.kind, _standing(gap),
            span(now() - gap.opened_at), gap.evidence or told(gap))  # fmt: skip
    if found:
        show(rows)
    out.print(_counted(found))
    return code


def _counted(found: list[Gap]) -> str:
    if not found:
        return "No gap is open."
    more = " (the first of them: there are more)" if len(found) == MOST else ""
    counts = Counter(map(_standing, found))
    return ", ".join(f"{count} {standing}" for standing, count in counts.items()) + more


def _standing(gap: Gap) -> str:
    if gap.closed_at is not None:
        return "closed"
    return "open" if gap.explanation is None else "explained"


def show_gap(context: typer.Context, number: Number, *, as_json: AsJson = False) -> None:
    """Show one gap: what it is about, the item as it came, and its life."""
    state: State = context.obj
    run(_show(state.settings(quiet=True), number, as_json=as_json))


async def _show(settings: Settings, number: int, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        reads = Reads(engine)
        gap, events = await _one(reads, number), await reads.gap_events(number)
    if as_json:
        print_json({"gap": gap, "events": events})
        return
    explained_at, closed_at = gap.explained_at and moment(gap.explained_at), gap.closed_at and moment(gap.closed_at)
    facts = {"account": gap.account, "kind": gap.kind, "standing": _standing(gap), "recording": gap.recording_id,
             "since": moment(gap.since), "until": moment(gap.until), "missing calls": gap.missing,
             "reason": gap.reason, "opened": moment(gap.opened_at), "last seen": moment(gap.seen_at),
             "explanation": gap.explanation, "explained by": gap.explained_by, "explained": explained_at,
             "closed": closed_at, "evidence": gap.evidence}  # fmt: skip
    for name, value in facts.items():
        if value is not None:
            out.print(f"[dim]{name:>15}[/] ", words(value))
    if gap.raw is not None:
        out.print(words("the item as it came:"))
        echo(json.dumps(gap.raw.get("item"), indent=2) + "\n")
    rows = table("at", "what", "reason", "by", title="Life")
    for event in events:
        at = event["at"]
        add(rows, moment(at if isinstance(at, datetime) else None), event["event"], event["reason"], event["by"])
    show(rows)


def explain_gap(
    context: typer.Context,
    number: Number,
    *,
    reason: Annotated[str, typer.Option(help="Why nothing more can be done; for the auditor.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Give the reason for a gap. It stays in every report, and no longer makes exit code 3."""
    if not reason.strip():
        raise typer.BadParameter("--reason must say something")
    state: State = context.obj
    run(_explain(state.settings(quiet=True), number, reason.strip(), who(by), as_json=as_json))


async def _explain(settings: Settings, number: int, reason: str, by: str, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        reads = Reads(engine)
        gap = await _one(reads, number)
        async with connection(engine) as opened:
            done = await gap_rows.explain(opened, number, reason=reason, by=by, now=now())
        if not done:
            gap = await _one(reads, number)  # it may have been closed just now
            msg = f"gap {number} was closed at {moment(gap.closed_at)}: {gap.evidence}"
            raise ConfigError(msg, hint="only an open gap can be explained")
        explained = await _one(reads, number)
    if as_json:
        print_json(explained)
        return
    out.print(f"Gap {number} is explained. It stays in the coverage report, and no longer makes exit code 3.")


async def _one(reads: Reads, number: int) -> Gap:
    gap = await reads.gap(number)
    if gap is None:
        msg = f"there is no gap {number}"
        raise ConfigError(msg, hint="see: archiver gaps list --all")
    return gap
