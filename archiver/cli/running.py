"""`run`, `sync` and `verify`: the work itself."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated

import structlog
import typer

from archiver.app import App, new_run_id, now, open_app
from archiver.cli.common import AsJson, State, leave, print_json, run
from archiver.cli.progress import shown
from archiver.cli.summary import show_pass, show_verified
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import Entry
from archiver.core.model import State as Stage
from archiver.errors import ConfigError, SafetyLimit
from archiver.passes import Pass
from archiver.reloading import Current
from archiver.scheduler import INTERRUPTED, Daemon, Interrupt, patiently
from archiver.settings import Settings
from archiver.watch.endpoint import endpoint
from archiver.watch.monitor import Monitor

log = structlog.get_logger()


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command("run")(run_daemon)
    cli.command()(sync)
    cli.command()(verify)


def run_daemon(context: typer.Context) -> None:
    """Run for ever: a pass now, then every sync.every. SIGTERM ends it in order, a second signal at once.

    SIGHUP reloads the secrets of the configuration; changes of their files are seen without it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until somebody listens to it: its default would end the process
    state: State = context.obj
    settings, redactor = state.opened()
    interrupt = Interrupt(settings.sync.shutdown_grace)
    monitor = Monitor(settings, now)
    current = Current(
        path=state.config,
        environ=os.environ,
        settings=settings,
        redactor=redactor,
        interrupt=interrupt,
        follow=monitor.follows,
    )
    run(_daemon(current, monitor))


async def _daemon(current: Current, monitor: Monitor) -> None:
    interrupt, sync = current.interrupt, current.settings.sync
    interrupt.catch()
    async with monitor.telling(), endpoint(current.settings.http.listen, monitor.see), current, aclosing(monitor):
        app = await patiently(current.start, interrupt, monitor.awaits)
        if app is None:
            return
        monitor.started()
        log.info("daemon_started", accounts=list(app.sources), every=sync.every.total_seconds())

        async def one_pass() -> int:
            app = await current.app()
            work = Pass(
                app=app,
                run=new_run_id(),
                stopping=interrupt.stopping,
                sleep=interrupt.sleep,
                longest=sync.every,
            )
            with monitor.watching(work) as ended:
                return ended(await work.sync())

        await Daemon(work=one_pass, interrupt=interrupt, every=sync.every, clock=now).run()
        log.info("daemon_stopped")


def sync(
    context: typer.Context,
    *,
    restored: Annotated[
        bool, typer.Option("--restored", help="The catalogue was restored from an older dump, and deletion is paused.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do one pass of every stage, then leave; deletes at the source where deletion.mode is automatic."""
    state: State = context.obj
    leave(run(_once(state.settings(), restored=restored, as_json=as_json)))


async def _once(settings: Settings, *, restored: bool, as_json: bool) -> int:
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    monitor = Monitor(settings, now)

    async def one_pass() -> int:
        with monitor.watching(work) as ended:
            return ended(await work.sync())

    async with monitor.telling(once=True, asked=interrupt.asked), open_app(settings) as app:
        if restored and await app.terms.paused() is None:
            msg = "deletion is not paused: what people decided since the dump is forgotten"
            raise SafetyLimit(msg, hint="first: archiver pause --reason REASON; see docs/operations.md, backup")
        work = Pass(app=app, run=new_run_id(), stopping=interrupt.stopping, sleep=interrupt.sleep, restored=restored)
        async with shown(work, settings):
            code = await interrupt.finish(one_pass())
        gaps = await app.reads.gaps(limit=20)
        if as_json:
            print_json({"run": work.run, "exit_code": code, "accounts": work.counts(), "gaps": gaps})
        else:
            show_pass(work, gaps, await app.reads.count_gaps())
        return INTERRUPTED if code is None else code


def verify(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Recordings to verify again.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Verify every archived recording again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the bucket with the record: what is not yet verified, the given recordings, or everything."""
    state: State = context.obj
    leave(run(_verify(state.settings(), ids or [], everything=everything, as_json=as_json)))


async def _verify(settings: Settings, ids: list[str], *, everything: bool, as_json: bool) -> int:
    interrupt = Interrupt(settings.sync.shutdown_grace)
    interrupt.catch()
    async with open_app(settings) as app:
        entries = await _chosen(app, ids, everything=everything)
        work = Pass(app=app, run=new_run_id(), stopping=interrupt.stopping)
        async with shown(work, settings):
            code = await interrupt.finish(work.verify(entries))
        if as_json:
            print_json({"run": work.run, "exit_code": code, "accounts": work.counts()})
        else:
            for name, report in work.reports.items():
                show_verified(name, report)
        return INTERRUPTED if code is None else code


async def _chosen(app: App, ids: list[str], *, everything: bool) -> Mapping[str, AsyncIterator[Entry]]:
    if ids:
        return await _named(app, ids)
    states = [*ARCHIVED, Stage.QUARANTINED] if everything else [Stage.STORED]
    return {name: app.reads.entries(name, states) for name in app.sources}


async def _named(app: App, ids: list[str]) -> Mapping[str, AsyncIterator[Entry]]:
    found: dict[str, list[Entry]] = {}
    for identity in ids:
        entries = [
            entry for entry in await app.reads.find(identity) if entry.key is not None and entry.expired_at is None
        ]
        if not entries:
            msg = f"the archive has no copy of recording {identity}"
            raise ConfigError(msg, hint="see: archiver search")
        for entry in entries:
            found.setdefault(entry.recording.account, []).append(entry)
    return {name: _each(entries) for name, entries in found.items()}


async def _each(entries: list[Entry]) -> AsyncIterator[Entry]:
    for entry in entries:
        yield entry
