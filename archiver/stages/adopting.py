"""What the bucket holds already is not fetched: after a restored dump, and where the source has it no longer."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.core import naming, sidecar
from archiver.core.model import Recording
from archiver.errors import IntegrityError, NotFound
from archiver.stages.deposit import Deposit, Deposited, Place
from archiver.stages.ports import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopter:
    """Brings recordings into the bucket like `Deposit`, or finds them there."""

    store: ObjectStore
    deposit: Deposit
    first: bool  # look before the source is asked; else only when it has no such recording

    async def bring(self, recording: Recording, place: Place) -> Deposited:
        """Copy one recording to its place, unless a whole copy stands there. Raises like `Deposit.bring`."""
        if self.first and (found := await self._find(recording, place)) is not None:
            return found
        try:
            return await self.deposit.bring(recording, place)
        except NotFound:
            # it was archived and deleted at the source, and the row knows of neither: a crash, or an older dump
            if (found := await self._find(recording, place)) is None:
                raise
            return found

    async def _find(self, recording: Recording, place: Place) -> Deposited | None:
        """Return a copy whose sidecar speaks of this recording and of these bytes, which are proved."""
        try:
            spoken = sidecar.spoken_in(await self.store.read(naming.sidecar_key(place.key), limit=sidecar.LIMIT))
            if not spoken.fits(recording) or spoken.fixity != await self.store.stored_fixity(place.key):
                return None
        except (NotFound, IntegrityError):
            return None
        return Deposited(fixity=spoken.fixity, size_disagrees=spoken.size_disagrees, adopted=True, described=True)
