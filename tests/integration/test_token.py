"""Tokens: one exchange for many, rotation stored before use, and credentials that are never shown."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from archiver import errors
from archiver.adapters.http_client import make_client
from archiver.adapters.token import PasswordToken, RotatingToken, StaticToken
from archiver.adapters.token_endpoint import TokenEndpoint
from archiver.simulator import Account, Behaviour, Simulator
from archiver.simulator.faults import Action, Drop, Fault, Hang, Html, Operation, Redirect, Status
from tests.support.fake_time import FakeTime
from tests.support.simulator import StartSimulator
from tests.support.source import serving
from tests.support.token_rows import Rows, vault_of


@asynccontextmanager
async def endpoint_of(service: Simulator, **changes: str) -> AsyncIterator[TokenEndpoint]:
    known = service.credentials
    application = {"client_id": known.client_id, "client_secret": known.client_secret, **changes}
    async with make_client(read_timeout=1.0) as client:
        yield TokenEndpoint(
            client, service.token_url, client_id=application["client_id"], client_secret=application["client_secret"]
        )


def rotating(endpoint: TokenEndpoint, rows: Rows, time: FakeTime, configured: str = "sim-refresh-0") -> RotatingToken:
    return RotatingToken("acme", endpoint, configured=configured, store=vault_of(rows, configured), clock=time.clock)


async def test_a_static_token_is_what_it_is() -> None:
    tokens = StaticToken(" abc\n")
    assert await tokens.token() == "abc"
    with pytest.raises(errors.AccessDenied) as caught:
        await tokens.refresh("abc")
    assert caught.value.hint


@pytest.mark.parametrize("username", ["auditor", "auditor@vbc.prod"])
async def test_the_password_survives_and_the_login_is_completed(simulator: StartSimulator, username: str) -> None:
    service = await simulator(Account())  # its password and secret hold & = + % / and a blank
    async with endpoint_of(service) as endpoint:
        tokens = PasswordToken("acme", endpoint, username=username, password=service.credentials.password)
        assert await tokens.token() == "sim-access-1"


async def test_many_requests_one_exchange(simulator: StartSimulator) -> None:
    service = await simulator(Account())
    async with endpoint_of(service) as endpoint:
        tokens = rotating(endpoint, Rows(), FakeTime())
        assert set(await asyncio.gather(*(tokens.token() for _ in range(20)))) == {"sim-access-1"}
        refreshed = await asyncio.gather(*(tokens.refresh("sim-access-1") for _ in range(20)))
        assert set(refreshed) == {"sim-access-2"}
        assert await tokens.refresh("sim-access-1") == "sim-access-2"  # a late 401 of an old request
    assert service.requests.counts[Operation.TOKEN] == 2


@pytest.mark.parametrize(("expires_in", "early"), [(86_400, 300.0), (100, 10.0)])
async def test_a_token_is_renewed_a_little_before_its_end(
    simulator: StartSimulator, expires_in: int, early: float
) -> None:
    service = await simulator(Account(), behaviour=Behaviour(expires_in=expires_in))
    time = FakeTime()
    async with endpoint_of(service) as endpoint:
        tokens = rotating(endpoint, Rows(), time)
        with capture_logs() as logs:
            await tokens.token()
            time.seconds += expires_in - early - 1
            assert await tokens.token() == "sim-access-1"
            time.seconds += 1
            assert await tokens.token() == "sim-access-2"
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("token_refreshed", "start"),
        ("token_refreshed", "expiry"),
    ]


async def test_a_rotated_token_outlives_the_process(simulator: StartSimulator) -> None:
    service, rows = await simulator(Account()), Rows()
    async with endpoint_of(service) as endpoint:
        assert await rotating(endpoint, rows, FakeTime()).token() == "sim-access-1"
        assert await vault_of(rows).load() == "sim-refresh-1"
        assert await rotating(endpoint, rows, FakeTime()).token() == "sim-access-2"  # started again
        assert await vault_of(rows).load() == "sim-refresh-2"
    assert b"sim-refresh" not in rows.rows["acme"][1]


async def test_no_access_token_before_its_refresh_token_is_stored(simulator: StartSimulator) -> None:
    service, rows = await simulator(Account()), Rows()
    rows.broken = 2
    async with endpoint_of(service) as endpoint:
        tokens = rotating(endpoint, rows, FakeTime())
        for _ in range(2):
            with pytest.raises(errors.Transient):
                await tokens.token()
        assert await tokens.token() == "sim-access-1"  # the grant was not lost, nor asked for again
    assert service.requests.counts[Operation.TOKEN] == 1
    assert await vault_of(rows).load() == "sim-refresh-1"


async def test_a_cancelled_request_does_not_lose_the_rotated_token(simulator: StartSimulator) -> None:
    service, rows = await simulator(Account()), Rows()
    rows.gate = asyncio.Event()
    async with endpoint_of(service) as endpoint:
        tokens = rotating(endpoint, rows, FakeTime())
        task = asyncio.create_task(tokens.token())
        await service.arrived(Operation.TOKEN)
        task.cancel()
        rows.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await vault_of(rows).load() == "sim-refresh-1"


async def test_a_token_that_the_operator_configures_later_wins(simulator: StartSimulator) -> None:
    service, rows = await simulator(Account()), Rows()
    await vault_of(rows, "configured-last-year").store("dead")
    async with endpoint_of(service) as endpoint:
        assert await rotating(endpoint, rows, FakeTime(), "sim-refresh-0").token() == "sim-access-1"
    assert await vault_of(rows, "sim-refresh-0").load() == "sim-refresh-1"
    assert await vault_of(rows, "configured-last-year").load() is None


async def test_what_another_process_rotated_is_taken_over(simulator: StartSimulator) -> None:
    """Both have loaded the same token; the one that comes second finds it used up, and what the first stored."""
    service, rows = await simulator(Account()), Rows()

    class Second:
        loads = 0

        async def load(self) -> str | None:
            self.loads += 1
            return "sim-refresh-0" if self.loads == 1 else await vault_of(rows).load()

        async def store(self, token: str) -> None:
            await vault_of(rows).store(token)

    async with endpoint_of(service) as endpoint:
        assert await rotating(endpoint, rows, FakeTime()).token() == "sim-access-1"
        second = RotatingToken("acme", endpoint, configured="sim-refresh-0", store=Second())
        assert await second.token() == "sim-access-2"


async def test_refused_credentials_are_not_tried_again(simulator: StartSimulator) -> None:
    """Twenty wrong logins in a second would lock the account."""
    service = await simulator(Account())
    async with endpoint_of(service) as endpoint:
        tokens = PasswordToken("acme", endpoint, username="auditor", password="wrong-canary")
        results = await asyncio.gather(*(tokens.token() for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {errors.AccessDenied}
    assert service.requests.counts[Operation.TOKEN] == 1
    assert all(isinstance(result, errors.AccessDenied) and "log in again" in result.hint for result in results)


async def test_a_refusal_is_not_remembered_for_ever(simulator: StartSimulator) -> None:
    """A refusal that passes (a gateway in trouble) must not end a daemon's work; an hour later it asks again."""
    service, time = await simulator(Account()), FakeTime()
    async with endpoint_of(service) as endpoint:
        tokens = PasswordToken("acme", endpoint, username="auditor", password="wrong-canary", clock=time.clock)
        for seconds, asked in ((0, 1), (3599, 1), (2, 2)):
            await time.sleep(seconds)
            with pytest.raises(errors.AccessDenied):
                await tokens.token()
            assert service.requests.counts[Operation.TOKEN] == asked


async def test_whoever_comes_after_knows_of_the_refusal(simulator: StartSimulator) -> None:
    """The application is opened anew for another secret: these credentials must not be sent again for it."""
    service = await simulator(Account())
    async with endpoint_of(service) as endpoint:
        for password, asked in (("wrong-canary", 1), (service.credentials.password, 2)):
            first, second = (PasswordToken("acme", endpoint, username="auditor", password=password) for _ in range(2))
            [before] = await asyncio.gather(first.token(), return_exceptions=True)
            second.carry_on(first)
            [after] = await asyncio.gather(second.token(), return_exceptions=True)
            assert (type(after), str(after)) == (type(before), str(before))
            assert service.requests.counts[Operation.TOKEN] == asked


async def test_whoever_comes_after_stores_the_grant_that_could_not_be_stored(simulator: StartSimulator) -> None:
    """Its predecessor is used up: forgotten, it would take a person to log in again."""
    service, rows = await simulator(Account()), Rows()
    async with endpoint_of(service) as endpoint:
        first, second = rotating(endpoint, rows, FakeTime()), rotating(endpoint, rows, FakeTime())
        rows.broken = 1
        with pytest.raises(errors.Transient):
            await first.token()
        second.carry_on(first)
        assert await second.token() == "sim-access-1"
        second.carry_on(StaticToken("from another configuration"))
        assert await second.token() == "sim-access-1"
    assert service.requests.counts[Operation.TOKEN] == 1


async def test_a_wrong_application_has_another_hint(simulator: StartSimulator) -> None:
    service = await simulator(Account())
    async with endpoint_of(service, client_secret="wrong") as endpoint:
        with pytest.raises(errors.AccessDenied) as caught:
            await rotating(endpoint, Rows(), FakeTime()).token()
    assert "client_secret" in caught.value.hint


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Status(500), errors.Transient),
        (Status(503), errors.Transient),
        (Status(429), errors.Transient),
        (Drop(), errors.Transient),
        (Hang(), errors.Transient),
        (Html(), errors.Transient),
        (Status(403), errors.AccessDenied),
        (Status(404), errors.AccessDenied),
        (Redirect("http://127.0.0.1:1/token"), errors.AccessDenied),
    ],
)
async def test_trouble_of_the_endpoint(simulator: StartSimulator, action: Action, error: type[Exception]) -> None:
    service = await simulator(Account(faults=(Fault(on=Operation.TOKEN, do=action),)))
    async with endpoint_of(service) as endpoint:
        tokens = PasswordToken("acme", endpoint, username="auditor", password=service.credentials.password)
        with pytest.raises(error) as caught:
            await tokens.token()
        if error is errors.Transient:
            assert (await tokens.token()).startswith("sim-access")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert service.credentials.password not in shown
    assert service.credentials.client_secret not in shown


@pytest.mark.parametrize(
    ("answer", "expires_in"),
    [
        ({"access_token": "a", "expires_in": "3600"}, 3600.0),
        ({"access_token": "a", "expires_in": 1e400}, 366 * 24 * 3600.0),
        ({"access_token": "a", "expires_in": "soon", "refresh_token": 7}, None),
        ({"access_token": "a", "expires_in": -5, "refresh_token": ""}, None),
        ({"access_token": "a", "refresh_token": "b\ud800"}, None),
        ({"access_token": ""}, "refused"),
        ({"access_token": "a\r\nX-Header: 1"}, "refused"),
        ({"access_token": None}, "refused"),
        (["access_token"], "refused"),
        ({}, "refused"),
    ],
)
async def test_odd_grants(answer: object, expires_in: float | str | None) -> None:
    async def grant(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async with serving(grant) as origin, make_client() as client:
        endpoint = TokenEndpoint(client, f"{origin}/token", client_id="c", client_secret="s")
        if expires_in == "refused":
            with pytest.raises(errors.Transient):
                await endpoint.exchange({})
        else:
            granted = await endpoint.exchange({})
            assert (granted.access_token, granted.refresh_token, granted.expires_in) == ("a", None, expires_in)
            assert "'a'" not in repr(granted)


async def test_a_token_url_that_is_none_is_a_configuration_error() -> None:
    async with make_client() as client:
        for url in ("ftp://127.0.0.1/token", "token"):
            with pytest.raises(errors.ConfigError):
                await TokenEndpoint(client, url, client_id="c", client_secret="s").exchange({})


async def test_a_password_that_is_no_text_goes_out_as_its_bytes() -> None:
    forms: list[bytes] = []

    async def grant(request: web.Request) -> web.StreamResponse:
        forms.append(await request.read())
        return web.json_response({"access_token": "a"})

    async with serving(grant) as origin, make_client() as client:
        endpoint = TokenEndpoint(client, origin, client_id="c", client_secret="s")
        tokens = PasswordToken(
            "acme", endpoint, username="u", password=b"\xff\xc3\xa9".decode(errors="surrogateescape")
        )
        assert await tokens.token() == "a"
    assert forms == [b"grant_type=password&username=u%40vbc.prod&password=%FF%C3%A9&client_id=c&client_secret=s"]


@pytest.mark.parametrize(("scope", "sent"), [("openid", ["openid"]), (None, [])])
async def test_the_scope_is_asked_for_where_there_is_one(scope: str | None, sent: list[str]) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        asked.extend(str(value) for key, value in form.items() if key == "scope")
        return web.json_response({"access_token": "a"})

    async with serving(answer) as origin, make_client() as client:
        endpoint = TokenEndpoint(client, origin, client_id="c", client_secret="s")
        await PasswordToken("acme", endpoint, username="u", password="p", scope=scope).token()

    assert asked == sent
