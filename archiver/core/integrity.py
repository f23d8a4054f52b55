"""Is what came a recording, is it whole, and does the bucket hold the same? Pure answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from archiver.core.model import Fixity

MISSING = "the object is not in the bucket"
SNIFF_BYTES = 16  # enough for an ID3 tag or a frame header behind nothing else


def not_audio(head: bytes) -> str | None:
    """Why these first bytes are not MP3 audio, or None when they are (ISO/IEC 11172-3 frame header, or ID3v2 tag)."""
    if not head:
        return "the body is empty"
    if head.startswith(b"ID3") or _frame_header(head):
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return "the body is a web page, not audio"
    if text.startswith((b"{", b"[")):
        return "the body is JSON, not audio"
    return "the body does not begin as MP3 audio"


def _frame_header(head: bytes) -> bool:
    """Sync word, then no reserved version, layer III, no bad bitrate, no reserved sample rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - a header is four bytes
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate != 15 and rate != 3  # noqa: PLR2004 - the header's bit fields


class Download(StrEnum):
    """What a finished download is worth."""

    WHOLE = "whole"  # as long as the source said
    AGREED = "agreed"  # not as listed, but two independent downloads are the same, byte for byte
    DOUBTFUL = "doubtful"  # download once more and compare


def judge_download(listed_size: int | None, received: Fixity, before: Fixity | None) -> Download:
    """Weigh one download against the listed size and against an earlier download of the same recording."""
    if listed_size == received.size:
        return Download.WHOLE
    return Download.AGREED if before == received else Download.DOUBTFUL


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a copy in the bucket is the one on record; `problem` names the first difference."""

    problem: str | None

    @property
    def good(self) -> bool:
        """True when nothing differs."""
        return self.problem is None


def compare(recorded: Fixity, found: Fixity | None) -> Verdict:
    """Compare what the bucket holds with the record (never with another copy)."""
    if found is None:
        return Verdict(MISSING)
    if found.size != recorded.size:
        return Verdict(f"the object has {found.size} bytes, on record are {recorded.size}")
    if found.sha256 != recorded.sha256:
        return Verdict("the object's SHA-256 is not the one on record")
    return Verdict(None)
