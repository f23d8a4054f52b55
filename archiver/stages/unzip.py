"""Read a ZIP from its front to its end while it comes: nothing is held, and its directory is never asked."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

from archiver.core.zip_format import (
    DESCRIPTOR,
    FIXED,
    LOCAL,
    LONGEST_DESCRIPTOR,
    OVER,
    SPANNED,
    STORED,
    Descriptor,
    LocalHeader,
    descriptors,
    read_header,
)
from archiver.errors import BodyRejected

PIECE = 64 * 1024  # bytes unpacked at a time, however many they are packed into
MOST_MEMBERS = 100_000
MOST_RATIO = 200  # unpacked to packed; recordings are packed as far as they can be already
_AHEAD = LONGEST_DESCRIPTOR + 4  # bytes looked at behind the place where a descriptor may begin
_HELD_BACK = 2 * LONGEST_DESCRIPTOR  # bytes that may belong to a descriptor of which the end has not come


class Tap:
    """A stream of bytes, taken in any amounts."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        """`chunks` is this tap's alone from now on."""
        self._chunks, self._held = chunks, b""

    async def peek(self, size: int) -> bytes:
        """Look at the next `size` bytes, fewer only at the end of the stream."""
        pieces, have = [self._held], len(self._held)
        while have < size and (chunk := await anext(self._chunks, None)) is not None:
            pieces.append(chunk)
            have += len(chunk)
        self._held = b"".join(pieces) if len(pieces) > 1 else self._held
        return self._held[:size]

    async def some(self, most: int) -> bytes:
        """Take at least one byte and at most so many; none at the end of the stream."""
        while not self._held:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return b""
            self._held = chunk
        taken, self._held = self._held[:most], self._held[most:]
        return taken

    async def exactly(self, size: int) -> bytes:
        """Take so many bytes. Raises BodyRejected where the stream ends before."""
        taken = await self.peek(size)
        if len(taken) < size:
            raise cut_off()
        self._held = self._held[size:]
        return taken

    def back(self, data: bytes) -> None:
        """Give back what was taken last."""
        self._held = data + self._held


def cut_off() -> BodyRejected:
    """Build the error of a ZIP that ends before its end."""
    return BodyRejected("the ZIP ends early")


@dataclass(slots=True)
class Allowance:
    """What a whole ZIP may still unpack to, in bytes."""

    left: int

    def take(self, size: int) -> None:
        """Count bytes. Raises BodyRejected above what is allowed."""
        self.left -= size
        if self.left < 0:
            raise BodyRejected("the ZIP unpacks to more than all its recordings have")


class Member:
    """One member of the ZIP. Its data is read once, in order, before the next member is asked for."""

    def __init__(self, header: LocalHeader, tap: Tap, allowance: Allowance) -> None:
        """`tap` stands at the first byte of the data."""
        self.name, self.size, self.refusal = header.name, header.size, header.refusal
        self._header, self._tap, self._allowance = header, tap, allowance
        self._left = header.packed  # bytes of the data that were not taken; None: who knows
        self._packed = self._unpacked = self._crc = 0
        self._descriptor: Descriptor | None = None
        self._ended = False  # the end of the data was found
        self._data = self._checked()

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the unpacked bytes. Raises BodyRejected where they are not what header or descriptor say."""
        return self._data

    async def finish(self) -> None:
        """Go to the end of the data, whatever was read of it. Raises BodyRejected where that cannot be found."""
        if self._left is None:
            try:
                async for _ in self._data if self.refusal is None else self._scanned():
                    pass
            except BodyRejected:
                if not self._ended:  # what is wrong with this member alone does not concern the next
                    raise
            return
        while self._left:
            await self._raw()

    async def _checked(self) -> AsyncIterator[bytes]:
        if self.refusal is not None:
            raise BodyRejected(self.refusal)
        async for piece in self._stored() if self._header.method == STORED else self._inflated():
            self._crc = zlib.crc32(piece, self._crc)
            self._unpacked += len(piece)
            self._allowance.take(len(piece))
            if self._unpacked > PIECE + MOST_RATIO * self._packed:
                raise BodyRejected("the member unpacks to far more than it is")
            yield piece
        await self._compare()

    async def _compare(self) -> None:
        crc, size, packed = self._header.crc, self._header.size, self._header.packed
        if packed is None:
            told = self._descriptor or await self._described()
            crc, size, packed = told.crc, told.size, told.packed
        self._ended = True
        if (size, packed) != (self._unpacked, self._packed):
            raise BodyRejected("the member is not as long as the ZIP says")
        if crc != self._crc:
            raise BodyRejected("the member's CRC is another one")

    async def _described(self) -> Descriptor:
        """Take the descriptor behind inflated data: the reading that agrees with it, else any that a ZIP goes on after.

        Raises BodyRejected where there is none: then the next member cannot be found.
        """
        readings = list(descriptors(await self._tap.peek(_AHEAD)))
        true = [one for one in readings if (one.packed, one.size) == (self._packed, self._unpacked)]
        if not readings:
            raise BodyRejected("the ZIP does not go on behind a member")
        told = (true or readings)[0]
        await self._tap.exactly(told.length)
        return told

    async def _raw(self) -> bytes:
        """Take some bytes of the data as it stands in the file. Raises BodyRejected where the ZIP is cut off."""
        taken = await self._tap.some(PIECE if self._left is None else min(self._left, PIECE))
        if not taken:
            raise cut_off()
        self._packed += len(taken)
        if self._left is not None:
            self._left -= len(taken)
        return taken

    async def _stored(self) -> AsyncIterator[bytes]:
        if self._left is None:
            async for piece in self._scanned():
                yield piece
        while self._left:
            yield await self._raw()

    async def _inflated(self) -> AsyncIterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflater.eof:
            if self._left == 0:
                raise BodyRejected("the member's data ends early")
            raw = await self._raw()
            for piece in _pieces(inflater, raw):
                yield piece
        if self._left is None:
            self._packed -= len(inflater.unused_data)
            self._tap.back(inflater.unused_data)

    async def _scanned(self) -> AsyncIterator[bytes]:
        """Give stored bytes up to the descriptor that names as many: nothing else tells where they end."""
        while True:
            window = await self._tap.peek(PIECE + _HELD_BACK)
            ended = len(window) < PIECE + _HELD_BACK
            found = self._end_in(window)
            if found is None and ended:
                raise cut_off()
            length = len(window) - _HELD_BACK if found is None else found
            self._packed += length
            yield await self._tap.exactly(length)
            if found is not None:
                self._descriptor = await self._take_descriptor()
                return

    def _end_in(self, window: bytes) -> int | None:
        """Where in these bytes the member's descriptor begins, if it does."""
        place = window.find(b"PK")
        while place >= 0:
            signature = window[place : place + 4]
            if signature == DESCRIPTOR:
                begins: tuple[int, ...] = (place,)
            else:
                begins = (place - 12, place - 20) if signature == LOCAL or signature in OVER else ()
            for begin in begins:
                if begin >= 0 and self._fitting(window[begin : begin + _AHEAD], begin) is not None:
                    return begin
            place = window.find(b"PK", place + 1)
        return None

    def _fitting(self, found: bytes, offset: int) -> Descriptor | None:
        count = self._packed + offset
        readings = descriptors(found)
        plain = self.refusal is None  # what is encrypted unpacks to less
        return next((one for one in readings if one.packed == count and (one.size == count or not plain)), None)

    async def _take_descriptor(self) -> Descriptor:
        told = self._fitting(await self._tap.peek(_AHEAD), 0)
        if told is None:  # pragma: no cover - it has just been found
            raise cut_off()
        await self._tap.exactly(told.length)
        return told


def _pieces(inflater: zlib._Decompress, raw: bytes) -> Iterator[bytes]:
    """Unpack, a bounded piece at a time. Raises BodyRejected."""
    while True:
        try:
            piece = inflater.decompress(raw, PIECE)
        except zlib.error:
            raise BodyRejected("the member's data cannot be unpacked") from None
        if piece:
            yield piece
        raw = inflater.unconsumed_tail
        if not raw and len(piece) < PIECE:
            return


async def members(chunks: AsyncIterator[bytes], *, most: int) -> AsyncGenerator[Member, None]:
    """Walk the members of a ZIP. `most`: bytes that they may unpack to in all.

    Raises BodyRejected where the ZIP is cut off, or does not go on as one. What a member raises by itself leaves the
    walk intact where its end can be found.
    """
    tap, allowance = Tap(chunks), Allowance(most)
    if await tap.peek(4) in SPANNED:
        await tap.exactly(4)
    for _ in range(MOST_MEMBERS):
        signature = await tap.exactly(4)
        if signature in OVER:
            return
        if signature != LOCAL:
            raise BodyRejected("the ZIP does not go on behind a member")
        member = await _open(tap, allowance)
        yield member
        await member.finish()
    raise BodyRejected("the ZIP has too many members")


async def _open(tap: Tap, allowance: Allowance) -> Member:
    fixed = await tap.exactly(FIXED.size)
    name, extra = FIXED.unpack(fixed)[-2:]
    return Member(read_header(fixed, await tap.exactly(name), await tap.exactly(extra)), tap, allowance)
