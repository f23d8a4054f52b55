"""What others have done to locks and legal holds in the bucket: noticed, said, and set again; theirs are left."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import timedelta

from structlog.testing import capture_logs

from archiver.core.model import Lock, LockMode, Protection, State
from archiver.simulator import Account, SimRecording
from tests.support import locksmith, office
from tests.support.locksmith import keeping, protection
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

FIRST, SECOND = calls(2, days=40)
BOTH = (key_of(FIRST), sidecar_of(FIRST))
LOCKED = {"keep_at_least": "10y", "lock": "governance"}
ENDED = FIRST.start + timedelta(milliseconds=FIRST.duration_ms)
FLOOR = ENDED.replace(year=ENDED.year + 10)


async def locked(make: MakeWorld, *recordings: SimRecording) -> World:
    """A world whose copies are locked; their source may go in twenty days."""
    here = await make(Account(recordings=recordings))
    here.policies = keeping(source="60d", **LOCKED)
    await here.sync()
    assert [await protection(here, key) for key in BOTH] == [Protection(Lock(LockMode.GOVERNANCE, FLOOR))] * 2
    return here


def drift(logs: Sequence[MutableMapping[str, object]]) -> list[object]:
    """Which objects were said to have drifted."""
    return [event["key"] for event in logs if event["event"] == "protection_drifted"]


async def shorten(here: World, key: str) -> None:
    """With the special right to do it."""
    await locksmith.lock(here, key, FLOOR - timedelta(days=1))


async def replace_unlocked(here: World, key: str) -> None:
    """The same bytes as a new version: the lock stays on the old one, which nobody reads."""
    await here.put(key, (await here.objects())[key])


async def test_a_lock_that_is_no_longer_there_bars_the_source_until_it_is_set_again(locked_world: MakeWorld) -> None:
    """Of one recording the audio's was shortened, of another the sidecar's; of two, a new version has none."""
    five = calls(5, days=40)
    here = await locked(locked_world, *five)
    tampered = [key_of(five[0]), sidecar_of(five[1]), key_of(five[2]), sidecar_of(five[3])]
    for number, key in enumerate(tampered):
        await (shorten if number < 2 else replace_unlocked)(here, key)
    here.clock.now += timedelta(days=21)
    done = await here.sync()
    assert here.simulator.requests.deletes == [5]
    assert done.reports["acme"].kept == {"not_locked": 4}
    with capture_logs() as logs:
        done = await here.verify()
    assert (sorted(map(str, drift(logs))), done.reports["acme"].drifted) == (sorted(tampered), 4)
    for one in five:
        ended = one.start + timedelta(minutes=1)
        wanted = Lock(LockMode.GOVERNANCE, ended.replace(year=ended.year + 10))
        assert [(await protection(here, key)).lock for key in (key_of(one), sidecar_of(one))] == [wanted] * 2
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4, 5]


async def test_the_check_of_holds_and_locks_sets_a_lock_again(locked_world: MakeWorld) -> None:
    """`archiver hold check` compares both with the record."""
    here = await locked(locked_world, FIRST)
    await shorten(here, key_of(FIRST))
    with capture_logs() as logs:
        await here.protect()
    assert drift(logs) == [key_of(FIRST)]
    assert (await protection(here, key_of(FIRST))).lock == Lock(LockMode.GOVERNANCE, FLOOR)


async def test_a_hold_that_was_taken_off_is_noticed_within_a_day_and_set_again(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(FIRST, SECOND)))
    here.policies = keeping()
    await office.hold(here, future=True, ids=["1"])
    await here.sync()
    assert (await protection(here, BOTH[1])).on_hold
    await locksmith.hold(here, BOTH[1], on=False)
    for hours, expected in ((23, []), (1, [BOTH[1]]), (25, [])):
        here.clock.now += timedelta(hours=hours)
        with capture_logs() as logs:
            done = await here.sync()
        assert (drift(logs), done.reports["acme"].drifted) == (expected, len(expected))
    assert [(await protection(here, key)).on_hold for key in BOTH] == [True, True]
    for key in BOTH:
        await locksmith.hold(here, key, on=False)
    done = await here.protect()  # at once
    assert done.reports["acme"].drifted == 2
    assert [(await protection(here, key)).on_hold for key in BOTH] == [True, True]
    assert here.simulator.requests.deletes == [2]


async def test_a_clock_that_was_set_back_looks_at_holds_again(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(FIRST,)))
    await office.hold(here, future=True)
    await here.sync()
    await locksmith.hold(here, BOTH[0], on=False)
    here.clock.now -= timedelta(hours=1)
    assert (await here.sync()).reports["acme"].drifted == 1


async def test_a_legal_hold_of_somebody_else_bars_both_deletions_and_stays(locked_world: MakeWorld) -> None:
    """First at the source; then, where the source has lost the recordings by itself, in the archive."""
    three = calls(3, days=40)
    theirs = (key_of(three[0]), sidecar_of(three[1]))
    here = await locked_world(Account(recordings=three))
    await here.sync()
    for key in theirs:
        await locksmith.hold(here, key, on=True)
    here.policies = keeping(delete_after="35d")
    done = await here.sync()
    assert (here.simulator.requests.deletes, done.reports["acme"].kept) == ([3], {"on_hold": 2})
    for number in (1, 2):
        here.simulator.remove(number)
    await here.change("update recordings set state = 'purged', purged_at = verified_at where state = 'verified'")
    done = await here.sync()
    assert done.reports["acme"].kept == {"on_hold": 2}
    assert await here.states() == dict.fromkeys("12", State.PURGED) | {"3": State.EXPIRED}
    await here.protect()
    await here.verify()
    assert all([(await protection(here, key)).on_hold for key in theirs])
    assert len(await locksmith.versions(here)) == 4


async def test_a_legal_hold_of_somebody_else_outlives_a_case_of_ours(locked_world: MakeWorld) -> None:
    """The bucket has one flag for both: the case's release leaves it as long as it may be theirs."""
    both, audio, sidecar, none = calls(4, days=40)
    theirs = (key_of(both), sidecar_of(both), key_of(audio), sidecar_of(sidecar))
    here = await locked_world(Account(recordings=(both, audio, sidecar, none)))
    await here.sync()
    for key in theirs:
        await locksmith.hold(here, key, on=True)
    await office.hold(here)
    await here.sync()
    everything = [key for one in (both, audio, sidecar, none) for key in (key_of(one), sidecar_of(one))]
    assert all([(await protection(here, key)).on_hold for key in everything])
    await office.release_by_two(here)
    await here.sync()
    assert all([(await protection(here, key)).on_hold for key in theirs])
    assert not any([(await protection(here, key)).on_hold for key in (key_of(none), sidecar_of(none))])
