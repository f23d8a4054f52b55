"""A whole pass against real servers: what the bucket, the catalogue and the source look like afterwards."""

from __future__ import annotations

import hashlib
import json

from archiver.core.model import State
from archiver.simulator import audio_sha256, ordinary
from tests.support.world import LONG_AGO, MakeWorld


async def test_everything_listed_is_archived_byte_for_byte(world: MakeWorld) -> None:
    """Each recording lies in the bucket as the source sent it, with a sidecar that names its digest."""
    account = ordinary(40, start=LONG_AGO, mean_size=30_000)
    here = await world(account)
    done = await here.sync()

    entries, objects = await here.entries(), await here.objects()

    assert here.exit_code == 0
    assert {entry.state for entry in entries.values()} == {State.VERIFIED}
    assert len(entries) == 40
    for recording in account.recordings:
        entry = entries[str(recording.id)]
        body = objects.pop(entry.key or "")
        assert hashlib.sha256(body).hexdigest() == audio_sha256(recording.id, recording.size)
        sidecar = json.loads(objects.pop((entry.key or "").replace(".mp3", ".json")))
        assert sidecar["audio"]["sha256"] == hashlib.sha256(body).hexdigest()
        assert sidecar["source"]["id"] == recording.id
    assert objects == {}
    assert done.reports["acme"].archived == 40
