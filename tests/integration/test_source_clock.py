"""How far the source's clock is ahead: read from the answers of its own origin, and from nobody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import pytest
from aiohttp import web

from archiver import errors
from archiver.adapters.http_client import make_client
from archiver.adapters.token import PasswordToken
from archiver.adapters.token_endpoint import TokenEndpoint
from archiver.core.model import Slice
from archiver.simulator import Account, Behaviour, Credentials, Fault, Operation, Status, ordinary
from tests.support.fake_time import FakeTime
from tests.support.simulator import StartSimulator
from tests.support.source import Recorder, Source, always, open_source, replying, serving

JANUARY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 31, tzinfo=UTC))
ACCOUNT = ordinary(3)
SOME = str(ACCOUNT.recordings[0].id)
AUDIO = b"\xff\xfb" + bytes(100)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NONSENSE = {"Date": "soon"}


async def heard(source: Source) -> bytes:
    async with source.api.download(SOME) as stream:
        return b"".join([chunk async for chunk in stream.chunks])


def at(moment: datetime) -> dict[str, str]:
    return {"Date": format_datetime(moment, usegmt=True)}


@pytest.mark.parametrize("ahead", [timedelta(0), SECOND, -SECOND, 5 * HOUR, -5 * HOUR, timedelta(days=-400)])
async def test_every_kind_of_answer_tells_the_sources_time(simulator: StartSimulator, ahead: timedelta) -> None:
    time = FakeTime()
    service = await simulator(ACCOUNT, behaviour=Behaviour(date_ahead=ahead), clock=time.now)
    async with open_source(service.base_url, time=time) as source:
        assert source.api.clock_ahead is None
        await source.api.list_page(JANUARY, page=1, page_size=1)
        assert source.api.clock_ahead == ahead
        delete = partial(source.api.delete, still=always)
        asks: tuple[Callable[[str], Awaitable[object]], ...] = (source.api.get, delete, delete)
        for more, ask in enumerate(asks, 1):
            service.behaviour = Behaviour(date_ahead=ahead + more * HOUR)
            await ask(SOME)
            assert source.api.clock_ahead == ahead + more * HOUR


async def test_a_refusal_tells_it_too(simulator: StartSimulator) -> None:
    time = FakeTime()
    account = Account(recordings=ACCOUNT.recordings, faults=(Fault(on=Operation.GET, do=Status(403), times=None),))
    service = await simulator(account, behaviour=Behaviour(date_ahead=HOUR), clock=time.now)
    async with open_source(service.base_url, time=time) as source:
        with pytest.raises(errors.SkipItem):
            await source.api.get(SOME)
        assert source.api.clock_ahead == HOUR


async def test_a_source_that_writes_no_date_has_not_said(simulator: StartSimulator) -> None:
    time = FakeTime()
    service = await simulator(ACCOUNT, behaviour=Behaviour(date_absent=True), clock=time.now)
    async with open_source(service.base_url, time=time) as source:
        await source.api.get(SOME)
        assert source.api.clock_ahead is None
        service.behaviour = Behaviour(date_ahead=-HOUR)
        await source.api.get(SOME)
        service.behaviour = Behaviour(date_absent=True)
        await source.api.get(SOME)
        assert source.api.clock_ahead == -HOUR


async def test_an_unreadable_date_leaves_what_was_known() -> None:
    time = FakeTime()
    dates = iter([at(time.now() + HOUR), NONSENSE, {"Date": ""}, {"Date": "Fri, 32 Mar 2024 12:00:00 GMT"}])

    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(body=AUDIO, headers=next(dates))

    async with serving(answer) as origin, open_source(origin, time=time) as source:
        for _ in range(4):
            await heard(source)
            assert source.api.clock_ahead == HOUR


async def test_an_answer_that_took_long_is_held_against_the_moment_it_came() -> None:
    time = FakeTime()

    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        time.seconds += 100
        return web.Response(body=AUDIO, headers=at(time.now()))

    async with serving(answer) as origin, open_source(origin, time=time) as source:
        await heard(source)
        assert source.api.clock_ahead == timedelta(0)


async def test_fractions_of_our_second_do_not_count() -> None:
    """A Date has none: equal clocks must not look a second apart."""
    time = FakeTime()
    time.seconds += 0.999
    async with serving(replying(200, AUDIO, **at(time.now()))) as origin, open_source(origin, time=time) as source:
        await heard(source)
        assert source.api.clock_ahead == timedelta(0)


async def test_where_a_redirect_leads_is_another_clock() -> None:
    time = FakeTime()
    async with serving(replying(200, AUDIO, **at(time.now() + HOUR))) as elsewhere:
        for date, ahead in ((NONSENSE, None), (at(time.now() - HOUR), -HOUR)):
            origin = replying(302, Location=f"{elsewhere}/signed", **date)
            async with serving(origin) as base, open_source(base, time=time) as source:
                assert await heard(source) == AUDIO
                assert source.api.clock_ahead == ahead


async def test_a_redirect_within_the_origin_is_the_sources_clock() -> None:
    time = FakeTime()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "moved" in request.path:
            return web.Response(body=AUDIO, headers=at(time.now() + HOUR))
        return web.Response(status=302, headers={"Location": "/moved", **NONSENSE})

    async with serving(answer) as origin, open_source(origin, time=time) as source:
        await heard(source)
        assert source.api.clock_ahead == HOUR


async def test_the_token_endpoint_is_another_clock(simulator: StartSimulator) -> None:
    time = FakeTime()
    service = await simulator(credentials=Credentials(), behaviour=Behaviour(date_ahead=HOUR), clock=time.now)
    known, audio = service.credentials, Recorder(replying(200, AUDIO, **NONSENSE).answer)
    async with make_client() as client, serving(audio) as origin:
        endpoint = TokenEndpoint(
            client, service.token_url, client_id=known.client_id, client_secret=known.client_secret
        )
        tokens = PasswordToken("acme", endpoint, username=known.username, password=known.password)
        async with open_source(origin, tokens=tokens, time=time) as source:
            await heard(source)
            assert service.requests.counts[Operation.TOKEN] == 1
            assert source.api.clock_ahead is None
