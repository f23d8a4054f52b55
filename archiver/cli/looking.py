"""`status`, `search` and `fetch`: finding things out, and getting a recording back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from archiver.adapters import database
from archiver.adapters.catalogue_reads import AccountStatus, Reads, Search
from archiver.adapters.controls import Controls
from archiver.adapters.run_reads import RunReads
from archiver.app import now, open_engine, open_store
from archiver.budgeting import Budget
from archiver.cli.budget import as_document, budgets_of, outlook
from archiver.cli.common import (
    AsJson,
    State,
    add,
    leave,
    moment,
    out,
    print_json,
    run,
    show,
    size,
    span,
    table,
    words,
)
from archiver.cli.health import length, run_check, tell_freshness
from archiver.cli.pausing import told as told_pause
from archiver.cli.restore import restore
from archiver.cli.summary import show_gaps
from archiver.core.controls import Kind, holds_in, pause_in
from archiver.core.model import Entry
from archiver.core.model import State as Stage
from archiver.errors import ConfigError
from archiver.settings import Settings

MOST_GAPS = 1000
ACCOUNT = typer.Option("--account", help="Only this account.")


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    for command in (status, search, fetch):
        cli.command()(command)


def status(
    context: typer.Context,
    *,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Tell only whether work was done within this time, like 2h: 0 or 5."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="One line for Nagios and its exit codes: 0 ok, 1 warning, 2 critical, 3.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show counts by state, bytes, watermark and lag of each account, the last pass, and open gaps."""
    state: State = context.obj
    if check:
        leave(run_check(state, as_json=as_json))
        return
    if max_age is not None:
        longest = length("--max-age", max_age)
        leave(run(tell_freshness(state.settings(quiet=True), longest, as_json=as_json)))
        return
    leave(run(_status(state.settings(quiet=True), as_json=as_json)))


async def _status(settings: Settings, *, as_json: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        reads = Reads(engine)
        accounts, runs = await reads.status(), await RunReads(engine).latest(limit=1)
        total = await reads.count_gaps()
        gaps = await reads.gaps(limit=MOST_GAPS if as_json else 20)
        said = await Controls(engine).log([Kind.HOLD, Kind.PAUSE])
        budgets = await budgets_of(settings, engine)
    paused, cases = pause_in(said), [case for case in holds_in(said) if case.open]
    if as_json:
        last = runs[0] if runs else None
        print_json({"accounts": [_as_json(one) for one in accounts], "last_run": last, "open_gaps": total, "gaps": gaps,
                    "budgets": [as_document(one) for one in budgets], "deletion_paused": paused,
                    "open_holds": [case.name for case in cases]})  # fmt: skip
        return 3 if total else 0
    if paused is not None:
        out.print(words(told_pause(paused)), style="bold red")
    _show_accounts(accounts, {budget.account: budget for budget in budgets})
    if cases:
        out.print(f"Legal holds: {len(cases)} open (archiver hold list)")
    for last in runs:
        ended = last.in_short if last.exit_code is None else f"exit code {last.exit_code}"
        out.print(f"Last run: {last.command} {last.run_id}, begun {moment(last.started_at)}, {ended}")
    show_gaps(gaps, total)
    return 3 if total else 0


def _as_json(one: AccountStatus) -> dict[str, object]:
    return {
        "account": one.account,
        "watermark": one.watermark,
        "lag_seconds": None if one.watermark is None else round((now() - one.watermark).total_seconds()),
        "counts": {str(state): count for state, count in sorted(one.counts.items())},
        "bytes": one.bytes,
        "oldest_pending": one.oldest_pending,
    }


def _show_accounts(accounts: list[AccountStatus], budgets: Mapping[str, Budget]) -> None:
    if not accounts:
        out.print("Nothing was archived yet. Begin with: archiver sync")
    for one in accounts:
        lag = None if one.watermark is None else now() - one.watermark
        listed = f"listed up to {moment(one.watermark)} (lag {span(lag)})"
        out.print(f"[bold]{one.account}[/]  {size(one.bytes)} archived; {listed}")
        counts = [f"{state} {one.counts[state]}" for state in Stage if state in one.counts]
        out.print("  " + (", ".join(counts) or "no recordings"))
        if one.oldest_pending is not None:
            age = span(now() - one.oldest_pending)
            out.print(f"  oldest call that is not archived: {moment(one.oldest_pending)} ({age} ago)")
        if (budget := budgets.get(one.account)) is not None and budget.forecast.backlog:
            out.print(f"  {outlook(budget.forecast)} (archiver budget)")


def search(
    context: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option(help="Calls from this time on: 2026-01-31, or with T09:30:00; UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Calls up to this time; a day counts whole.")] = None,
    number: Annotated[str | None, typer.Option(help="Caller or called number, exactly as the source has it.")] = None,
    extension: Annotated[str | None, typer.Option(help="An extension that took part.")] = None,
    call_id: Annotated[str | None, typer.Option(help="The source's call id.")] = None,
    stage: Annotated[Stage | None, typer.Option("--state", help="Only recordings in this state.")] = None,
    account: Annotated[str | None, ACCOUNT] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, latest call first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Find recordings by time, number, extension, call id or state."""
    state: State = context.obj
    wanted = Search(
        account=account,
        since=read_time("--since", since),
        until=read_time("--until", until),
        number=number,
        extension=extension,
        call_id=call_id,
        state=stage,
    )
    run(_search(state.settings(quiet=True), wanted, limit, as_json=as_json))


async def _search(settings: Settings, wanted: Search, limit: int, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await Reads(engine).search(wanted, limit=limit)
    if as_json:
        print_json([facts(entry) for entry in found])
        return
    rows = table("account", "recording", "call start", "length", "direction", "extensions", "caller", "called", "state",
                 right=("length",))  # fmt: skip
    for entry in found:
        call = entry.recording
        length = None if call.duration_ms is None else call.duration_ms / 1000
        add(rows, call.account, call.id, moment(call.start), span(length), call.direction or "-",
                     " ".join(call.extensions), call.caller_id or "-", call.dnis or "-", entry.state)  # fmt: skip
    show(rows, whole=True)
    more = f" (there may be more: --limit {limit * 10})" if len(found) == limit else ""
    out.print(f"{len(found)} found{more}")


def read_time(option: str, text: str | None) -> datetime | None:
    """Read an option's time; a day alone means its first moment, for --until and --as-of its last."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
        if option in ("--until", "--as-of", "--to") and len(text) == len("2026-01-31"):
            read = read.replace(hour=23, minute=59, second=59)  # up to a day means: that day included
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{option} {text!r} is not a time"
        raise ConfigError(
            msg, hint="write it like 2026-01-31 or 2026-01-31T09:30:00+05:30; without a zone it is UTC"
        ) from None


def facts(entry: Entry) -> dict[str, object]:
    """Everything on record about a recording, for `--json`."""
    call = entry.recording
    return {
        "account": call.account,
        "recording_id": call.id,
        "state": entry.state,
        "call_start": call.start,
        "call_end": call.end,
        "duration_ms": call.duration_ms,
        "direction": call.direction,
        "extensions": call.extensions,
        "caller_id": call.caller_id,
        "dnis": call.dnis,
        "call_id": call.call_id,
        "listed_at": entry.listed_at,
        "size_listed": call.size,
        "key": entry.key,
        "sha256": entry.fixity.sha256 if entry.fixity else None,
        "size": entry.fixity.size if entry.fixity else None,
        "size_disagrees": entry.size_disagrees,
        "stored_at": entry.stored_at,
        "verified_at": entry.verified_at,
        "purged_at": entry.purged_at,
        "absent_since": entry.absent_since,
        "lock_mode": entry.lock and entry.lock.mode,
        "lock_until": entry.lock and entry.lock.until,
        "on_hold": entry.on_hold,
        "expired_at": entry.expired_at,
        "attempts": entry.attempts,
        "problem": entry.problem,
    }


async def one(reads: Reads, identity: str, account: str | None) -> Entry:
    """Find exactly one recording. Raises ConfigError when there is none, or more than one account has it."""
    found = [entry for entry in await reads.find(identity) if account in (None, entry.recording.account)]
    if not found:
        msg = f"the catalogue has no recording {identity}" + (f" of account {account}" if account else "")
        raise ConfigError(msg, hint="see: archiver search")
    if len(found) > 1:
        names = ", ".join(entry.recording.account for entry in found)
        msg = f"several accounts have a recording {identity}: {names}"
        raise ConfigError(msg, hint="say which with --account")
    return found[0]


def fetch(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(metavar="ID")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the audio.")],
    *,
    account: Annotated[str | None, ACCOUNT] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get a recording out of the archive; the file appears only when its SHA-256 is the one on record."""
    state: State = context.obj
    run(_fetch(state.settings(quiet=True), recording, output, account, force=force, as_json=as_json))


async def _fetch(
    settings: Settings, identity: str, output: Path, account: str | None, *, force: bool, as_json: bool
) -> None:
    async with open_engine(settings) as engine, open_store(settings) as store:
        await database.require_schema(engine)
        entry = await one(Reads(engine), identity, account)
        fixity = await restore(store, entry, output, force=force)
    if as_json:
        print_json({"file": str(output), "sha256": fixity.sha256, "size": fixity.size, "key": entry.key})
    else:
        out.print(words(output), f": {size(fixity.size)}, SHA-256 {fixity.sha256} (as on record)", sep="")
