"""Hold one copy in the bucket as the terms ask: lock and legal hold on the audio and on its sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC

import structlog

from archiver.core import naming
from archiver.core.model import Entry, Lock, Protection
from archiver.core.protection import Steps, Wanted, steps
from archiver.errors import AccessDenied
from archiver.stages.context import Context
from archiver.stages.ports import Catalogue, ObjectStore
from archiver.stages.retention_ports import ObjectLocks

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Guard:
    """Works on one copy at a time. What comes of it, the caller writes down."""

    context: Context
    store: ObjectStore
    locks: ObjectLocks
    catalogue: Catalogue

    async def settle(self, entry: Entry, wants: Wanted) -> Protection:
        """Bring lock and hold of a copy to what is wanted, and return what holds it now. Raises NotFound.

        Where the bucket has no locks, or does not let us, the hold is the catalogue's alone and no lock is in place:
        that bars the source's deletion, and stops nothing else.
        """
        if wants.nothing and entry.lock is None and not entry.on_hold:
            return Protection()
        held = bool(wants.holds)
        if not (await self.store.facts()).object_lock:
            if wants.lock is not None:
                self._say_unlocked("the bucket has no object lock", "archiver doctor")
            return Protection(on_hold=held, hold_set=held and entry.hold_set)
        try:
            return await self._settle_both(entry, wants)
        except AccessDenied as error:
            self._say_unlocked(str(error), error.hint)
            return Protection(on_hold=held or entry.hold_set, hold_set=entry.hold_set)  # ours may still be on

    async def _settle_both(self, entry: Entry, wants: Wanted) -> Protection:
        key, _ = entry.require_copy()
        keys = (key, naming.sidecar_key(key))
        found = {one: await self.locks.protection(one) for one in keys}
        todo = {one: steps(wants, found[one], ours=entry.hold_set) for one in keys}
        for one in keys:
            self._watch_drift(one, entry, found[one])
        sets = bool(wants.holds) and (entry.hold_set or all(step.hold for step in todo.values()))
        if sets and not entry.hold_set:  # the row first: a hold that nobody remembers to have set stays for ever
            await self._announce(entry, wants)
        locks = [await self._take(one, todo[one], found[one]) for one in keys]
        return Protection(lock=_weakest(locks), on_hold=bool(wants.holds), hold_set=sets)

    async def _announce(self, entry: Entry, wants: Wanted) -> None:
        mark = self.context.mark(f"to be put on legal hold in the bucket: {', '.join(wants.holds)}")
        await self.catalogue.note(entry, mark, protection=replace(entry.protection, on_hold=True, hold_set=True))

    async def _take(self, key: str, todo: Steps, found: Protection) -> Lock | None:
        """Take the steps for one object. Returns its lock."""
        if todo.lock is not None:
            await self.locks.lock(key, todo.lock)
        if todo.hold is not None:
            await self.locks.hold(key, on=todo.hold)
        if todo.problem is not None:
            self._say_unlocked(todo.problem, "see docs/operations.md, locks and holds in the bucket")
        return todo.lock or found.lock

    def _say_unlocked(self, reason: str, hint: str) -> None:
        """Count a copy that is not held as wanted; the first of a run is told of, the others are like it."""
        report = self.context.report
        report.unlocked += 1
        if report.unlocked == 1:
            log.error("lock_missing", reason=reason, hint=hint)

    def _watch_drift(self, key: str, entry: Entry, found: Protection) -> None:
        for drift in _drifted(entry, found):
            self.context.report.drifted += 1
            log.warning("protection_drifted", key=key, reason=drift)


def _drifted(entry: Entry, found: Protection) -> Iterator[str]:
    """Say where the bucket is not as it was left: somebody else has been there."""
    if entry.hold_set and not found.on_hold:
        yield "the bucket's legal hold was taken off"
    if entry.lock is not None and (found.lock is None or not found.lock.covers(entry.lock)):
        yield "the bucket's lock is weaker or shorter than it was, or gone"


def _weakest(found: list[Lock | None]) -> Lock | None:
    """Return what holds both objects: the weaker mode, until the earlier end."""
    locks = [lock for lock in found if lock is not None]
    if len(locks) < len(found):
        return None
    return Lock(min(locks, key=lambda lock: lock.mode.strength).mode, min(lock.until for lock in locks))


def told(entry: Entry, wants: Wanted, protection: Protection) -> str:
    """Say for the history what holds a copy now that did not before, or no longer does."""
    said = []
    if protection.on_hold != entry.on_hold or protection.hold_set != entry.hold_set:
        said.append(f"on legal hold: {', '.join(wants.holds)}" if protection.on_hold else "no longer on legal hold")
    if protection.lock != entry.lock:
        lock = protection.lock
        until = "" if lock is None else f"{lock.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        said.append("no lock is in place" if lock is None else f"locked, {lock.mode}, until {until}")
    return "; ".join(said)
