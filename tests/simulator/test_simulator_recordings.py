"""Get, delete, download, publication; the account that `awkward` and `ordinary` make; what the journal keeps."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from archiver.simulator import (
    Behaviour,
    ListRequest,
    Operation,
    Simulator,
    audio_bytes,
    audio_sha256,
    awkward,
    in_thread,
    ordinary,
)
from tests.support.simulator import NOON, Caller, Clock, StartSimulator, holding, recording


async def test_get_one_equals_the_listed_item(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(holding(recording(7))))
    listed = (await ask.page()).json()["_embedded"]["recordings"][0]
    assert (await ask.get(7)).json() == listed
    assert listed["start"] == "2024-03-01T12:00:00+0000"
    assert listed["end"] == "2024-03-01T12:01:00+0000"


async def test_delete_then_gone_everywhere(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7), recording(8)))
    ask = Caller(http, sim)
    assert (await ask.delete(7)).status_code == 204
    answers = [await ask.delete(7), await ask.get(7), await ask.audio(7)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert await ask.ids() == [8]
    assert (sim.requests.deletes, sim.holds(7), sim.visible()) == ([7, 7], False, 1)


@pytest.mark.parametrize("path", ["/api/audio/recording/none", "/api/accounts/1/company_call_recordings", "/api/x"])
async def test_unknown_things_are_404(simulator: StartSimulator, http: httpx.AsyncClient, path: str) -> None:
    answer = await Caller(http, await simulator(holding(recording(7)))).ask(path)
    assert (answer.status_code, "fault" in answer.json()) == (404, True)


async def test_account_may_be_named_by_its_number(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(holding(recording(7))))
    assert (await ask.page(account="549825")).json()["total_items"] == 1


@pytest.mark.parametrize("size", [32, 144, 65_519, 65_520, 65_521, 400_000])
async def test_audio_is_chunked_mpeg_of_the_listed_size(
    simulator: StartSimulator, http: httpx.AsyncClient, size: int
) -> None:
    answer = await Caller(http, await simulator(holding(recording(7, size=size)))).audio(7)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert "content-length" not in answer.headers
    assert answer.content == audio_bytes(7, size)
    assert len(answer.content) == size
    assert answer.content[:2] == b"\xff\xf3"


def test_no_two_recordings_and_no_two_blocks_are_alike() -> None:
    assert len({audio_sha256(number, 32) for number in range(1000)}) == 1000
    body = audio_bytes(1, 65_520 * 4)
    assert len({body[start : start + 65_520] for start in range(0, len(body), 65_520)}) == 4
    assert hashlib.sha256(body).hexdigest() == audio_sha256(1, len(body))


async def test_download_url_may_name_another_host(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7)), behaviour=Behaviour(download_origin="http://127.0.0.2:9"))
    url = (await Caller(http, sim).get(7)).json()["download_url"]
    assert url == "http://127.0.0.2:9/t/vbc.prod/call_recording_india/api/audio/recording/7"


async def test_published_when_its_time_has_come(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    late = replace(recording(7), published_at=NOON + timedelta(hours=1))
    sim = await simulator(holding(late, recording(8, minutes=5)))
    ask = Caller(http, sim)
    assert (await ask.ids(), (await ask.get(7)).status_code) == ([8], 404)
    clock.move(hours=1)
    assert await ask.ids() == [7, 8]
    assert (await ask.audio(7)).status_code == 200


async def test_publication_put_off_or_taken_back_stays_so(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    soon = NOON + timedelta(hours=1)
    sim = await simulator(holding(*(replace(recording(number), published_at=soon) for number in (7, 8, 9))))
    ask = Caller(http, sim)
    sim.put(replace(recording(7), published_at=soon + timedelta(hours=1)))
    sim.put(recording(8))
    sim.remove(9)
    clock.move(hours=1)
    assert await ask.ids() == [8]
    clock.move(hours=1)
    assert await ask.ids() == [8, 7]


async def test_published_after_downloads_of_others(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(replace(recording(7), after_downloads=2), recording(8)))
    ask = Caller(http, sim)
    await ask.audio(8)
    assert await ask.ids() == [8]
    await ask.audio(8)
    assert await ask.ids() == [8, 7]


async def test_recordings_come_change_and_go_while_it_runs(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7)))
    ask = Caller(http, sim)
    sim.put(recording(9, minutes=1))
    sim.put(replace(recording(7, minutes=2), call_id="changed"))
    assert await ask.ids() == [9, 7]
    assert (await ask.get(7)).json()["call_id"] == "changed"
    sim.remove(9)
    assert await ask.ids() == [7]


async def test_journal_tells_what_was_asked(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7)))
    await Caller(http, sim).page(start_gte="2024-01-01T00:00:00+0000")
    await Caller(http, sim, token="").audio(7)
    await Caller(http, sim).audio(7)
    seen = sim.requests.recent
    assert [(one.method, one.operation, one.recording, one.authorized) for one in seen] == [
        ("GET", Operation.LIST, None, True),
        ("GET", Operation.AUDIO, 7, False),
        ("GET", Operation.AUDIO, 7, True),
    ]
    assert seen[0].path.endswith("?start%3Agte=2024-01-01T00%3A00%3A00%2B0000")
    assert sim.requests.statuses == {
        (Operation.LIST, 200): 1,
        (Operation.AUDIO, 401): 1,
        (Operation.AUDIO, 200): 1,
    }
    assert (len(sim.requests), sim.requests.audio[7], sim.requests.downloads) == (3, 2, 1)
    assert len(sim.requests.of(Operation.AUDIO)) == 2


async def test_journal_keeps_what_each_listing_asked_for(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7)))
    ask = Caller(http, sim)
    await ask.page(start_gte="2024-03-01T17:30:00+0530", start_lte="2024-03-01T13:00:00+0000", page=3, page_size=500)
    await ask.get(7)
    await ask.page()
    await Caller(http, sim, "").page(page=0, page_size=0, start_gte="yesterday", start_lte="2024-02-30T00:00:00+0000")
    assert list(sim.requests.listings) == [
        ListRequest(since=NOON, until=NOON + timedelta(hours=1), page=3, page_size=500),
        ListRequest(since=None, until=None, page=None, page_size=None),
        ListRequest(since=None, until=None, page=0, page_size=0),
    ]
    assert (sim.requests.counts[Operation.LIST], sim.requests.listed) == (3, 2)
    assert sim.requests.recent[0].listing == sim.requests.listings[0]


async def test_stopped_and_started_again_on_its_port(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(7), recording(8)))
    ask = Caller(http, sim)
    await ask.delete(7)
    before = sim.base_url
    await sim.stop()
    await sim.start()
    assert (sim.base_url, await ask.ids()) == (before, [8])


def test_ordinary_is_the_same_every_time() -> None:
    account = ordinary(1000, mean_size=400_000, over=timedelta(days=10), start=NOON)
    sizes = [one.size for one in account.recordings]
    assert account == ordinary(1000, mean_size=400_000, over=timedelta(days=10), start=NOON)
    assert account != ordinary(1000, seed=2, mean_size=400_000, over=timedelta(days=10), start=NOON)
    assert 380_000 < sum(sizes) / len(sizes) < 420_000
    assert len({one.id for one in account.recordings}) == 1000
    assert all(NOON <= one.start < NOON + timedelta(days=10) for one in account.recordings)


def test_awkward_holds_what_it_promises() -> None:
    account = awkward(300, seed=3, now=NOON)
    held = {one.id: one for one in account.recordings}
    odd = account.oddities
    assert account == awkward(300, seed=3, now=NOON)
    assert (len(held), len(set(odd.values()))) == (300, len(odd))
    same_second = held[odd["same_second"]].start
    assert sum(one.start == same_second for one in held.values()) == 4
    assert sum(one.file_name == "recording.mp3" for one in held.values()) == 2
    assert held[odd["size_disagrees"]].listed_size != held[odd["size_disagrees"]].size
    assert any(isinstance(one.caller_id, int) for one in held.values())
    assert any(str(one.caller_id).startswith("0") for one in held.values())
    assert NOON - timedelta(hours=72) < held[odd["late"]].start < NOON
    old = [odd[name] for name in ("same_second", "size_disagrees", "html_always")]
    assert all(held[number].start < NOON - timedelta(days=31) for number in old)
    assert all(NOON - timedelta(days=46) < one.start < NOON for one in held.values())


@pytest.mark.parametrize("count", [20, 21, 45])
def test_small_awkward_accounts_keep_their_oddities_apart(count: int) -> None:
    account = awkward(count, now=NOON)
    assert len({one.id for one in account.recordings}) == count
    assert len(set(account.oddities.values())) == len(account.oddities)


async def test_awkward_goes_wrong_as_scripted(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    account = awkward(60, now=NOON)
    ask = Caller(http, await simulator(account))
    lists = [await ask.page() for _ in range(4)]
    assert [answer.status_code for answer in lists] == [200, 429, 200, 503]
    assert lists[1].headers["retry-after"] == "1"
    always = [await ask.audio(account.oddities["html_always"]) for _ in range(5)]
    assert all(b"<html>" in answer.content for answer in always)
    once = [await ask.audio(account.oddities["html_once"]) for _ in range(2)]
    assert [b"<html>" in answer.content for answer in once] == [True, False]
    throttled = [await ask.audio(account.oddities["throttled"]) for _ in range(2)]
    assert [answer.status_code for answer in throttled] == [429, 200]


async def test_usable_from_a_thread(http: httpx.AsyncClient) -> None:
    with in_thread(holding(recording(7))) as sim:
        assert await Caller(http, sim).ids() == [7]
        sim.put(recording(8))
        assert await Caller(http, sim).ids() == [8, 7]
        assert sim.requests.counts[Operation.LIST] == 2


async def test_arrived_waits_for_a_request(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim: Simulator = await simulator(holding(recording(7)))
    waiting = asyncio.ensure_future(sim.arrived(Operation.AUDIO, 2))
    await Caller(http, sim).audio(7)
    assert not waiting.done()
    await Caller(http, sim).audio(7)
    await asyncio.wait_for(waiting, 5)
