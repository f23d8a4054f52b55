"""Bytes of one recording never come under another one, however the members of a ZIP are spoilt or cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.core.model import State
from archiver.simulator import (
    BadBit,
    Exports,
    Fault,
    LeftOut,
    Method,
    Operation,
    SimRecording,
    Spoil,
    Stranger,
    audio_bytes,
)
from archiver.simulator.spoils import Trick
from tests.integration.test_exports import COUNT, asked, everything_is_archived, exporting
from tests.integration.test_exports_stuck import later
from tests.support.world import MakeWorld, World, calls, key_of

FOURTH = calls(COUNT, days=10)[3]
#: Called like the fourth recording, as long, and first in the ZIP; but its bytes are others.
ALIKE = Stranger("4.mp3", audio_bytes(999, FOURTH.size), first=True)


def spoil(made: World, *tricks: Trick) -> None:
    """Spoil every ZIP from now on, and in no other way than this."""
    made.simulator.heal()
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil(tricks), times=None))


async def is_not_taken_for_another(made: World, one: SimRecording) -> None:
    """Assert that the archive has the recording's own bytes, or that what it has is set aside."""
    state = (await made.states())[str(one.id)]
    body = (await made.audio()).get(key_of(one))
    assert state is State.QUARANTINED or body == audio_bytes(one.id, one.size)


@pytest.mark.parametrize("claimed", [False, True])
async def test_a_claim_on_the_gap_list_does_not_stand_for_a_member(world: MakeWorld, *, claimed: bool) -> None:
    """A recording that was never listed comes in a ZIP in the place of its twin: it is not stored under that one's id.

    Claimed: the gap list knows already that the source counts one more than it lists. That one has no name either.
    """
    listed = [replace(one, file_name="call.mp3") for one in calls(COUNT, days=10)]
    made = await exporting(world, listed, Exports(delay=timedelta(hours=1), late_binding=True))
    await made.sync()
    victim = listed[3]
    if claimed:
        await made.change(
            "insert into gaps (account, kind, fingerprint, reason, since, until, claimed, opened_at, seen_at) "
            f"select 'acme', 'unlisted', 'x', 'the source says 41', at, at, 1, now(), now() "
            f"from (select '{victim.start.isoformat()}'::timestamptz as at) there"
        )
    made.simulator.put(replace(victim, id=500))  # the same name, size and second
    spoil(made, LeftOut(victim.id))
    later(made, hours=2)
    await made.sync()
    await made.sync()
    audio = await made.audio()
    assert audio.get(key_of(victim)) in (None, audio_bytes(victim.id, victim.size))


async def test_a_corrupt_member_that_nobody_wants_does_not_stop_the_walk(world: MakeWorld) -> None:
    """It is a recording that was archived before: the others of the ZIP come by it nevertheless, fetched once."""
    before = calls(COUNT, days=10)
    made = await exporting(world, before, Exports(method=Method.DEFLATED, descriptors=True))
    made.section("accounts")["exports"] = "never"
    await made.sync()
    singles = asked(made, Operation.AUDIO)
    more = [replace(one, id=one.id + 100, start=one.start + timedelta(seconds=1)) for one in before]
    for one in more:
        made.simulator.put(one)
    made.section("accounts")["exports"] = "always"
    later(made, days=8)
    spoil(made, BadBit(2))
    await made.sync()
    await everything_is_archived(made, [*before, *more])
    assert asked(made, Operation.AUDIO) - singles <= 1
    assert asked(made, Operation.RETRIEVE) == 1


@pytest.mark.parametrize("tricks", [(ALIKE,), (BadBit(4), ALIKE)], ids=["whole", "spoilt"])
async def test_two_members_of_one_name_and_size_are_found_out(world: MakeWorld, tricks: tuple[Trick, ...]) -> None:
    """The first, which is not the recording's, is stored. The true one comes behind it, whole or corrupt."""
    made = await exporting(world)
    spoil(made, *tricks)
    await made.sync()
    await is_not_taken_for_another(made, FOURTH)


async def test_a_second_member_is_found_out_by_a_later_reading_of_the_zip(world: MakeWorld) -> None:
    """A process is killed when it has stored the first, before it comes to the true one: the next one compares."""
    made = await exporting(world)
    spoil(made, ALIKE, LeftOut(4))
    await made.sync()
    assert (await made.audio())[key_of(FOURTH)] == audio_bytes(999, FOURTH.size)
    await made.change("update exports set phase = 'waiting', closed_at = null, reason = null, counts = null")
    await made.change("update export_jobs set done_at = null")
    spoil(made, ALIKE)
    later(made, minutes=10)
    await made.sync()
    assert asked(made, Operation.RETRIEVE) == 2
    await is_not_taken_for_another(made, FOURTH)
