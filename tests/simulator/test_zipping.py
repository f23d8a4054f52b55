"""The ZIP writer: what it writes honestly is read by `zipfile`, and by a reader that begins at the front."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from functools import partial
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.simulator.zipping import Member, Method, Packing, zipped

BOTH = (False, True)
ALL = [
    Packing(method=method, descriptors=descriptors, descriptor_signature=signature, zip64=zip64)
    for method, descriptors, signature, zip64 in product(Method, BOTH, BOTH, BOTH)
]
IDS = [f"{each.method}-{each.descriptors:d}{each.descriptor_signature:d}{each.zip64:d}" for each in ALL]
FILES = {"a.mp3": b"a" * 1000, "folder/é.mp3": bytes(range(256)) * 300, "empty": b""}
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
CONTENTS = st.lists(st.binary(max_size=300), max_size=4)


def member(name: str, chunks: Iterable[bytes]) -> Member:
    return Member(name=name, chunks=partial(iter, tuple(chunks)))


def written(members: Iterable[Member], packing: Packing) -> bytes:
    return b"".join(zipped(members, packing))


def honest(packing: Packing) -> bytes:
    return written([member(name, (data[:500], data[500:])) for name, data in FILES.items()], packing)


@pytest.mark.parametrize("packing", ALL, ids=IDS)
def test_read_by_zipfile_in_every_form(packing: Packing) -> None:
    with zipfile.ZipFile(io.BytesIO(honest(packing))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        kinds = {one.compress_type for one in archive.infolist()}
    assert kinds == {zipfile.ZIP_STORED if packing.method is Method.STORED else zipfile.ZIP_DEFLATED}


@given(
    files=st.lists(st.tuples(NAMES, CONTENTS), max_size=6, unique_by=lambda file: file[0]),
    packing=st.sampled_from(ALL),
)
def test_zipfile_reads_whatever_it_writes(files: list[tuple[str, list[bytes]]], packing: Packing) -> None:
    data = written([member(*file) for file in files], packing)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [one.orig_filename for one in archive.infolist()] == [name for name, _ in files]
        assert [archive.read(one) for one in archive.infolist()] == [b"".join(chunks) for _, chunks in files]


@pytest.mark.parametrize("packing", ALL, ids=IDS)
def test_read_from_the_front(packing: Packing) -> None:
    data, place = honest(packing), 0
    for name, content in FILES.items():
        place = _front(data, place, name, content, packing)
    assert data[place : place + 4] == b"PK\1\2"


def _front(data: bytes, place: int, name: str, content: bytes, packing: Packing) -> int:
    """Check one member by its local header and its descriptor alone; return where the next one begins."""
    deflated = packing.method is Method.DEFLATED
    head = struct.unpack_from("<4s5H3L2H", data, place)
    place += 30
    assert (head[0], head[1], head[3]) == (b"PK\3\4", 45 if packing.zip64 else 20, 8 if deflated else 0)
    assert head[2] == (8 if packing.descriptors else 0) | (0 if name.isascii() else 0x800)
    assert data[place : place + head[9]] == name.encode()
    extra = data[place + head[9] : place + head[9] + head[10]]
    place += head[9] + head[10]
    crc, sizes = head[6], head[7:9]
    if packing.zip64:
        assert (sizes, extra[:4]) == ((0xFFFFFFFF, 0xFFFFFFFF), struct.pack("<2H", 1, 16))
        sizes = struct.unpack("<2Q", extra[4:])[::-1]
    body, rest = _body(data[place:], content, deflated=deflated)
    assert body == content
    size = len(data) - place - len(rest)
    told = (zlib.crc32(content), size, len(content))
    place += size
    if not packing.descriptors:
        assert (crc, *sizes) == told
        return place
    assert (crc, *sizes) == (0, 0, 0)
    descriptor = (b"PK\7\10" if packing.descriptor_signature else b"") + struct.pack(
        "<L2Q" if packing.zip64 else "<3L", *told
    )
    assert data[place : place + len(descriptor)] == descriptor
    return place + len(descriptor)


def _body(data: bytes, content: bytes, *, deflated: bool) -> tuple[bytes, bytes]:
    if not deflated:
        return data[: len(content)], data[len(content) :]
    inflater = zlib.decompressobj(-15)
    return inflater.decompress(data), inflater.unused_data


def test_more_members_than_the_short_end_record_can_count() -> None:
    members = (member(str(number), ()) for number in range(70_000))
    with zipfile.ZipFile(io.BytesIO(written(members, Packing()))) as archive:
        assert len(archive.namelist()) == 70_000


def test_no_member_and_no_directory() -> None:
    assert zipfile.ZipFile(io.BytesIO(written([], Packing()))).namelist() == []
    assert zipfile.ZipFile(io.BytesIO(written([], Packing(zip64=True)))).namelist() == []
    assert b"".join(zipped([], Packing(), directory=False)) == b""


@pytest.mark.parametrize("packing", ALL, ids=IDS)
def test_nothing_is_held(packing: Packing) -> None:
    """The first bytes come before the last chunk is made, but for what must be measured first."""
    made = 0

    def chunks() -> Iterable[bytes]:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield bytes(1000)

    stream = zipped([Member(name="x", chunks=chunks)], packing)
    next(stream), next(stream)
    assert made == (1 if packing.descriptors else 1001)
    assert max(map(len, stream)) < 70_000


@pytest.mark.parametrize("packing", ALL, ids=IDS)
def test_each_lie_is_where_it_should_be(packing: Packing) -> None:
    true = member("x", (b"true bytes",))
    lying = Member(
        name="x", chunks=true.chunks, vouched=lambda: (b"others",), encrypted=True, listed_name="y", listed_error=-50
    )
    with zipfile.ZipFile(io.BytesIO(written([lying], packing))) as archive:
        (entry,) = archive.infolist()
    assert (entry.filename, entry.file_size, entry.flag_bits & 1) == ("y", 0, 1)
    assert zlib.crc32(b"others") == entry.CRC


def test_sizes_that_are_wrong_beside_the_data_only() -> None:
    wrong = Member(name="x", chunks=lambda: (b"ten bytes.",), size_error=7)
    before, behind = written([wrong], Packing()), written([wrong], Packing(descriptors=True))
    assert struct.unpack_from("<2L", before, 18) == (17, 17)
    assert struct.unpack_from("<4s3L", behind, 41) == (b"PK\7\10", zlib.crc32(b"ten bytes."), 17, 17)
    for data in (before, behind):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert [(one.compress_size, one.file_size) for one in archive.infolist()] == [(10, 10)]
