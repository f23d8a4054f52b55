"""Tokens, quota, throttling: what stands before the API."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from archiver.simulator import Behaviour, Fault, Operation, RetryAfter, Revoke, Status
from tests.support.simulator import NOON, Caller, Clock, StartSimulator, holding, recording

ONE = holding(recording(7))


async def test_missing_and_invalid_tokens(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE)
    missing, invalid = await Caller(http, sim, "").page(), await Caller(http, sim, "nonsense").page()
    basic = await http.get(sim.base_url + "/api/audio/recording/7", headers={"Authorization": "Basic eDp5"})
    answers = [(answer.status_code, answer.json()["fault"]["code"]) for answer in (missing, invalid, basic)]
    assert answers == [(401, 900902), (401, 900901), (401, 900902)]


async def test_password_grant(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE, behaviour=Behaviour(expires_in=60))
    ask = Caller(http, sim)
    answer = await ask.token_for(grant_type="password", username="auditor@vbc.prod", password=sim.credentials.password)
    granted = answer.json()
    assert (answer.status_code, granted["expires_in"], granted["token_type"]) == (200, 60, "Bearer")
    assert (await Caller(http, sim, granted["access_token"]).page()).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password", "username": "auditor", "password": "p&ss=w+rd %41"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "auditor@vbc.prod", "password": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "client_secret": "wrong"}, 401, "invalid_client"),
    ],
)
async def test_bad_grants(
    simulator: StartSimulator, http: httpx.AsyncClient, form: dict[str, str], status: int, error: str
) -> None:
    answer = await Caller(http, await simulator(ONE)).token_for(**form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_refresh_token_is_single_use_and_rotates(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE)
    ask = Caller(http, sim)
    old = sim.credentials.refresh_token
    first = (await ask.token_for(grant_type="refresh_token", refresh_token=old)).json()
    again = await ask.token_for(grant_type="refresh_token", refresh_token=old)
    second = await ask.token_for(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again.status_code, second.status_code) == (400, 200)
    for token in (first["access_token"], second.json()["access_token"]):
        assert (await Caller(http, sim, token).page()).status_code == 200


async def test_refresh_may_end_the_older_access_tokens(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE, behaviour=Behaviour(refresh_revokes=True))
    ask = Caller(http, sim)
    first = (await ask.token_for(grant_type="refresh_token", refresh_token=sim.credentials.refresh_token)).json()
    await ask.token_for(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (await Caller(http, sim, first["access_token"]).page()).status_code == 401


async def test_tokens_expire(simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock) -> None:
    sim = await simulator(ONE, behaviour=Behaviour(expires_in=60, refresh_lives=timedelta(days=7)))
    ask = Caller(http, sim)
    granted = (await ask.token_for(grant_type="refresh_token", refresh_token=sim.credentials.refresh_token)).json()
    clock.move(seconds=59)
    assert (await Caller(http, sim, granted["access_token"]).page()).status_code == 200
    clock.move(seconds=1)
    assert (await Caller(http, sim, granted["access_token"]).page()).status_code == 401
    clock.move(days=7)
    late = await ask.token_for(grant_type="refresh_token", refresh_token=granted["refresh_token"])
    assert late.json()["error"] == "invalid_grant"


async def test_tokens_are_revoked_in_the_middle(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE)
    ask = Caller(http, sim)
    granted = (await ask.token_for(grant_type="refresh_token", refresh_token=sim.credentials.refresh_token)).json()
    issued = Caller(http, sim, granted["access_token"])
    sim.revoke_tokens()
    assert [(await issued.page()).status_code, (await ask.page()).status_code] == [401, 200]
    sim.revoke_tokens(static=True)
    assert (await ask.page()).status_code == 401
    sim.revoke_refresh_tokens()
    refused = await ask.token_for(grant_type="refresh_token", refresh_token=granted["refresh_token"])
    assert refused.status_code == 400


async def test_scripted_revocation_ends_only_the_token_that_met_it(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    sim = await simulator(ONE)
    ask = Caller(http, sim)
    granted = (await ask.token_for(grant_type="refresh_token", refresh_token=sim.credentials.refresh_token)).json()
    issued = Caller(http, sim, granted["access_token"])
    sim.script(Fault(on=Operation.AUDIO, do=Revoke(), after=1))
    assert [(await issued.audio(7)).status_code for _ in range(3)] == [200, 401, 401]
    assert (await ask.audio(7)).status_code == 200


async def test_token_endpoint_can_fail_too(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(ONE)
    sim.script(Fault(on=Operation.TOKEN, do=Status(503)))
    form = {"grant_type": "refresh_token", "refresh_token": sim.credentials.refresh_token}
    answers = [await Caller(http, sim).token_for(**form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]


async def test_quota_for_each_token_and_minute(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    sim = await simulator(ONE, behaviour=Behaviour(requests_per_minute=2))
    ask = Caller(http, sim)
    clock.move(seconds=5)
    assert [(await ask.page()).status_code for _ in range(2)] == [200, 200]
    clock.move(seconds=20)
    refused = await ask.page()
    assert (refused.status_code, refused.json()["fault"]["code"]) == (429, 900800)
    assert refused.headers["retry-after"] == "40"
    granted = (await ask.token_for(grant_type="refresh_token", refresh_token=sim.credentials.refresh_token)).json()
    assert (await Caller(http, sim, granted["access_token"]).page()).status_code == 200
    clock.move(seconds=40)
    assert (await ask.page()).status_code == 200


async def test_retry_after_as_a_date_or_absent(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(
        ONE, behaviour=Behaviour(requests_per_minute=0, retry_after=3, retry_after_form=RetryAfter.DATE)
    )
    refused = await Caller(http, sim).page()
    assert parsedate_to_datetime(refused.headers["retry-after"]) == NOON + timedelta(seconds=3)
    sim.behaviour = Behaviour(requests_per_minute=0, retry_after_form=RetryAfter.ABSENT)
    assert "retry-after" not in (await Caller(http, sim).page()).headers


async def test_every_nth_request_is_throttled(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(ONE, behaviour=Behaviour(throttle_every=3)))
    answers = [await ask.page() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
