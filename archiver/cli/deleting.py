"""`plan`, `approve`, `apply` and `plans`: what would be deleted, a second person's word, and doing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer

from archiver import plans
from archiver.adapters import database
from archiver.adapters.controls import Controls
from archiver.app import App, new_run_id, now, open_app, open_engine, policies_of
from archiver.cli.common import (
    AsJson,
    By,
    State,
    add,
    echo,
    err,
    leave,
    moment,
    out,
    print_json,
    run,
    show,
    table,
    who,
    words,
)
from archiver.cli.progress import shown
from archiver.cli.summary import show_pass, show_plan
from archiver.core.approval import needs_approval
from archiver.core.controls import Kind, PlanRecord, plans_in
from archiver.core.people import person
from archiver.core.people import reason as said
from archiver.core.plan import Plan
from archiver.core.plan_file import digest_of, parse, render
from archiver.core.policy import Mode
from archiver.errors import ConfigError
from archiver.passes import Pass
from archiver.scheduler import INTERRUPTED, Interrupt
from archiver.settings import Settings

log = structlog.get_logger()

RETENTION = "retention, by the policies"
SHORT = 12  # digits of a digest that people see


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command()(plan)
    cli.command()(approve)
    cli.command("apply")(apply_plan)
    cli.command("plans")(list_plans)


def plan(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan here, for approve and apply.")
    ] = None,
    *,
    by: By = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan file itself.")] = False,
) -> None:
    """Show what the policies would delete now, at the source and in the archive, with reasons. Deletes nothing."""
    state: State = context.obj
    author = who(by) if output is not None or as_json or by is not None else "nobody"
    run(_plan(state.settings(quiet=True), output, author, as_json=as_json))


async def _plan(settings: Settings, output: Path | None, author: str, *, as_json: bool) -> None:
    async with open_app(settings) as app:
        run_id = new_run_id()
        await app.terms.announce(run_id, app.clock())
        with err.status("Deciding on every recording …"):  # shows itself on a terminal only
            drafted = await Pass(app=app, run=run_id).draft(author=author)
        text = render(drafted)
        if not as_json:
            show_plan(drafted, app.policies)
            if (pause := await app.terms.paused()) is not None:
                out.print("[bold]apply[/] will refuse this plan:", words(pause))
        if output is not None or as_json:
            await file_plan(app, drafted, text, RETENTION, output)
    if as_json:
        echo(text)
    elif output is not None:
        tell_next(app, drafted, text, output)


async def file_plan(app: App, drafted: Plan, text: str, purpose: str, output: Path | None) -> None:
    """Write a plan to its file and into the record. Raises ConfigError where the file cannot be written."""
    if output is not None:
        try:
            output.write_bytes(text.encode())  # noqa: ASYNC240 - one command, one file: nothing else waits
        except OSError as error:
            msg = f"the plan cannot be written to {output}: {error.strerror}"
            raise ConfigError(msg) from None
    await plans.register(app.controls, drafted, text, purpose)
    log.info("plan_written", plan=digest_of(text), deletions=len(drafted.items))


def tell_next(app: App, drafted: Plan, text: str, output: Path) -> None:
    """Say where the plan is, and what comes next."""
    until = f"valid until {moment(drafted.expires_at)}"
    out.print("Written to", words(output), f"(digest {digest_of(text)[:SHORT]}…, {until}).")
    deletion = app.policies.deletion
    if deletion.mode is Mode.DISABLED:
        return
    alone = not needs_approval(drafted.items, deletion)
    if alone:
        out.print("To do it: archiver apply", words(output))
    else:
        out.print("A second person reads it, then: archiver approve", words(output), "--by NAME")


PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A file that `archiver plan --out` wrote.")]


def approve(
    context: typer.Context,
    path: PlanFile,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who approves: somebody else than its author.")],
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")] = "read and found right",
    *,
    as_json: AsJson = False,
) -> None:
    """Approve exactly what a plan names, as a second person; then it can be applied, once, until it expires."""
    state: State = context.obj
    run(_approve(state.settings(quiet=True), path, person(by), said(reason), as_json=as_json))


async def _approve(settings: Settings, path: Path, by: str, reason: str, *, as_json: bool) -> None:
    text = read_plan(path)
    given, policies = parse(text), policies_of(settings)
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        controls = Controls(engine)
        await plans.approve(controls, given, text, policies, by=by, reason=reason, now=now())
        record = await plans.record_of(controls, digest_of(text))
    log.info("plan_approved", plan=digest_of(text))
    if as_json:
        print_json(record)
        return
    show_plan(given, policies)
    out.print(f"Approved. Until {moment(given.expires_at)} it can be applied once: archiver apply", words(path))


def apply_plan(context: typer.Context, path: PlanFile, *, as_json: AsJson = False) -> None:
    """Delete exactly what a plan names; each recording is checked again, alone, just before."""
    state: State = context.obj
    leave(run(_apply(state.settings(), path, as_json=as_json)))


async def _apply(settings: Settings, path: Path, *, as_json: bool) -> int:
    text = read_plan(path)
    given = parse(text)
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    async with (
        open_app(settings) as app,
        plans.in_use(app.engine, app.controls, given, text, app.policies, app.clock()) as record,
    ):
        work = Pass(app=app, run=new_run_id(), stopping=interrupt.stopping)
        await app.terms.announce(work.run, app.clock())
        async with shown(work, settings):
            code = await interrupt.finish(work.apply(given, history_of(record)))
        # what a pause has kept may still be done after it
        used = code == 0 and not any(report.kept["paused"] for report in work.reports.values())
        if used:
            await plans.use_up(app.controls, record, work.run, app.clock())
        if as_json:
            print_json({"run": work.run, "exit_code": code, "planned": len(given.items), "used": used,
                        "accounts": work.counts()})  # fmt: skip
        else:
            show_pass(work, await app.reads.gaps(limit=20), await app.reads.count_gaps())
            if not used:
                out.print("The plan was not carried out to its end: it can be applied again until it expires.")
        return INTERRUPTED if code is None else code


def history_of(record: PlanRecord) -> dict[str, object]:
    """Give what the history of each deletion says about the plan."""
    told: dict[str, object] = {"plan": record.digest, "planned_by": record.author, "purpose": record.purpose}
    return told | ({"approved_by": record.approved_by} if record.approved_by else {})


def read_plan(path: Path) -> str:
    """Read a plan file's text. Raises ConfigError when there is none."""
    try:
        return path.read_bytes().decode()  # line ends as they are: the digest is of every byte
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"the plan {path} cannot be read: {reason}"
        raise ConfigError(msg) from None


def list_plans(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the plans that were written: by whom, approved by whom, used or not."""
    state: State = context.obj
    run(_list(state.settings(quiet=True), as_json=as_json))


async def _list(settings: Settings, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        found = list(plans_in(await Controls(engine).log([Kind.PLAN])).values())
    if as_json:
        print_json(found)
        return
    rows = table(
        "plan", "written", "by", "for", "source", "archive", "approved by", "standing", right=("source", "archive")
    )
    for one in found:
        add(rows, one.digest[:SHORT], moment(one.written_at), one.author, one.purpose, deletions(one, "source"),
            deletions(one, "archive"), one.approved_by or "-", standing(one))  # fmt: skip
    show(rows)
    if not found:
        out.print("No plan was written yet: archiver plan --out FILE")


def deletions(record: PlanRecord, side: str) -> object:
    """Tell how many deletions a plan has on a side."""
    counts = record.counts[side]
    return counts["delete"] if isinstance(counts, dict) else "-"


def standing(record: PlanRecord) -> str:
    """Tell in words what can still be done with a plan."""
    if record.used_at is not None:
        return f"used {moment(record.used_at)}"
    if now() >= record.expires_at:
        return "expired"
    return "approved" if record.approved_by else "not approved"
