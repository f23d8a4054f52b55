"""`check`, `doctor`, `db upgrade`, `simulate` and `demo`: getting it to run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from archiver.adapters import database
from archiver.app import now, open_engine, open_store, policies_of
from archiver.cli.common import AsJson, State, echo, err, leave, out, print_json, run, words
from archiver.cli.demo import demo
from archiver.cli.doctor import LOCKLESS, examine
from archiver.core.model import LockMode
from archiver.errors import ConfigError
from archiver.settings import Settings
from archiver.simulator import Account, Behaviour, Exports, Simulator, awkward, ordinary, serve
from archiver.watch.channels import messengers

db = typer.Typer(help="The catalogue's schema.", no_args_is_help=True)


def add_to(cli: typer.Typer) -> None:
    """Add these commands."""
    cli.command()(check)
    cli.command()(doctor)
    cli.add_typer(db, name="db")
    cli.command()(simulate)
    cli.command()(demo)


def check(
    context: typer.Context,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the bucket about locks.")] = False,
    as_json: AsJson = False,
) -> None:
    """Validate the configuration and the policies. Only where a policy wants locks, the bucket is asked for them."""
    state: State = context.obj
    settings = state.settings(quiet=True)
    policies = policies_of(settings)
    if settings.notifications.channels:
        messengers(settings)
    if policies.wants_locks and not offline:
        run(_require_locks(settings))
    names = [account.name for account in settings.accounts]
    deletion = policies.deletion
    if as_json:
        print_json({"accounts": names, "policies": len(policies.policies), "deletion": deletion.mode,
                    "deletion_in_archive": deletion.in_archive, "policies_digest": policies.digest})  # fmt: skip
        return
    out.print(words(state.config), f"is valid: accounts {', '.join(names)}; bucket {settings.vault.bucket}")
    where = settings.policies or "no policies file"
    amount = f": {len(policies.policies)} policies; deletion at the source is {deletion.mode}"
    out.print(words(where), f"{amount}, in the archive {deletion.in_archive}", sep="")
    for policy in policies.policies:
        if policy.lock is LockMode.COMPLIANCE:
            kept = f"  policy {policy.name} locks for {policy.keep_at_least} in compliance mode"
            out.print(f"{kept}: [bold]nobody can take that back[/]")


async def _require_locks(settings: Settings) -> None:
    async with open_store(settings) as store:
        if not (await store.facts()).object_lock:
            msg = f"a policy wants a lock, and bucket {settings.vault.bucket} has no object lock"
            raise ConfigError(msg, hint=LOCKLESS)


def doctor(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Try every neighbour: database, bucket, and each account's token and listing; say what to do."""
    state: State = context.obj
    findings = run(examine(state.settings(quiet=True)))
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark = "[green]ok[/]  " if finding.good else "[red]bad[/] "
            out.print(f"{mark} [bold]{finding.neighbour}[/]:", words(finding.found))
            if finding.advice:
                out.print("     do:", words(finding.advice), style="cyan")
    leave(max((finding.exit_code for finding in findings), default=0))


@db.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the catalogue's tables to what this version needs; safe to repeat."""
    state: State = context.obj
    run(_upgrade(state.settings(quiet=True)))


async def _upgrade(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        before, after = await database.upgrade(engine)
    out.print(f"The catalogue is at {after}" + ("." if before == after else f" (was at {before or 'nothing'})."))


def simulate(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    count: Annotated[int, typer.Option(min=20, max=1_000_000, help="How many recordings.")] = 300,
    kind: Annotated[
        Literal["awkward", "ordinary"],
        typer.Option(help="awkward: everything goes wrong once; ordinary: nothing does."),
    ] = "awkward",
    since: Annotated[
        datetime | None, typer.Option(help="The moment that counts as today for the calls; default: now.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Quota; default: none.")] = None,
    export_delay: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds until an export can be retrieved.")
    ] = 5,
) -> None:
    """Serve a simulated recordings API, for trials without an account. Ends with Ctrl-C."""
    today = now() if since is None else since.replace(tzinfo=since.tzinfo or UTC)
    account = awkward(count, now=today) if kind == "awkward" else ordinary(count)
    exports = Exports(delay=timedelta(seconds=export_delay))
    run(_serve(account, host, port, Behaviour(requests_per_minute=requests_per_minute, exports=exports)))


async def _serve(account: Account, host: str, port: int, behaviour: Behaviour) -> None:
    try:
        await serve(account, host=host, port=port, behaviour=behaviour, ready=_announce)
    except OSError as error:
        msg = f"nothing can listen on {host}:{port}: {error.strerror}"
        raise ConfigError(msg, hint="choose another --port; 0 takes a free one") from None


def _announce(simulator: Simulator) -> None:
    err.print(f"Simulated recordings API, token [bold]{simulator.credentials.token}[/]; end with Ctrl-C")
    echo(f"base_url: {simulator.base_url}\ntoken_url: {simulator.token_url}\n")
