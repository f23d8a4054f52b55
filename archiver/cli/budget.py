"""`budget`: what the source's quota allows, what the work needs, and when the backlog is worked off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.budget_reads import BudgetReads
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.export_record import ExportRecord
from archiver.app import account_of, export_user, now, open_engine, policies_of, shared_quota
from archiver.budgeting import Budget, Budgeting
from archiver.cli.common import AsJson, State, leave, moment, out, print_json, run, size, span, words
from archiver.core.budget import Forecast
from archiver.core.exports import Export, Phase
from archiver.settings import Settings

UNFIT = 3  # exit code: the quota does not do


def add_to(cli: typer.Typer) -> None:
    """Add this command."""
    cli.command()(budget)


def budget(
    context: typer.Context,
    *,
    account: Annotated[str | None, typer.Option("--account", help="Only this account.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show requests allowed and needed, exports under way, and when the backlog is drained; 3 if that is never."""
    state: State = context.obj
    leave(run(_budget(state.settings(quiet=True), account, as_json=as_json)))


async def _budget(settings: Settings, account: str | None, *, as_json: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await budgets_of(settings, engine, account)
    if as_json:
        print_json([as_document(one) for one in found])
    else:
        for one in found:
            _show(one)
    return UNFIT if any(one.forecast.lost or (one.forecast.backlog and one.forecast.never) for one in found) else 0


async def budgets_of(settings: Settings, engine: AsyncEngine, account: str | None = None) -> list[Budget]:
    """Reckon the budgets of all accounts, or of one. Raises ConfigError for one that is not configured."""
    record = ExportRecord(engine, Catalogue(engine))
    budgeting = Budgeting(BudgetReads(engine), record, settings, policies_of(settings))
    chosen = settings.accounts if account is None else (account_of(settings, account),)
    return [
        await budgeting.of(one, shared_quota(one, engine), can_export=export_user(one) is not None, now=now())
        for one in chosen
    ]


def as_document(one: Budget) -> Mapping[str, object]:
    """Give a budget as `--json` prints it. Requests and recordings are those of a day."""
    ahead = one.forecast
    drained = None if ahead.drained_in is None else round(ahead.drained_in.total_seconds())
    return {
        "account": one.account,
        "per_minute": one.standing.in_force,
        "configured_per_minute": one.configured,
        "used_last_minute": one.standing.used,
        "paused_seconds": round(one.standing.pause),
        "arriving": round(one.arriving, 1),
        "way": ahead.way.name.lower(),
        "no_exports": one.no_exports,
        "requests": {
            "capacity": round(ahead.capacity),
            "listing": round(ahead.listing, 1),
            "recounts": round(ahead.recounts, 1),
            "archiving": round(ahead.archiving, 1),
            "deletes": round(ahead.deletes, 1),
            "deletes_wanted": round(ahead.deletes_wanted, 1),
            "spare": round(ahead.spare, 1),
        },
        "sent_last_24_hours": dict(one.sent),
        "backlog": {
            "recordings": ahead.backlog,
            "bytes": ahead.backlog_size,
            "requests": round(ahead.backlog_requests),
            "drained_seconds": drained,
            "lost": ahead.lost,
            "lost_first_day": ahead.lost_first,
        },
        "exports": [_export(export) for export in one.exports],
    }


def _export(export: Export) -> dict[str, object]:
    return {
        "export": export.number,
        "since": export.window.since,
        "until": export.window.until,
        "phase": export.phase,
        "asked_at": export.asked_at,
        "due": export.due,
        "jobs": len(export.jobs),
        "jobs_left": len(export.pending),
        "polls": sum(job.polls for job in export.jobs),
        "next_poll_at": export.pending[0].next_poll_at if export.pending else None,
    }


def outlook(ahead: Forecast) -> str:
    """Say when a backlog is worked off, and what is lost by then."""
    if ahead.never:
        told = f"backlog of {ahead.backlog:,}: [red]never drained at this quota[/]"
    else:
        told = f"backlog of {ahead.backlog:,}: drained in about {span(ahead.drained_in)}"
    lost = f"; [red]the source deletes {ahead.lost:,} of them first[/], calls from {ahead.lost_first} on"
    return told + (lost if ahead.lost else "")


def _show(one: Budget) -> None:
    ahead, standing = one.forecast, one.standing
    learnt = (
        f" (configured: {one.configured}; the source has refused more)" if standing.in_force < one.configured else ""
    )
    paused = f", paused by the source for {span(standing.pause)}" if standing.pause else ""
    out.print(f"[bold]{one.account}[/]  {standing.in_force} requests a minute{learnt}, {standing.used} used{paused}")
    out.print(f"  arriving   {one.arriving:,.0f} recordings a day, by {ahead.way}")
    if one.no_exports is not None:
        out.print(words(f"  exports    none: {one.no_exports}"))
    out.print(f"  a day has  {ahead.capacity:,.0f} requests")
    out.print(f"    listing    {ahead.listing:8,.0f}")
    out.print(f"    recounts   {ahead.recounts:8,.0f}")
    out.print(f"    archiving  {ahead.archiving:8,.0f}")
    short = "" if ahead.spare > 0 else "  [red]not enough to archive what arrives[/]"
    out.print(f"    left       {ahead.spare:8,.0f}{short}")
    if ahead.deletes_wanted:
        lag = f" of {ahead.deletes_wanted:,.0f} that policies want: the rest waits" if ahead.deletes_lag else ""
        out.print(f"  deletions  {ahead.deletes:,.0f} requests a day{lag}")
    if ahead.backlog:
        out.print(f"  {outlook(ahead)} ({size(ahead.backlog_size)}, {ahead.backlog_requests:,.0f} requests)")
    else:
        out.print("  backlog    none: everything listed is archived")
    for export in one.exports:
        out.print(f"  export {export.number}: {_told(export)}")
    if one.sent:
        sent = ", ".join(f"{operation} {count}" for operation, count in sorted(one.sent.items()))
        out.print(f"  last 24 h  {sent}")


def _told(export: Export) -> str:
    slice_ = f"{export.due} recordings, calls from {moment(export.window.since)} to {moment(export.window.until)}"
    asked = f"asked for {span(now() - export.asked_at)} ago"
    if export.phase is Phase.ASKED:
        return f"{slice_}; {asked}, not answered yet"
    waiting = f"{len(export.pending)} of {len(export.jobs)} jobs not fetched"
    return f"{slice_}; {asked}, {waiting}"
