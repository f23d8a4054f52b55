"""Every scripted fault, seen through a real client."""

from __future__ import annotations

import asyncio
import json
from email.utils import parsedate_to_datetime

import httpx
import pytest

from archiver.simulator import (
    Changed,
    CutAfter,
    Drop,
    Empty,
    EmptyListing,
    Extra,
    Fault,
    Flip,
    Garbage,
    Hang,
    Html,
    JsonError,
    MalformedItems,
    NeverEnds,
    Operation,
    Redirect,
    Shrunken,
    StallAfter,
    Status,
    Truncate,
    audio_bytes,
)
from archiver.simulator.faults import Action
from archiver.simulator.malformed import KINDS
from tests.support.simulator import NOON, Caller, StartSimulator, holding, recording

SIZE = 100_000
TWO = holding(recording(7, size=SIZE), recording(8, minutes=1))
GOOD = audio_bytes(7, SIZE)


async def _caller(simulator: StartSimulator, http: httpx.AsyncClient, action: Action, on: Operation) -> Caller:
    sim = await simulator(TWO)
    sim.script(Fault(on=on, do=action, times=None))
    return Caller(http, sim)


async def _audio(simulator: StartSimulator, http: httpx.AsyncClient, action: Action) -> httpx.Response:
    return await (await _caller(simulator, http, action, Operation.AUDIO)).audio(7)


@pytest.mark.parametrize(
    ("status", "code"), [(401, 900901), (403, 900908), (404, 404), (429, 900800), (500, 101000), (503, 303001)]
)
async def test_status_is_a_gateway_fault(
    simulator: StartSimulator, http: httpx.AsyncClient, status: int, code: int
) -> None:
    answer = await _audio(simulator, http, Status(status))
    assert (answer.status_code, answer.json()["fault"]["code"]) == (status, code)
    assert "retry-after" not in answer.headers


async def test_status_with_retry_after_in_both_forms(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    seconds = await _audio(simulator, http, Status(429, retry_after=2))
    date = await _audio(simulator, http, Status(503, retry_after=2, as_date=True))
    assert seconds.headers["retry-after"] == "2"
    assert (parsedate_to_datetime(date.headers["retry-after"]) - NOON).total_seconds() == 2


@pytest.mark.parametrize("size", [0, 1, 65_520, 70_000])
async def test_cut_breaks_the_connection_after_so_many_bytes(
    simulator: StartSimulator, http: httpx.AsyncClient, size: int
) -> None:
    ask = await _caller(simulator, http, CutAfter(size), Operation.AUDIO)
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError):
        await _collect(ask, got)
    assert bytes(got) == GOOD[:size]
    assert ask.simulator.requests.statuses == {(Operation.AUDIO, 0): 1}


async def _collect(ask: Caller, got: bytearray, limit: int = 10**9) -> None:
    url = ask.simulator.base_url + "/api/audio/recording/7"
    async with ask.http.stream("GET", url, headers={"Authorization": f"Bearer {ask.token}"}) as answer:
        async for chunk in answer.aiter_raw():
            got += chunk
            if len(got) > limit:
                return


async def test_stalled_body_comes_to_nothing_more(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, StallAfter(70_000), Operation.AUDIO)
    got = bytearray()
    impatient = httpx.Timeout(10, read=0.1)
    async with httpx.AsyncClient(timeout=impatient) as client:
        with pytest.raises(httpx.ReadTimeout):
            await _collect(Caller(client, ask.simulator), got)
    assert bytes(got) == GOOD[:70_000]


async def test_truncated_body_ends_cleanly(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    assert (await _audio(simulator, http, Truncate(70_000))).content == GOOD[:70_000]


async def test_extra_bytes_and_no_bytes(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    assert (await _audio(simulator, http, Extra(5))).content == GOOD + bytes(5)
    empty = await _audio(simulator, http, Empty())
    assert (empty.status_code, empty.content, empty.headers["content-type"]) == (200, b"", "audio/mpeg")


async def test_flipped_bytes_differ_each_time(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, Flip(), Operation.AUDIO)
    bodies = [(await ask.audio(7)).content for _ in range(40)]
    assert len({*bodies, GOOD}) == 41
    assert all(sum(a != b for a, b in zip(body, GOOD, strict=True)) == 1 for body in bodies[:3])
    assert all(body[:4] == GOOD[:4] for body in bodies)


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg"])
async def test_html_with_status_200(simulator: StartSimulator, http: httpx.AsyncClient, content_type: str) -> None:
    answer = await _audio(simulator, http, Html(content_type))
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.content.startswith(b"<!DOCTYPE html>")


async def test_json_error_with_status_200(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    answer = await _audio(simulator, http, JsonError())
    assert (answer.status_code, len(answer.content), "error" in answer.json()) == (200, 59, True)


async def test_body_that_never_ends(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, NeverEnds(), Operation.AUDIO)
    got = bytearray()
    await _collect(ask, got, limit=SIZE * 50)
    assert bytes(got[:SIZE]) == GOOD
    assert len(got) > SIZE * 50


async def test_redirect(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    elsewhere = await simulator(TWO)
    ask = await _caller(simulator, http, Redirect(elsewhere.origin + "/elsewhere"), Operation.AUDIO)
    answer = await ask.audio(7)
    assert (answer.status_code, answer.headers["location"]) == (302, elsewhere.origin + "/elsewhere")
    await http.get(answer.headers["location"])
    assert [(seen.path, seen.authorized) for seen in elsewhere.requests.recent] == [("/elsewhere", False)]


async def test_drop_before_and_after_the_deed(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(TWO)
    sim.script(Fault(on=Operation.DELETE, do=Drop(), recording=7))
    sim.script(Fault(on=Operation.DELETE, do=Drop(applied=True), recording=8))
    for number in (7, 8):
        with pytest.raises(httpx.RemoteProtocolError):
            await Caller(http, sim).delete(number)
    assert (sim.holds(7), sim.holds(8)) == (True, False)


async def test_refused_delete_deletes_nothing(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, Status(503), Operation.DELETE)
    assert (await ask.delete(7)).status_code == 503
    assert ask.simulator.holds(7)


async def test_hang_until_the_client_gives_up(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, Hang(), Operation.AUDIO)
    asking = asyncio.ensure_future(ask.audio(7))
    await ask.simulator.arrived(Operation.AUDIO)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await ask.page()).status_code == 200


async def test_hang_until_released(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, Hang(), Operation.AUDIO)
    asking = [asyncio.ensure_future(ask.audio(7)) for _ in range(2)]
    await ask.simulator.arrived(Operation.AUDIO, 2)
    assert ask.simulator.requests.in_flight == 2
    ask.simulator.release()
    assert [(await answer).content for answer in asking] == [GOOD, GOOD]
    await ask.page()
    assert (ask.simulator.requests.in_flight, ask.simulator.requests.peak) == (0, 2)


async def test_garbage_json(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    answer = await (await _caller(simulator, http, Garbage(), Operation.LIST)).page()
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_listing_claims_that_there_is_nothing(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, EmptyListing(), Operation.LIST)
    window = {"start_gte": "2024-03-01T11:00:00+0000", "start_lte": "2024-03-01T13:00:00+0000"}
    pages = [await ask.page(), await ask.page(**window), await ask.page(page=2, page_size=1, order="start:ASC")]
    for page in (answer.json() for answer in pages):
        assert (page["_embedded"]["recordings"], page["total_items"], page["total_pages"]) == ([], 0, 0)


async def test_shrunken_listing_holds_the_first_ones_on_all_its_pages(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    sim = await simulator(holding(*(recording(number, minutes=number) for number in range(1, 12))))
    sim.script(Fault(on=Operation.LIST, do=Shrunken(0.5), times=None))
    ask = Caller(http, sim)
    pages = [(await ask.page(page=page, page_size=2)).json() for page in (1, 2, 3, 4)]
    assert [[item["id"] for item in page["_embedded"]["recordings"]] for page in pages] == [[1, 2], [3, 4], [5], []]
    assert {(page["total_items"], page["total_pages"]) for page in pages} == {(5, 3)}
    assert await ask.ids(order="start:ASC") == [11, 10, 9, 8, 7]
    assert await ask.ids(start_gte="2024-03-01T11:56:00+0000") == [1, 2]


async def test_shrunken_listing_leaves_single_recordings_and_refusals_alone(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    ask = await _caller(simulator, http, Shrunken(0), Operation.LIST)
    assert (await ask.page()).json()["total_items"] == 0
    assert (await ask.page(page_size=0)).status_code == 400
    assert [(await ask.get(number)).status_code for number in (7, 8)] == [200, 200]
    ask.simulator.heal()
    assert await ask.ids() == [7, 8]


@pytest.mark.parametrize(
    ("share", "total", "left"), [(0.1, 30, 3), (0.1, 9, 0), (0.29, 100, 29), (0.7, 10, 7), (1, 7, 7), (0, 7, 0)]
)
def test_share_is_rounded_down_from_what_was_written(share: float, total: int, left: int) -> None:
    assert Shrunken(share).of(total) == left


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Shrunken(share)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_malformed_items_stand_beside_good_ones(
    simulator: StartSimulator, http: httpx.AsyncClient, kind: str
) -> None:
    ask = await _caller(simulator, http, MalformedItems((kind,)), Operation.LIST)
    items = (await ask.page()).json()["_embedded"]["recordings"]
    good = [(await ask.get(number)).json() for number in (7, 8)]
    assert items[:2] == good
    assert len(items) == 3
    assert (items[2] == items[0]) == (kind == "id_twice")


async def test_malformed_items_in_an_empty_listing(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator()
    sim.script(Fault(on=Operation.LIST, do=MalformedItems(("control_characters",))))
    item = (await Caller(http, sim).page()).json()["_embedded"]["recordings"][0]
    assert "\u0000" in item["file_name"]


async def test_get_one_reads_otherwise_than_the_listing(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    change = {"file_size_in_bytes": 1, "call_id": "another"}
    ask = await _caller(simulator, http, Changed(change), Operation.GET)
    got = (await ask.get(7)).json()
    listed = (await ask.page()).json()["_embedded"]["recordings"][0]
    assert {name for name in got if got[name] != listed[name]} == {"file_size_in_bytes", "call_id"}


async def test_faults_strike_their_recording_their_number_of_times(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    sim = await simulator(TWO)
    sim.script(
        Fault(on=Operation.AUDIO, do=Status(500), recording=7, after=1, times=2),
        Fault(on=Operation.AUDIO, do=Status(503), recording=7),
        Fault(on=Operation.AUDIO, do=Status(403), times=1, after=1),
    )
    ask = Caller(http, sim)
    # The second fault is due at once, while the first still lets one request pass.
    assert [(await ask.audio(7)).status_code for _ in range(4)] == [503, 500, 500, 200]
    assert [(await ask.audio(8)).status_code for _ in range(2)] == [403, 200]


async def test_healed_simulator_is_well(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = await _caller(simulator, http, Status(500), Operation.AUDIO)
    assert (await ask.audio(7)).status_code == 500
    ask.simulator.heal()
    assert (await ask.audio(7)).status_code == 200


async def test_faults_wait_behind_the_gateway(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(TWO)
    sim.script(Fault(on=Operation.AUDIO, do=Status(500)))
    assert (await Caller(http, sim, "").audio(7)).status_code == 401
    assert [(await Caller(http, sim).audio(7)).status_code for _ in range(2)] == [500, 200]
