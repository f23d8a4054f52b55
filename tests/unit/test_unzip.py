"""Reading a ZIP from its front: every form that ZIPs come in, cut and spoilt at every byte."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.errors import BodyRejected
from archiver.stages.unzip import PIECE, members

ROOM = 64 * 1024 * 1024
AWKWARD = b"PK\x07\x08PK\x03\x04" * 3 + b"PK"  # audio may hold anything


class OneWay(io.RawIOBase):
    """A file that can only be written on, as a socket: then `zipfile` puts sizes behind the data."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self.written += piece
        return len(piece)


@dataclass(frozen=True)
class Form:
    """A way to write a ZIP."""

    deflated: bool
    behind: bool  # sizes in a descriptor
    large: bool  # ZIP64

    def write(self, content: Iterable[tuple[str, bytes]]) -> bytes:
        seekable, one_way = io.BytesIO(), OneWay()
        method = zipfile.ZIP_DEFLATED if self.deflated else zipfile.ZIP_STORED
        target = io.BufferedWriter(one_way) if self.behind else seekable
        with zipfile.ZipFile(target, "w", method) as written, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the same name twice
            for name, body in content:
                info = zipfile.ZipInfo(name)
                info.compress_type = method
                with written.open(info, "w", force_zip64=self.large) as member:
                    member.write(body)
        target.flush()
        return bytes(one_way.written) if self.behind else seekable.getvalue()


FORMS = [Form(deflated, behind, large) for deflated in (0, 1) for behind in (0, 1) for large in (0, 1)]  # type: ignore[arg-type]
CONTENT = [("a.mp3", AWKWARD * 40), ("dir/b.mp3", b"x" * 700), ("a.mp3", b""), ("ü.mp3", bytes(range(256)) * 9)]


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(data: bytes, *, piece: int = 1000, most: int = ROOM) -> list[tuple[str, bytes | str]]:
    """What comes of each member, its bytes or why not; a last line where the ZIP itself could not be read on."""
    found: list[tuple[str, bytes | str]] = []
    try:
        async for member in members(in_pieces(data, piece), most=most):
            body = bytearray()
            try:
                async for chunk in member.chunks():
                    assert len(chunk) <= PIECE + 100
                    body += chunk
                found.append((member.name, bytes(body)))
            except BodyRejected as error:
                found.append((member.name, str(error)))
    except BodyRejected as error:
        found.append(("", str(error)))
    return found


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_every_form_of_zip_is_read_whole(form: Form, piece: int) -> None:
    assert await read(form.write(CONTENT), piece=piece) == CONTENT


@given(form=st.sampled_from(FORMS), bodies=st.lists(st.binary(max_size=300), max_size=5), piece=st.integers(1, 400))
@example(form=FORMS[2], bodies=[AWKWARD], piece=3)
async def test_any_bytes_survive_in_any_pieces(form: Form, bodies: list[bytes], piece: int) -> None:
    content: list[tuple[str, bytes]] = [(f"{number}.mp3", body) for number, body in enumerate(bodies)]
    assert await read(form.write(content), piece=piece) == content


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_zip_cut_at_any_byte_gives_whole_members_or_none(form: Form) -> None:
    data = form.write([("a", AWKWARD), ("b", b"second")])
    for length in range(len(data)):
        found = await read(data[:length], piece=64)
        wrong = [one for one in found if one not in [("a", AWKWARD), ("b", b"second")]]
        assert len(wrong) <= 2  # the member that was cut, and the ZIP
        assert all(isinstance(reason, str) for _, reason in wrong)


@given(form=st.sampled_from(FORMS), data=st.data())
async def test_a_flipped_bit_never_gives_other_bytes(form: Form, data: st.DataObject) -> None:
    """But for none at all: without the bit that announces a descriptor a header says that its member is empty.

    An empty body is no recording, whoever brings it.
    """
    content = [("a", b"first" * 20), ("b", AWKWARD)]
    written = bytearray(form.write(content))
    place = data.draw(st.integers(0, len(written) * 8 - 1))
    written[place // 8] ^= 1 << place % 8
    for _, body in await read(bytes(written)):
        assert isinstance(body, str) or body in [b"", *(whole for _, whole in content)]


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_the_members_behind_a_corrupt_one_are_read(form: Form) -> None:
    data = bytearray(form.write([("a", b"first" * 20), ("b", b"second")]))
    if form.deflated:  # another CRC, in the header or in the descriptor: the data must still be deflate
        place = data.find(struct.pack("<L", zlib.crc32(b"first" * 20)))
        data[place] ^= 1
    else:
        data[data.find(b"first")] ^= 1
    assert await read(bytes(data)) == [("a", "the member's CRC is another one"), ("b", b"second")]


async def test_members_that_nobody_reads_are_passed_over() -> None:
    for form in FORMS:
        names = [one.name async for one in members(in_pieces(form.write(CONTENT), 50), most=ROOM)]
        assert names == [name for name, _ in CONTENT]


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_an_encrypted_member_is_refused_and_the_next_is_read(form: Form) -> None:
    data = bytearray(form.write([("a", b"first" * 20), ("b", b"second")]))
    data[6] |= 1
    found = await read(bytes(data))
    assert found[0] == ("a", "the member is encrypted")
    if form.deflated and form.behind:  # where its data ends cannot be known: its size is not that of the data
        assert found[1:] in ([("b", b"second")], [("", "the ZIP ends early")])
    else:
        assert found[1:] == [("b", b"second")]


@pytest.mark.parametrize("name", ["../a.mp3", "a/../../b", "/etc/a", "\\\\host\\a", "C:a.mp3", "a\0b"])
async def test_a_name_that_leads_out_is_refused(name: str) -> None:
    info = zipfile.ZipInfo("x" * len(name))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as target:
        target.writestr(info, b"body")
        target.writestr("good.mp3", b"good")
    data = written.getvalue().replace(b"x" * len(name), name.encode())
    found = await read(data)
    assert found[0][1] == "the member's name leads out of the archive"
    assert found[1] == ("good.mp3", b"good")


async def test_a_bomb_is_stopped_before_it_has_unpacked_much() -> None:
    for form in FORMS[4:]:
        found = await read(form.write([("bomb", bytes(ROOM))]))
        assert found[0] == ("bomb", "the member unpacks to far more than it is")


async def test_all_members_together_may_unpack_to_what_is_allowed_only() -> None:
    for form in FORMS:
        found = await read(form.write([("a", AWKWARD), ("b", AWKWARD)]), most=len(AWKWARD) + 1)
        assert found[:2] == [("a", AWKWARD), ("b", "the ZIP unpacks to more than all its recordings have")]


async def test_a_header_that_lies_about_the_size_is_found_out() -> None:
    data = bytearray(FORMS[0].write([("a", b"first"), ("b", b"second")]))
    struct.pack_into("<L", data, 22, 6)  # the unpacked size: one more than there is
    assert await read(bytes(data)) == [("a", "the member is not as long as the ZIP says"), ("b", b"second")]


@pytest.mark.parametrize("data", [b"", b"PK", b"<html>", b"PK\x03\x04"])
async def test_what_is_no_zip_gives_nothing(data: bytes) -> None:
    found = await read(data)
    assert len(found) == 1
    assert isinstance(found[0][1], str)


async def test_an_empty_zip_has_no_members() -> None:
    assert await read(FORMS[0].write([])) == []


async def test_an_unsigned_descriptor_is_found() -> None:
    for form in FORMS:
        if form.behind:
            data = form.write([("a", AWKWARD), ("b", b"second")])
            where = data.find(b"PK\x07\x08" + struct.pack("<L", zlib.crc32(AWKWARD)))
            unsigned = data[:where] + data[where + 4 :]
            assert await read(unsigned) == [("a", AWKWARD), ("b", b"second")]


async def test_a_marker_of_spanned_archives_may_stand_first() -> None:
    for marker in (b"PK\x07\x08", b"PK00"):
        assert await read(marker + FORMS[0].write([("a", b"first")])) == [("a", b"first")]
