"""Whether the source has a recording no more. One 404 proves little: a wrong address answers so to everything."""

from __future__ import annotations

from archiver.core.model import Entry, Recording, Slice
from archiver.errors import SkipItem, StopStage, Unreachable
from archiver.stages.ports import RecordingSource

SAME_SECOND = 100  # recordings asked for that began in the same second


async def not_listed(source: RecordingSource, entry: Entry) -> bool:
    """List the second in which the call began. True: the listing works, is whole, and lacks the recording."""
    second = Slice(entry.recording.start, entry.recording.start)
    page = await source.list_page(second, page=1, page_size=SAME_SECOND)
    listed = {recording.id for recording in (*page.recordings, *await _page_zero(source, second))}
    return entry.id not in listed and (page.total_items or 0) <= len(listed)


async def _page_zero(source: RecordingSource, second: Slice) -> tuple[Recording, ...]:
    """List the first page of a source that counts from 0; one that counts from 1 may refuse it."""
    try:
        return (await source.list_page(second, page=0, page_size=SAME_SECOND)).recordings
    except Unreachable:
        raise
    except (SkipItem, StopStage):
        return ()
