"""Decisions: what people have decided about deletion is copied into the bucket, before anything is deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from archiver.core import naming
from archiver.core.controls import Kind
from archiver.core.decision_copies import copies
from archiver.errors import ObjectExists
from archiver.stages.context import Context
from archiver.stages.ports import ObjectStore
from archiver.stages.rebuild_ports import DecisionLog, ObjectListing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CopyDecisions:
    """The stage, for all accounts together: a case may hold recordings of each."""

    context: Context
    store: ObjectStore
    listing: ObjectListing
    decisions: DecisionLog
    copied: Callable[[], Awaitable[int | None]]  # how many decisions had a copy at the end of an earlier run
    prefix: str

    async def run(self) -> None:
        """Copy each decision that has no copy yet: the keys tell which. Nothing is asked where nothing was decided."""
        report, (count, _) = self.context.report, await self.decisions.extent()
        if count and await self.copied() != count:
            await self._copy_missing()
        report.decisions = count

    async def _copy_missing(self) -> None:
        folder, copied = naming.decisions_folder(self.prefix), 0
        there = {one.key async for one in self.listing.objects(folder)}
        for key, body in copies(await self.decisions.log(list(Kind)), self.prefix):
            if key not in there:
                copied += await self._copy(key, body)
        if copied:
            log.info("decisions_copied", decisions=copied)

    async def _copy(self, key: str, body: bytes) -> bool:
        try:
            await self.store.create(key, body, content_type=naming.SIDECAR_TYPE)
        except ObjectExists:  # another process was faster
            return False
        return True
