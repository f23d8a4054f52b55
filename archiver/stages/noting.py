"""Leave a note beside a recording of what was deleted: the bucket shows that to nobody when the catalogue is lost."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.core import naming, notes
from archiver.core.model import Entry, Mark, State
from archiver.errors import ObjectExists
from archiver.stages.ports import ObjectStore
from archiver.stages.retention_ports import HistoryReads


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes notes. Raises as the store does."""

    store: ObjectStore
    history: HistoryReads

    async def leave(self, entry: Entry, after: State, mark: Mark) -> None:
        """Write down in the bucket what the row is about to say with `mark`. One that stands there already stays."""
        kind = naming.Kind.EXPIRED if after is State.EXPIRED else naming.Kind.PURGED
        lines = await self.history.lines(entry.recording.account, entry.id)
        note = notes.of_entry(entry, after, [*lines, notes.line_of(entry.state, after, mark)])
        try:
            await self.store.create(
                naming.note_key(note.key, kind), notes.render(note), content_type=naming.SIDECAR_TYPE
            )
        except ObjectExists:  # a process that was killed before the row said so has left it
            return
