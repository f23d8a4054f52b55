"""`plan` and `apply`: what would be deleted at the source, and doing exactly that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archiver.app import new_run_id, open_app
from archiver.cli.common import AsJson, State, echo, leave, out, print_json, run, words
from archiver.cli.progress import shown
from archiver.cli.summary import show_pass, show_plan
from archiver.core.plan import digest_of, parse, render
from archiver.errors import ConfigError, SafetyLimit
from archiver.passes import Pass
from archiver.scheduler import INTERRUPTED, Interrupt
from archiver.settings import Settings


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command()(plan)
    cli.command("apply")(apply_plan)


def plan(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan here, for `archiver apply`.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan file itself.")] = False,
) -> None:
    """Show what the policies would delete at the source now, with reasons. Changes nothing."""
    state: State = context.obj
    run(_plan(state.settings(quiet=True), output, as_json=as_json))


async def _plan(settings: Settings, output: Path | None, *, as_json: bool) -> None:
    async with open_app(settings) as app:
        drafted = await Pass(app=app, run=new_run_id()).draft()
        text = render(drafted)
        if as_json:
            echo(text)
        else:
            show_plan(drafted, app.policies)
        if output is not None:
            write_plan(output, text)
            if not as_json:
                digest = f"(digest {digest_of(text)[:12]}…). To do it: archiver apply"
                out.print("Written to", words(output), digest, words(output))


def write_plan(path: Path, text: str) -> None:
    """Write a plan file. Raises ConfigError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"the plan cannot be written to {path}: {error.strerror}"
        raise ConfigError(msg) from None


def apply_plan(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PLAN", help="A file that `archiver plan --out` wrote.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Delete at the source exactly what a plan names; each recording is checked again just before."""
    state: State = context.obj
    leave(run(_apply(state.settings(), path, as_json=as_json)))


async def _apply(settings: Settings, path: Path, *, as_json: bool) -> int:
    given = parse(read_plan(path))
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    async with open_app(settings) as app:
        if given.policies_digest != app.policies.digest:
            msg = f"{path} was made under other policies than the present ones: nothing was deleted"
            raise SafetyLimit(msg, hint="plan again: archiver plan --out FILE")
        work = Pass(app=app, run=new_run_id(), stopping=interrupt.stopping)
        async with shown(work, settings):
            code = await interrupt.finish(work.apply(given))
        if as_json:
            print_json({"run": work.run, "exit_code": code, "planned": len(given.items), "accounts": work.counts()})
        else:
            show_pass(work, await app.reads.gaps(limit=20), await app.reads.count_gaps())
        return INTERRUPTED if code is None else code


def read_plan(path: Path) -> str:
    """Read a plan file's text. Raises ConfigError when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"the plan {path} cannot be read: {reason}"
        raise ConfigError(msg) from None
