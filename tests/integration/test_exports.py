"""Bulk exports end to end: what comes by a ZIP is archived as any other, and what a ZIP spoils comes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.core.model import State
from archiver.simulator import (
    Account,
    Altered,
    BadBit,
    Behaviour,
    Bomb,
    CutAfter,
    Drop,
    Encrypted,
    Exports,
    Fault,
    LeftOut,
    Method,
    Named,
    Names,
    NoDirectory,
    NotYet,
    Operation,
    SimRecording,
    Spoil,
    Status,
    Stranger,
    Totals,
    Twice,
    WrongSizes,
    audio_bytes,
)
from archiver.simulator.behaviour import KIND
from archiver.simulator.spoils import Trick
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls, key_of

COUNT = 40


async def exporting(
    make: MakeWorld, recordings: Sequence[SimRecording] = calls(COUNT, days=10), exports: Exports = KIND.exports
) -> World:
    """A world with a quota so small that exports are worth it."""
    world = await make(Account(recordings=tuple(recordings)), behaviour=Behaviour(exports=exports))

    world.section("accounts").update({"requests_per_minute": 2, "export_user": "auditor"})
    world.section("sync").update({"every": "10m"})
    return world


async def everything_is_archived(world: World, recordings: Sequence[SimRecording]) -> None:
    """Each recording is verified, and its object holds the source's bytes."""
    states = await world.states()
    assert {states[str(one.id)] for one in recordings} == {State.VERIFIED}
    audio = await world.audio()
    assert audio == {key_of(one): audio_bytes(one.id, one.size) for one in recordings}


def asked(world: World, operation: Operation) -> int:
    return world.simulator.requests.counts[operation]


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("descriptors", [False, True])
@pytest.mark.parametrize("names", list(Names))
async def test_a_slice_comes_by_one_export(
    world: MakeWorld, method: Method, *, descriptors: bool, names: Names
) -> None:
    made = await exporting(world, exports=Exports(method=method, descriptors=descriptors, names=names))
    done = await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == 0
    assert (asked(made, Operation.EXPORT), asked(made, Operation.RETRIEVE)) == (1, 1)
    assert done.reports["acme"].exported == COUNT
    assert made.exit_code == 0


@pytest.mark.parametrize("form", list(NotYet))
async def test_every_answer_that_is_no_zip_means_not_yet(world: MakeWorld, form: NotYet) -> None:
    made = await exporting(world, exports=Exports(polls=4, not_yet=form))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == 0
    assert asked(made, Operation.RETRIEVE) == 5


async def test_several_jobs_bring_one_slice(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(per_job=15))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert (asked(made, Operation.AUDIO), asked(made, Operation.RETRIEVE)) == (0, 3)


@pytest.mark.parametrize(
    ("trick", "singles"),
    [
        (LeftOut(7), 1),
        (Twice(7), 0),
        (BadBit(7), 1),
        (Altered(7, longer=3), 1),
        (Encrypted(7), 1),
        (Named(7, "../7.mp3"), 1),
        (Named(7, "/7.mp3"), 1),
        (Named(7, "other.mp3"), 1),
        (Stranger("more.mp3", audio_bytes(999, 500)), 0),
        (Stranger("more.mp3", audio_bytes(999, 500), first=True), 0),
        (WrongSizes(7), 1),
        (NoDirectory(), 0),
        (Bomb("bomb.mp3", 100), 0),
    ],
    ids=str,
)
async def test_what_a_zip_spoils_comes_by_itself(world: MakeWorld, trick: Trick, singles: int) -> None:
    made = await exporting(world, exports=Exports(method=Method.DEFLATED, descriptors=True))
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((trick,)), times=None))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == singles


@pytest.mark.parametrize("size", [0, 1, 3, 500, 20_000, 60_000, 85_000])
async def test_a_zip_cut_at_any_byte_is_fetched_again(world: MakeWorld, size: int) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=CutAfter(size), times=2))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == 0
    assert asked(made, Operation.RETRIEVE) == 3


async def test_a_zip_that_is_always_cut_is_given_up(world: MakeWorld) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=CutAfter(50_000), times=None))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.RETRIEVE) == 3
    assert 0 < asked(made, Operation.AUDIO) < COUNT


async def test_names_that_repeat_are_told_apart_by_size_or_left_to_single_requests(world: MakeWorld) -> None:
    named = [replace(one, file_name="call.mp3") for one in calls(COUNT, days=10)]
    twins = [replace(named[0], id=100), replace(named[5], id=101)]  # the same name and size, at the same second
    made = await exporting(world, [*named, *twins])
    await made.sync()
    await everything_is_archived(made, [*named, *twins])
    assert asked(made, Operation.AUDIO) == 4
    assert {one.recording for one in made.simulator.requests.of(Operation.AUDIO)} == {1, 6, 100, 101}


async def test_a_recording_published_after_the_listing_is_not_taken_for_a_listed_one(world: MakeWorld) -> None:
    """The same name and size as a listed one, and other bytes: whichever comes first in the ZIP."""
    listed = [replace(one, file_name="call.mp3") for one in calls(COUNT, days=10)]
    late = [replace(listed[3], id=0, after_listings=1), replace(listed[4], id=500, after_listings=1)]
    made = await exporting(world, [*listed, *late], Exports(late_binding=True))
    await made.sync()
    await made.sync()
    await everything_is_archived(made, [*listed, *late])


async def test_an_export_that_expires_is_started_anew(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(delay=timedelta(minutes=3), lives=timedelta(minutes=1), gone=410))
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Status(410)))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.EXPORT) >= 2


async def test_an_export_that_never_comes_is_given_up_at_its_deadline(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(delay=timedelta(days=9)))
    await made.sync()
    assert set((await made.states()).values()) == {State.DISCOVERED}
    for _ in range(3):
        made.clock.move(hours=3)
        await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == COUNT
    assert asked(made, Operation.EXPORT) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
async def test_a_source_that_refuses_exports_is_asked_once_a_day(world: MakeWorld, status: int) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.EXPORT, do=Status(status), times=None))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    for one in calls(COUNT, days=1):
        made.simulator.put(replace(one, id=one.id + 1000))
    await made.sync()
    assert asked(made, Operation.EXPORT) == 1
    made.clock.move(hours=25)
    for one in calls(COUNT, days=1):
        made.simulator.put(replace(one, id=one.id + 2000))
    await made.sync()
    assert asked(made, Operation.EXPORT) == 2


@pytest.mark.parametrize("applied", [False, True])
async def test_an_unanswered_request_for_an_export_is_repeated_once(world: MakeWorld, *, applied: bool) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.EXPORT, do=Drop(applied=applied)))
    await made.sync()
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert (asked(made, Operation.EXPORT), asked(made, Operation.AUDIO)) == (2, 0)


async def test_the_token_stays_behind_where_the_zip_lies_elsewhere(world: MakeWorld) -> None:
    made = await exporting(world)
    elsewhere = made.simulator.signed_url.replace("127.0.0.1", "localhost")
    made.simulator.behaviour = Behaviour(exports=Exports(redirect=elsewhere))
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert [one.authorized for one in made.simulator.requests.of(Operation.SIGNED)] == [False]


async def test_without_a_login_name_everything_comes_by_single_requests(world: MakeWorld) -> None:
    made = await exporting(world)
    del made.section("accounts")["export_user"]
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert (asked(made, Operation.EXPORT), asked(made, Operation.AUDIO)) == (0, COUNT)


async def test_no_export_is_asked_for_where_single_requests_fit(world: MakeWorld) -> None:
    made = await exporting(world)
    made.section("accounts")["requests_per_minute"] = 100
    await made.sync()
    assert (asked(made, Operation.EXPORT), asked(made, Operation.AUDIO)) == (0, COUNT)


async def test_exports_can_be_asked_for_always_or_never(world: MakeWorld) -> None:
    made = await exporting(world)
    made.section("accounts").update({"requests_per_minute": 1000, "exports": "always"})
    await made.sync()
    assert (asked(made, Operation.EXPORT), asked(made, Operation.AUDIO)) == (1, 0)


async def test_totals_that_say_nothing_cost_a_listing_and_no_recording(world: MakeWorld) -> None:
    made = await exporting(world)
    made.simulator.behaviour = replace(made.simulator.behaviour, totals=Totals.ZERO)
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert asked(made, Operation.AUDIO) == 0


async def test_calls_in_the_zip_that_are_archived_already_stay_as_they_are(world: MakeWorld) -> None:
    made = await exporting(world)
    made.section("accounts")["exports"] = "never"
    await made.sync()
    before = await made.audio()
    more = [replace(one, id=one.id + 100, start=one.start + timedelta(seconds=1)) for one in calls(COUNT, days=10)]
    for one in more:
        made.simulator.put(one)
    made.section("accounts")["exports"] = "auto"
    made.clock.move(days=8)
    await made.sync()
    assert before.items() <= (await made.audio()).items()
    await everything_is_archived(made, [*calls(COUNT, days=10), *more])


async def test_exports_that_are_switched_off_leave_nothing_behind(world: MakeWorld) -> None:
    """What an export under way was to bring comes by single requests at once."""
    made = await exporting(world, exports=Exports(delay=timedelta(days=9)))
    await made.sync()
    assert set((await made.states()).values()) == {State.DISCOVERED}
    made.section("accounts")["exports"] = "never"
    await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert await made.query("select phase from exports") == [("given_up",)]
    assert made.exit_code == 0


async def test_calls_published_while_an_export_is_made_come_by_another_one(world: MakeWorld) -> None:
    listed = calls(COUNT, days=10)
    late = [
        replace(
            one, id=one.id + 100 * n, start=one.start - timedelta(seconds=n), published_at=NOON + timedelta(minutes=1)
        )
        for one in listed[1:]
        for n in (1, 2)
    ]
    made = await exporting(world, [*listed, *late], Exports(delay=timedelta(minutes=3)))
    await made.sync()
    await everything_is_archived(made, [*listed, *late])
    assert (asked(made, Operation.EXPORT), asked(made, Operation.AUDIO)) == (2, 0)


async def test_calls_on_both_sides_of_an_export_under_way_do_not_hold_it_up(world: MakeWorld) -> None:
    listed = calls(COUNT, days=1)
    around = [
        replace(one, id=one.id + 100 * n, start=one.start + timedelta(minutes=minutes))
        for one in listed
        for n, minutes in ((1, -45), (2, 45))
    ]
    made = await exporting(world, listed, Exports(delay=timedelta(hours=1)))
    await made.sync()
    assert set((await made.states()).values()) == {State.DISCOVERED}
    for one in around:
        made.simulator.put(one)
    for _ in range(2):
        made.clock.move(hours=2)
        await made.sync()
        assert made.exit_code == 0
    await everything_is_archived(made, [*listed, *around])
