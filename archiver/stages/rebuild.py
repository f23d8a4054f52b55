"""Rebuild: a lost catalogue is made again from what stands in the bucket. Nothing in the bucket is changed."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from archiver.core import controls, decision_copies, naming, rebuilding, sidecar
from archiver.core.candidates import candidate
from archiver.core.controls import holds_in, opening
from archiver.core.decision_copies import Copy
from archiver.core.documents import Unreadable
from archiver.core.holds import Hold, Query, holding
from archiver.core.match import Match
from archiver.core.model import Mark, Protection, State
from archiver.core.naming import Kind
from archiver.core.rebuilding import Found, Known, Listed, RebuildReport, Rebuilt, Refusal, Trouble
from archiver.errors import Conflict, SkipItem
from archiver.stages.ports import ObjectStore
from archiver.stages.rebuild_ports import DecisionLog, HeldEntries, ObjectListing, RebuildRows
from archiver.stages.retention_ports import Controls, ObjectLocks
from archiver.stages.workers import run_workers

log = structlog.get_logger()

BATCH = 500
MOST_BYTES = 16 * sidecar.LIMIT  # of one batch, however few recordings that are
MOST_IDS = 10_000  # of one case
WHY = "the bucket has a legal hold on these, and the catalogue was rebuilt without the case that asked for it"


@dataclass(slots=True, kw_only=True)
class Rebuild:
    """The stage, for all accounts together. Only for the holder of all their locks."""

    run_id: str
    clock: Callable[[], datetime]
    stopping: Callable[[], bool]
    store: ObjectStore
    listing: ObjectListing
    locks: ObjectLocks
    rows: RebuildRows
    decisions: DecisionLog
    terms: Controls
    held: HeldEntries
    accounts: Sequence[str]
    prefix: str
    concurrency: int
    dry_run: bool
    report: RebuildReport
    most: int = BATCH  # recordings of one transaction
    cases: tuple[Hold, ...] = ()
    taken: set[int] = field(default_factory=set)  # recordings taken on, by hash; a dry run has no rows to ask for them

    async def run(self) -> None:
        """Take on decisions, then recordings, then open a case for what is on hold without one.

        In this order nothing that a case holds ever stands in the catalogue without it.
        """
        await self._take_decisions(await self._decisions())
        batch, weight = list[Found](), 0
        async for found in self._found():
            batch.append(found)
            weight += found.bytes_to_read
            if len(batch) == self.most or weight >= MOST_BYTES:
                await self._take(batch)
                batch, weight = [], 0
            if self.stopping():
                return
        await self._take(batch)
        if not self.dry_run:
            for account in self.accounts:
                await self._open_case(account)

    async def _found(self) -> AsyncIterator[Found]:
        """Walk the bucket. All objects of one recording have keys in a row: they begin alike."""
        address: naming.Address | None = None
        objects: dict[Kind, Listed] = {}
        async for one in self.listing.objects(self.prefix):
            if one.key.startswith(naming.own_folder(self.prefix)):
                continue
            self.report.objects += 1
            read = naming.address_of(self.prefix, one.key)
            if read is None:
                self.report.refuse(Refusal(one.key, Trouble.FOREIGN, "it is no object of this archive"))
                continue
            if address is not None and read[0] != address:
                yield Found(address, objects)
                objects = {}
            address = read[0]
            objects[read[1]] = one
        if address is not None:
            yield Found(address, objects)

    async def _take(self, batch: Sequence[Found]) -> None:
        """Take on what the catalogue does not know yet, in one transaction."""
        rebuilt = await self._rebuilt(self._unknown(batch, await self.rows.known([one.address for one in batch])))
        if rebuilt and not self.dry_run:
            await self.rows.add(rebuilt)
        for one in rebuilt:
            self._count(one)

    def _unknown(self, batch: Sequence[Found], known: Mapping[tuple[str, str], Known]) -> list[Found]:
        """Leave out what has a row. Where the row and the bucket contradict each other, that is named."""
        chosen = list[Found]()
        for found in batch:
            row = known.get(found.address.name)
            if row is None:
                chosen.append(found)
            elif (refused := rebuilding.contradiction(found, row)) is None:
                self.report.known += 1
            else:
                self.report.refuse(refused)
        return chosen

    def _is_first(self, found: Found) -> bool:
        """Of two copies under different starts, both believed, the first is taken on; the other one is named."""
        name = hash(found.address.name)
        if name in self.taken:
            self.report.refuse(rebuilding.second(found))
            return False
        self.taken.add(name)
        return True

    async def _rebuilt(self, batch: Sequence[Found]) -> list[Rebuilt]:
        """Read what is needed of each recording, several at a time, and keep the order of the keys."""
        waiting, made = deque(enumerate(batch)), dict[int, Rebuilt]()
        mark = Mark(self.run_id, self.clock(), "rebuilt")

        async def work() -> None:
            while waiting:
                number, found = waiting.popleft()
                one = await self._read(found, mark)
                if one is not None:
                    made[number] = one

        await run_workers(self.concurrency, work)
        if not self.dry_run:
            self.taken.clear()  # what earlier batches have taken on has a row
        return [made[number] for number in sorted(made) if self._is_first(batch[number])]

    async def _read(self, found: Found, mark: Mark) -> Rebuilt | None:
        kinds = rebuilding.to_read(found, self.accounts)
        if isinstance(kinds, Refusal):
            self.report.refuse(kinds)
            return None
        try:
            bodies = {kind: await self._body(found.objects[kind].key) for kind in kinds}
            protection = await self._protection(found, bodies)
        except SkipItem as error:
            self.report.refuse(Refusal(found.objects[kinds[0]].key, Trouble.UNREADABLE, str(error)))
            return None
        rebuilt, refused = rebuilding.rebuild(found, bodies, protection, mark)
        for one in refused:
            self.report.refuse(one)
        return rebuilt

    async def _body(self, key: str, limit: int = sidecar.LIMIT) -> bytes:
        return await self.store.read(key, limit=limit)

    async def _protection(self, found: Found, bodies: Mapping[Kind, bytes]) -> Protection:
        """Ask what holds the copy, by its sidecar: before a deletion both objects are asked about again."""
        if Kind.SIDECAR not in bodies or not (await self.store.facts()).object_lock:
            return Protection()
        return await self.locks.protection(found.objects[Kind.SIDECAR].key)

    def _count(self, one: Rebuilt) -> None:
        report, entry = self.report, one.entry
        gone = entry.state in (State.EXPIRED, State.EXPIRING)
        report.expired += gone
        report.stored += not gone
        report.purged += not gone and entry.purged_at is not None
        report.held += entry.on_hold
        report.uncased += entry.on_hold and not holding(candidate(entry), self.cases)

    async def _decisions(self) -> list[tuple[str, Copy]]:
        """Read the copies of decisions, in the order of the log."""
        found: list[tuple[str, Copy]] = []
        async for one in self.listing.objects(naming.decisions_folder(self.prefix)):
            try:
                found.append((one.key, decision_copies.parse(await self._body(one.key, decision_copies.LIMIT))))
            except (Unreadable, SkipItem) as error:
                self.report.refuse(Refusal(one.key, Trouble.UNREADABLE, str(error)))
        return found

    async def _take_decisions(self, copied: Sequence[tuple[str, Copy]]) -> None:
        known = await self.decisions.log([controls.Kind.HOLD])  # what is added may go on with one of these
        added, refused = await self.rows.add_decisions(copied, dry_run=self.dry_run)
        self.report.decisions = len(added)
        for one in refused:
            self.report.refuse(one)
        self.cases = tuple(case for case in holds_in([*known, *added]) if case.open)

    async def _open_case(self, account: str) -> None:
        """Open a case for what the bucket holds and no case speaks of: it stays held until two people release it."""
        ids: list[str] = []
        terms = await self.terms.terms(self.clock())
        async for entry in self.held.held_entries(account):
            if not holding(candidate(entry), terms.holds):
                ids.append(entry.id)
            if len(ids) == MOST_IDS:
                await self._hold(account, ids)
                ids = []
        if ids:
            await self._hold(account, ids)

    async def _hold(self, account: str, ids: Sequence[str]) -> None:
        query = Query(ids=tuple(ids), match=Match(accounts=(account,)))
        number = 1
        while True:
            name = f"rebuilt-{account}" if number == 1 else f"rebuilt-{account}-{number}"
            case = Hold(name=name, reason=WHY, author=self.run_id, at=self.clock(), query=query, future=False)
            try:
                await self.decisions.record(opening(case))
            except Conflict:  # an earlier rebuild has opened one of this name
                number += 1
            else:
                break
        self.report.cases.append(name)
        log.warning("case_rebuilt", case=name, recordings=len(ids))
