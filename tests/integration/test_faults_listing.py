"""Items and pages that make no sense: what can be read is archived, the rest is named on the gap list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.simulator import (
    Account,
    Fault,
    Garbage,
    Html,
    MalformedItems,
    Operation,
    Redirect,
    SimRecording,
    Status,
    Truncate,
)
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, calls, key_of

ODD_BUT_READABLE: tuple[Mapping[str, object], ...] = (
    {"file_size_in_bytes": "2001", "duration": "60000", "extensions": "2101"},
    {"caller_id": 910000000000, "extensions": [2101], "dnis": 911, "cnam": 12.0, "call_id": 7},
    {"caller_id": None, "cnam": None, "dnis": None, "extensions": None, "file_name": None, "end": None, "rule_ids": 9},
    {"call_direction": "SIDEWAYS"},
    {"call_direction": {"value": ["INBOUND"]}, "caller_id": [1], "end": "yesterday"},
    {"file_name": "../../../../etc/passwd"},
    {"file_name": "call\u0000\r\n\u001b[31m.mp3", "cnam": "\u0000", "extensions": ["\u0000"], "caller_id": "\u0007"},
    {"cnam": "\ud800", "file_name": "\udfff.mp3", "extensions": ["\ud83d"], "\ud800": "\ud800"},
    {"duration": float("inf"), "more": [float("nan"), {"deep": float("-inf")}]},
    {"end": "0001-01-01T00:00:00+0000", "duration": 10**30},
    {"end": "9999-12-31T23:59:59-1200", "duration": -5},
    {"_links": {"self": {"href": "https://elsewhere.example/steal"}}, "download_url": "https://elsewhere.example/a"},
    {"x" * 5000: "y" * 50_000},
)
UNREADABLE: tuple[Mapping[str, object], ...] = (
    {"start": None},
    {"start": "01/02/2024 3:04 PM"},
    {"start": "2024-02-01T00:00:00"},
    {"start": "2024-02-30T25:61:00+0000"},
    {"start": 1_546_300_800},
    {"id": None},
    {"id": {"value": 900}},
    {"id": "../../../../etc/passwd"},
    {"id": -1},
    {"id": "7\u0000"},
)
TODAY = (NOON - timedelta(hours=12)).isoformat()
DESCRIPTIONS_OF_ONE = """
select raw ->> 'call_id' from recordings where recording_id = '1'
union all select unnest(earlier)::json ->> 'call_id' from recordings where recording_id = '1'
union all select raw -> 'item' ->> 'call_id' from gaps where kind = 'malformed'
"""


def odd(overlays: tuple[Mapping[str, object], ...]) -> tuple[SimRecording, ...]:
    whole = calls(len(overlays), days=1)
    return tuple(replace(item, overlay=overlay) for item, overlay in zip(whole, overlays, strict=True))


async def test_odd_fields_cost_no_recording(world: MakeWorld) -> None:
    """Wrong types, nulls, control characters, paths: each is archived under its own key, with what came beside it."""
    recordings = odd(ODD_BUT_READABLE)
    here = await world(Account(recordings=recordings))

    await here.sync()

    assert set((await here.states()).values()) == {State.VERIFIED}
    assert set(await here.audio()) == {key_of(recording) for recording in recordings}
    assert here.exit_code == 0
    objects = await here.objects()
    for recording, overlay in zip(recordings, ODD_BUT_READABLE, strict=True):
        kept = json.loads(objects[key_of(recording).replace(".mp3", ".json")])["source"]
        finite = {name: value for name, value in overlay.items() if name not in {"duration", "more"}}
        assert {name: kept[name] for name in finite} == finite


async def test_missing_fields_cost_no_recording(world: MakeWorld) -> None:
    """Only id and start are needed; without a size two downloads must agree."""
    optional = ("end", "duration", "file_name", "call_id", "caller_id", "extensions", "file_size_in_bytes", "rule_ids")
    bare = replace(calls(1)[0], dropped=(*optional, "call_direction", "cnam", "dnis", "download_url", "_links"))
    here = await world(Account(recordings=(bare,)))
    await here.sync()
    entry = (await here.entries())["1"]
    assert (entry.state, entry.size_disagrees) == (State.VERIFIED, True)
    assert here.simulator.requests.audio[1] == 2


async def test_an_unreadable_item_is_a_gap_and_blocks_nobody(world: MakeWorld) -> None:
    good = [replace(item, id=item.id + 100) for item in calls(3, days=2)]
    here = await world(Account(recordings=(*odd(UNREADABLE), *good)))

    with capture_logs() as logs:
        done = await here.sync()

    assert await here.states() == {str(item.id): State.VERIFIED for item in good}
    assert done.reports["acme"].malformed == len(UNREADABLE)
    rows = await here.query("select raw ::text from gaps where kind = 'malformed' and closed_at is null")
    assert len(rows) == len(UNREADABLE)
    assert [event["items"] for event in logs if event["event"] == "malformed_items"] == [len(UNREADABLE)]
    assert here.exit_code == 3


async def test_the_same_unreadable_item_opens_one_gap_only(world: MakeWorld) -> None:
    """Each pass sees it again."""
    here = await world(Account(recordings=odd(({"id": None}, {}, {"start": None}))))
    await here.sync()
    here.clock.move(minutes=15)
    again = await here.sync()
    assert await here.query("select opened_at < seen_at from gaps where kind = 'malformed'") == [(True,)] * 2
    assert again.reports["acme"].malformed == 0
    assert len(await here.audio()) == 1


async def test_what_is_no_object_at_all_is_a_gap(world: MakeWorld) -> None:
    strange = Fault(on=Operation.LIST, do=MalformedItems(("null_item", "not_an_object")))
    here = await world(Account(recordings=calls(2, days=0.1), faults=(strange,)))
    here.section("accounts")["start_from"] = TODAY
    await here.sync()
    assert len(await here.audio()) == 2
    rows = await here.query("select raw ->> 'item', reason from gaps where kind = 'malformed' order by 1")
    assert rows == [("recording", "not a JSON object"), (None, "not a JSON object")]


async def test_an_id_twice_on_a_page_is_one_recording(world: MakeWorld) -> None:
    twice = Fault(on=Operation.LIST, do=MalformedItems(("id_twice",)))
    here = await world(Account(recordings=calls(2, days=0.1), faults=(twice,)))
    here.section("accounts")["start_from"] = TODAY
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED}
    assert here.simulator.requests.audio == {1: 1, 2: 1}
    assert await here.gaps() == {}


async def test_an_id_twice_with_two_descriptions_is_reported(world: MakeWorld) -> None:
    """Neither description is lost: one is the recording's, the other lies on the gap list."""
    one, other, third = calls(3, days=1)
    here = await world(Account(recordings=(one, replace(other, overlay={"id": 1}), third)))
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "3": State.VERIFIED}
    assert (await here.gaps())["malformed"].reason == "recording 1 stands twice on a page, differently"
    rows = await here.query(DESCRIPTIONS_OF_ONE)
    assert {str(row[0]) for row in rows} == {one.uuid, other.uuid}
    assert here.exit_code == 3


async def test_an_item_outside_the_asked_window_is_kept(world: MakeWorld) -> None:
    """A source that lists what was not asked for: it is a recording all the same."""
    stray = Fault(on=Operation.LIST, do=MalformedItems(("outside_window",)))
    here = await world(Account(recordings=calls(2, days=1), faults=(stray,)))
    await here.sync()
    assert {"1", "2"} < set(await here.states())


@pytest.mark.parametrize(
    "bad", [Garbage(), Html(), Html("application/json"), Status(500), Status(503), Truncate(40)], ids=str
)
async def test_a_page_of_junk_is_asked_for_again(world: MakeWorld, bad: Garbage | Html | Status | Truncate) -> None:
    here = await world(Account(recordings=calls(5, days=1)), sync={"page_size": 2})
    here.simulator.script(Fault(on=Operation.LIST, do=bad, times=2, after=1))
    done = await here.sync()
    assert len(await here.audio()) == 5
    assert sum(done.reports["acme"].retries.values()) == 2
    assert here.exit_code == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Garbage(), 3),
        (Html("application/json"), 3),
        (Status(500), 5),
        (Status(404), 5),
        (Status(403), 5),
        (Redirect("http://127.0.0.1:1/elsewhere"), 5),
    ],
    ids=str,
)
async def test_a_listing_that_stays_bad_moves_nothing(
    world: MakeWorld, bad: Garbage | Html | Status | Redirect, code: int
) -> None:
    """The watermark stays before the stretch that could not be read, so the next pass finds everything."""
    here = await world(Account(recordings=calls(5, days=1)), sync={"page_size": 2})
    here.simulator.script(Fault(on=Operation.LIST, do=bad, times=None, after=3))

    with capture_logs() as logs:
        done = await here.sync()

    assert here.exit_code == code
    assert done.reports["acme"].stopped.startswith("discover: ")
    assert [event["stage"] for event in logs if event["event"] == "stage_stopped"] == ["discover"]
    [(watermark,)] = await here.query("select watermark from accounts")
    assert isinstance(watermark, datetime)
    assert watermark < calls(5, days=1)[0].start
    here.simulator.heal()
    await here.sync()
    assert len(await here.audio()) == 5
    assert here.exit_code == 0
