"""The parts of a ZIP file that stand before and behind a member's data, as APPNOTE.TXT 6.3 has them.

Only what can be read from the front is read: the directory at the end is never believed. Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error, unpack_from

from archiver.errors import BodyRejected

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
DESCRIPTOR = b"PK\x07\x08"
OVER = (CENTRAL, END, b"PK\x06\x06", b"PK\x06\x08")  # what may follow the last member
SPANNED = (DESCRIPTOR, b"PK00")  # markers that may stand before the first

STORED, DEFLATED = 0, 8
LONGEST_DESCRIPTOR = 24  # bytes: signature, CRC, two sizes of ZIP64
FIXED = Struct("<HHHHHLLLHH")  # of a local header, behind its signature
_SIGNATURE = 4  # bytes
_BEHIND_SIZE = 0xFFFFFFFF  # the size stands in the ZIP64 field
_ZIP64_FIELD = 1
_ENCRYPTED, _DESCRIBED, _PATCH, _STRONG, _UTF8, _MASKED = 0x1, 0x8, 0x20, 0x40, 0x800, 0x2000
_FORMS = tuple((signed, width) for signed in (True, False) for width in (4, 8))
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalHeader:
    """What stands before a member's data. None: it is told behind the data only, in a descriptor."""

    name: str
    flags: int
    method: int
    crc: int | None
    packed: int | None  # bytes of the data as it stands in the file
    size: int | None  # bytes of what it unpacks to

    @property
    def refusal(self) -> str | None:
        """Why the member cannot be read, or None."""
        if self.flags & (_ENCRYPTED | _STRONG | _MASKED):
            return "the member is encrypted"
        if self.flags & _PATCH or self.method not in (STORED, DEFLATED):
            return f"the member is packed by method {self.method}, which is not read"
        return "the member's name leads out of the archive" if unsafe(self.name) else None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What stands behind a member's data where its header left that open; `length` is in bytes, signature included."""

    crc: int
    packed: int
    size: int
    length: int


def read_header(fixed: bytes, name: bytes, extra: bytes) -> LocalHeader:
    """Read a local header: its fixed part, the name and the extra fields. Raises BodyRejected."""
    _, flags, method, _, _, crc, packed, size, _, _ = FIXED.unpack(fixed)
    known = not flags & _DESCRIBED
    if known and _BEHIND_SIZE in (packed, size):
        packed, size = _large(extra, packed, size)
    return LocalHeader(
        name=name.decode("utf-8" if flags & _UTF8 else "cp437", "replace"),
        flags=flags,
        method=method,
        crc=crc if known else None,
        packed=packed if known else None,
        size=size if known else None,
    )


def _large(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """Read the sizes that do not fit into 32 bits."""
    field = next((body for number, body in _fields(extra) if number == _ZIP64_FIELD), b"")
    at = 0
    try:
        if size == _BEHIND_SIZE:
            (size,), at = unpack_from("<Q", field, at), 8
        if packed == _BEHIND_SIZE:
            (packed,) = unpack_from("<Q", field, at)
    except error:
        raise BodyRejected("the ZIP names a large member without its size") from None
    return packed, size


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _SIGNATURE <= len(extra):
        number, length = unpack_from("<HH", extra, at)
        yield number, extra[at + _SIGNATURE : at + _SIGNATURE + length]
        at += _SIGNATURE + length


def descriptors(found: bytes) -> Iterator[Descriptor]:
    """Give every way to read a descriptor out of these bytes: with or without signature, sizes of 4 or 8 bytes.

    Only where the next part of a ZIP, or the end of the bytes, follows it.
    """
    for signed, width in _FORMS:
        begin = len(DESCRIPTOR) if signed else 0
        length = begin + 4 + 2 * width
        if len(found) < length or signed != found.startswith(DESCRIPTOR):
            continue
        crc, packed, size = unpack_from("<LLL" if width == 4 else "<LQQ", found, begin)  # noqa: PLR2004 - bytes
        if found[length : length + 2] in (b"PK", b"P", b""):
            yield Descriptor(crc, packed, size, length)


def unsafe(name: str) -> bool:
    """Whether a name means a place outside of where it is unpacked. No name is ever used as a path, all the same."""
    parts = re.split(r"[/\\]", name)
    return "\0" in name or ".." in parts or _ABSOLUTE.match(name) is not None


def base_name(name: str) -> str:
    """Last part of a member's name, or of a recording's file name."""
    return re.split(r"[/\\]", name)[-1]
