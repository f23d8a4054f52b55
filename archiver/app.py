"""The composition root: the one place that reads the clock and constructs clients, engines and stages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.backfill_rows import BackfillRows
from archiver.adapters.budget_reads import BudgetReads
from archiver.adapters.candidate_reads import CandidateReads
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.controls import Controls
from archiver.adapters.embedded_postgres import embedded_postgres
from archiver.adapters.export_record import ExportRecord
from archiver.adapters.http_client import environment_proxy, make_client
from archiver.adapters.ledger import Ledger
from archiver.adapters.limiter import Clock as Seconds
from archiver.adapters.limiter import Limiter, Sleep, Window
from archiver.adapters.object_store import Bucket, open_bucket
from archiver.adapters.object_store_clients import Patience
from archiver.adapters.object_store_listing import ObjectListing
from archiver.adapters.object_store_locks import ObjectLocks
from archiver.adapters.quota import SharedQuota
from archiver.adapters.recordings_api import RecordingsApi
from archiver.adapters.token import PasswordToken, RotatingToken, StaticToken, TokenProvider
from archiver.adapters.token_endpoint import TokenEndpoint
from archiver.adapters.token_rows import RefreshTokenRows
from archiver.adapters.token_vault import TokenVault
from archiver.core.policy import PolicySet
from archiver.errors import ConfigError
from archiver.policies import load_policies
from archiver.settings import Account, PasswordAuth, RefreshAuth, Settings, TokenAuth
from archiver.stages.budget import ByteBudget
from archiver.terms import LiveTerms

Clock = Callable[[], datetime]

MEMORY_FOR_BODIES = 48 * 1024 * 1024  # bytes in flight, over all accounts


def now() -> datetime:
    """Tell the present moment. Everything else is handed it as an argument."""
    return datetime.now(UTC)  # noqa: TID251 - the one clock


def new_run_id() -> str:
    """Make a name for a run: sortable by time, unique enough to be typed."""
    return f"{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How long neighbours are waited for, in seconds, and by which clock. Only tests hand in another one."""

    sleep: Sleep = asyncio.sleep
    seconds: Seconds = time.monotonic
    shared: Seconds | None = None  # the clock that all processes share; None: the database's
    connect: float = 10.0
    read: float = 60.0  # one stall of the source
    store: Patience = field(default_factory=Patience)


PATIENTLY = Waiting()


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything that a command needs, opened."""

    settings: Settings
    policies: PolicySet
    engine: AsyncEngine
    catalogue: Catalogue
    ledger: Ledger
    reads: Reads
    store: Bucket
    locks: ObjectLocks
    listing: ObjectListing
    controls: Controls
    terms: LiveTerms
    candidates: CandidateReads
    sources: dict[str, RecordingsApi]
    exports: ExportRecord
    backfills: BackfillRows
    budget_reads: BudgetReads
    quotas: dict[str, SharedQuota]
    budget: ByteBudget
    clock: Clock

    def account(self, name: str) -> Account:
        """Find an account's settings by name. Raises ConfigError."""
        return account_of(self.settings, name)


def account_of(settings: Settings, name: str) -> Account:
    """Find an account's settings by name. Raises ConfigError."""
    for account in settings.accounts:
        if account.name == name:
            return account
    known = ", ".join(account.name for account in settings.accounts)
    msg = f"there is no account {name!r} in the configuration; there is: {known}"
    raise ConfigError(msg)


def policies_of(settings: Settings) -> PolicySet:
    """Load the policies file; without one nothing is ever deleted. Raises ConfigError."""
    if settings.policies is None:
        return PolicySet()
    return load_policies(settings.policies, accounts=[account.name for account in settings.accounts])


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the catalogue's engine, starting the embedded Postgres where that is configured."""
    async with AsyncExitStack() as stack:
        if settings.database.embedded is not None:
            url = stack.enter_context(embedded_postgres(settings.database.embedded))
        else:
            url = plain(settings.database.url) or ""
        # each account holds a session for the lock of its stage, and the run one for its own, beside those that work
        engine = database.open_engine(url, pool_size=settings.database.pool_size + len(settings.accounts) + 1)
        stack.push_async_callback(engine.dispose)
        yield engine


@asynccontextmanager
async def open_store(settings: Settings, waiting: Waiting = PATIENTLY) -> AsyncIterator[Bucket]:
    """Open the bucket."""
    vault = settings.vault
    async with open_bucket(
        bucket=vault.bucket,
        region=vault.region,
        endpoint_url=vault.endpoint_url,
        access_key_id=plain(vault.access_key_id),
        secret_access_key=plain(vault.secret_access_key),
        verify=vault.verify,
        prefix=vault.prefix,
        patience=waiting.store,
        threads=settings.sync.concurrency,
    ) as bucket:
        yield bucket


@asynccontextmanager
async def open_source(
    settings: Settings, account: Account, engine: AsyncEngine, window: Window, clock: Clock = now,
    waiting: Waiting = PATIENTLY,
) -> AsyncIterator[RecordingsApi]:  # fmt: skip
    """Open one account of the recordings API. `window` counts its requests."""
    concurrency, proxy = settings.sync.concurrency, environment_proxy(account.base_url)
    async with make_client(
        concurrency=concurrency, proxy=proxy, connect_timeout=waiting.connect, read_timeout=waiting.read
    ) as client:
        yield RecordingsApi(
            base_url=account.base_url,
            account=account.name,
            account_id=account.account_id,
            tokens=token_provider(settings, account, client, engine),
            limiter=Limiter(window, clock=waiting.seconds, sleep=waiting.sleep, now=clock),
            client=client,
            export_user=export_user(account),
            sleep=waiting.sleep,
            clock=waiting.seconds,
            now=clock,
        )


def export_user(account: Account) -> str | None:
    """Login name that the account's exports are fetched under; None: there are none."""
    if account.exports == "never":
        return None
    if account.export_user is None and isinstance(account.auth, PasswordAuth):
        return account.auth.username.get_secret_value().removesuffix("@vbc.prod")
    return plain(account.export_user)


def shared_quota(account: Account, engine: AsyncEngine, waiting: Waiting = PATIENTLY) -> SharedQuota:
    """The account's quota, as all processes count it."""
    per_minute = account.requests_per_minute
    return SharedQuota(engine, account.name, per_minute, clock=waiting.seconds, seconds=waiting.shared)


def token_provider(
    settings: Settings, account: Account, client: httpx.AsyncClient, engine: AsyncEngine
) -> TokenProvider:
    """Choose how the account gets its bearer token."""
    auth = account.auth
    if isinstance(auth, TokenAuth):
        return StaticToken(auth.token.get_secret_value())
    endpoint = TokenEndpoint(
        client,
        auth.token_url,
        client_id=auth.client_id.get_secret_value(),
        client_secret=auth.client_secret.get_secret_value(),
    )
    if isinstance(auth, PasswordAuth):
        return PasswordToken(
            account.name,
            endpoint,
            username=auth.username.get_secret_value(),
            password=auth.password.get_secret_value(),
            scope=auth.scope,
        )
    return _rotating(settings, account.name, auth, endpoint, engine)


def _rotating(
    settings: Settings, account: str, auth: RefreshAuth, endpoint: TokenEndpoint, engine: AsyncEngine
) -> RotatingToken:
    configured = auth.refresh_token.get_secret_value()
    keys = [plain(settings.encryption_key) or ""]
    vault = TokenVault(account, configured=configured, keys=keys, rows=RefreshTokenRows(engine, now))
    return RotatingToken(account, endpoint, configured=configured, store=vault)


@asynccontextmanager
async def open_app(
    settings: Settings, clock: Clock = now, waiting: Waiting = PATIENTLY, *, before: App | None = None
) -> AsyncIterator[App]:
    """Open everything. Raises ConfigError, SchemaError, Unreachable or AccessDenied.

    `before` is an application of the same process, with other secrets: its policies stay in force, and what it knows
    of tokens. Only tests hand in another clock.
    """
    policies = policies_of(settings) if before is None else before.policies
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings))
        await database.require_schema(engine)
        store = await stack.enter_async_context(open_store(settings, waiting))
        shared = {account.name: shared_quota(account, engine, waiting) for account in settings.accounts}
        sources = {
            account.name: await stack.enter_async_context(
                open_source(settings, account, engine, shared[account.name], clock, waiting)
            )
            for account in settings.accounts
        }
        if before is not None:
            _carry_on(before, settings, sources)
        controls, catalogue = Controls(engine), Catalogue(engine)
        yield App(
            settings=settings,
            policies=policies,
            engine=engine,
            catalogue=catalogue,
            ledger=Ledger(engine),
            reads=Reads(engine),
            store=store,
            locks=store.locks,
            listing=store.listing,
            controls=controls,
            terms=LiveTerms(controls, policies, [account.name for account in settings.accounts]),
            candidates=CandidateReads(engine),
            exports=ExportRecord(engine, catalogue),
            backfills=BackfillRows(engine),
            budget_reads=BudgetReads(engine),
            sources=sources,
            quotas=shared,
            budget=ByteBudget(MEMORY_FOR_BODIES),
            clock=clock,
        )


def _carry_on(before: App, settings: Settings, sources: Mapping[str, RecordingsApi]) -> None:
    """Go on counting; and where the credentials are the same, what they got (or that they were refused) stays known."""
    for account in settings.accounts:
        sources[account.name].count_on(before.sources[account.name])
        if account.auth == before.account(account.name).auth:
            sources[account.name].tokens.carry_on(before.sources[account.name].tokens)


async def bring_up(settings: Settings) -> None:
    """Upgrade an older schema, where the configuration says so. Raises like `database.upgrade`."""
    if settings.database.migrate == "on_start":
        async with open_engine(settings) as engine:
            await database.upgrade_older(engine)


def plain(secret: SecretStr | None) -> str | None:
    """Unwrap a secret where it is needed, and nowhere else."""
    return None if secret is None else secret.get_secret_value()
