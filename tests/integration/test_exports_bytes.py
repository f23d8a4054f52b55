"""Bytes of one recording never come under another one, however the members of a ZIP are spoilt or cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.simulator import BadBit, Exports, Fault, LeftOut, Method, Operation, Spoil, Stranger, audio_bytes
from tests.integration.test_exports import COUNT, asked, everything_is_archived, exporting
from tests.support.world import MakeWorld, calls, key_of


@pytest.mark.parametrize("claimed", [False, True])
async def test_a_claim_on_the_gap_list_does_not_stand_for_a_member(world: MakeWorld, *, claimed: bool) -> None:
    listed = [replace(one, file_name="call.mp3") for one in calls(COUNT, days=10)]
    made = await exporting(world, listed, Exports(delay=timedelta(hours=1), late_binding=True))
    await made.sync()
    victim = listed[3]
    stranger = replace(victim, id=500)  # same name, size and second; counted by the source, never listed
    if claimed:
        await made.change(
            "insert into gaps (account, kind, fingerprint, reason, since, until, claimed, opened_at, seen_at) values "
            f"('acme', 'unlisted', 'x', 'the source says 41', '{victim.start.isoformat()}', '{victim.start.isoformat()}', 1, now(), now())"
        )
    made.simulator.put(stranger)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((LeftOut(victim.id),)), times=None, after=0))
    made.clock.move(hours=2)
    made.time.seconds += 7200
    await made.sync()
    await made.sync()
    audio = await made.audio()
    assert audio.get(key_of(victim)) in (None, audio_bytes(victim.id, victim.size))


async def test_a_corrupt_member_that_nobody_wants_does_not_stop_the_walk(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(method=Method.DEFLATED, descriptors=True))
    # 1..40 listed; recording 1 archived before by a single request
    made.section("accounts")["exports"] = "never"
    made.section("accounts")["requests_per_minute"] = 2
    done_before = calls(COUNT, days=10)
    done_before[0]
    await made.sync()
    more = [replace(x, id=x.id + 100, start=x.start + timedelta(seconds=1)) for x in done_before]
    for x in more:
        made.simulator.put(x)
    made.section("accounts")["exports"] = "always"
    made.clock.move(days=8)
    made.time.seconds += 8 * 86400
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((BadBit(2),)), times=None))
    before = asked(made, Operation.AUDIO)
    await made.sync()
    await everything_is_archived(made, [*done_before, *more])
    assert asked(made, Operation.AUDIO) - before <= 1
    assert asked(made, Operation.RETRIEVE) == 1


@pytest.mark.parametrize("new_pass", [False, True])
async def test_two_different_members_are_found_out_however_the_reading_was_cut(
    world: MakeWorld, *, new_pass: bool
) -> None:
    """A stranger of the name and size of recording 4 comes first and is stored; the ZIP is cut; the true one comes later."""
    from archiver.core.model import State

    recordings = calls(COUNT, days=10)
    made = await exporting(world, recordings)
    stranger = Stranger("4.mp3", audio_bytes(999, 2004), first=True)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((stranger,)), times=None))
    if new_pass:  # what a daemon's pass does that is late, or a process that is killed
        import archiver.stages.exporting as stage

        read, calls_ = stage.MemberReader.read, []

        async def once(self, chunks, names, tally, *, export):
            if calls_:
                return await read(self, chunks, names, tally, export=export)
            calls_.append(1)
            left = [2300]

            async def cut():
                from archiver.errors import Transient

                async for chunk in chunks:
                    yield chunk[: left[0]]
                    left[0] -= len(chunk)
                    if left[0] <= 0:
                        raise Transient("cut")

            return await read(self, cut(), names, tally, export=export)

        made.longest = timedelta(seconds=1)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(stage.MemberReader, "read", once)
            for _ in range(4):
                await made.sync()
                made.clock.move(minutes=10)
                made.time.seconds += 600
    else:
        await made.sync()
    state = (await made.states())["4"]
    body = (await made.audio()).get(key_of(recordings[3]))
    assert state is State.QUARANTINED or body == audio_bytes(4, 2004)


async def test_a_second_member_that_is_spoilt_leaves_the_first_in_doubt(world: MakeWorld) -> None:
    """Two members of recording 4's name and size: the first (not its bytes) is stored, the true one fails its CRC."""
    from archiver.core.model import State

    recordings = calls(COUNT, days=10)
    made = await exporting(world, recordings)
    stranger = Stranger("4.mp3", audio_bytes(999, 2004), first=True)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((BadBit(4), stranger)), times=None))
    await made.sync()
    state = (await made.states())["4"]
    body = (await made.audio()).get(key_of(recordings[3]))
    assert state is State.QUARANTINED or body == audio_bytes(4, 2004)
