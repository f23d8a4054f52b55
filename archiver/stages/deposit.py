"""One recording's way into the bucket: download, look, hash, store under a new key, compare. Never overwrites."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from archiver.core.integrity import SNIFF_BYTES, Download, compare, judge_download, not_audio
from archiver.core.model import Fixity, Recording
from archiver.core.naming import AUDIO_TYPE
from archiver.core.report import PassReport
from archiver.errors import BodyRejected, IntegrityError, ObjectExists, Throttled, Transient
from archiver.stages.ports import AudioStream, ObjectStore, RecordingSource, Upload

log = structlog.get_logger()

DOWNLOADS = 3  # of one attempt: two must agree where the listed size does not hold
SPARE_BYTES = 1024 * 1024
LONGEST_BODY = 8 * 1024**3  # bytes, where the source lists no size


_Outcome = tuple[Fixity, Download, bool]  # the last: it stood there already


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy goes in the bucket. None: the bucket's own storage class."""

    key: str
    storage_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """A copy that stands in the bucket, compared with what was received."""

    fixity: Fixity
    size_disagrees: bool
    adopted: bool  # it already stood there: an earlier attempt was cut off after this step
    described: bool = False  # with its sidecar, which stays as it is


@dataclass(frozen=True, slots=True)
class Deposit:
    """Brings recordings into the bucket, holding at most one part of a body in memory."""

    source: RecordingSource
    store: ObjectStore
    report: PassReport
    timeout: float  # seconds for one download

    async def bring(self, recording: Recording, place: Place) -> Deposited:
        """Copy one recording to its place.

        Raises BodyRejected when what comes is not the recording, ObjectExists when another body stands under the
        key, IntegrityError when the bucket does not hold what was sent.
        """
        before: Fixity | None = None
        for download in range(1, DOWNLOADS + 1):
            try:
                received, judgement, adopted = await self._in_time(recording, place, before)
            except Throttled:
                raise
            except Transient as error:
                if download == DOWNLOADS:
                    raise
                cause = "body_rejected" if isinstance(error, BodyRejected) else "cut_off"
                self._repeat(recording, download, cause, str(error))
                continue
            if judgement is not Download.DOUBTFUL:
                return Deposited(fixity=received, size_disagrees=judgement is Download.AGREED, adopted=adopted)
            before = received
            self._repeat(recording, download, "size_disagrees", disagreement(recording, received))
        msg = f"{disagreement(recording, before)}; no two downloads agreed"
        raise BodyRejected(msg)

    def _repeat(self, recording: Recording, download: int, cause: str, reason: str) -> None:
        self.report.repeat(recording.id, cause)
        log.info("download_repeated", download=download, cause=cause, reason=reason)

    async def _in_time(self, recording: Recording, place: Place, before: Fixity | None) -> _Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                return await self._attempt(recording, place, before)
        except TimeoutError:
            msg = f"the download took longer than {self.timeout:.0f} s (sync.download_timeout)"
            raise Transient(msg) from None

    async def land(self, recording: Recording, place: Place, stream: AudioStream) -> Deposited:
        """Copy one recording to its place out of a stream that can be read once only. Raises like `bring`."""
        received, judgement, adopted = await self._land(recording, place, None, stream)
        if judgement is Download.DOUBTFUL:
            raise BodyRejected(disagreement(recording, received))
        return Deposited(fixity=received, size_disagrees=False, adopted=adopted)

    async def _attempt(self, recording: Recording, place: Place, before: Fixity | None) -> _Outcome:
        async with self.source.download(recording.id) as stream:
            return await self._land(recording, place, before, stream)

    async def _land(self, recording: Recording, place: Place, before: Fixity | None, stream: AudioStream) -> _Outcome:
        async with AsyncExitStack() as cleanup:
            body = Body(stream, limit=longest(recording.size))
            head = await body.part(self.store.part_size)
            if problem := not_audio(head[:SNIFF_BYTES]):
                raise BodyRejected(problem)
            upload = None
            if not body.ended:
                upload = await self._begin(cleanup, place)
                await self._send(head, upload)
                head = b""  # one part at a time is in memory
                while await self._send(await body.part(self.store.part_size), upload):
                    pass
            received = body.fixity()
            judgement = judge_download(recording.size, received, before)
            if judgement is Download.DOUBTFUL:
                return received, judgement, False
            adopted = await self._finish(place, head, upload, received, whole_in_head=len(head) == received.size)
            return received, judgement, adopted

    async def _begin(self, cleanup: AsyncExitStack, place: Place) -> Upload | None:
        """Begin a multipart upload; None when an object already stands there and is to be compared only."""
        opening = self.store.upload(place.key, content_type=AUDIO_TYPE, storage_class=place.storage_class)
        try:
            return await cleanup.enter_async_context(opening)
        except ObjectExists:
            return None

    async def _send(self, part: bytes, upload: Upload | None) -> bool:
        """Send one part, if there is anything to send to. False: it was empty, the body has ended."""
        if part and upload is not None:
            await upload.write(part)
        return bool(part)

    async def _finish(
        self, place: Place, head: bytes, upload: Upload | None, received: Fixity, *, whole_in_head: bool
    ) -> bool:
        """Make the object visible and compare. True: it stood there already, with the same bytes."""
        try:
            if whole_in_head:
                await self.store.create(place.key, head, content_type=AUDIO_TYPE, storage_class=place.storage_class)
            elif upload is not None:
                await upload.complete()
            else:
                raise ObjectExists(place.key)
        except ObjectExists:
            return await self._adopt(place.key, received)
        size = await self.store.size(place.key)
        if size != received.size:
            msg = f"the bucket holds {size} bytes of the {received.size} that were sent"
            raise IntegrityError(msg)
        return False

    async def _adopt(self, key: str, received: Fixity) -> bool:
        verdict = compare(received, await self.store.readback_fixity(key))
        if not verdict.good:
            msg = f"another object stands under {key}: {verdict.problem}"
            raise ObjectExists(msg)
        return True


def disagreement(recording: Recording, received: Fixity | None) -> str:
    """Say how a download differs from the listing."""
    listed = "no size" if recording.size is None else f"{recording.size} bytes"
    return f"the source lists {listed} and sent {received.size if received else 'nothing'}"


def longest(listed: int | None) -> int:
    """Most bytes to read of a body before it is called endless: what is listed, twice over and some."""
    return LONGEST_BODY if listed is None else listed * 2 + SPARE_BYTES


class Body:
    """A download read in parts of a fixed size, counted and hashed on the way."""

    def __init__(self, stream: AudioStream, *, limit: int) -> None:
        """`limit` is in bytes: a longer body is rejected."""
        self._chunks: AsyncIterator[bytes] = stream.chunks
        self._limit = limit
        self._rest = b""
        self._hash = hashlib.sha256()
        self._count = 0
        self.ended = False

    async def part(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end, none after it. Raises BodyRejected above the limit."""
        pieces, have = [self._rest], len(self._rest)
        while have <= size and not self.ended:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self.ended = True
                break
            self._take(chunk)
            pieces.append(chunk)
            have += len(chunk)
        last = pieces.pop()
        kept = len(last) - max(have - size, 0)  # cut the last piece, not the whole: a part is copied once only
        pieces.append(last[:kept])
        self._rest = last[kept:]
        self.ended = self.ended and not self._rest
        return b"".join(pieces)

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._count += len(chunk)
        if self._count > self._limit:
            msg = f"the body does not end: {self._count} bytes came, at most {self._limit} were expected"
            raise BodyRejected(msg)

    def fixity(self) -> Fixity:
        """SHA-256 and size of everything read."""
        return Fixity(sha256=self._hash.hexdigest(), size=self._count)
