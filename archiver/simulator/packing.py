"""Packs recordings into a ZIP, and whatever is to be wrong about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat

from archiver.simulator.account import SimRecording
from archiver.simulator.audio import audio_chunks
from archiver.simulator.exports import Exports, Names
from archiver.simulator.listing import listed_file_name
from archiver.simulator.spoils import (
    Altered,
    BadBit,
    Bomb,
    Encrypted,
    LeftOut,
    LyingDirectory,
    Named,
    NoDirectory,
    Stranger,
    Trick,
    Twice,
    WrongSizes,
)
from archiver.simulator.zipping import Chunks, Member, Method, Packing, zipped

_OfMember = BadBit | Altered | Encrypted | Named | WrongSizes
_OfOne = _OfMember | LeftOut | Twice

_MEBIBYTE = bytes(1 << 20)
_PLACE = 30  # of the flipped bit: behind what tells recordings apart, or it might become another one's audio


@dataclass(frozen=True, slots=True)
class _Filed:
    """A member, and the recording that it holds (None: none)."""

    recording: int | None
    member: Member


def packed(recordings: Sequence[SimRecording], exports: Exports, tricks: Sequence[Trick] = ()) -> Iterator[bytes]:
    """Return the bytes of a ZIP of the recordings."""
    filed = [_Filed(recording.id, _member(recording, exports.names)) for recording in recordings]
    for trick in tricks:
        filed = _tricked(filed, trick)
    packing = Packing(
        method=exports.method,
        descriptors=exports.descriptors,
        descriptor_signature=exports.descriptor_signature,
        zip64=exports.zip64,
    )
    directory = not any(isinstance(trick, NoDirectory) for trick in tricks)
    return zipped([one.member for one in filed], packing, directory=directory)


def _member(recording: SimRecording, names: Names) -> Member:
    name = f"{recording.id}.mp3" if names is Names.ID else listed_file_name(recording)
    if names is Names.FOLDER:
        name = f"recordings/{name}"
    return Member(name=name, chunks=partial(audio_chunks, recording.id, recording.size))


def _tricked(filed: list[_Filed], trick: Trick) -> list[_Filed]:
    match trick:
        case NoDirectory():
            return filed
        case Stranger() | Bomb():
            extra = [_Filed(None, _invented(trick))]
            return extra + filed if trick.first else filed + extra
        case LyingDirectory():
            return [replace(one, member=_belied(one.member, trick)) for one in filed]
        case _:
            return [
                each for one in filed for each in (_struck(one, trick) if one.recording == trick.recording else (one,))
            ]


def _invented(trick: Stranger | Bomb) -> Member:
    if isinstance(trick, Stranger):
        return Member(name=trick.name, chunks=lambda: (trick.data,))
    return Member(name=trick.name, chunks=partial(repeat, _MEBIBYTE, trick.mebibytes), method=Method.DEFLATED)


def _belied(member: Member, trick: LyingDirectory) -> Member:
    return replace(member, listed_name=trick.prefix + member.name, listed_error=trick.by)


def _struck(one: _Filed, trick: _OfOne) -> Sequence[_Filed]:
    match trick:
        case LeftOut():
            return ()
        case Twice():
            return (one, one)
        case _:
            return (replace(one, member=_spoilt(trick, one.member)),)


def _spoilt(trick: _OfMember, member: Member) -> Member:
    match trick:
        case BadBit():
            return replace(member, chunks=partial(_flipped, member.chunks), vouched=member.chunks)
        case Altered():
            return replace(member, chunks=partial(_resized, partial(_flipped, member.chunks), trick.longer))
        case Encrypted():
            return replace(member, encrypted=True)
        case Named():
            return replace(member, name=trick.name)
        case WrongSizes():
            return replace(member, size_error=trick.by)


def _flipped(chunks: Chunks) -> Iterator[bytes]:
    for number, chunk in enumerate(chunks()):
        if number:
            yield chunk
            continue
        spoilt = bytearray(chunk)
        spoilt[_PLACE] ^= 1
        yield bytes(spoilt)


def _resized(chunks: Chunks, longer: int) -> Iterator[bytes]:
    """Append so many zeros, or take so many bytes away from the end."""
    if longer >= 0:
        yield from chain(chunks(), (bytes(longer),))
        return
    left = sum(map(len, chunks())) + longer
    for chunk in chunks():
        yield chunk[: max(0, left)]
        left -= len(chunk)
