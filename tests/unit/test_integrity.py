"""Is it audio, is it whole, is it the same: each answer from bytes and numbers alone."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.integrity import SNIFF_BYTES, Download, Verdict, compare, judge_download, not_audio
from archiver.core.model import Fixity
from archiver.simulator.audio import audio_bytes

BOM = b"\xef\xbb\xbf"
ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
WEB_PAGE, JSON, OTHER, EMPTY = (
    "the body is a web page, not audio",
    "the body is JSON, not audio",
    "the body does not begin as MP3 audio",
    "the body is empty",
)
ONE, TWO = Fixity(sha256="a" * 64, size=10), Fixity(sha256="b" * 64, size=10)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (b"", EMPTY),
        (b"<!DOCTYPE html>", WEB_PAGE),
        (b"<html>", WEB_PAGE),
        (b'<?xml version="1.0"?>', WEB_PAGE),
        (b" \r\n\t<html>", WEB_PAGE),
        (BOM + b"<html>", WEB_PAGE),
        (b'{"fault": {"code": 900901}}', JSON),
        (BOM + b' {"a": 1}', JSON),
        (b"\n[]", JSON),
        ("<html>".encode("utf-16"), OTHER),
        ("<html>".encode("utf-16-be"), OTHER),
        ('{"a": 1}'.encode("utf-32"), OTHER),
        (b"\xff\xfe\x00\x00", OTHER),
        (b"RIFF\x24\x00\x00\x00WAVE", OTHER),
        (b"OggS", OTHER),
        (b"fLaC", OTHER),
        (b"PK\x03\x04", OTHER),
        (b"\x1f\x8b\x08\x00", OTHER),
        (b"\x00\x00\x00\x20ftypM4A ", OTHER),
        (b"Service Unavailable", OTHER),
        (b"id3\x04", OTHER),
        (b"TAG", OTHER),
        (bytes(SNIFF_BYTES), OTHER),
        (b"\xff" * SNIFF_BYTES, OTHER),
        (b"\xff", OTHER),
        (b"\xff\xfb\x90", OTHER),
        (b"\xff\xf1\x50\x80", OTHER),  # AAC in ADTS: layer 0
        (b"\xff\xfd\x90\x00", OTHER),  # layer II
        (b"\xff\xff\x90\x00", OTHER),  # layer I
        (b"\xff\xeb\x90\x00", OTHER),  # reserved version
        (b"\xff\xfb\xf0\x00", OTHER),  # no such bitrate
        (b"\xff\xfb\x9c\x00", OTHER),  # reserved sample rate
        (b"\x00\xff\xfb\x90\x00", OTHER),  # not at the beginning
        (b"\xff\xfb\x90\x00", None),  # MPEG-1 layer III
        (b"\xff\xfa\x90\x00", None),  # with CRC
        (b"\xff\xf3\x90\x00", None),  # MPEG-2
        (b"\xff\xe3\x18\xc4", None),  # MPEG-2.5, 8 kHz: what telephony makes
        (b"\xff\xfb\x00\x00", None),  # free bitrate
        (ID3, None),
    ],
)
def test_the_first_bytes_tell_audio_from_what_else_comes(head: bytes, problem: str | None) -> None:
    assert not_audio(head) == problem
    assert not_audio(head[:SNIFF_BYTES]) == problem


def test_the_simulators_audio_is_audio() -> None:
    assert not_audio(audio_bytes(1, 2000)[:SNIFF_BYTES]) is None


@given(st.binary(max_size=64))
def test_random_bytes_are_refused(body: bytes) -> None:
    if not body.startswith(b"ID3") and not (len(body) >= 4 and body[0] == 0xFF and body[1] >= 0xE0):
        assert not_audio(body)


@given(st.text(st.characters(), max_size=200).filter(lambda text: not text.startswith("ID3")))
def test_no_text_is_audio(text: str) -> None:
    for encoding in ("utf-8", "utf-16", "latin-1"):
        assert not_audio(text.encode(encoding, errors="ignore")) or encoding == "latin-1"


@pytest.mark.parametrize(
    ("listed", "before", "worth"),
    [
        (10, None, Download.WHOLE),
        (10, TWO, Download.WHOLE),
        (11, None, Download.DOUBTFUL),
        (11, TWO, Download.DOUBTFUL),
        (11, ONE, Download.AGREED),
        (None, None, Download.DOUBTFUL),
        (None, ONE, Download.AGREED),
        (0, None, Download.DOUBTFUL),
    ],
)
def test_a_download_is_whole_as_long_as_listed_or_agreed_twice(
    listed: int | None, before: Fixity | None, worth: Download
) -> None:
    assert judge_download(listed, ONE, before) is worth


def test_a_copy_is_good_only_when_nothing_differs() -> None:
    fixities = [Fixity(sha256=digest * 64, size=size) for digest, size in product("ab", (1, 2))]
    for recorded, found in product(fixities, [*fixities, None]):
        verdict = compare(recorded, found)
        assert verdict.good is (recorded == found)
        assert verdict == Verdict(None) or verdict.problem
