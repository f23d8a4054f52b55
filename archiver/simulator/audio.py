"""Audio of any size, made from a recording's id: playable, unlike every other, and almost free to produce."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

BYTES_PER_MS = 4  # 32 kbit/s
SMALLEST = 32  # below this the id would not fit, and two recordings could have the same bytes

_FRAME_SIZE = 144
_FRAMES_PER_BLOCK = 455
BLOCK_SIZE = _FRAME_SIZE * _FRAMES_PER_BLOCK

# MPEG-2 layer III, 32 kbit/s, 16 kHz, mono; the nine zero bytes of side information say "silence", so that a
# player plays the frame and takes what follows for ancillary data.
_FRAME_HEAD = bytes((0xFF, 0xF3, 0x48, 0xC4)) + bytes(9)
_NOISE = hashlib.shake_256(b"call recording").digest(BLOCK_SIZE).replace(b"\xff", b"\xfe")
_WOVEN = struct.Struct(">QQ")  # recording id, number of the block


def _frame(number: int) -> bytes:
    noise = _NOISE[number * _FRAME_SIZE : (number + 1) * _FRAME_SIZE]
    return _FRAME_HEAD + noise[len(_FRAME_HEAD) :]


_FIRST_FRAME_REST = _frame(0)[len(_FRAME_HEAD) + _WOVEN.size :]
_OTHER_FRAMES = b"".join(_frame(number) for number in range(1, _FRAMES_PER_BLOCK))


def audio_chunks(recording_id: int, size: int) -> Iterator[bytes]:
    """Yield the `size` bytes of one recording in blocks of 65,520 bytes; no two blocks are alike."""
    for number, offset in enumerate(range(0, size, BLOCK_SIZE)):
        block = b"".join((_FRAME_HEAD, _WOVEN.pack(recording_id, number), _FIRST_FRAME_REST, _OTHER_FRAMES))
        yield block if size - offset >= BLOCK_SIZE else block[: size - offset]


def audio_bytes(recording_id: int, size: int) -> bytes:
    """Return the whole body: for tests of small recordings."""
    return b"".join(audio_chunks(recording_id, size))


def audio_sha256(recording_id: int, size: int) -> str:
    """Return what an archived copy must hash to, as 64 lower-case hex digits."""
    digest = hashlib.sha256()
    for chunk in audio_chunks(recording_id, size):
        digest.update(chunk)
    return digest.hexdigest()
