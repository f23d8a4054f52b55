"""Bodies that hang, drip, stall, never end, or are not what they say."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime

import pytest
from aiohttp import web

from archiver import errors
from archiver.adapters import http_client
from archiver.core.model import Slice
from tests.support.source import Recorder, open_source, replying, serving

DAY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
AUDIO = b"\xff\xfb" + bytes(5000)


async def fetch(base_url: str, *, read_timeout: float = 5.0) -> bytes:
    async with open_source(base_url, read_timeout=read_timeout) as source, source.api.download("7") as stream:
        return b"".join([chunk async for chunk in stream.chunks])


async def test_a_source_that_hangs_is_given_up() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    source = Recorder(hang)
    async with serving(source) as origin, open_source(origin, read_timeout=0.05) as client:
        with pytest.raises(errors.Transient) as caught:
            await client.api.list_page(DAY, page=1, page_size=1)
        assert client.api.retries == {"SocketTimeoutError": 3}
    assert caught.value.__cause__ is None  # a library's error holds the request, and with it the token
    assert len(source.seen) == 4


async def test_a_body_that_stalls_is_given_up() -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(AUDIO)
        await asyncio.Event().wait()
        return response

    async with serving(Recorder(stall)) as origin:
        with pytest.raises(errors.Transient):
            await fetch(origin, read_timeout=0.05)


async def test_a_body_that_drips_is_given_up_but_not_for_a_slow_reader() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x")
            source.time.seconds += 30
            await asyncio.sleep(0.001)
        return response

    async with serving(Recorder(drip)) as origin, open_source(origin) as source, source.api.download("7") as stream:
        with pytest.raises(errors.Transient, match="too slowly"):
            assert [chunk async for chunk in stream.chunks]
    async with (
        serving(replying(200, bytes(300_000))) as origin,
        open_source(origin) as source,
        source.api.download("7") as stream,
    ):
        async for _ in stream.chunks:
            source.time.seconds += 1000  # it is the bucket that is slow


async def test_leaving_a_download_early_gives_the_connection_back() -> None:
    async with serving(replying(200, bytes(5_000_000))) as origin, open_source(origin) as source:
        for _ in range(40):  # more than the pool holds
            async with source.api.download("7") as stream:
                assert stream.content_length == 5_000_000
                async for _chunk in stream.chunks:
                    break


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 abc\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_000]
)
async def test_what_is_not_http_is_tried_again(head: bytes) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, open_source(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as source:
        with pytest.raises(errors.Transient):
            await source.api.list_page(DAY, page=1, page_size=1)
    assert connections == 4


async def test_a_page_without_end_is_bounded() -> None:
    async with serving(replying(200, b"[" * 100_000)) as origin:
        client = http_client.make_client()
        async with client, client.stream("GET", origin) as response:
            with pytest.raises(errors.BodyRejected):
                await http_client.read_bounded(response, 65_536)
    async with serving(replying(200, b"[" * 200_000)) as origin, open_source(origin) as source:
        with pytest.raises(errors.BodyRejected):  # nested beyond what a parser can take
            await source.api.list_page(DAY, page=1, page_size=1)


async def test_compressed_answers_are_understood_though_not_asked_for() -> None:
    page = gzip.compress(json.dumps({"_embedded": {"recordings": []}}).encode())
    source = replying(200, page, **{"Content-Encoding": "gzip"})
    async with serving(source) as origin, open_source(origin) as client:
        assert (await client.api.list_page(DAY, page=1, page_size=1)).recordings == ()
        async with client.api.download("7") as stream:
            assert stream.content_length is None  # of other bytes than those that come
    assert source.seen[0].headers["Accept-Encoding"] == "identity"
    async with serving(replying(200, b"no gzip", **{"Content-Encoding": "gzip"})) as origin:
        with pytest.raises(errors.Transient):
            await fetch(origin)
