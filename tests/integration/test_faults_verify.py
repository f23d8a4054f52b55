"""What became of copies in the bucket: every difference from the record is found, whatever the store vouches for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.errors import ConfigError
from archiver.simulator import Account, SimRecording, audio_bytes
from tests.support.strict_store import Fault as StoreFault
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

Tampering = Callable[[World, SimRecording], Awaitable[None]]


def flipped(recording: SimRecording) -> bytes:
    body = bytearray(audio_bytes(recording.id, recording.size))
    body[len(body) // 2] ^= 1
    return bytes(body)


async def remove(here: World, one: SimRecording) -> None:
    await here.take(key_of(one))


async def flip(here: World, one: SimRecording) -> None:
    await here.put(key_of(one), flipped(one))


async def shorten(here: World, one: SimRecording) -> None:
    await here.put(key_of(one), audio_bytes(one.id, one.size)[:-1])


async def remove_sidecar(here: World, one: SimRecording) -> None:
    await here.take(sidecar_of(one))


async def garble_sidecar(here: World, one: SimRecording) -> None:
    await here.put(sidecar_of(one), b"not JSON at all")


async def alter_sidecar(here: World, one: SimRecording) -> None:
    body = (await here.objects())[sidecar_of(one)]
    await here.put(sidecar_of(one), body.replace(f'"size": {one.size}'.encode(), b'"size": 7'))


TAMPERINGS: tuple[tuple[Tampering, str], ...] = (
    (remove, "the object is not in the bucket"),
    (flip, "the object's SHA-256 is not the one on record"),
    (shorten, "the object has 2002 bytes, on record are 2003"),
    (remove_sidecar, "the sidecar is missing or not readable: NotFound"),
    (garble_sidecar, "the sidecar is missing or not readable: IntegrityError"),
    (alter_sidecar, "the sidecar speaks of another copy"),
)


async def all_are_found(here: World) -> None:
    """Archive, tamper with each recording but the last in a way of its own, verify."""
    await here.sync()
    recordings = here.simulator.account.recordings
    for one, (tamper, _) in zip(recordings, TAMPERINGS, strict=False):
        await tamper(here, one)

    with capture_logs(processors=[merge_contextvars]) as logs:
        done = await here.verify()

    gaps = await here.gaps()
    assert {identity: gap.reason for identity, gap in gaps.items()} == {
        str(one.id): reason for one, (_, reason) in zip(recordings, TAMPERINGS, strict=False)
    }
    assert {gap.kind for gap in gaps.values()} == {"quarantined"}
    assert (await here.states())[str(recordings[-1].id)] is State.VERIFIED
    assert (done.reports["acme"].verified, done.reports["acme"].quarantined) == (1, len(TAMPERINGS))
    reported = {event["recording_id"] for event in logs if event["event"] == "recording_quarantined"}
    assert reported == set(gaps)
    assert here.exit_code == 3


@pytest.mark.parametrize("mode", ["auto", "readback"])
async def test_every_alteration_is_found(any_world: MakeWorld, mode: str) -> None:
    here = await any_world(Account(recordings=calls(len(TAMPERINGS) + 1)))
    here.section("vault")["verify"] = mode
    await all_are_found(here)


async def test_every_alteration_is_found_by_the_stores_own_checksums(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(len(TAMPERINGS) + 1)))
    here.section("vault")["verify"] = "checksum"
    await all_are_found(here)


async def test_checksums_are_not_asked_of_a_store_that_does_not_check(world: MakeWorld) -> None:
    """`verify: checksum` on a store that ignores them is refused before anything is written."""
    here = await world(Account(recordings=calls(2)))
    here.section("vault")["verify"] = "checksum"
    here.store.strict_state.checks = False
    with pytest.raises(ConfigError, match="does not check x-amz-checksum-sha256"):
        await here.sync()
    assert await here.audio() == {}


async def test_bits_that_rot_below_the_checksum_are_found_by_reading_back(world: MakeWorld) -> None:
    """The store still vouches for what it no longer holds; `verify: readback` looks for itself."""
    (one,) = calls(1)
    here = await world(Account(recordings=(one,)))
    here.section("vault")["verify"] = "readback"
    await here.sync()
    here.store.strict_state.objects[here.bucket, key_of(one)].body = flipped(one)
    await here.verify()
    assert (await here.gaps())["1"].reason == "the object's SHA-256 is not the one on record"


async def test_a_copy_that_was_spoilt_before_its_first_proof_is_never_verified(world: MakeWorld) -> None:
    one, other = calls(2)
    here = await world(Account(recordings=(one, other)))
    await here.sync()
    await here.change("update recordings set state = 'stored', verified_at = null")
    await flip(here, one)
    await here.sync()
    assert await here.states() == {"1": State.QUARANTINED, "2": State.VERIFIED}
    assert here.exit_code == 3


async def test_a_store_that_does_not_answer_for_one_object_proves_nothing_and_stops_nobody(
    world: MakeWorld,
) -> None:
    """The one stays as it was and is reported; the others are verified."""
    here = await world(Account(recordings=calls(4)), sync={"concurrency": 1})
    await here.sync()
    await here.change("update recordings set state = 'stored', verified_at = null")
    async with here.app() as app:
        await app.store.probe()
    here.section("vault")["verify"] = "readback"
    here.store.strict_state.fault = StoreFault(kind="status", methods=frozenset({"GET"}), times=3)

    with capture_logs() as logs:
        done = await here.verify()

    assert sorted((await here.states()).values()) == [State.STORED, *[State.VERIFIED] * 3]
    assert done.reports["acme"].failures == {"Transient": 1}
    assert [event["event"] for event in logs if event["log_level"] == "warning"] == ["verification_failed"]
    assert here.exit_code == 3
    await here.sync()
    assert set((await here.states()).values()) == {State.VERIFIED}


async def test_a_quarantine_ends_when_the_copy_is_good_again(world: MakeWorld) -> None:
    """Also beside one that never had a copy: another object stands under its key."""
    one, other = calls(2)
    here = await world(Account(recordings=(one, other)))
    await here.put(key_of(other), b"something else")
    await here.sync()
    await flip(here, one)
    await here.verify()
    assert await here.states() == {"1": State.QUARANTINED, "2": State.QUARANTINED}

    await here.put(key_of(one), audio_bytes(one.id, one.size))
    await here.verify(State.QUARANTINED)

    assert await here.states() == {"1": State.VERIFIED, "2": State.QUARANTINED}
    assert (await here.gaps())["2"].reason == "recording 2 has no copy on record"
    assert here.exit_code == 3


async def test_verifying_does_not_move_what_is_being_purged(world: MakeWorld) -> None:
    """Between mark and DELETE the row is the purge stage's; a bad copy still stops it."""
    one, other = calls(2)
    here = await world(Account(recordings=(one, other)))
    await here.sync()
    await here.change("update recordings set state = 'purging', claimed_by = 'another run'")
    await remove(here, other)
    await here.verify()
    assert await here.states() == {"1": State.PURGING, "2": State.QUARANTINED}


async def test_copies_of_an_account_that_left_the_configuration_can_still_be_verified(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(2)))
    await here.sync()
    here.section("accounts")["name"] = "renamed"
    done = await here.verify()
    assert done.reports["acme"].verified == 2
    assert here.exit_code == 0
    assert await here.query("select exit_code from runs where command = 'verify'") == [(0,)]
