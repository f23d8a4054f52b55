"""What people decide about the deletions of a world: cases, plans, approvals, a pause. Written down as commands do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from archiver import plans
from archiver.adapters.controls import Controls
from archiver.app import App, new_run_id
from archiver.cli.deleting import RETENTION, history_of
from archiver.cli.holding import release_step
from archiver.core.candidates import candidate
from archiver.core.controls import Control, Event, Kind, holds_in, opening
from archiver.core.decision import Action, Decision
from archiver.core.holds import Hold, Query
from archiver.core.match import Match
from archiver.core.plan import Plan, erasure
from archiver.core.plan_file import parse, render
from archiver.core.retention import decide_erasure
from archiver.passes import Pass
from tests.support.world import World

ANNA, BERTA = "Anna", "Berta"


@asynccontextmanager
async def controls_of(here: World) -> AsyncIterator[Controls]:
    """The log of decisions, as a command opens it."""
    yield Controls(here.eye)


async def hold(
    here: World, name: str = "case-1", *, future: bool = False, ids: Sequence[str] = (), **asked: object
) -> Hold:
    """Open a case; `asked` are rules of its match."""
    query = Query(ids=tuple(ids), match=Match(**asked))  # type: ignore[arg-type]
    case = Hold(name=name, reason="a complaint", author=ANNA, at=here.clock(), query=query, future=future)
    async with controls_of(here) as controls:
        await controls.record(opening(case))
    return case


async def release(here: World, name: str, by: str, reason: str | None = "settled", *, withdraw: bool = False) -> None:
    """Ask for the release of a case, or confirm it, or take back what was asked. Raises what the command raises."""
    async with controls_of(here) as controls:
        said = await controls.log([Kind.HOLD], name)
        [case] = holds_in(said)
        event, why = release_step(case, by, reason, withdraw=withdraw)
        one = Control(at=here.clock(), kind=Kind.HOLD, subject=name, event=event, by=by, reason=why)
        await controls.record(one, after=len(said))


async def release_by_two(here: World, name: str = "case-1") -> None:
    """Release a case."""
    await release(here, name, ANNA)
    await release(here, name, BERTA)


async def pause(here: World) -> None:
    """Stop all deletion."""
    await _switch(here, Event.PAUSED)


async def resume(here: World) -> None:
    """End the pause."""
    await _switch(here, Event.RESUMED)


async def _switch(here: World, event: Event) -> None:
    async with controls_of(here) as controls:
        await controls.record(
            Control(at=here.clock(), kind=Kind.PAUSE, subject="", event=event, by=ANNA, reason="an audit")
        )


async def write_plan(here: World, *, by: str = ANNA) -> str:
    """Draft a plan and write it down, as `archiver plan --out` does. Returns the file's text."""
    async with here.app() as app:
        await app.terms.announce(new_run_id(), app.clock())
        return await _filed(app, await Pass(app=app, run=new_run_id()).draft(author=by), RETENTION)


async def ask_for_erasure(here: World, recording_id: str, *, by: str = ANNA) -> str | Decision:
    """Ask for an erasure, as `archiver erase` does. Returns the plan file's text, or what forbids it."""
    async with here.app() as app:
        await app.terms.announce(new_run_id(), app.clock())
        entry, now = await app.reads.entry("acme", recording_id), app.clock()
        assert entry is not None
        terms = await app.terms.terms(now)
        decision = decide_erasure(candidate(entry), terms, now)
        if decision.action is Action.KEEP:
            return decision
        plan = erasure([(candidate(entry), decision)], terms, now, author=by)
        return await _filed(app, plan, "erasure on request: 2026-9")


async def _filed(app: App, plan: Plan, purpose: str) -> str:
    text = render(plan)
    await plans.register(app.controls, plan, text, purpose)
    return text


async def approve(here: World, text: str, *, by: str = BERTA) -> None:
    """Approve a plan as it stands in its file. Raises what the command raises."""
    async with here.app() as app:
        reason = "read and found right"
        await plans.approve(app.controls, parse(text), text, app.policies, by=by, reason=reason, now=app.clock())


async def carry_out(here: World, text: str) -> Pass:
    """Apply a plan file, as `archiver apply` does. Raises what forbids it."""
    async with here.app() as app:
        return await carry_out_by(here, app, text)


async def carry_out_by(here: World, app: App, text: str) -> Pass:
    """The same, by one of several operators."""
    given = parse(text)
    async with plans.in_use(app.engine, app.controls, given, text, app.policies, app.clock()) as record:
        work = Pass(app=app, run=new_run_id())
        await app.terms.announce(work.run, app.clock())
        here.exit_code = await work.apply(given, history_of(record))
        if here.exit_code == 0 and not any(report.kept["paused"] for report in work.reports.values()):
            await plans.use_up(app.controls, record, work.run, app.clock())
    return work


async def approved_plan(here: World) -> str:
    """Write a plan, and have it approved."""
    text = await write_plan(here)
    await approve(here, text)
    return text
