"""`notify --test`: whether those who are to be told can be told."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

import typer

from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.cli.common import AsJson, State, add, leave, print_json, run, show, table
from archiver.errors import ArchiverError, Unreachable
from archiver.settings import Ping, Settings
from archiver.watch.channels import archive_of, messengers
from archiver.watch.notifier import PATIENCE

BODY = "This is a test: somebody has run archiver notify --test. Nothing is wrong, and nothing is to be done."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one test went."""

    name: str
    kind: str
    outcome: str  # sent, or why not


def add_to(cli: typer.Typer) -> None:
    """Add this command."""
    cli.command()(notify)


def notify(
    context: typer.Context,
    *,
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every channel and ping.")],  # noqa: ARG001 - said, so that nobody sends by mistake
    as_json: AsJson = False,
) -> None:
    """Send a test message to every channel, and a note to every dead-man switch; exit 5 where one does not arrive."""
    state: State = context.obj
    outcomes = run(_test(state.settings(quiet=True)))
    if as_json:
        print_json(outcomes)
    else:
        rows = table("name", "kind", "outcome")
        for one in outcomes:
            add(rows, one.name, one.kind, one.outcome)
        show(rows)
    leave(Unreachable.exit_code if any(one.outcome != "sent" for one in outcomes) else 0)


async def _test(settings: Settings) -> list[Outcome]:
    title = f"{archive_of(settings)}: a test"
    told = [
        Outcome(name=name, kind="channel", outcome=await _tried(to.send(title, BODY, "info", PATIENCE.total_seconds())))
        for name, to in messengers(settings).items()
    ]
    return told + [
        Outcome(name=ping.name, kind=ping.style, outcome=await _tried(_pinged(ping)))
        for ping in settings.notifications.pings
    ]


async def _pinged(ping: Ping) -> None:
    """Leave a note, which changes nothing; a plain heartbeat knows no notes, so it counts as a sign of life."""
    async with aclosing(Heartbeat(ping.url.get_secret_value(), ping.style)) as heartbeat:
        await heartbeat.send(Sign.SUCCESS if ping.style == "heartbeat" else Sign.LOG, BODY)


async def _tried(sending: Awaitable[None]) -> str:
    try:
        await sending
    except ArchiverError as error:
        return str(error)
    return "sent"
