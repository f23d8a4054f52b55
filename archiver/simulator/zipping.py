"""Writes ZIP archives as a stream: nothing is held but the list of what was written. Honest, unless told to lie.

Where sizes and CRC stand before the data, each member's bytes are made twice: once to measure them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Chunks = Callable[[], Iterable[bytes]]

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_SHORT_DESCRIPTOR = struct.Struct("<3L")
_LONG_DESCRIPTOR = struct.Struct("<LQQ")
_SHORT_MOST = 0xFFFF
_LONG_MOST = 0xFFFF_FFFF
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_PLAIN_VERSION, _ZIP64_VERSION = 20, 45
_ON_UNIX = 3 << 8
_ORDINARY_FILE = 0o100644 << 16
_MIDNIGHT, _FIRST_DAY = 0, 0x21  # 1980-01-01 00:00: what those write that know no time


class Method(StrEnum):
    """How the bytes of a member are packed."""

    STORED = "stored"
    DEFLATED = "deflated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The choices that the format leaves to a writer."""

    method: Method = Method.STORED
    descriptors: bool = False  # sizes and CRC stand behind the data; the local header holds zeros
    descriptor_signature: bool = True  # which the format leaves optional
    zip64: bool = False  # everywhere, not only where a number is too large without


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive. `chunks` makes its bytes, from the start each time it is called.

    What lies about it: `vouched` makes the bytes that the CRC is of, `size_error` is added to both sizes where they
    stand beside the data, `listed_name` and `listed_error` are the name and the same for the central directory.
    """

    name: str
    chunks: Chunks
    method: Method | None = None  # None: that of the archive
    encrypted: bool = False  # claims to be, and is not
    vouched: Chunks | None = None
    size_error: int = 0  # bytes
    listed_name: str | None = None
    listed_error: int = 0  # bytes


@dataclass(frozen=True, slots=True)
class _Facts:
    """CRC, and sizes in bytes, packed and not."""

    crc: int = 0
    packed: int = 0
    plain: int = 0

    def off_by(self, error: int) -> _Facts:
        return _Facts(self.crc, max(0, self.packed + error), max(0, self.plain + error))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the central directory tells of one member; `offset` in bytes from the start of the archive."""

    member: Member
    facts: _Facts
    offset: int


class _Press(Protocol):
    """What zlib's compressors have in common with none."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes, give back what is ready."""
        ...

    def flush(self) -> bytes:
        """Give back the rest."""
        ...


class _NoPress:
    """Stores."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def zipped(members: Iterable[Member], packing: Packing, *, directory: bool = True) -> Iterator[bytes]:
    """Yield an archive of the members; without `directory` it ends behind the last one.

    A member of 4 GiB or more needs `zip64` where descriptors are wanted: nobody knows its size in time.
    """
    entries: list[_Entry] = []
    written = 0
    for member in members:
        began, writer = written, _Writer(member, packing)
        for chunk in writer.chunks():
            written += len(chunk)
            yield chunk
        entries.append(_Entry(member, writer.facts, began))
    if directory:
        yield from _directory(entries, packing, written)


class _Writer:
    """Writes one member; `facts` are known once it is written."""

    def __init__(self, member: Member, packing: Packing) -> None:
        self.facts = _Facts()
        self._member, self._packing = member, packing

    def chunks(self) -> Iterator[bytes]:
        if self._packing.descriptors:
            yield self._header(None)
            yield from self._body()
            yield self._descriptor()
            return
        for _ in self._body():
            pass  # only measured
        yield self._header(self.facts)
        yield from self._body()

    def _body(self) -> Iterator[bytes]:
        crc = packed = plain = 0
        press: _Press = _NoPress() if _method(self._member, self._packing) is Method.STORED else _deflater()
        for chunk in self._member.chunks():
            crc, plain = zlib.crc32(chunk, crc), plain + len(chunk)
            pressed = press.compress(chunk)
            packed += len(pressed)
            yield pressed
        rest = press.flush()
        vouched = self._member.vouched
        self.facts = _Facts(crc if vouched is None else _crc(vouched()), packed + len(rest), plain)
        yield rest

    def _header(self, facts: _Facts | None) -> bytes:
        told = _Facts() if facts is None else facts.off_by(self._member.size_error)
        wide = self._packing.zip64 or max(told.packed, told.plain) >= _LONG_MOST
        name = _encoded(self._member.name)
        extra = _extra64(told.plain, told.packed) if wide else b""
        sizes = (_LONG_MOST, _LONG_MOST) if wide else (told.packed, told.plain)
        common = _common(self._member, self._member.name, self._packing, wide=wide)
        return _LOCAL.pack(b"PK\3\4", *common, told.crc, *sizes, len(name), len(extra)) + name + extra

    def _descriptor(self) -> bytes:
        told = self.facts.off_by(self._member.size_error)
        form = _LONG_DESCRIPTOR if self._packing.zip64 else _SHORT_DESCRIPTOR
        signature = b"PK\7\10" if self._packing.descriptor_signature else b""
        return signature + form.pack(told.crc, told.packed, told.plain)


def _deflater() -> _Press:
    return zlib.compressobj(wbits=-zlib.MAX_WBITS)


def _method(member: Member, packing: Packing) -> Method:
    return member.method or packing.method


def _crc(chunks: Iterable[bytes]) -> int:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _extra64(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def _common(member: Member, name: str, packing: Packing, *, wide: bool) -> tuple[int, int, int, int, int]:
    """Return what both headers begin with: version needed, flags, method, time, date."""
    flags = (_ENCRYPTED if member.encrypted else 0) | (_DESCRIPTOR if packing.descriptors else 0)
    flags |= 0 if name.isascii() else _UTF8
    method = 0 if _method(member, packing) is Method.STORED else 8
    return (_ZIP64_VERSION if wide else _PLAIN_VERSION), flags, method, _MIDNIGHT, _FIRST_DAY


def _directory(entries: list[_Entry], packing: Packing, offset: int) -> Iterator[bytes]:
    size = 0
    for entry in entries:
        line = _line(entry, packing)
        size += len(line)
        yield line
    count = len(entries)
    if packing.zip64 or count >= _SHORT_MOST or max(size, offset) >= _LONG_MOST:
        versions = (_ON_UNIX | _ZIP64_VERSION, _ZIP64_VERSION)
        yield _END64.pack(b"PK\6\6", _END64.size - 12, *versions, 0, 0, count, count, size, offset)
        yield _LOCATOR64.pack(b"PK\6\7", 0, offset + size, 1)
        count, size, offset = min(count, _SHORT_MOST), min(size, _LONG_MOST), min(offset, _LONG_MOST)
        if packing.zip64:
            count, size, offset = _SHORT_MOST, _LONG_MOST, _LONG_MOST
    yield _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)


def _line(entry: _Entry, packing: Packing) -> bytes:
    member, facts = entry.member, entry.facts.off_by(entry.member.listed_error)
    listed = member.name if member.listed_name is None else member.listed_name
    name = _encoded(listed)
    wide = packing.zip64 or max(facts.packed, facts.plain, entry.offset) >= _LONG_MOST
    extra = _extra64(facts.plain, facts.packed, entry.offset) if wide else b""
    sizes, offset = (facts.packed, facts.plain), entry.offset
    if wide:
        sizes, offset = (_LONG_MOST, _LONG_MOST), _LONG_MOST
    version, *common = _common(member, listed, packing, wide=wide)
    rest = (len(name), len(extra), 0, 0, 0, _ORDINARY_FILE, offset)
    return _CENTRAL.pack(b"PK\1\2", _ON_UNIX | version, version, *common, facts.crc, *sizes, *rest) + name + extra
