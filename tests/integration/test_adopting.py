"""A recording that the source has no longer is taken from the bucket, if what stands there is proved to be it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from archiver.core.gaps import GapKind
from archiver.core.model import State
from archiver.simulator import Account, Fault, Operation, Status
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

CALL = calls(1)[0]
MORE = (replace(CALL, id=2), replace(CALL, id=3))  # the source is believed: most of it is there


async def archived_and_forgotten(world: MakeWorld) -> World:
    """The copy is in the bucket and the source has nothing; the row knows of neither."""
    here = await world(Account(recordings=(CALL, *MORE)))
    await here.sync()
    unknown = "key = null, sha256 = null, size = null, stored_at = null, verified_at = null, attempts = 0"
    await here.change(f"update recordings set state = 'discovered', {unknown} where recording_id = '1'")
    here.simulator.script(Fault(on=Operation.AUDIO, do=Status(404), recording=1, times=None))
    return here


async def test_what_is_proved_to_be_it_is_adopted(world: MakeWorld) -> None:
    here = await archived_and_forgotten(world)
    before = await here.objects()
    done = await here.sync()
    assert (here.exit_code, done.reports["acme"].adopted) == (0, 1)
    assert (await here.states())["1"] is State.VERIFIED
    assert await here.objects() == before
    assert await here.gaps() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [("sha256", "0" * 64), ("size", 7), ("recording_id", "2"), ("account", "bond"), ("format", None), ("audio", 1)],
)
async def test_what_is_not_proved_is_left_and_told(world: MakeWorld, key: str, value: object) -> None:
    """A sidecar about other bytes or another recording; one that nobody can read."""
    here = await archived_and_forgotten(world)
    spoken = json.loads((await here.objects())[sidecar_of(CALL)])
    (spoken["audio"] if key in {"sha256", "size"} else spoken)[key] = value
    if value is None:
        spoken = {"format": "other"}
    await here.put(sidecar_of(CALL), json.dumps(spoken).encode())
    await here.sync()
    assert (await here.states())["1"] is State.DISCOVERED
    assert (await here.gaps())["1"].kind is GapKind.RETRYING


@pytest.mark.parametrize("missing", [key_of(CALL), sidecar_of(CALL)])
async def test_half_a_copy_is_none(world: MakeWorld, missing: str) -> None:
    here = await archived_and_forgotten(world)
    await here.take(missing)
    await here.sync()
    assert (await here.states())["1"] is State.DISCOVERED


async def test_a_copy_of_another_length_than_listed_is_no_proof(world: MakeWorld) -> None:
    """Unless its sidecar says that the sizes disagree, as the download showed then."""
    here = await archived_and_forgotten(world)
    await here.change("update recordings set size_listed = 1 where recording_id = '1'")
    await here.sync()
    assert (await here.states())["1"] is State.DISCOVERED
    spoken = json.loads((await here.objects())[sidecar_of(CALL)])
    spoken["audio"]["size_disagrees"] = True
    await here.put(sidecar_of(CALL), json.dumps(spoken).encode())
    here.clock.move(days=1)
    await here.sync()
    entry = (await here.entries())["1"]
    assert (entry.state, entry.size_disagrees) == (State.VERIFIED, True)
