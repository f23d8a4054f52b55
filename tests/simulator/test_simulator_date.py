"""The Date header: the simulator's own clock, ahead or behind on demand, or no header at all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from http import HTTPStatus

import httpx
import pytest

from archiver.simulator import Behaviour, Fault, Operation, Status
from tests.support.simulator import NOON, Caller, Clock, StartSimulator, holding, recording


async def _every_kind(ask: Caller) -> list[httpx.Response]:
    """One answer of each kind: listing, one, audio, refusals, a scripted fault, the token endpoint, a deletion."""
    ask.simulator.script(Fault(on=Operation.AUDIO, do=Status(503), after=1))
    answers = [await ask.page(), await ask.get(7), await ask.audio(7), await ask.page(page_size=0)]
    answers += [await ask.audio(7), await ask.ask("/nowhere"), await Caller(ask.http, ask.simulator, "").page()]
    answers += [await ask.token_for(grant_type="none"), await ask.delete(7), await ask.delete(7)]
    wanted = [200, 200, 200, 400, 503, 404, 401, 400, 204, 404]
    assert [answer.status_code for answer in answers] == wanted
    return answers


async def test_every_answer_carries_the_time_of_the_simulator(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    answers = await _every_kind(Caller(http, await simulator(holding(recording(7)))))
    assert {tuple(answer.headers.get_list("date")) for answer in answers} == {("Fri, 01 Mar 2024 12:00:00 GMT",)}


async def test_no_answer_carries_a_date_where_it_is_absent(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7)), behaviour=Behaviour(date_absent=True))
    assert not any("date" in answer.headers for answer in await _every_kind(Caller(http, sim)))


@pytest.mark.parametrize(
    ("ahead", "date"),
    [
        (timedelta(minutes=90), "Fri, 01 Mar 2024 13:30:00 GMT"),
        (timedelta(days=-366), "Wed, 01 Mar 2023 12:00:00 GMT"),
    ],
)
async def test_clock_of_the_server_may_be_ahead_or_behind(
    simulator: StartSimulator, http: httpx.AsyncClient, ahead: timedelta, date: str
) -> None:
    ask = Caller(http, await simulator(holding(recording(7)), behaviour=Behaviour(date_ahead=ahead)))
    answer = await ask.page()
    assert (answer.status_code, answer.headers["date"]) == (HTTPStatus.OK, date)


async def test_date_moves_with_the_clock_and_names_gmt_whatever_its_zone(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    ask = Caller(http, await simulator())
    clock.move(hours=1)
    assert (await ask.page()).headers["date"] == "Fri, 01 Mar 2024 13:00:00 GMT"

    def in_india() -> datetime:
        return NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

    ask = Caller(http, await simulator(clock=in_india))
    assert (await ask.page()).headers["date"] == "Fri, 01 Mar 2024 12:00:00 GMT"
