"""`erase`: a request to erase one recording. Done already, a plan that does it, or the rule that forbids it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from archiver.app import App, new_run_id, open_app
from archiver.cli.common import AsJson, By, State, leave, moment, out, print_json, run, who, words
from archiver.cli.deleting import file_plan, tell_next
from archiver.cli.looking import ACCOUNT, one
from archiver.core.candidates import candidate
from archiver.core.decision import Action, Decision, Reason
from archiver.core.model import Entry
from archiver.core.model import State as Stage
from archiver.core.naming import sidecar_key
from archiver.core.people import reason as said
from archiver.core.plan import erasure
from archiver.core.plan_file import digest_of, render
from archiver.core.policy import Mode
from archiver.core.retention import decide_erasure
from archiver.settings import Settings

REFUSED = 4  # exit code


def add_to(cli: typer.Typer) -> None:
    """Add this command."""
    cli.command()(erase)


def erase(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option("--reason", help="Why, as a reference; no name and no number of a person.")],
    output: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where the plan goes; default: erase-ID.json.")
    ] = None,
    *,
    by: By = None,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """Erase a recording on request, at the source and in the archive: by a plan that a second person approves.

    Says what forbids it, if something does (exit code 4), or that it is done. Deletes nothing by itself.
    """
    state: State = context.obj
    file = output or Path(f"erase-{recording}.json")
    leave(run(_erase(state.settings(quiet=True), recording, account, said(reason), who(by), file, as_json=as_json)))


async def _erase(
    settings: Settings, identity: str, account: str | None, reason: str, by: str, file: Path, *, as_json: bool
) -> int:
    async with open_app(settings) as app:
        await app.terms.announce(new_run_id(), app.clock())
        entry = await one(app.reads, identity, account)
        if entry.state is Stage.EXPIRED:
            return _answer(entry, None, None, as_json=as_json)
        present, terms = app.clock(), await app.terms.terms(app.clock())
        decision = decide_erasure(candidate(entry), terms, present)
        if decision.action is Action.KEEP:
            return _answer(entry, decision, None, as_json=as_json)
        if (lock := await _held_in_bucket(app, entry, present)) is not None:
            return _answer(entry, lock, None, as_json=as_json)
        plan = erasure([(candidate(entry), decision)], terms, present, author=by)
        text = render(plan)
        await file_plan(app, plan, text, f"erasure on request: {reason}", file)
        if as_json:
            return _answer(entry, decision, digest_of(text), as_json=as_json)
        sides = "at the source and in the archive" if entry.at_source else "in the archive"
        out.print(f"Nothing forbids it. The plan erases recording {entry.id} {sides}.")
        tell_next(app, plan, text, file)
        _warn(app)
    return 0


async def _held_in_bucket(app: App, entry: Entry, present: datetime) -> Decision | None:
    """Ask the bucket itself: it may hold a version that no policy wanted held."""
    key, _ = entry.require_copy()
    found = [one for name in (key, sidecar_key(key)) for one in await app.locks.protections(name)]
    if any(one.on_hold for one in found):
        return Decision(action=Action.KEEP, reason=Reason.ON_HOLD, holds=("in the bucket",))
    until = max((one.lock.until for one in found if one.lock is not None), default=present)
    return Decision(action=Action.KEEP, reason=Reason.LOCKED, not_before=until) if until > present else None


def _warn(app: App) -> None:
    if app.policies.deletion.in_archive is Mode.DISABLED:
        out.print("deletion in the archive is disabled in the policies file: [bold]apply[/] will refuse this plan.")


def _answer(entry: Entry, decision: Decision | None, plan: str | None, *, as_json: bool) -> int:
    refused = decision is not None and decision.action is Action.KEEP
    if as_json:
        print_json({"recording_id": entry.id, "account": entry.recording.account, "done": decision is None,
                    "expired_at": entry.expired_at, "plan": plan,
                    "forbidden_by": decision if refused else None})  # fmt: skip
    elif decision is None:
        out.print(f"Done: recording {entry.id} was deleted in the archive on {moment(entry.expired_at)}; "
                  "its tombstone stays (archiver explain ID).")  # fmt: skip
    else:
        out.print(f"[red]Not possible[/]: recording {entry.id} stays:", words(decision.sentence))
    return REFUSED if refused else 0
