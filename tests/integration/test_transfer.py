"""One recording's way through attempts, the gap list, exclusion, adoption and quarantine."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.simulator import Account, Fault, Html, Operation, SimRecording, audio_bytes
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

MIB = 1024 * 1024


async def versions(here: World) -> list[str]:
    """Keys of all versions of all objects."""
    found = await asyncio.to_thread(here.store.client.list_object_versions, Bucket=here.bucket)
    return sorted(version["Key"] for version in found.get("Versions", []))


async def versioned(here: World) -> None:
    await asyncio.to_thread(
        here.store.client.put_bucket_versioning, Bucket=here.bucket, VersioningConfiguration={"Status": "Enabled"}
    )


async def test_a_failing_recording_waits_longer_each_time_and_ends_on_the_gap_list(world: MakeWorld) -> None:
    """Delays of one and two minutes, then failed; a day later it begins anew; the others are long since archived."""
    bad = Fault(on=Operation.AUDIO, do=Html(), recording=1, times=None)
    here = await world(Account(recordings=calls(3), faults=(bad,)), sync={"attempts": 3})
    seen = []
    for minutes in (0, 1, 2):
        here.clock.move(minutes=minutes)
        await here.sync()
        entry = (await here.entries())["1"]
        seen.append((entry.state, entry.attempts, entry.next_attempt_at - here.clock.now))
        assert here.exit_code == 3

    assert seen == [
        (State.DISCOVERED, 1, timedelta(minutes=1)),
        (State.DISCOVERED, 2, timedelta(minutes=2)),
        (State.FAILED, 3, timedelta(days=1)),
    ]
    gap = (await here.gaps())["1"]
    assert (gap.kind, gap.reason) == ("failed", "the body is a web page, not audio")
    assert len(await here.audio()) == 2

    asked = here.simulator.requests.audio[1]
    here.clock.move(hours=23)
    await here.sync()
    assert here.simulator.requests.audio[1] == asked
    assert here.exit_code == 3  # the gap is still open

    here.simulator.heal()
    here.clock.move(hours=1)
    await here.sync()
    assert (await here.states())["1"] is State.VERIFIED
    assert await here.gaps() == {}
    assert here.exit_code == 0


async def test_a_recording_is_not_tried_before_its_time(world: MakeWorld) -> None:
    bad = Fault(on=Operation.AUDIO, do=Html(), recording=1, times=3)
    here = await world(Account(recordings=calls(1), faults=(bad,)))
    await here.sync()
    here.clock.move(seconds=59)
    await here.sync()
    assert here.simulator.requests.audio[1] == 3
    here.clock.move(seconds=1)
    await here.sync()
    assert here.simulator.requests.audio[1] == 4
    assert here.exit_code == 0


@pytest.mark.parametrize("size", [3_000, 6 * MIB], ids=["one put", "parts"])
async def test_another_object_under_the_key_is_never_touched(any_world: MakeWorld, size: int) -> None:
    """Quarantined, on the gap list; what stands in the bucket stays, on stores that would overwrite as well."""
    one, other = calls(2, size=size)
    here = await any_world(Account(recordings=(one, other)))
    foreign = audio_bytes(99, 500)
    await here.put(key_of(one), foreign)

    with capture_logs() as logs:
        await here.sync()

    audio = await here.audio()
    assert audio == {key_of(one): foreign, key_of(other): audio_bytes(2, other.size)}
    assert await here.states() == {"1": State.QUARANTINED, "2": State.VERIFIED}
    gap = (await here.gaps())["1"]
    assert gap.kind == "quarantined"
    assert gap.reason.startswith(f"another object stands under {key_of(one)}")
    assert "recording_quarantined" in {event["event"] for event in logs}
    assert here.exit_code == 3
    here.clock.move(days=2)
    await here.sync()
    assert (await here.audio())[key_of(one)] == foreign


@pytest.mark.parametrize("size", [3_000, 6 * MIB], ids=["one put", "parts"])
async def test_the_same_bytes_under_the_key_are_adopted(world: MakeWorld, size: int) -> None:
    """An earlier attempt was cut off behind the upload: no second version of anything."""
    (one,) = calls(1, size=size)
    here = await world(Account(recordings=(one,)))
    await versioned(here)
    await here.put(key_of(one), audio_bytes(1, one.size))

    done = await here.sync()

    assert await here.states() == {"1": State.VERIFIED}
    assert done.reports["acme"].adopted == 1
    sidecar = sidecar_of(one)
    assert [key for key in await versions(here) if not key.startswith(".archiver")] == sorted([key_of(one), sidecar])
    assert here.exit_code == 0


async def test_a_stale_sidecar_is_replaced(world: MakeWorld) -> None:
    """What an older description left behind would speak of another copy."""
    (one,) = calls(1)
    here = await world(Account(recordings=(one,)))
    sidecar = sidecar_of(one)
    await here.put(sidecar, b'{"format": "old"}')
    await here.sync()
    assert json.loads((await here.objects())[sidecar])["audio"]["size"] == one.size
    assert await here.states() == {"1": State.VERIFIED}


def in_and_out() -> tuple[SimRecording, ...]:
    inside, outside = calls(2)
    return inside, SimRecording(
        id=outside.id, start=outside.start, size=2_500, duration_ms=60_000, direction="INTRA_PBX", extensions=("9",)
    )


async def test_what_a_policy_excludes_is_not_downloaded_until_the_policy_goes(world: MakeWorld) -> None:
    here = await world(Account(recordings=in_and_out()))
    here.policies = {
        "policies": [{"name": "no-internal", "match": {"directions": ["INTRA_PBX"]}, "archive": False}],
    }
    for _ in range(2):
        await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "2": State.EXCLUDED}
    assert here.simulator.requests.audio == {1: 1}
    assert (await here.entries())["2"].problem == "policy no-internal says archive: false"
    assert await here.gaps() == {}
    assert here.exit_code == 0

    here.policies = {"policies": []}
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED}
    assert here.exit_code == 0


async def test_policies_that_change_often_use_up_no_attempts(world: MakeWorld) -> None:
    """Each change makes an excluded recording be looked at again: none of these looks was a failure."""
    here = await world(Account(recordings=in_and_out()), sync={"attempts": 1})
    for wording in ("no-internal", "none-internal", "nothing-internal"):
        here.policies = {"policies": [{"name": wording, "match": {"directions": ["INTRA_PBX"]}, "archive": False}]}
        await here.sync()
        assert (await here.states())["2"] is State.EXCLUDED
    here.policies = {"policies": []}
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED}
    assert here.exit_code == 0


async def test_a_recording_that_fails_after_its_claim_was_lost_does_not_stop_the_others(
    world: MakeWorld,
) -> None:
    """Another process took it over (its database session was cut): what becomes of it is no longer ours to say."""
    bad = Fault(on=Operation.AUDIO, do=Html(), recording=1, times=3)
    here = await world(Account(recordings=calls(5), faults=(bad,)), sync={"concurrency": 1})
    await here.change(
        """create function taken() returns trigger language plpgsql as $$ begin
            if new.state = 'transferring' and new.recording_id = '1' then new.claimed_by = 'another'; end if;
            return new;
        end $$;
        create trigger taken before update on recordings for each row execute function taken()"""
    )
    with capture_logs() as logs:
        await here.sync()
    assert await here.states() == {"1": State.TRANSFERRING, **{str(number): State.VERIFIED for number in range(2, 6)}}
    assert [event["event"] for event in logs if event["event"] in ("claim_lost", "stage_stopped")] == ["claim_lost"]


async def test_an_unknown_direction_is_archived_rather_than_excluded(world: MakeWorld) -> None:
    """A policy excludes only what it is surely about."""
    (one,) = calls(1)
    strange = SimRecording(
        id=1, start=one.start, size=one.size, duration_ms=1, extensions=("9",), overlay={"call_direction": None}
    )
    here = await world(Account(recordings=(strange,)))
    here.policies = {
        "policies": [{"name": "no-internal", "match": {"directions": ["INTRA_PBX"]}, "archive": False}],
    }
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED}


async def test_every_change_of_state_is_in_the_history(world: MakeWorld) -> None:
    """One recording that failed once, from its listing to its proof."""
    bad = Fault(on=Operation.AUDIO, do=Html(), recording=1, times=3)
    here = await world(Account(recordings=calls(1), faults=(bad,)))
    await here.sync()
    here.clock.move(minutes=2)
    await here.sync()
    rows = await here.query("select before, after, reason, at from history order by id")
    later = NOON + timedelta(minutes=2)
    assert rows == [
        (None, "discovered", "listed by the source", NOON),
        ("discovered", "transferring", "claimed for transfer", NOON),
        ("transferring", "discovered", "the body is a web page, not audio", NOON),
        ("discovered", "transferring", "claimed for transfer", later),
        ("transferring", "stored", "stored", later),
        ("stored", "verified", "the copy in the bucket is the one on record", later),
    ]
