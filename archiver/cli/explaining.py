"""`explain`: one recording's story, what retention decides about it today, and what would change that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated

import typer

from archiver.adapters import database
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.controls import Controls
from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import now, open_engine, policies_of
from archiver.cli.common import AsJson, State, add, moment, out, print_json, run, show, table, words
from archiver.cli.looking import ACCOUNT, facts, one
from archiver.cli.summary import told
from archiver.core.candidates import candidate
from archiver.core.decision import Action, Decision
from archiver.core.explanation import Explanation
from archiver.core.explanation import explain as explained
from archiver.core.model import Lock
from archiver.core.rulebook import Bound
from archiver.settings import Settings
from archiver.terms import LiveTerms


def add_to(cli: typer.Typer) -> None:
    """Add this command."""
    cli.command()(explain)


def explain(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(metavar="ID")],
    *,
    account: Annotated[str | None, ACCOUNT] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a recording's story: facts, every policy and hold about it, its dates, today's decisions, its history."""
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
        live = LiveTerms(Controls(engine), policies, [entry.recording.account])
        present = now()
        terms, pause = await live.terms(present), await live.paused()
    why = explained(candidate(entry), terms, present, paused=pause is not None)
    if as_json:
        print_json({**facts(entry), **as_facts(why), "paused": pause, "gap": gap, "history": history})
        return
    lines = {name: shown(value) for name, value in facts(entry).items() if value not in (None, (), False)}
    for name, text in (*lines.items(), *story(why)):
        out.print(f"[dim]{name:>15}[/] ", words(text))
    if pause is not None:
        out.print(f"[dim]{'paused':>15}[/] ", words(pause))
    if gap is not None:
        out.print(f"[dim]{'gap':>15}[/] ", words(f"{gap.id}, {gap.kind}: {told(gap)}"))
    rows = table("at", "from", "to", "reason", "run", title="History")
    for step in history:
        at = step["at"]
        shown_at = moment(at if isinstance(at, datetime) else None)
        add(rows, shown_at, step["before"] or "-", step["after"], reason_of(step), step["run_id"])
    show(rows)


def reason_of(step: Mapping[str, object]) -> str:
    """Give the reason of a step, and under which plan and whose approval it was taken."""
    detail = step["detail"] if isinstance(step["detail"], Mapping) else {}
    plan, by = detail.get("plan"), detail.get("approved_by")
    said = [f"plan {str(plan)[:12]}"] if plan else []
    said += [f"approved by {by}"] if by else []
    return f"{step['reason']} ({', '.join(said)})" if said else str(step["reason"])


def story(why: Explanation) -> Iterator[tuple[str, str]]:
    """Tell an explanation line by line, each with its label."""
    yield "policies", ", ".join(name if fit == "yes" else f"{name} (maybe)" for name, fit in why.policies) or "none"
    yield "holds", ", ".join(why.holds) or "none"
    yield "source from", _bound(why.source_not_before)
    yield "archive floor", _bound(why.floor)
    yield "archive ceiling", _bound(why.ceiling)
    if why.lock_wanted is not None or why.lock is not None:
        yield "lock", f"{_lock(why.lock)}; wanted: {_lock(why.lock_wanted)}"
    yield "at the source", _decided(why.source)
    yield "in the archive", _decided(why.archive)
    yield "if erasure asked", _decided(why.erasure)
    for change in why.changes:
        yield "would change it", change


def as_facts(why: Explanation) -> dict[str, object]:
    """Give the same values for `--json`."""
    return {
        "policies": [{"policy": name, "matches": fit} for name, fit in why.policies],
        "holds": why.holds,
        "source_not_before": why.source_not_before,
        "archive_floor": why.floor,
        "archive_ceiling": why.ceiling,
        "lock_wanted": why.lock_wanted,
        "lock": why.lock,
        "source": _as_json(why.source),
        "archive": _as_json(why.archive),
        "erasure": _as_json(why.erasure),
        "would_change_it": why.changes,
    }


def _as_json(decision: Decision) -> dict[str, object]:
    return {
        "action": decision.action,
        "reason": decision.reason,
        "policy": decision.policy,
        "not_before": decision.not_before,
        "holds": decision.holds,
        "sentence": decision.sentence,
    }


def _bound(bound: Bound | None) -> str:
    return "-" if bound is None else f"{moment(bound.at)} (policy {bound.policy})"


def _lock(lock: Lock | None) -> str:
    return "none" if lock is None else f"{lock.mode} until {moment(lock.until)}"


def _decided(decision: Decision) -> str:
    if decision.action is Action.ERASE:
        return "possible: nothing forbids it"
    return f"{decision.action.replace('_', ' ')}: {decision.sentence}"


def shown(value: object) -> str:
    """Show a fact of the record."""
    if isinstance(value, datetime):
        return moment(value)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
