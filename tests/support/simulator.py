"""Fixtures: simulators that live as long as the test, a bare client, and a clock that only the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import pytest
import pytest_asyncio

from archiver.simulator import Account, Behaviour, Credentials, SimRecording, Simulator

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved. Call it for the time."""

    def __init__(self, now: datetime = NOON) -> None:
        """Begin at an aware moment."""
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, **by: float) -> None:
        """Go on, by what timedelta takes: seconds=30, days=1."""
        self.now += timedelta(**by)


def recording(number: int, *, minutes: int = 0, size: int = 1000) -> SimRecording:
    """Make one recording that began so many minutes before noon of 2024-03-01."""
    return SimRecording(id=number, start=NOON - timedelta(minutes=minutes), size=size, duration_ms=60_000)


def holding(*recordings: SimRecording) -> Account:
    """Make an account of these recordings."""
    return Account(recordings=recordings)


class Caller:
    """Asks a simulator as a bare client would: no retry, no redirect, whatever comes is returned."""

    def __init__(self, http: httpx.AsyncClient, simulator: Simulator, token: str | None = None) -> None:
        """Use the simulator's static token unless another is given; "" sends none."""
        self.http = http
        self.simulator = simulator
        self.token = simulator.credentials.token if token is None else token

    async def ask(self, path: str, *, method: str = "GET", params: dict[str, str] | None = None) -> httpx.Response:
        """Send one request to a path below the base URL."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.request(method, self.simulator.base_url + path, params=params, headers=headers)

    async def page(self, account: str = "self", **params: object) -> httpx.Response:
        """List; `start_gte` and the like stand for `start:gte`."""
        texts = {name.replace("_gte", ":gte").replace("_lte", ":lte"): str(value) for name, value in params.items()}
        return await self.ask(f"/api/accounts/{account}/company_call_recordings", params=texts)

    async def ids(self, **params: object) -> list[int]:
        """List one page and return the ids on it."""
        page = (await self.page("self", **params)).json()
        return [item["id"] for item in page["_embedded"]["recordings"]]

    async def get(self, recording: int) -> httpx.Response:
        """Get one."""
        return await self.ask(f"/api/accounts/self/company_call_recordings/{recording}")

    async def delete(self, recording: int) -> httpx.Response:
        """Delete one."""
        return await self.ask(f"/api/accounts/self/company_call_recordings/{recording}", method="DELETE")

    async def audio(self, recording: int) -> httpx.Response:
        """Download one, whole."""
        return await self.ask(f"/api/audio/recording/{recording}")

    async def token_for(self, **form: str) -> httpx.Response:
        """Ask the token endpoint; client id and secret are added."""
        known = self.simulator.credentials
        client = {"client_id": known.client_id, "client_secret": known.client_secret}
        return await self.http.post(self.simulator.token_url, data={**client, **form})


class StartSimulator(Protocol):
    """Starts a simulator of the account; it is stopped when the test ends."""

    async def __call__(
        self,
        account: Account = ...,
        *,
        behaviour: Behaviour = ...,
        credentials: Credentials = ...,
        clock: Callable[[], datetime] = ...,
    ) -> Simulator:
        """Return the simulator, already listening."""
        ...


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 2024-03-01 12:00 UTC."""
    return Clock()


@pytest_asyncio.fixture
async def simulator(clock: Clock) -> AsyncIterator[StartSimulator]:
    """Yield a function that starts simulators; they go by the `clock` fixture unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def start(
            account: Account = Account(),  # noqa: B008 - frozen
            *,
            behaviour: Behaviour = Behaviour(),  # noqa: B008 - frozen
            credentials: Credentials = Credentials(),  # noqa: B008 - frozen
            clock: Callable[[], datetime] = clock,
        ) -> Simulator:
            started = Simulator(account, behaviour=behaviour, credentials=credentials, clock=clock)
            return await stack.enter_async_context(started)

        yield start


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Yield a plain HTTP client."""
    async with httpx.AsyncClient(timeout=10) as client:
        yield client
