"""`backfill`: history that lies before an account's start_from, with progress, estimate and pause."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.backfill_rows import BackfillRows
from archiver.adapters.ledger import Ledger
from archiver.app import App, account_of, new_run_id, now, open_app, open_engine
from archiver.cli.budget import budgets_of
from archiver.cli.common import AsJson, State, add, err, leave, moment, out, print_json, run, show, span, table
from archiver.cli.looking import read_time
from archiver.cli.progress import shown
from archiver.cli.summary import show_pass
from archiver.core.backfill import Backfill, Filled, Progress, kept_from, progress, time_left
from archiver.core.model import Slice, midnight, whole_day
from archiver.errors import AccountBusy, ConfigError
from archiver.passes import Pass
from archiver.scheduler import INTERRUPTED, Interrupt
from archiver.settings import Account, Settings

SECOND = timedelta(seconds=1)
BETWEEN = 30.0  # seconds between passes that wait for an export


def add_to(cli: typer.Typer) -> None:
    """Add this command."""
    cli.command()(backfill)


def backfill(
    context: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Archive calls from this day on (UTC).")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="Up to this day, which counts whole; default: where the account begins."
        ),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Of this account, where there are several.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the work to the running archiver.")] = False,
    pause: Annotated[int | None, typer.Option("--pause", metavar="N", help="Pause backfill N.")] = None,
    resume: Annotated[int | None, typer.Option("--resume", metavar="N", help="Go on with backfill N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Archive history from before start_from, with what the quota leaves; without options: show how far it has come.

    It can be stopped at any time: the same command, or the running archiver, goes on where it was.
    """
    state: State = context.obj
    settings = state.settings(quiet=True)
    if sum(one is not None for one in (since, pause, resume)) > 1:
        raise ConfigError("--from, --pause and --resume exclude one another")
    if since is None and (until is not None or detach):
        raise ConfigError("--to and --detach need --from")
    code = 0
    if pause is not None or resume is not None:
        run(_set_pause(settings, pause if pause is not None else resume or 0, paused=pause is not None))
    elif since is not None:
        one = run(_asked(settings, _chosen(settings, account), since, until))
        code = 0 if detach else run(_work(settings, one, as_json=as_json))
    run(_show(settings, account, as_json=as_json))
    leave(code)


def _chosen(settings: Settings, name: str | None) -> Account:
    if name is not None:
        return account_of(settings, name)
    if len(settings.accounts) > 1:
        known = ", ".join(account.name for account in settings.accounts)
        raise ConfigError(f"there are several accounts: {known}", hint="say which: --account NAME")
    return settings.accounts[0]


async def _asked(settings: Settings, account: Account, since: str, until: str | None) -> Backfill:
    """Write a backfill down, or find it again. Raises ConfigError where there is nothing to fill in."""
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        await Ledger(engine).open_account(account.name, account.start_from)
        rows = BackfillRows(engine)
        begin = kept_from(account.start_from, await rows.all(account.name))
        first = _day_of(read_time("--from", since))
        if until is None and (same := [one for one in await rows.all(account.name) if one.window.since == first]):
            return same[-1]
        asked = whole_day(_day_of(read_time("--to", until)).date()).until if until is not None else begin - SECOND
        last = min(asked, account.start_from - SECOND)
        if first > last:
            hint = f"calls from {account.start_from:%Y-%m-%dT%H:%M:%SZ} on (start_from) are archived by every pass"
            raise ConfigError(f"there is nothing to fill in from {since} on", hint=hint)
        return await rows.ask(account.name, Slice(first, last), now())


def _day_of(moment_: datetime | None) -> datetime:
    """Go back to the midnight (UTC) before: history comes in whole days, so that each can be proved."""
    assert moment_ is not None  # noqa: S101 - the option is given
    return midnight(moment_.date())


async def _work(settings: Settings, one: Backfill, *, as_json: bool) -> int:
    """Do passes until the backfill is done, somebody stops it, or another archiver is found at work on the account."""
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    async with open_app(settings) as app:
        before = await _standing(app, one)
        while True:
            work = Pass(
                app=app,
                run=new_run_id(),
                stopping=interrupt.stopping,
                sleep=interrupt.sleep,
                longest=settings.sync.every,
            )
            async with shown(work, settings):
                code = await interrupt.finish(work.sync())
            if not as_json:
                show_pass(work, (), 0)
            here, filled = standing = await _standing(app, one)
            if code is None or interrupt.stopping():
                err.print("Stopped: the same command goes on with it, and so does every pass.")
                return INTERRUPTED
            if (report := work.reports.get(one.account)) is not None and report.exit_code == AccountBusy.exit_code:
                err.print("Another archiver works on this account: it fills in the history. See: archiver backfill")
                return report.exit_code
            if progress(here, filled) in (Progress.DONE, Progress.PAUSED):
                return code
            if standing == before:
                if report is None or report.stopped or not await app.exports.open(one.account):
                    err.print("What is left must wait, or needs a person: archiver status. Every pass goes on with it.")
                    return code
                await interrupt.sleep(BETWEEN)
            before = standing


async def _standing(app: App, one: Backfill) -> tuple[Backfill, Filled]:
    """Read how far a backfill has come."""
    here = next(found for found in await app.backfills.all(one.account) if found.number == one.number)
    return here, await app.backfills.filled(here)


async def _set_pause(settings: Settings, number: int, *, paused: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        await BackfillRows(engine).pause(number, now() if paused else None)


async def _show(settings: Settings, account: str | None, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = await _facts(settings, engine, account)
    if as_json:
        print_json([_as_document(one, filled, left) for one, filled, left in found])
        return
    if not found:
        out.print("No backfill was asked for. Begin with: archiver backfill --from 2024-01-01")
        return
    rows = table("backfill", "account", "calls from", "up to", "listed", "archived", "state", "time left",
                 right=("listed", "archived"))  # fmt: skip
    for one, filled, left in found:
        state = progress(one, filled)
        archived = f"{filled.known - filled.waiting} of {filled.known}"
        shown_left = "-" if state in (Progress.DONE, Progress.PAUSED) or left is None else f"about {span(left)}"
        add(rows, one.number, one.account, moment(one.window.since), moment(one.window.until),
            f"{one.share_listed:.0%}", archived, state, shown_left)  # fmt: skip
    show(rows)


async def _facts(
    settings: Settings, engine: AsyncEngine, account: str | None
) -> list[tuple[Backfill, Filled, timedelta | None]]:
    rows = BackfillRows(engine)
    budgets = {one.account: one.forecast for one in await budgets_of(settings, engine, account)}
    found = []
    for one in await rows.all(account):
        filled, ahead = await rows.filled(one), budgets.get(one.account)
        left = None if ahead is None else time_left(one, filled, ahead, settings.sync.page_size)
        found.append((one, filled, left))
    return found


def _as_document(one: Backfill, filled: Filled, left: timedelta | None) -> dict[str, object]:
    return {
        "backfill": one.number,
        "account": one.account,
        "since": one.window.since,
        "until": one.window.until,
        "asked_at": one.asked_at,
        "listed_until": one.listed_until,
        "share_listed": round(one.share_listed, 4),
        "known": filled.known,
        "waiting": filled.waiting,
        "state": progress(one, filled),
        "seconds_left": None if left is None else round(left.total_seconds()),
    }
