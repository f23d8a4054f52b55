"""Small accounts and buckets with object lock, in which copies are locked, held, released and deleted for good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from archiver.core.naming import sidecar_key
from archiver.simulator import Account, SimRecording
from tests.support import office
from tests.support.crash_lab import Event, Experiment, Scenario
from tests.support.crash_scenarios import (
    AFTER_A_MONTH,
    SOON,
    SYNC,
    crash,
    gone_at_source,
    key_of,
    old,
    put_object,
    young,
)

BOTH_SIDES = {**SOON, "archive": {"mode": "automatic", "max_percent": 100}}


def keeping(deletion: Mapping[str, object], source: str = "30d", **archive: str) -> dict[str, object]:
    """Make a policies file of one policy."""
    return {"deletion": deletion, "policies": [{"name": "all", "source": {"delete_after": source}, "archive": archive}]}


#: Locked for ten years; the old calls are deleted at the source.
LOCKING = keeping(SOON, keep_at_least="10y", lock="governance")
#: The floor and the ceiling of the old calls have passed.
ENDING = keeping(BOTH_SIDES, keep_at_least="40d", delete_after="50d", lock="governance")


def put_sidecar_again(recording: SimRecording) -> Event:
    """Make an event: the sidecar is written once more, so that a bucket with versions has two of it."""

    async def event(experiment: Experiment) -> None:
        client, bucket, key = experiment.world.store.client, experiment.world.bucket, sidecar_key(key_of(recording))
        body = await asyncio.to_thread(client.get_object(Bucket=bucket, Key=key)["Body"].read)
        await asyncio.to_thread(client.put_object, Bucket=bucket, Key=key, Body=body)

    return event


def become(policies: Mapping[str, object]) -> Event:
    """Make an event: the policies file is changed."""

    async def event(experiment: Experiment) -> None:
        experiment.world.policies = policies

    return event


def held(*ids: str) -> Event:
    """Make an event: a case is opened that holds recordings, those too that are listed later."""

    async def event(experiment: Experiment) -> None:
        await office.hold(experiment.world, ids=ids, future=True)

    return event


async def released(experiment: Experiment) -> None:
    """Release the case, by two people."""
    await office.release_by_two(experiment.world)


async def planned(experiment: Experiment) -> None:
    """Write a plan, and have it approved."""
    text = await office.approved_plan(experiment.world)
    (experiment.world.folder / "plan.json").write_text(text)


#: Locks and a hold from the beginning: set before a copy counts as verified.
LOCKED = Scenario(
    name="locked",
    account=Account(recordings=(old(1), young(6))),
    policies=LOCKING,
    before=(held("6"),),
    locks=True,
    lock_first=True,
)
#: The policies begin to ask for locks, and a case is opened, when everything is verified.
PROTECTED = Scenario(
    name="protected",
    account=Account(recordings=(old(1), young(6))),
    policies=keeping(SOON, "never"),
    before=(SYNC, become(LOCKING), held("6")),
    locks=True,
)
#: The case is released.
RELEASED = replace(LOCKED, name="released", before=(held("6"), SYNC, released))
#: The source's copy is gone; the archive's is due. Its sidecar has an older version.
EXPIRING = Scenario(
    name="expiring",
    account=Account(recordings=(old(1), young(6))),
    policies=ENDING,
    before=(SYNC, put_sidecar_again(old(1))),
    locks=True,
)
#: Another administrator has deleted one of five at the source.
LEFT = Scenario(
    name="left",
    account=Account(recordings=tuple(young(number) for number in range(1, 6))),
    policies=keeping(BOTH_SIDES, "never", delete_after="1h"),
    before=(SYNC, gone_at_source(3)),
    locks=True,
)
#: Died when a deletion in the archive had begun; since then a person has to approve it.
MARKED = crash("expire catalogue.advance expiring")
APPROVING = {**BOTH_SIDES, "mode": "approve"}
APPROVED_FIRST = become({**ENDING, "deletion": APPROVING})
WITHDRAWN = replace(EXPIRING, name="withdrawn", before=(*EXPIRING.before, MARKED, APPROVED_FIRST))
WITHDRAWN_LEFT = replace(
    LEFT, name="withdrawn, left", before=(*LEFT.before, MARKED, become({**LEFT.policies, "deletion": APPROVING}))
)
#: The copy rots before it is to go.
DECAYED = replace(EXPIRING, name="decayed", before=(SYNC, put_object(old(1), b"decayed")))
#: An approved plan that deletes one recording in the archive, and another at the source.
APPLIED = Scenario(
    name="applied",
    account=Account(recordings=(old(1), old(2, extensions=("9999",)))),
    policies={
        "deletion": SOON,
        "policies": [{"name": "a", "match": {"extensions": ["2101"]}, "source": AFTER_A_MONTH}],
    },
    before=(SYNC, become({**ENDING, "deletion": APPROVING}), planned),
    command="apply",
    locks=True,
)

#: Everything at once, four at a time: locks, a hold, a deletion on either side.
MOVING = Scenario(
    name="moving",
    account=Account(recordings=(old(1), old(2, extensions=("9999",)), old(3), young(6), young(7))),
    policies=APPLIED.policies,
    sync={"concurrency": 4},
    before=(SYNC, held("3", "6"), put_sidecar_again(old(1)), become(ENDING)),
    locks=True,
)
