"""`status`, `search`, `explain` and `fetch`: finding things out, and getting a recording back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from archiver.adapters import database
from archiver.adapters.catalogue_reads import AccountStatus, Reads, Search
from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import now, open_engine, open_store, policies_of
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
from archiver.cli.health import length, tell_freshness
from archiver.cli.restore import restore
from archiver.cli.summary import show_gaps, told
from archiver.core.model import Entry
from archiver.core.model import State as Stage
from archiver.core.retention import decide
from archiver.errors import ConfigError
from archiver.settings import Settings
from archiver.stages.purge import candidate

MOST_GAPS = 1000
ACCOUNT = typer.Option("--account", help="Only this account.")


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    for command in (status, search, explain, fetch):
        cli.command()(command)


def status(
    context: typer.Context,
    *,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Tell only whether work was done within this time, like 2h: 0 or 5."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show counts by state, bytes, watermark and lag of each account, the last pass, and open gaps."""
    state: State = context.obj
    if max_age is not None:
        longest = length("--max-age", max_age)
        leave(run(tell_freshness(state.settings(quiet=True), longest, as_json=as_json)))
        return
    leave(run(_status(state.settings(quiet=True), as_json=as_json)))


async def _status(settings: Settings, *, as_json: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        reads = Reads(engine)
        accounts, runs = await reads.status(), await reads.last_runs(limit=1)
        total = await reads.count_gaps()
        gaps = await reads.gaps(limit=MOST_GAPS if as_json else 20)
    if as_json:
        last = runs[0] if runs else None
        print_json(
            {"accounts": [_as_json(one) for one in accounts], "last_run": last, "open_gaps": total, "gaps": gaps}
        )
        return 3 if total else 0
    _show_accounts(accounts)
    for last in runs:
        ended = "still at work" if last["finished_at"] is None else f"exit code {last['exit_code']}"
        began = moment(_moment(last["started_at"]))
        out.print(f"Last run: {last['command']} {last['run_id']}, begun {began}, {ended}")
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


def _show_accounts(accounts: list[AccountStatus]) -> None:
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
        if option in ("--until", "--as-of") and len(text) == len("2026-01-31"):
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
        "attempts": entry.attempts,
        "problem": entry.problem,
    }


def explain(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(metavar="ID")],
    *,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a recording's story: what is on record, what retention decides today and why, and its history."""
    state: State = context.obj
    run(_explain(state.settings(quiet=True), recording, account, as_json=as_json))


async def _explain(settings: Settings, identity: str, account: str | None, *, as_json: bool) -> None:
    policies = policies_of(settings)
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        reads = Reads(engine)
        entry = await one(reads, identity, account)
        history = await reads.history(entry.recording.account, identity)
        gap = await CoverageReads(engine).gap_of(entry.recording.account, identity)
    decision = decide(candidate(entry), policies.policies, now())
    if as_json:
        print_json({**facts(entry), "decision": {"action": decision.action, "reason": decision.reason,
                    "policy": decision.policy, "not_before": decision.not_before, "sentence": decision.sentence},
                    "gap": gap, "history": history})  # fmt: skip
        return
    for name, value in facts(entry).items():
        if value not in (None, (), False):
            out.print(f"[dim]{name:>15}[/] ", words(_shown(value)))
    out.print(f"[dim]{'today':>15}[/]  {decision.action.replace('_', ' ')}: {decision.sentence}")
    if gap is not None:
        out.print(f"[dim]{'gap':>15}[/] ", words(f"{gap.id}, {gap.kind}: {told(gap)}"))
    rows = table("at", "from", "to", "reason", "run", title="History")
    for step in history:
        add(rows, moment(_moment(step["at"])), step["before"] or "-", step["after"], step["reason"], step["run_id"])
    show(rows)


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return moment(value)
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


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
