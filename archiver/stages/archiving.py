"""A claimed recording's way into the archive, whoever brings its bytes: the copy, the sidecar, then the row."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from archiver.core import naming, sidecar
from archiver.core.candidates import candidate
from archiver.core.holds import holding
from archiver.core.model import Entry, Recording, State
from archiver.core.retention import excluded_by
from archiver.core.rulebook import Rulebook
from archiver.errors import ObjectExists
from archiver.stages.budget import ByteBudget
from archiver.stages.context import Context
from archiver.stages.deposit import Deposited, Place
from archiver.stages.ports import Catalogue, ObjectStore
from archiver.stages.retention_ports import Controls

log = structlog.get_logger()

Bring = Callable[[Recording, Place], Awaitable[Deposited]]  # puts one recording to its place, and compares
NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archivist:
    """Archives claimed recordings of one account. Only for the holder of the account's transfer lock."""

    context: Context
    store: ObjectStore
    catalogue: Catalogue
    rules: Rulebook
    controls: Controls
    budget: ByteBudget
    prefix: str

    async def archive(self, entry: Entry, bring: Bring, said: Mapping[str, object] = NOTHING) -> bool:
        """Move a claimed recording on: excluded by a policy, quarantined, or stored. `said`: more for the history.

        True: it is stored. Raises what `bring` raises, and Conflict when the recording is no longer the run's.
        """
        policy = excluded_by(entry.recording, self.rules)
        if policy is not None and not await self._on_hold(entry):
            await self._exclude(entry, policy)
            return False
        try:
            await self._store(entry, bring, said)
        except ObjectExists as error:
            await self.quarantine(entry, str(error))
            return False
        return True

    async def quarantine(self, entry: Entry, reason: str) -> None:
        """Put a recording aside for a person to look at."""
        await self.catalogue.advance(entry, State.QUARANTINED, self.context.mark(reason), problem=reason)
        self.context.report.quarantined += 1
        self.context.report.fail(entry.id, "quarantined", reason)
        log.error("recording_quarantined", reason=reason)

    async def _on_hold(self, entry: Entry) -> bool:
        """Whether a case holds it: that beats a policy that keeps it out of the archive."""
        terms = await self.controls.terms(self.context.clock())
        return bool(holding(candidate(entry), terms.holds))

    async def _store(self, entry: Entry, bring: Bring, said: Mapping[str, object]) -> None:
        recording = entry.recording
        if entry.attempts > 1:
            self.context.report.repeats.note(entry.id, f"attempt_{entry.attempts}")
        key = naming.audio_key(self.prefix, recording)
        place = Place(key, self.rules.regime(recording).storage_class)
        part = self.store.part_size
        # twice: the pieces as they come and the part made of them
        async with self.budget.lend(2 * min(recording.size or part, part)):
            began = time.monotonic()
            deposited = await bring(recording, place)
            self.context.report.took(entry.id, time.monotonic() - began)
        if not deposited.described:
            await self._write_sidecar(entry, key, deposited)
        fixity = deposited.fixity
        mark = self.context.mark("stored", key=key, sha256=fixity.sha256, size=fixity.size, **said)
        await self.catalogue.advance(
            entry,
            State.STORED,
            mark,
            key=key,
            sha256=fixity.sha256,
            size=fixity.size,
            size_disagrees=deposited.size_disagrees,
            stored_at=mark.at,
            problem="the listed size is another one" if deposited.size_disagrees else None,
        )
        self._count(deposited)

    def _count(self, deposited: Deposited) -> None:
        report = self.context.report
        report.archived += 1
        report.bytes += deposited.fixity.size
        report.adopted += deposited.adopted
        report.disagreeing += deposited.size_disagrees
        if deposited.size_disagrees:
            log.warning("size_disagrees", size=deposited.fixity.size)
        log.debug("recording_stored", size=deposited.fixity.size, adopted=deposited.adopted)

    async def _write_sidecar(self, entry: Entry, key: str, deposited: Deposited) -> None:
        body = sidecar.render(
            entry.recording,
            key=key,
            fixity=deposited.fixity,
            size_disagrees=deposited.size_disagrees,
            listed_at=entry.listed_at,
        )
        beside = naming.sidecar_key(key)
        try:
            await self.store.create(beside, body, content_type=naming.SIDECAR_TYPE)
        except ObjectExists:
            if await self.store.read(beside, limit=sidecar.LIMIT) != body:
                await self.store.replace(beside, body, content_type=naming.SIDECAR_TYPE)

    async def _exclude(self, entry: Entry, policy: str) -> None:
        reason, digest = f"policy {policy} says archive: false", self.rules.policies.digest
        mark = self.context.mark(reason)
        await self.catalogue.advance(entry, State.EXCLUDED, mark, problem=reason, policies_digest=digest)
        self.context.report.exclude(policy)
        log.info("recording_excluded", policy=policy)
