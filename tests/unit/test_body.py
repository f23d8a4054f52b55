"""Cutting a download into parts: however it is chunked, the parts, the digest and the end are the same."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.model import Fixity
from archiver.errors import BodyRejected
from archiver.stages.deposit import SPARE_BYTES, Body, longest
from archiver.stages.ports import AudioStream


async def chunked(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def body_of(chunks: Sequence[bytes], limit: int = 10_000) -> Body:
    return Body(AudioStream(content_type=None, content_length=None, chunks=chunked(chunks)), limit=limit)


async def parts_of(body: Body, size: int) -> list[tuple[bytes, bool]]:
    """Every part with whether the body said after it that it had ended; the empty one at the end included."""
    parts = []
    while True:
        part = await body.part(size)
        parts.append((part, body.ended))
        if not part:
            return parts


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a body at places; equal places make empty chunks."""
    marks = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:stop] for start, stop in itertools.pairwise(marks)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=12), st.integers(1, 80))
def test_any_chunking_gives_the_same_parts(body: bytes, places: list[int], size: int) -> None:
    """All parts but the last are whole; the end is known with the last part, never before it."""
    cutter = body_of(cut(body, places))
    parts = asyncio.run(parts_of(cutter, size))
    expected = [body[start : start + size] for start in range(0, len(body), size)]
    assert [part for part, _ in parts] == [*expected, b""]
    last = max(len(expected) - 1, 0)
    assert [ended for _, ended in parts] == [number >= last for number in range(len(parts))]
    assert cutter.fixity() == Fixity(sha256=hashlib.sha256(body).hexdigest(), size=len(body))


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=12), st.integers(1, 80), st.integers(0, 300))
def test_the_limit_is_kept_to_the_byte(body: bytes, places: list[int], size: int, limit: int) -> None:
    """As long as the limit is fine; one byte more is rejected, whatever the chunking."""
    cutter = body_of(cut(body, places), limit)
    if len(body) <= limit:
        asyncio.run(parts_of(cutter, size))
        assert cutter.fixity().size == len(body)
    else:
        with pytest.raises(BodyRejected, match="does not end"):
            asyncio.run(parts_of(cutter, size))


async def test_no_more_is_read_than_a_part_and_the_chunk_behind_it() -> None:
    """Memory: asking for a part does not read the body to its end."""
    taken = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield bytes(10)

    body = Body(AudioStream(content_type=None, content_length=None, chunks=chunks()), limit=10_000)
    assert len(await body.part(25)) == 25
    assert len(taken) == 3
    assert not body.ended
    assert len(await body.part(25)) == 25
    assert len(taken) == 6


async def test_a_stream_that_breaks_breaks_the_part() -> None:
    """What came so far is not handed out as if it were all."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(10)
        raise BodyRejected("cut")

    body = Body(AudioStream(content_type=None, content_length=None, chunks=chunks()), limit=100)
    with pytest.raises(BodyRejected, match="cut"):
        await body.part(50)


def test_how_much_is_read_follows_from_what_is_listed() -> None:
    assert longest(5_000_000) == 10_000_000 + SPARE_BYTES
    assert longest(0) == SPARE_BYTES
    assert longest(None) > 2 * 1024**3
