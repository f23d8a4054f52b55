"""The list operation: windows, order, pages, filters, and the lies that it can be told to tell."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from archiver.simulator import Account, Behaviour, Endless, Numbers, PageZero, Totals, ordinary
from tests.support.simulator import Caller, StartSimulator, holding, recording

FIVE = holding(*(recording(number, minutes=number) for number in range(1, 6)))


async def test_default_is_newest_first_ten_on_a_page(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    page = (await Caller(http, await simulator(ordinary(12, mean_size=1000))).page()).json()
    starts = [item["start"] for item in page["_embedded"]["recordings"]]
    assert starts == sorted(starts, reverse=True)
    assert (len(starts), page["page"], page["page_size"]) == (10, 1, 10)
    assert (page["total_items"], page["total_pages"]) == (12, 2)


async def test_pages_cover_everything_once_in_either_order(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE))
    upwards = [await ask.ids(order="start:ASC", page=page, page_size=2) for page in (1, 2, 3, 4)]
    downwards = [await ask.ids(order="start:DESC", page=page, page_size=2) for page in (1, 2, 3, 4)]
    assert upwards == [[5, 4], [3, 2], [1], []]
    assert downwards == [[1, 2], [3, 4], [5], []]


async def test_same_second_is_ordered_by_id(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(holding(recording(3), recording(1), recording(2))))
    assert await ask.ids(order="start:ASC") == [1, 2, 3]
    assert await ask.ids(order="start:DESC") == [3, 2, 1]


async def test_window_is_closed_at_both_ends(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE))
    page = await ask.page(start_gte="2024-03-01T11:56:00+0000", start_lte="2024-03-01T11:58:00+0000")
    assert [item["id"] for item in page.json()["_embedded"]["recordings"]] == [2, 3, 4]
    assert page.json()["total_items"] == 3
    same_moments = {"start_gte": "2024-03-01T17:26:00+0530", "start_lte": "2024-03-01T17:28:00+0530"}
    assert await ask.ids(**same_moments) == [2, 3, 4]


@pytest.mark.parametrize(
    "query",
    [
        "start:gte=2024-03-01T11:56:00+0000",  # the plus arrives as a space
        "start:gte=2024-03-01T11:56:00Z",
        "start:gte=2024-03-01",
        "start:lte=2024-02-30T00:00:00%2B0000",
        "start:lte=yesterday",
        "page=minus",
        "page=-1",
        "page_size=0",
        "page_size=ten",
        "order=id:ASC",
        "duration:gte=long",
    ],
)
async def test_bad_query_is_refused(simulator: StartSimulator, http: httpx.AsyncClient, query: str) -> None:
    ask = Caller(http, await simulator(FIVE))
    answer = await ask.ask(f"/api/accounts/self/company_call_recordings?{query}")
    assert (answer.status_code, answer.json()["fault"]["code"]) == (400, 400)


async def test_filters(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    account = holding(
        recording(1),
        replace(recording(2), direction="OUTBOUND", extensions=(2102, "0417"), duration_ms=5000),
        replace(recording(3), caller_id=1555, call_id="5b0c", cnam="CALLER 3", dnis="007"),
    )
    ask = Caller(http, await simulator(account))
    assert await ask.ids(call_direction="OUTBOUND") == [2]
    assert await ask.ids(extension="2102") == await ask.ids(extension="0417") == [2]
    assert await ask.ids(duration_lte=5000) == [2]
    assert await ask.ids(duration_gte=5001, page_size=1, page=2) == [1]
    for name, value in {"caller_id": "1555", "call_id": "5b0c", "cnam": "CALLER 3", "dnis": "007"}.items():
        assert await ask.ids(**{name: value}) == [3]
    assert await ask.ids(call_direction="INBOUND", extension="2101") == [3, 1]


async def test_page_size_is_capped(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE, behaviour=Behaviour(page_size_cap=3)))
    page = (await ask.page(page_size=1000)).json()
    assert (page["page_size"], len(page["_embedded"]["recordings"]), page["total_pages"]) == (3, 3, 2)


async def test_page_base_zero(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE, behaviour=Behaviour(page_base=0)))
    assert await ask.ids(page_size=2) == await ask.ids(page_size=2, page=0) == [1, 2]
    assert await ask.ids(page_size=2, page=1) == [3, 4]
    assert (await ask.page(page=0)).json()["page"] == 0


async def test_page_zero_where_pages_count_from_one(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(FIVE)
    ask = Caller(http, sim)
    assert await ask.ids(page_size=2, page=0) == await ask.ids(page_size=2, page=1)
    sim.behaviour = Behaviour(page_zero=PageZero.REFUSE)
    assert (await ask.page(page=0)).status_code == 400


async def test_totals_zero_absent_and_wrong(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(FIVE, behaviour=Behaviour(totals=Totals.ZERO))
    ask = Caller(http, sim)
    names = ("page", "page_size", "total_items", "total_pages")
    zero = (await ask.page()).json()
    assert [zero[name] for name in names] == [0, 0, 0, 0]
    assert len(zero["_embedded"]["recordings"]) == 5
    sim.behaviour = Behaviour(totals=Totals.ABSENT)
    assert [name in (await ask.page()).json() for name in names] == [True, True, False, False]
    sim.behaviour = Behaviour(totals_off_by=7)
    wrong = (await ask.page()).json()
    assert (wrong["total_items"], wrong["total_pages"]) == (12, 2)


async def test_a_hidden_recording_is_counted_and_not_shown(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    first, *rest = FIVE.recordings
    ask = Caller(http, await simulator(Account(recordings=(replace(first, hidden=True), *rest))))
    page = (await ask.page()).json()
    assert page["total_items"] == 5
    assert first.id not in [item["id"] for item in page["_embedded"]["recordings"]]
    assert len(page["_embedded"]["recordings"]) == 4


async def test_totals_of_the_page_alone(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE, behaviour=Behaviour(totals=Totals.PAGE)))
    pages = [(await ask.page(page=page, page_size=2)).json() for page in (1, 2, 3, 4)]
    assert [(page["total_items"], page["total_pages"]) for page in pages] == [(2, 1), (2, 1), (1, 1), (0, 1)]
    assert [len(page["_embedded"]["recordings"]) for page in pages] == [2, 2, 1, 0]


async def test_unreadable_recordings_are_counted_in_the_total(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    bad = (
        replace(recording(1), overlay={"start": None}),
        replace(recording(2), overlay={"id": "two"}),
        replace(recording(3), dropped=("id", "start")),
    )
    page = (await Caller(http, await simulator(holding(*bad, recording(4)))).page(page_size=2)).json()
    assert (page["total_items"], page["total_pages"]) == (4, 2)


async def test_next_and_last_carry_the_documented_wrong_path(
    simulator: StartSimulator, http: httpx.AsyncClient
) -> None:
    ask = Caller(http, await simulator(FIVE))
    page = await ask.page(page=2, page_size=2, start_gte="2024-01-01T00:00:00+0000")
    links = {name: link["href"] for name, link in page.json()["_links"].items()}
    assert {name for name, href in links.items() if "/call_recordingindia/" in href} == {"next", "last"}
    assert all("start%3Agte=2024-01-01T00%3A00%3A00%2B0000" in href for href in links.values())
    assert "?page=1&" in links["prev"]
    followed = await http.get(links["next"], headers={"Authorization": f"Bearer {ask.token}"})
    assert (followed.status_code, followed.json()["fault"]["code"]) == (404, 900906)
    assert "prev" not in (await ask.page()).json()["_links"]
    assert "next" not in (await ask.page()).json()["_links"]


async def test_numbers_as_integers_and_as_text(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    account = holding(
        replace(recording(1), caller_id=15555550100, extensions=("2101", 3105, "0417")),
        replace(recording(2), caller_id="0000012345"),
    )
    sim = await simulator(account)
    ask = Caller(http, sim)

    async def written() -> tuple[object, object, object]:
        one, two = (await ask.get(1)).json(), (await ask.get(2)).json()
        return one["caller_id"], one["extensions"], two["caller_id"]

    assert await written() == (15555550100, ["2101", 3105, "0417"], "0000012345")
    sim.behaviour = Behaviour(numbers=Numbers.INTEGERS)
    assert await written() == (15555550100, [2101, 3105, "0417"], "0000012345")
    sim.behaviour = Behaviour(numbers=Numbers.STRINGS)
    assert await written() == ("15555550100", ["2101", "3105", "0417"], "0000012345")


async def test_listing_that_never_ends(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(FIVE, behaviour=Behaviour(endless=Endless.REPEATING))
    ask = Caller(http, sim)
    pages = [await ask.ids(page=page, page_size=2) for page in (1, 2, 3, 4, 50)]
    assert pages == [[1, 2], [3, 4], [5, 3], [3, 4], [3, 4]]
    sim.behaviour = Behaviour(endless=Endless.CHANGING)
    seen = [number for page in range(1, 30) for number in await ask.ids(page=page, page_size=2)]
    assert len(seen) == len(set(seen)) == 58
    assert "next" in (await ask.page(page=999)).json()["_links"]


async def test_window_ignored(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(FIVE, behaviour=Behaviour(ignore_window=True)))
    assert await ask.ids(start_lte="2001-01-01T00:00:00+0000") == [1, 2, 3, 4, 5]


async def test_overlay_and_dropped_fields_are_listed(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    odd = replace(recording(1), overlay={"start": None, "file_name": "../\u0000"}, dropped=("call_id",))
    item = (await Caller(http, await simulator(holding(odd))).page()).json()["_embedded"]["recordings"][0]
    assert (item["start"], item["file_name"], "call_id" in item) == (None, "../\u0000", False)


async def test_hundred_thousand_rows_are_paged_by_bisection(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    account = ordinary(100_000, mean_size=1000)
    ask = Caller(http, await simulator(account))
    oldest = sorted(account.recordings, key=lambda one: one.key)[99_900:]
    last = await ask.page(order="start:ASC", page=1000, page_size=100)
    assert [item["id"] for item in last.json()["_embedded"]["recordings"]] == [one.id for one in oldest]
    assert last.json()["total_items"] == 100_000
