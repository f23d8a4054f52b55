"""Bodies that are not the recording: none of them is ever archived, and none stops the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from aiohttp import web
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from archiver.simulator import (
    Account,
    Behaviour,
    CutAfter,
    Drop,
    Empty,
    Extra,
    Fault,
    Flip,
    Hang,
    Html,
    JsonError,
    NeverEnds,
    Operation,
    Redirect,
    SimRecording,
    StallAfter,
    Status,
    Truncate,
    audio_bytes,
)
from archiver.simulator.faults import Action
from tests.support.source import serving
from tests.support.world import MakeWorld, World, calls, key_of

MIB = 1024 * 1024

# What a recording's every download does, and what its line on the gap list says.
NEVER_ARCHIVED: tuple[tuple[Action, str], ...] = (
    (Html(), "the body is a web page, not audio"),
    (Html("audio/mpeg"), "the body is a web page, not audio"),
    (JsonError(), "the body is JSON, not audio"),
    (JsonError("audio/mpeg"), "the body is JSON, not audio"),
    (Empty(), "the body is empty"),
    (CutAfter(700), "download: "),
    (CutAfter(0), "download: "),
    (StallAfter(700), "download: "),
    (NeverEnds(), "the body does not end: "),
    (Drop(), "download: "),
    (Status(500), "download: status_500"),
    (Status(503), "download: status_503"),
    (Status(403), "download: status_403"),
    (Redirect("ftp://127.0.0.1/audio"), "download: a redirect to an origin that is not trusted"),
)


def striking(recording: int, do: Action, times: int | None = None) -> Fault:
    return Fault(on=Operation.AUDIO, do=do, recording=recording, times=times)


def body(recording: SimRecording) -> bytes:
    return audio_bytes(recording.id, recording.size)


async def test_what_is_not_the_recording_is_never_archived(world: MakeWorld) -> None:
    """Every bad body ends as a named gap, every good recording beside it is archived."""
    bad, good = calls(len(NEVER_ARCHIVED)), [replace(item, id=item.id + 100) for item in calls(3)]
    faults = tuple(striking(item.id, do) for item, (do, _) in zip(bad, NEVER_ARCHIVED, strict=True))
    here = await world(Account(recordings=(*bad, *good), faults=faults), sync={"concurrency": 16})
    here.read_timeout = 0.4

    with capture_logs(processors=[merge_contextvars]) as logs:
        await here.sync()

    assert await here.audio() == {key_of(item): body(item) for item in good}
    gaps = await here.gaps()
    assert set(gaps) == {str(item.id) for item in bad}
    for item, (_, reason) in zip(bad, NEVER_ARCHIVED, strict=True):
        assert gaps[str(item.id)].reason.startswith(reason)
    failed = {event["recording_id"] for event in logs if event["event"] == "transfer_failed"}
    assert failed == set(gaps)
    assert here.exit_code == 3


@dataclass(frozen=True)
class Passing:
    """A fault that strikes once: the next download is good, within the same pass."""

    do: Action
    cause: str  # under which the repetition is counted


PASSING = (
    Passing(Html("audio/mpeg"), "body_rejected"),
    Passing(Empty(), "body_rejected"),
    Passing(Truncate(900), "size_disagrees"),
    Passing(Extra(), "size_disagrees"),
    Passing(CutAfter(900), "cut_off"),
    Passing(StallAfter(900), "cut_off"),
    Passing(Hang(), "SocketTimeoutError"),
    Passing(Drop(), "ServerDisconnectedError"),
    Passing(Status(503), "status_503"),
    Passing(Status(429, retry_after=30), "status_429"),
    Passing(Status(429, retry_after=30, as_date=True), "status_429"),
    Passing(Status(429), "status_429"),
    Passing(Status(503, retry_after=7), "status_503"),
)


async def test_what_passes_costs_no_attempt(world: MakeWorld) -> None:
    """A fault that strikes once is made good within the pass, and counted."""
    recordings = calls(len(PASSING))
    faults = tuple(striking(item.id, fault.do, times=1) for item, fault in zip(recordings, PASSING, strict=True))
    here = await world(Account(recordings=recordings, faults=faults))
    here.read_timeout = 0.4

    done = await here.sync()

    assert await here.audio() == {key_of(item): body(item) for item in recordings}
    entries = await here.entries()
    assert {entry.attempts for entry in entries.values()} == {1}
    assert not any(entry.size_disagrees for entry in entries.values())
    counted = done.reports["acme"].retries
    assert {fault.cause for fault in PASSING} <= set(counted)
    assert counted["status_429"] == 3
    assert here.exit_code == 0


async def test_a_size_that_disagrees_consistently_is_stored_and_marked(world: MakeWorld) -> None:
    """Two downloads agree: the bytes are kept, with a mark that bars them from deletion at the source."""
    recordings = (*(replace(item, listed_size=item.size + 50) for item in calls(1)), *calls(2)[1:])
    here = await world(Account(recordings=recordings))

    with capture_logs() as logs:
        done = await here.sync()

    entries = await here.entries()
    assert await here.audio() == {key_of(item): body(item) for item in recordings}
    assert [entries[identity].size_disagrees for identity in ("1", "2")] == [True, False]
    assert here.simulator.requests.audio == {1: 2, 2: 1}
    assert done.reports["acme"].disagreeing == 1
    assert "size_disagrees" in {event["event"] for event in logs}
    assert here.exit_code == 0


@pytest.mark.parametrize("size", [2_000, 7 * MIB], ids=["one put", "parts"])
async def test_downloads_that_never_agree_are_not_archived(world: MakeWorld, size: int) -> None:
    """The size is not the listed one and each download differs: nothing reaches the bucket, no upload stays open."""
    doubtful = replace(calls(1, size=size)[0], listed_size=size + 50)
    here = await world(Account(recordings=(doubtful,), faults=(striking(1, Flip()),)))
    await here.sync()
    assert await here.audio() == {}
    assert here.store.strict_state.uploads == {}
    gap = (await here.gaps())["1"]
    assert gap.reason == f"the source lists {size + 50} bytes and sent {size + 1}; no two downloads agreed"
    assert here.simulator.requests.audio == {1: 3}
    assert here.exit_code == 3


@pytest.mark.parametrize("do", [CutAfter(6 * MIB), Truncate(6 * MIB), NeverEnds()], ids=str)
async def test_a_large_body_cut_in_the_middle_leaves_nothing_behind(world: MakeWorld, do: Action) -> None:
    """The upload of parts is aborted; the next download is stored whole."""
    large = calls(1, size=11 * MIB)[0]
    here = await world(Account(recordings=(large,), faults=(striking(1, do, times=1),)))
    await here.sync()
    assert await here.audio() == {key_of(large): body(large)}
    assert here.store.client.list_multipart_uploads(Bucket=here.bucket).get("Uploads", []) == []
    assert here.exit_code == 0


async def test_a_download_that_takes_too_long_is_begun_again(world: MakeWorld) -> None:
    """sync.download_timeout bounds a whole download, however patiently single reads are waited for."""
    here = await world(
        Account(recordings=calls(2), faults=(striking(1, StallAfter(900), times=1),)), sync={"download_timeout": "1s"}
    )
    here.read_timeout = 60
    done = await here.sync()
    assert len(await here.audio()) == 2
    assert done.reports["acme"].retries == {"cut_off": 1}
    assert here.exit_code == 0


async def redirected(make: MakeWorld, answer: web.Response) -> tuple[World, list[Mapping[str, str]]]:
    """One recording whose audio lies on another host; returns the headers that reached that host."""
    seen: list[Mapping[str, str]] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers)
        return answer

    async with serving(elsewhere) as other:
        behaviour = Behaviour(download_origin=other)
        here = await make(Account(recordings=calls(1)), behaviour=behaviour)
        here.simulator.script(striking(1, Redirect(f"{other}/signed?key=a%2Fb"), times=1))
        await here.sync()
    return here, seen


async def test_a_redirect_to_another_host_carries_no_token(world: MakeWorld) -> None:
    one = calls(1)[0]
    here, seen = await redirected(world, web.Response(body=body(one)))
    assert await here.audio() == {key_of(one): body(one)}
    assert len(seen) == 1  # the redirect; a download_url on another host is never followed
    assert "Authorization" not in seen[0]
    assert here.simulator.credentials.token not in str(seen[0])


async def test_what_the_other_host_sends_is_looked_at_as_closely(world: MakeWorld) -> None:
    """An expired link: a page with status 200. The next download, without redirect, is good."""
    one = calls(1)[0]
    here, _ = await redirected(world, web.Response(text="<html>expired</html>", content_type="text/html"))
    assert await here.audio() == {key_of(one): body(one)}
    assert here.exit_code == 0
