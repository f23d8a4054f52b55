"""The members of an export's ZIP: each is found out to be one listed recording and archived, or it is left."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from archiver.core.exports import Listed, Names, only
from archiver.core.model import Entry, Recording, State
from archiver.errors import ArchiverError, BodyRejected, Conflict, SkipItem, Throttled, Transient
from archiver.stages.archiving import Archivist
from archiver.stages.context import Context
from archiver.stages.deposit import SPARE_BYTES, Deposit, Deposited, Place
from archiver.stages.export_ports import ExportRecord
from archiver.stages.ports import AudioStream, CatalogueReads
from archiver.stages.unzip import Member, members
from archiver.stages.workers import first_leaf

log = structlog.get_logger()


CLAIMED_AT_ONCE = 32
UNREADABLE = "unreadable"  # in the place of a SHA-256


@dataclass(slots=True)
class Tally:
    """What became of an export's members, over all of its ZIPs and all times that they came in this pass."""

    stored: int = 0
    unwanted: int = 0  # archived before
    unlisted: int = 0  # no listed recording has this name and size
    ambiguous: int = 0  # several have
    repeated: int = 0
    spoilt: int = 0  # refused, corrupt, or not as listed
    taken: dict[str, str | None] = field(default_factory=dict)  # recording -> SHA-256, once it is stored

    def counts(self) -> dict[str, int]:
        """Numbers for the record and the log; what did not happen is left out."""
        names = ("stored", "unwanted", "unlisted", "ambiguous", "repeated", "spoilt")
        return {name: count for name in names if (count := getattr(self, name))}


@dataclass(slots=True)
class _Walk:
    """What one ZIP has shown so far."""

    names: Names
    tally: Tally
    export: int
    slots: asyncio.Semaphore
    group: asyncio.TaskGroup
    met: Counter[str] = field(default_factory=Counter)  # recordings by the members of this ZIP that they fit
    claimed: dict[str, Entry] = field(default_factory=dict)  # and not come yet
    places: dict[str, int] = field(default_factory=dict)  # of the recordings that are due, in the order of calls
    again: list[tuple[str, str]] = field(default_factory=list)  # recording and SHA-256 of members that came once more


@dataclass(slots=True, kw_only=True)
class MemberReader:
    """Archives the members of ZIPs. Memory holds what the byte budget lends, whatever the ZIP's size."""

    context: Context
    archivist: Archivist
    deposit: Deposit
    record: ExportRecord
    reads: CatalogueReads
    concurrency: int
    part_size: int  # bytes: smaller members are held whole

    async def read(self, chunks: AsyncIterator[bytes], names: Names, tally: Tally, *, export: int) -> str | None:
        """Read a ZIP to its end. Returns why that was not possible, None where it was."""
        problem = None
        most = 2 * names.size + SPARE_BYTES * (1 + names.count)
        try:
            async with asyncio.TaskGroup() as group:
                walk = _Walk(names, tally, export, asyncio.Semaphore(self.concurrency), group)
                walk.places = {recording_id: place for place, recording_id in enumerate(names.due)}
                try:
                    async with aclosing(members(chunks, most=most)) as found:
                        async for member in found:
                            await self._take(member, walk)
                            if self.context.stopping():
                                break
                except Throttled:
                    raise
                except Transient as error:
                    problem = str(error)
        except BaseExceptionGroup as failed:
            raise first_leaf(failed) from None
        if walk.claimed:
            mark = self.context.mark("its member of an export has not come")
            await self.record.release(self.context.account, list(walk.claimed), mark)
        for recording_id, sha256 in walk.again:
            await self._compare(recording_id, sha256, walk)
        return problem

    async def _take(self, member: Member, walk: _Walk) -> None:
        """Find out which recording a member is, and have it archived. What is wrong with it alone is only counted."""
        if member.name.endswith("/"):  # a folder
            return
        if member.refusal is not None:
            walk.tally.spoilt += 1
            log.warning("export_member_refused", reason=member.refusal, export=walk.export)
            return
        head, ended = b"", False
        fitting = walk.names.fitting(member.name, member.size)
        try:
            if member.size is None and len(fitting) > 1:
                head, ended = await self._peek(member)
                fitting = [one for one in fitting if self._may_be(one, len(head), ended=ended)]
            await self._settle(member, head, fitting, walk)
        except Transient as error:  # the walk goes on where the ZIP does
            walk.tally.spoilt += 1
            log.warning("export_member_spoilt", reason=str(error), export=walk.export)

    async def _peek(self, member: Member) -> tuple[bytes, bool]:
        """Read up to a part of a member whose size nobody has told; True: that is all of it."""
        pieces, have = list[bytes](), 0
        while have <= self.part_size:
            piece = await anext(member.chunks(), None)
            if piece is None:
                return b"".join(pieces), True
            pieces.append(piece)
            have += len(piece)
        return b"".join(pieces), False

    def _may_be(self, one: Listed, have: int, *, ended: bool) -> bool:
        return one.size is None or (one.size == have if ended else one.size >= have)

    async def _settle(self, member: Member, head: bytes, fitting: list[Listed], walk: _Walk) -> None:
        one = only(fitting)
        if one is None:
            walk.tally.ambiguous += bool(fitting)
            walk.tally.unlisted += not fitting
            if not fitting:
                self.context.report.unlisted_members += 1
                log.warning("export_member_unlisted", size=member.size, export=walk.export)
            return
        walk.met[one.recording_id] += 1
        if one.copied is not None:  # by an earlier reading, which may have ended before it saw this member
            walk.tally.taken.setdefault(one.recording_id, one.copied)
        if one.recording_id in walk.tally.taken:
            await self._look_again(member, head, one, walk)
        elif not one.due:
            walk.tally.unwanted += 1
        elif walk.met[one.recording_id] > 1:  # the first was spoilt: which of both it is nobody knows
            walk.tally.repeated += 1
        else:
            await self._claim(member, head, one, walk)

    async def _look_again(self, member: Member, head: bytes, one: Listed, walk: _Walk) -> None:
        """Hash a member whose recording is stored already. Unreadable counts as different only beside another one."""
        twice = walk.met[one.recording_id] > 1
        walk.tally.repeated += twice
        walk.tally.unwanted += not twice
        try:
            walk.again.append((one.recording_id, await _hashed(_joined(head, member.chunks()))))
        except BodyRejected:
            if twice:
                walk.again.append((one.recording_id, UNREADABLE))
            raise

    async def _claim(self, member: Member, head: bytes, one: Listed, walk: _Walk) -> None:
        entry = await self._entry_of(one.recording_id, walk)
        if entry is None:
            walk.tally.unwanted += 1
            return
        walk.tally.taken[entry.id] = None
        await walk.slots.acquire()
        read = asyncio.Event()
        stream = _noted(_joined(head, member.chunks()), read.set)
        task = walk.group.create_task(self._archive(entry, stream, walk))
        task.add_done_callback(lambda _: walk.slots.release())
        task.add_done_callback(lambda _: read.set())
        await read.wait()  # the next member begins where this one ends; storing it goes on meanwhile

    async def _entry_of(self, recording_id: str, walk: _Walk) -> Entry | None:
        """Claim a recording, and with it those whose members are likely to come next: one statement for many."""
        if recording_id not in walk.claimed:
            place = walk.places[recording_id]
            following = walk.names.due[place : place + CLAIMED_AT_ONCE]
            ids = [one for one in following if not walk.met[one] or one == recording_id]
            mark = self.context.mark("claimed for transfer", export=walk.export)
            claimed = await self.record.claim(self.context.account, ids, mark)
            walk.claimed.update((entry.id, entry) for entry in claimed)
        return walk.claimed.pop(recording_id, None)

    async def _archive(self, entry: Entry, chunks: AsyncIterator[bytes], walk: _Walk) -> None:
        with structlog.contextvars.bound_contextvars(recording_id=entry.id):
            try:
                await self._bring(entry, AudioStream(None, None, chunks), walk)
            except Conflict as error:
                log.warning("claim_lost", reason=str(error))
            except Throttled:
                raise
            except (Transient, SkipItem) as error:
                await self._give_back(entry, error, walk)

    async def _bring(self, entry: Entry, stream: AudioStream, walk: _Walk) -> None:
        async def land(recording: Recording, place: Place) -> Deposited:
            deposited = await self.deposit.land(recording, place, stream)
            walk.tally.taken[entry.id] = deposited.fixity.sha256
            return deposited

        if await self.archivist.archive(entry, land, {"export": walk.export}):
            walk.tally.stored += 1
            self.context.report.exported += 1

    async def _give_back(self, entry: Entry, error: ArchiverError, walk: _Walk) -> None:
        walk.tally.spoilt += 1
        del walk.tally.taken[entry.id]
        log.warning("export_member_spoilt", reason=str(error), export=walk.export)
        mark = self.context.mark(f"its member of an export was not stored: {error}")
        await self.record.release(self.context.account, [entry.id], mark)

    async def _compare(self, recording_id: str, sha256: str, walk: _Walk) -> None:
        """A second member of a name and size: nothing is lost where both are the same; else one is another's."""
        stored = walk.tally.taken.get(recording_id)
        if stored is None or stored == sha256:
            return
        entry = await self.reads.entry(self.context.account, recording_id)
        if entry is not None and entry.state in (State.STORED, State.VERIFIED):
            with structlog.contextvars.bound_contextvars(recording_id=recording_id):
                await self.archivist.quarantine(entry, "an export has two different members of its name and size")


async def _hashed(chunks: AsyncIterator[bytes]) -> str:
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in rest:
        yield chunk


async def _noted(chunks: AsyncIterator[bytes], ended: Callable[[], None]) -> AsyncIterator[bytes]:
    """Pass a stream on, and say when all of it was read."""
    async for chunk in chunks:
        yield chunk
    ended()
