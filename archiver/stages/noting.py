"""Leave a note beside a recording of what was deleted: the bucket shows that to nobody when the catalogue is lost."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.core import naming, notes
from archiver.core.documents import Unreadable
from archiver.core.model import Entry, Mark, State
from archiver.core.notes import Note
from archiver.core.sidecar import LIMIT
from archiver.errors import IntegrityError, ObjectExists
from archiver.stages.ports import ObjectStore
from archiver.stages.retention_ports import HistoryReads

MOVE_ASIDE = "the sidecar stays until somebody has moved that aside in the bucket"


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes notes. Raises as the store does."""

    store: ObjectStore
    history: HistoryReads

    async def leave(self, entry: Entry, after: State, mark: Mark) -> None:
        """Write down in the bucket what the row is about to say with `mark`. One that stands there already stays.

        Raises IntegrityError where that one should be the tombstone of this copy, and is not: it is all that will
        be left.
        """
        kind = naming.Kind.EXPIRED if after is State.EXPIRED else naming.Kind.PURGED
        lines = await self.history.lines(entry.recording.account, entry.id)
        note = notes.of_entry(entry, after, [*lines, notes.line_of(entry.state, after, mark)])
        key = naming.note_key(note.key, kind)
        try:
            await self.store.create(key, notes.render(note), content_type=naming.SIDECAR_TYPE)
        except ObjectExists:  # a process that was killed before the row said so has left it
            if after is State.EXPIRED:
                await self._require_tombstone(key, note)

    async def _require_tombstone(self, key: str, wanted: Note) -> None:
        try:
            found = notes.parse(await self.store.read(key, limit=LIMIT))
        except Unreadable as error:
            raise IntegrityError(f"{key} is no tombstone: {error}; {MOVE_ASIDE}") from error
        if found.after is not State.EXPIRED or not found.is_of(wanted.key, wanted.fixity):
            raise IntegrityError(f"{key} is no tombstone of this copy; {MOVE_ASIDE}")
