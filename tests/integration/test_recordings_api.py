"""The client against the simulated service: ordinary days and the faults of all the others."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from archiver import errors
from archiver.adapters.http_client import make_client
from archiver.adapters.token import PasswordToken
from archiver.adapters.token_endpoint import TokenEndpoint
from archiver.core.model import Slice
from archiver.simulator import Account, Behaviour, Credentials, Simulator, ordinary
from archiver.simulator.audio import audio_chunks
from archiver.simulator.behaviour import RetryAfter
from archiver.simulator.faults import (
    Action,
    Changed,
    CutAfter,
    Drop,
    Empty,
    Fault,
    Garbage,
    Html,
    MalformedItems,
    Operation,
    Revoke,
    Status,
)
from archiver.simulator.malformed import KINDS
from tests.support.fake_time import FakeTime
from tests.support.simulator import StartSimulator
from tests.support.source import Source, always, open_source

JANUARY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 31, tzinfo=UTC))
ACCOUNT = ordinary(30)
SOME = ACCOUNT.recordings[3]


async def digest(source: Source, recording_id: int) -> tuple[str, int]:
    sha256, size = hashlib.sha256(), 0
    async with source.api.download(str(recording_id)) as stream:
        assert stream.content_type == "audio/mpeg"
        async for chunk in stream.chunks:
            sha256.update(chunk)
            size += len(chunk)
    return sha256.hexdigest(), size


def faulty(operation: Operation, action: Action, times: int | None = 1) -> Account:
    return Account(recordings=ACCOUNT.recordings, faults=(Fault(on=operation, do=action, times=times),))


async def test_a_listing_is_read_page_by_page_oldest_first(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    async with open_source(service.base_url) as source:
        pages = [await source.api.list_page(JANUARY, page=number, page_size=12) for number in (1, 2, 3, 4)]
    assert [len(page.recordings) for page in pages] == [12, 12, 6, 0]
    assert [page.total_items for page in pages] == [30] * 4
    listed = [item for page in pages for item in page.recordings]
    assert [item.id for item in listed] == [str(item.id) for item in ACCOUNT.recordings]
    assert [item.start for item in listed] == sorted(item.start for item in listed)
    assert {item.account for item in listed} == {"acme"}


async def test_the_window_is_closed_and_its_plus_survives(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    window = Slice(ACCOUNT.recordings[4].start, ACCOUNT.recordings[9].start)
    async with open_source(service.base_url) as source:
        page = await source.api.list_page(window, page=1, page_size=100)
    assert [item.id for item in page.recordings] == [str(item.id) for item in ACCOUNT.recordings[4:10]]
    path = service.requests.of(Operation.LIST)[0].path
    assert path.count("%2B0000") == 2
    assert "+" not in path


async def test_malformed_items_come_beside_the_others(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.LIST, MalformedItems(tuple(KINDS))))
    async with open_source(service.base_url) as source:
        page = await source.api.list_page(JANUARY, page=1, page_size=50)
    assert len(page.recordings) + len(page.malformed) == 30 + len(KINDS)
    assert page.malformed


async def test_get_delete_and_their_being_gone(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    async with open_source(service.base_url, account_id="549825") as source:
        before = await source.api.get(str(SOME.id))
        assert (before.id, before.size, before.call_id) == (str(SOME.id), SOME.size, SOME.uuid)
        assert await source.api.delete(str(SOME.id), still=always) is True
        assert await source.api.delete(str(SOME.id), still=always) is False
        with pytest.raises(errors.NotFound):
            await source.api.get(str(SOME.id))
        with pytest.raises(errors.NotFound):
            await digest(source, SOME.id)
    assert not service.holds(SOME.id)
    assert source.api.requests_sent == len(service.requests) == 5
    assert source.api.retries == {}


async def test_a_deletion_whose_answer_was_lost_ends_as_already_gone(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.DELETE, Drop(applied=True)))
    async with open_source(service.base_url) as source:
        assert await source.api.delete(str(SOME.id), still=always) is False
    assert service.visible() == 29


async def test_audio_comes_byte_for_byte(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    sent = b"".join(audio_chunks(SOME.id, SOME.size))
    async with open_source(service.base_url) as source:
        assert await digest(source, SOME.id) == (hashlib.sha256(sent).hexdigest(), SOME.size)


@pytest.mark.parametrize(
    "action", [Status(500), Status(503), Status(408), Garbage(), Html(), Drop(), CutAfter(40), Empty()]
)
async def test_trouble_that_passes_is_outlived(simulator: StartSimulator, action: Action) -> None:
    service = await simulator(faulty(Operation.LIST, action, times=3))
    async with open_source(service.base_url) as source:
        with capture_logs() as logs:
            page = await source.api.list_page(JANUARY, page=1, page_size=100)
    assert len(page.recordings) == 30
    assert sum(source.api.retries.values()) == 3
    retried = [entry for entry in logs if entry["event"] == "request_retried"]
    assert [entry["attempt"] for entry in retried] == [1, 2, 3]
    assert {entry["operation"] for entry in retried} == {"list"}
    waits = source.time.slept
    assert 0.5 <= waits[0] <= 1.5
    assert 2 <= waits[2] <= 6


@pytest.mark.parametrize(
    ("action", "listing", "item"),
    [
        (Status(500), errors.Unreachable, errors.Transient),
        (Status(400), errors.StopStage, errors.SkipItem),
        (Status(403), errors.AccessDenied, errors.SkipItem),
        (Status(404), errors.StopStage, errors.NotFound),
        (Status(410), errors.StopStage, errors.NotFound),
        (Garbage(), errors.BodyRejected, errors.BodyRejected),
        (Html(), errors.BodyRejected, errors.BodyRejected),
        (Drop(), errors.Transient, errors.Transient),
    ],
)
async def test_trouble_that_stays_has_its_error(
    simulator: StartSimulator, action: Action, listing: type[Exception], item: type[Exception]
) -> None:
    service = await simulator(faulty(Operation.LIST, action, times=None))
    service.script(Fault(on=Operation.GET, do=action, times=None))
    async with open_source(service.base_url) as source:
        with pytest.raises(listing) as caught:
            await source.api.list_page(JANUARY, page=1, page_size=100)
        assert type(caught.value) is listing
        with pytest.raises(item) as caught:
            await source.api.get(str(SOME.id))
        assert type(caught.value) is item


async def test_metadata_of_another_recording_is_refused(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.GET, Changed({"id": 1}), times=None))
    async with open_source(service.base_url) as source:
        with pytest.raises(errors.BodyRejected):
            await source.api.get(str(SOME.id))
        service.heal()
        service.script(Fault(on=Operation.GET, do=Changed({"start": "soon"}), times=None))
        with pytest.raises(errors.BodyRejected):
            await source.api.get(str(SOME.id))


@pytest.mark.parametrize("status", [500, 429])
async def test_a_download_is_retried_before_its_body(simulator: StartSimulator, status: int) -> None:
    service = await simulator(faulty(Operation.AUDIO, Status(status), times=2))
    async with open_source(service.base_url) as source:
        assert (await digest(source, SOME.id))[1] == SOME.size
    assert service.requests.audio[SOME.id] == 3


async def test_a_body_that_breaks_is_the_callers_to_try_again(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.AUDIO, CutAfter(100_000)))
    async with open_source(service.base_url) as source:
        with pytest.raises(errors.Transient):
            await digest(source, SOME.id)
        assert service.requests.audio[SOME.id] == 1
        assert (await digest(source, SOME.id))[1] == SOME.size


@pytest.mark.parametrize("form", list(RetryAfter))
async def test_the_sources_own_quota_is_obeyed(simulator: StartSimulator, form: RetryAfter) -> None:
    """Ten requests a minute where the configuration promised more: everything comes, nothing fails."""
    time = FakeTime()
    behaviour = Behaviour(requests_per_minute=10, retry_after_form=form)
    service = await simulator(ACCOUNT, behaviour=behaviour, clock=time.now)
    async with open_source(service.base_url, time=time) as source:
        for item in ACCOUNT.recordings:
            assert (await source.api.get(str(item.id))).size == item.size
    assert source.api.retries["status_429"] >= 2
    assert 120 <= time.seconds - 1000 < 300


async def test_a_pause_beyond_patience_ends_in_throttled(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.LIST, Status(429, retry_after=86_400), times=None))
    async with open_source(service.base_url) as source:
        with capture_logs() as logs, pytest.raises(errors.Throttled) as caught:
            await source.api.list_page(JANUARY, page=1, page_size=1)
        assert caught.value.retry_after == 3600
        assert [entry["event"] for entry in logs] == ["source_throttled"]
        with pytest.raises(errors.Throttled):  # the others do not ask at all
            await source.api.get(str(SOME.id))
    assert len(service.requests) == 1


async def test_endless_throttling_ends_within_a_quarter_of_an_hour(simulator: StartSimulator) -> None:
    service = await simulator(faulty(Operation.LIST, Status(503, retry_after=100), times=None))
    async with open_source(service.base_url) as source:
        with pytest.raises(errors.Throttled):
            await source.api.list_page(JANUARY, page=1, page_size=1)
        assert 700 <= source.time.seconds - 1000 <= 900


async def test_a_token_that_ends_in_the_middle_is_renewed_once(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT, credentials=Credentials())
    async with make_client() as client:
        tokens = password_token(service, client_of=TokenEndpoint(client, service.token_url, **application(service)))
        async with open_source(service.base_url, tokens=tokens) as source:
            await source.api.get(str(SOME.id))
            service.script(Fault(on=Operation.AUDIO, do=Revoke()))
            assert (await digest(source, SOME.id))[1] == SOME.size
            service.script(Fault(on=Operation.GET, do=Revoke(), times=None))
            with pytest.raises(errors.AccessDenied):
                await source.api.get(str(SOME.id))
    assert service.requests.counts[Operation.TOKEN] == 3


async def test_a_token_is_renewed_once_in_a_calls_life(simulator: StartSimulator) -> None:
    """Refused, renewed, another failure, refused again: the second refusal is final."""
    actions = (Revoke(), Status(500), Revoke())
    faults = tuple(Fault(on=Operation.GET, do=action) for action in actions)
    service = await simulator(Account(recordings=ACCOUNT.recordings, faults=faults))
    async with make_client() as client:
        tokens = password_token(service, client_of=TokenEndpoint(client, service.token_url, **application(service)))
        async with open_source(service.base_url, tokens=tokens) as source:
            with pytest.raises(errors.AccessDenied):
                await source.api.get(str(SOME.id))
            assert (await source.api.get(str(SOME.id))).id == str(SOME.id)
    assert service.requests.counts[Operation.TOKEN] == 3


async def test_a_static_token_that_is_refused_stops_everything(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    service.revoke_tokens(static=True)
    async with open_source(service.base_url) as source:
        with pytest.raises(errors.AccessDenied) as caught:
            await source.api.list_page(JANUARY, page=1, page_size=1)
    assert caught.value.hint
    assert len(service.requests) == 1


async def test_a_source_that_is_down_is_unreachable(simulator: StartSimulator) -> None:
    service = await simulator(ACCOUNT)
    async with open_source(service.base_url) as source:
        await source.api.get(str(SOME.id))
        await service.stop()
        with pytest.raises(errors.Unreachable):
            await source.api.get(str(SOME.id))
        await service.start()
        assert (await source.api.get(str(SOME.id))).id == str(SOME.id)


def application(service: Simulator) -> dict[str, str]:
    return {"client_id": service.credentials.client_id, "client_secret": service.credentials.client_secret}


def password_token(service: Simulator, *, client_of: TokenEndpoint) -> PasswordToken:
    known = service.credentials
    return PasswordToken("acme", client_of, username=known.username, password=known.password)
