"""`hold`: legal holds as cases that anyone may open, and that only two people together can release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import structlog
import typer

from archiver.adapters import database
from archiver.adapters.controls import Controls
from archiver.app import new_run_id, now, open_app, open_engine, policies_of
from archiver.cli.cases import Texts, about, any_of, gather, query_of, standing
from archiver.cli.common import (
    AsJson,
    By,
    State,
    add,
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
from archiver.cli.summary import many, show_reports
from archiver.core.controls import Control, Event, Kind, holds_in, opening
from archiver.core.decision_copies import require_copy
from archiver.core.documents import Unreadable
from archiver.core.holds import Hold
from archiver.core.model import State as Stage
from archiver.core.people import person, same_person
from archiver.core.people import reason as said
from archiver.errors import ConfigError, Conflict, SafetyLimit
from archiver.passes import Pass
from archiver.policies_fields import read_name
from archiver.settings import Settings

log = structlog.get_logger()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The case's name: letters, digits, - _ and .")]


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Legal holds: nothing that a case holds is deleted anywhere.", no_args_is_help=True)
    group.command("add")(add_hold)
    group.command("list")(list_holds)
    group.command("show")(show_hold)
    group.command("release")(release)
    group.command("check")(check)
    cli.add_typer(group, name="hold")


def add_hold(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why: a reference to the matter.")],
    *,
    by: By = None,
    ids: Annotated[Texts, typer.Option("--id", help="A recording; may be given again, as all of these.")] = None,
    accounts: Annotated[Texts, typer.Option("--account", help="An account's name.")] = None,
    numbers: Annotated[
        Texts, typer.Option("--number", help="Number of either side; * any text, ? one character.")
    ] = None,
    callers: Annotated[Texts, typer.Option("--caller", help="Number of the caller, likewise.")] = None,
    dnis: Annotated[Texts, typer.Option("--dnis", help="Number that was called, likewise.")] = None,
    cnam: Annotated[Texts, typer.Option("--cnam", help="Name of the caller, likewise.")] = None,
    extensions: Annotated[Texts, typer.Option("--extension", help="Extension, likewise.")] = None,
    directions: Annotated[Texts, typer.Option("--direction", help="INBOUND, OUTBOUND or INTRA_PBX.")] = None,
    rule_ids: Annotated[Texts, typer.Option("--rule", help="Id of a recording rule of the source.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="First day of call starts, by the policies' zone.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Last day, itself included.")] = None,
    future: Annotated[bool, typer.Option("--future", help="Catch calls too that begin later.")] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="All recordings: needed where nothing is asked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open a case. What it is about cannot be changed later; open another one, a recording may be in many."""
    asked = {"ids": ids, "accounts": accounts, "numbers": numbers, "callers": callers, "dnis": dnis, "cnam": cnam,
             "extensions": extensions, "directions": directions, "rule_ids": rule_ids}  # fmt: skip
    state: State = context.obj
    settings = state.settings(quiet=True)
    query = query_of(asked, since, until, policies_of(settings).zone)
    if query.asks_nothing and not everything:
        raise typer.BadParameter("say which recordings, or --everything")
    case = Hold(name=read_name(name), reason=said(reason), author=who(by), at=now(), query=query, future=future)
    _require_copy(case)
    run(_add(settings, case, as_json=as_json))


def _require_copy(case: Hold) -> None:
    try:
        require_copy(opening(case))
    except Unreadable as error:
        msg = f"case {case.name} could not come back from the bucket: {error}"
        raise ConfigError(msg, hint="open several cases, or give a shorter reason") from None


async def _add(settings: Settings, case: Hold, *, as_json: bool) -> None:
    known = {account.name for account in settings.accounts}
    if unknown := sorted(set(case.query.match.accounts) - known):
        raise ConfigError(f"there is no account {unknown[0]!r} in the configuration; there is: {', '.join(known)}")
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        if not case.future and not await any_of(engine, settings, case):
            msg = f"no recording on record fits, and case {case.name} would not catch later ones: nothing was opened"
            raise ConfigError(msg, hint="look again at what it asks for; or --future")
        try:
            await Controls(engine).record(opening(case))  # from here on it holds; counting may take a while
        except Conflict:
            msg = f"there is a case {case.name} already, open or released"
            raise ConfigError(msg, hint="a name is used once: choose another, like 2026-17b") from None
        # what a stage had already asked the source or the bucket for when the case was opened cannot be called back
        late = await gather(engine, settings, case, (Stage.PURGING, Stage.EXPIRING))
        caught = await gather(engine, settings, case)
    log.info("hold_added", case=case.name, recordings=caught.total, future=case.future)
    if as_json:
        print_json({"hold": _as_json(case), "recordings": caught.by_state, "begun": late.ids,
                    "unknown_ids": sorted(caught.missing)})  # fmt: skip
        return
    later = ", and calls that begin later." if case.future else "."
    out.print(f"Case {case.name} is open: it holds {caught.told()}{later}")
    if caught.missing:
        out.print("[red]Not on record[/]:", words(" ".join(sorted(caught.missing))))
    for identity in late.ids:
        out.print(f"[red]Its deletion had begun before[/]: {identity} (archiver explain {identity})")
    out.print("Where the bucket has legal holds, the next pass sets them; at once: archiver hold check")


def list_holds(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="The released ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the cases: who opened them, when and why, and which release waits for a second person."""
    state: State = context.obj
    run(_list(state.settings(quiet=True), everything=everything, as_json=as_json))


async def _list(settings: Settings, *, everything: bool, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        cases = [case for case in holds_in(await Controls(engine).log([Kind.HOLD])) if everything or case.open]
    if as_json:
        print_json([_as_json(case) for case in cases])
        return
    rows = table("case", "opened", "by", "about", "standing", "reason")
    for case in cases:
        add(rows, case.name, moment(case.at), case.author, about(case), standing(case), case.reason)
    if cases:
        show(rows)
    open_cases = sum(case.open for case in cases)
    out.print(f"{open_cases} open" + (f", {len(cases) - open_cases} released" if everything else ""))


def _as_json(case: Hold) -> dict[str, object]:
    facts = {name: getattr(case, name) for name in Hold.__dataclass_fields__ if name != "query"}
    return facts | {"query": case.query.as_json(), "open": case.open}


def show_hold(context: typer.Context, name: Name, *, as_json: AsJson = False) -> None:
    """Show one case: what it is about, its life, and which recordings it holds."""
    state: State = context.obj
    run(_show(state.settings(quiet=True), name, as_json=as_json))


async def _show(settings: Settings, name: str, *, as_json: bool) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        events = await Controls(engine).log([Kind.HOLD], name)
        case = _one(events, name)
        caught = await gather(engine, settings, case)
    if as_json:
        print_json({"hold": _as_json(case), "recordings": caught.by_state, "ids": caught.ids, "events": events})
        return
    for label, value in {"case": case.name, "about": about(case), "standing": standing(case)}.items():
        out.print(f"[dim]{label:>15}[/] ", words(value))
    states = ", ".join(f"{state} {count}" for state, count in sorted(caught.by_state.items()))
    out.print(f"[dim]{'holds':>15}[/] ", words(caught.told() + (f": {states}" if states else "")))
    if caught.ids:
        more = " …" if caught.total > len(caught.ids) else ""
        out.print(f"[dim]{'recordings':>15}[/] ", words(" ".join(caught.ids) + more))
    rows = table("at", "what", "by", "reason", title="Life")
    for event in events:
        add(rows, moment(event.at), event.event.replace("_", " "), event.by, event.reason)
    show(rows)


def _one(events: Sequence[Control], name: str) -> Hold:
    cases = holds_in(events)
    if not cases:
        msg = f"there is no case {name}"
        raise ConfigError(msg, hint="see: archiver hold list --all")
    return cases[0]


def release(
    context: typer.Context,
    name: Name,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who asks, or confirms: two different people.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; needed by who asks first.")] = None,
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back a release that was asked for.")] = False,
    as_json: AsJson = False,
) -> None:
    """Release a case: the first person asks with a reason, a second one confirms. Until then it holds."""
    state: State = context.obj
    why = None if reason is None else said(reason)
    run(_release(state.settings(quiet=True), name, person(by), why, withdraw=withdraw, as_json=as_json))


async def _release(
    settings: Settings, name: str, by: str, reason: str | None, *, withdraw: bool, as_json: bool
) -> None:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        controls = Controls(engine)
        said_before = await controls.log([Kind.HOLD], name)
        event, why = release_step(_one(said_before, name), by, reason, withdraw=withdraw)
        try:
            await controls.record(_event(name, event, by, why), after=len(said_before))
        except Conflict as error:
            raise SafetyLimit(str(error), hint="archiver hold show NAME") from None
        case = _one(await controls.log([Kind.HOLD], name), name)
    log.info("hold_changed", case=name, change=str(event))
    if as_json:
        print_json(_as_json(case))
        return
    out.print(f"Case {name}:", words(standing(case)))
    if event is Event.RELEASE_ASKED:
        out.print(f"It goes on holding until a second person says: archiver hold release {name} --by NAME")


def release_step(case: Hold, by: str, reason: str | None, *, withdraw: bool) -> tuple[Event, str]:
    """Say what a release means for a case as it stands. Raises ConfigError and SafetyLimit."""
    if not case.open:
        raise ConfigError(f"case {case.name} is {standing(case)}")
    if withdraw:
        if case.release_asked_by is None:
            raise ConfigError(f"nobody has asked for the release of case {case.name}")
        return Event.RELEASE_WITHDRAWN, reason or "withdrawn"
    if case.release_asked_by is None:
        if reason is None:
            raise ConfigError("who asks for a release says why: --reason")
        return Event.RELEASE_ASKED, reason
    if same_person(case.release_asked_by, by):
        msg = f"{case.release_asked_by} has asked for the release: a second person must confirm it"
        raise SafetyLimit(msg, hint="nothing was released")
    return Event.RELEASED, reason or case.release_reason or "confirmed"


def _event(name: str, event: Event, by: str, reason: str, **detail: object) -> Control:
    return Control(at=now(), kind=Kind.HOLD, subject=name, event=event, by=by, reason=reason, detail=detail)


def check(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Compare the bucket's legal holds and locks with the record now, and set what is missing. Exit code 3 on drift."""
    state: State = context.obj
    leave(run(_check(state.settings(), as_json=as_json)))


async def _check(settings: Settings, *, as_json: bool) -> int:
    async with open_app(settings) as app:
        work = Pass(app=app, run=new_run_id())
        async with shown(work, settings):
            code = await work.protect()
        supported = (await app.store.facts()).object_lock
        drifted = sum(report.drifted for report in work.reports.values())
        if as_json:
            print_json({"run": work.run, "exit_code": code or (3 if drifted else 0), "object_lock": supported,
                        "drifted": drifted, "accounts": work.counts()})  # fmt: skip
        else:
            show_reports(work)
            if not supported:
                out.print("The bucket has no object lock: holds are kept by the catalogue alone.")
            again = f"[red]{many(drifted, 'object')} had drifted[/], and was set again."
            out.print(again if drifted else "Nothing had drifted.")
    return code or (3 if drifted else 0)
