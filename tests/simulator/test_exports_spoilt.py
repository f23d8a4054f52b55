"""What can be wrong with an export: inside its ZIP, and with the answers around it."""

from __future__ import annotations

import asyncio
import json
import struct
import zipfile
import zlib

import httpx
import pytest

from archiver.simulator import (
    Altered,
    BadBit,
    Bomb,
    Changed,
    CutAfter,
    Drop,
    Empty,
    EmptyListing,
    Encrypted,
    Exports,
    Extra,
    Fault,
    Flip,
    Garbage,
    Hang,
    Html,
    JsonError,
    LeftOut,
    LyingDirectory,
    Method,
    Named,
    Names,
    NeverEnds,
    NoDirectory,
    Operation,
    Redirect,
    Revoke,
    Shrunken,
    Spoil,
    StallAfter,
    Status,
    Stranger,
    Truncate,
    Twice,
    WrongSizes,
)
from archiver.simulator.faults import Action
from archiver.simulator.spoils import Trick
from tests.support.exporting import GOOD, Exporting, StartExporting, by_id, names, opened

BY_ID = Exports(names=Names.ID)
PACKINGS = [
    Exports(names=Names.ID),
    Exports(names=Names.ID, method=Method.DEFLATED, descriptors=True, zip64=True),
]
in_both = pytest.mark.parametrize("exports", PACKINGS, ids=["plain", "streamed"])
BOTH = (Operation.EXPORT, Operation.RETRIEVE)
on_both = pytest.mark.parametrize("on", BOTH)


async def _spoilt(exporting: StartExporting, exports: Exports, *tricks: Trick) -> bytes:
    ask = await exporting(exports)
    ask.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil(tricks)))
    return await ask.zip()


async def _struck(exporting: StartExporting, on: Operation, do: Action, exports: Exports = BY_ID) -> Exporting:
    ask = await exporting(exports)
    ask.simulator.script(Fault(on=on, do=do))
    return ask


async def _asked(ask: Exporting, on: Operation) -> httpx.Response:
    """Send what is to be struck."""
    return await ask.post() if on is Operation.EXPORT else await ask.get((await ask.jobs())[0])


# Inside the ZIP ---------------------------------------------------------------------------------------------


@in_both
async def test_left_out_and_twice(exporting: StartExporting, exports: Exports) -> None:
    data = await _spoilt(exporting, exports, LeftOut(8), Twice(9), LeftOut(1000))
    assert names(data) == ["9.mp3", "9.mp3", "7.mp3"]
    archive = opened(data)
    assert [archive.read(one) for one in archive.infolist()] == [GOOD[9], GOOD[9], GOOD[7]]


async def test_spoilt_once_and_then_good(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.RETRIEVE, Spoil((LeftOut(8),)))
    (job,) = await ask.jobs()
    assert [len(names((await ask.get(job)).content)) for _ in range(2)] == [2, 3]


@in_both
async def test_bad_bit_under_the_true_crc(exporting: StartExporting, exports: Exports) -> None:
    data = await _spoilt(exporting, exports, BadBit(7))
    archive = opened(data)
    assert archive.testzip() == "7.mp3"
    entry = archive.getinfo("7.mp3")
    assert (entry.CRC, entry.file_size) == (zlib.crc32(GOOD[7]), len(GOOD[7]))
    assert archive.read("8.mp3") == GOOD[8]


@in_both
@pytest.mark.parametrize("longer", [0, 5, -5, -70_000])
async def test_altered_with_a_crc_that_agrees(exporting: StartExporting, exports: Exports, longer: int) -> None:
    got = by_id(await _spoilt(exporting, exports, Altered(7, longer=longer)))["7.mp3"]
    both = zip(got, GOOD[7] + bytes(5), strict=False)
    assert (len(got), sum(one != other for one, other in both)) == (len(GOOD[7]) + longer, 1)


@in_both
async def test_claims_to_be_encrypted(exporting: StartExporting, exports: Exports) -> None:
    data = await _spoilt(exporting, exports, Encrypted(9))
    archive = opened(data)
    assert [one.flag_bits & 1 for one in archive.infolist()] == [1, 0, 0]
    assert struct.unpack_from("<H", data, 6)[0] & 1
    with pytest.raises(RuntimeError, match="encrypted"):
        archive.read("9.mp3")


@in_both
@pytest.mark.parametrize("name", ["../x", "/etc/x", "C:\\x", "x\0.mp3", "", "7.mp3", "\u202ex", "x" * 60_000])
async def test_any_name(exporting: StartExporting, exports: Exports, name: str) -> None:
    assert names(await _spoilt(exporting, exports, Named(8, name))) == ["9.mp3", name, "7.mp3"]


@in_both
async def test_strangers_first_and_last(exporting: StartExporting, exports: Exports) -> None:
    tricks = (Stranger("new.mp3", b"new"), Stranger("readme", b"text", first=True), Stranger("folder/", b""))
    found = by_id(await _spoilt(exporting, exports, *tricks))
    assert list(found) == ["readme", "9.mp3", "8.mp3", "7.mp3", "new.mp3", "folder/"]
    assert (found["readme"], found["new.mp3"]) == (b"text", b"new")


@in_both
async def test_bomb(exporting: StartExporting, exports: Exports) -> None:
    data = await _spoilt(exporting, exports, Bomb("bomb.mp3", 20))
    archive = opened(data)
    assert archive.testzip() is None
    assert archive.getinfo("bomb.mp3").file_size == 20 << 20
    assert len(data) < 200_000


async def test_wrong_sizes_before_and_behind_the_data(exporting: StartExporting) -> None:
    before = await _spoilt(exporting, BY_ID, WrongSizes(9, by=-3))
    assert struct.unpack_from("<2L", before, 18) == (37, 37)
    behind = await _spoilt(exporting, Exports(names=Names.ID, descriptors=True), WrongSizes(9, by=3))
    assert struct.unpack_from("<2L", behind, 30 + 5 + 40 + 8) == (43, 43)
    assert by_id(before) == by_id(behind)


async def test_directory_that_lies(exporting: StartExporting) -> None:
    data = await _spoilt(exporting, BY_ID, LyingDirectory(prefix="not-", by=9))
    archive = opened(data)
    assert (names(data)[0], archive.infolist()[0].file_size) == ("not-9.mp3", 49)
    assert (data[30:35], struct.unpack_from("<2L", data, 18)) == (b"9.mp3", (40, 40))
    with pytest.raises(zipfile.BadZipFile, match="differ"):
        archive.read("not-9.mp3")


async def test_no_directory(exporting: StartExporting) -> None:
    data = await _spoilt(exporting, BY_ID, NoDirectory())
    assert (data.count(b"PK\3\4"), data.endswith(GOOD[7])) == (3, True)
    with pytest.raises(zipfile.BadZipFile):
        opened(data)


async def test_spoilt_where_it_is_signed(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.SIGNED, Spoil((LeftOut(8),)))
    (job,) = await ask.jobs()
    assert names((await ask.http.get(ask.simulator.signed_url + job)).content) == ["9.mp3", "7.mp3"]


async def test_no_zip_is_not_spoilt(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.RETRIEVE, Spoil((LeftOut(8),)), Exports(polls=1))
    assert (await ask.get((await ask.jobs())[0])).json() == {"status": "IN_PROGRESS"}


# Around it --------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize(
    ("do", "status", "start"),
    [
        (Status(503), 503, b'{"fault":'),
        (Status(429, retry_after=1), 429, b'{"fault":'),
        (Html(), 200, b"<!DOCTYPE html>"),
        (Html("application/zip"), 200, b"<!DOCTYPE html>"),
        (JsonError(), 200, b'{"error":'),
        (Garbage(), 200, b'{"_embedded":'),
        (Redirect("http://127.0.0.2:9/x"), 302, b""),
        (Revoke(), 401, b'{"fault":'),
    ],
)
async def test_answers_in_its_place(
    exporting: StartExporting, on: Operation, do: Action, status: int, start: bytes
) -> None:
    ask = await _struck(exporting, on, do)
    answer = await _asked(ask, on)
    assert (answer.status_code, answer.content[: len(start)]) == (status, start)
    assert len(ask.simulator.jobs) == (0 if on is Operation.EXPORT else 1)
    assert ask.simulator.requests.statuses[on, status] == 1


@on_both
async def test_cut_stalled_and_dropped(exporting: StartExporting, http: httpx.AsyncClient, on: Operation) -> None:
    for do, error in (
        (CutAfter(10), httpx.RemoteProtocolError),
        (Drop(), httpx.RemoteProtocolError),
        (StallAfter(10), httpx.ReadTimeout),
    ):
        ask = await _struck(exporting, on, do)
        async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=0.2)) as impatient:
            with pytest.raises(error):
                await _asked(Exporting(impatient, ask.simulator), on)
        assert (await _asked(ask, on)).status_code in {200, 201}


async def _collect(ask: Exporting, job: str, got: bytearray, limit: int) -> None:
    params = {"jobId": job, "userName": "auditor"}
    async with ask.http.stream("GET", ask.get_url, params=params, headers=ask.headers) as answer:
        async for chunk in answer.aiter_raw():
            got += chunk
            if len(got) > limit:
                return


async def test_cut_within_the_zip(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.RETRIEVE, CutAfter(50_000))
    (job,) = await ask.jobs()
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError):
        await _collect(ask, job, got, 10**9)
    assert (len(got), bytes(got)) == (50_000, (await ask.get(job)).content[:50_000])


@on_both
async def test_shortened_lengthened_and_flipped(exporting: StartExporting, on: Operation) -> None:
    ask = await exporting(BY_ID)
    good = (await _asked(ask, on)).content
    bodies = []
    for do in (Truncate(8), Empty(), Extra(7), Flip()):
        ask = await _struck(exporting, on, do)
        answer = await _asked(ask, on)
        assert answer.status_code == (201 if on is Operation.EXPORT else 200)
        bodies.append(answer.content)
    assert bodies[:3] == [good[:8], b"", good + bytes(7)]
    assert sum(one != other for one, other in zip(bodies[3], good, strict=True)) == 1


async def test_zip_that_never_ends(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.RETRIEVE, NeverEnds())
    (job,) = await ask.jobs()
    got = bytearray()
    await _collect(ask, job, got, 1_000_000)
    assert len(got) > 1_000_000


@on_both
async def test_hangs_until_released(exporting: StartExporting, on: Operation) -> None:
    ask = await _struck(exporting, on, Hang())
    asking = asyncio.ensure_future(_asked(ask, on))
    await ask.simulator.arrived(on)
    ask.simulator.release()
    assert (await asking).status_code in {200, 201}


async def test_jobs_that_were_made_and_not_told_of(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.EXPORT, Drop(applied=True))
    with pytest.raises(httpx.RemoteProtocolError):
        await ask.post()
    (asked,) = ask.simulator.requests.exports
    assert list(ask.simulator.jobs) == list(asked.job_ids)
    assert len(asked.job_ids) == 1


async def test_export_of_a_share(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.EXPORT, Shrunken(0.67))
    assert names(await ask.zip()) == ["9.mp3", "8.mp3"]


@pytest.mark.parametrize("value", [None, "x", [], [1], [""], [None], {"id": "x"}])
async def test_job_ids_that_make_no_sense(exporting: StartExporting, value: object) -> None:
    ask = await _struck(exporting, Operation.EXPORT, Changed({"job_ids": value}))
    answer = await ask.post()
    assert (answer.status_code, json.loads(answer.content)) == (201, {"job_ids": value})
    assert len(ask.simulator.requests.exports[0].job_ids) == 1


async def test_faults_of_listings_leave_a_zip_alone(exporting: StartExporting) -> None:
    ask = await _struck(exporting, Operation.RETRIEVE, EmptyListing())
    assert len(by_id(await ask.zip())) == 3
