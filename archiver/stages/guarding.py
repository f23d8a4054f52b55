"""Hold one copy in the bucket as the terms ask: lock and legal hold on the audio and on its sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

import structlog

from archiver.core import naming
from archiver.core.model import Entry, Lock, Protection
from archiver.core.protection import Wanted, steps
from archiver.core.report import PassReport
from archiver.stages.ports import ObjectStore
from archiver.stages.retention_ports import ObjectLocks

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Guard:
    """Works on one copy at a time; changes nothing in the catalogue."""

    store: ObjectStore
    locks: ObjectLocks
    report: PassReport

    async def settle(self, entry: Entry, wants: Wanted) -> Protection:
        """Bring lock and hold of a copy to what is wanted, and return what holds it now. Raises NotFound.

        Where the bucket has no locks the hold is the catalogue's alone, and no lock is in place.
        """
        if wants.nothing and entry.lock is None and not entry.on_hold:
            return Protection()
        if not (await self.store.facts()).object_lock:
            if wants.lock is not None:
                log.error("lock_missing", reason="the bucket has no object lock", hint="archiver doctor")
            return Protection(on_hold=bool(wants.holds))
        key, _ = entry.require_copy()
        locks = [await self._settle(one, entry, wants) for one in (key, naming.sidecar_key(key))]
        return Protection(lock=_weakest(locks), on_hold=bool(wants.holds))

    async def _settle(self, key: str, entry: Entry, wants: Wanted) -> Lock | None:
        """Settle one object. Returns its lock."""
        found = await self.locks.protection(key)
        for drift in _drifted(entry, found):
            self.report.drifted += 1
            log.warning("protection_drifted", key=key, reason=drift)
        todo = steps(wants, found, ours=entry.on_hold)
        if todo.lock is not None:
            await self.locks.lock(key, todo.lock)
        if todo.hold is not None:
            await self.locks.hold(key, on=todo.hold)
        if todo.problem is not None:
            log.error("lock_missing", reason=todo.problem, hint="see docs/operations.md, locks and holds in the bucket")
        return todo.lock or found.lock


def _drifted(entry: Entry, found: Protection) -> Iterator[str]:
    """Say where the bucket is not as it was left: somebody else has been there."""
    if entry.on_hold and not found.on_hold:
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
    if protection.on_hold != entry.on_hold:
        said.append(f"on legal hold: {', '.join(wants.holds)}" if protection.on_hold else "no longer on legal hold")
    if protection.lock != entry.lock:
        lock = protection.lock
        until = "" if lock is None else f"{lock.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        said.append("no lock is in place" if lock is None else f"locked, {lock.mode}, until {until}")
    return "; ".join(said)
