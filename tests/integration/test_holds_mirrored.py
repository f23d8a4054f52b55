"""Cases: what they catch is deleted nowhere and held in the bucket, until two people have released the last of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.core.decision import Reason
from archiver.core.match import Dates
from archiver.core.model import State
from archiver.errors import Conflict, SafetyLimit
from archiver.simulator import Account, Fault, Hang, Operation, SimRecording
from tests.support import locksmith, office
from tests.support.locksmith import keeping, protection
from tests.support.office import ANNA, BERTA
from tests.support.rows import execute, found, mark, planted, snapshot
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

PLAIN = calls(10, days=40)
CASES: dict[str, dict[str, object]] = {
    "1": {"ids": ["1"]},
    "2": {"callers": ("91 22 5550-0102",)},
    "3": {"dnis": ("*0199",)},
    "4": {"numbers": ("1555*104",)},
    "5": {"extensions": ("0?17",)},
    "6": {"directions": ("INTRA_PBX",)},
    "7": {"cnam": ("mehta*",)},
    "8": {"rule_ids": ("77",)},
    "9": {"dates": Dates(date(2024, 1, 18), date(2024, 1, 18)), "accounts": ("acme",)},
}
KNOWN = tuple(replace(one, cnam="SOMEBODY", overlay={"rule_ids": ["1"]}) for one in PLAIN)
SPECIAL = (
    KNOWN[0],
    replace(KNOWN[1], caller_id="+91 (22) 5550 0102"),
    replace(KNOWN[2], dnis="+1 555 0199"),
    replace(KNOWN[3], dnis="+1-555-010-104"),
    replace(KNOWN[4], extensions=("9", "0417")),
    replace(KNOWN[5], direction="INTRA_PBX"),
    replace(KNOWN[6], cnam="MEHTA & SONS"),
    replace(KNOWN[7], overlay={"rule_ids": ["77", "78"]}),
    replace(KNOWN[8], start=KNOWN[8].start - timedelta(days=3)),
    KNOWN[9],
)
ONE, OTHER = PLAIN[:2]


async def in_bucket(here: World, *recordings: SimRecording) -> list[bool]:
    """Whether the bucket holds the audio and the sidecar of each."""
    keys = [key for one in recordings for key in (key_of(one), sidecar_of(one))]
    return [(await protection(here, key)).on_hold for key in keys]


async def test_each_criterion_holds_exactly_what_it_is_about(locked_world: MakeWorld) -> None:
    """Nine cases catch one recording each; the tenth goes."""
    here = await locked_world(Account(recordings=SPECIAL))
    here.policies = keeping()
    for name, asked in CASES.items():
        await office.hold(here, name, future=True, **asked)  # type: ignore[arg-type]
    await here.sync()
    assert here.simulator.requests.deletes == [10]
    assert await here.states() == {**dict.fromkeys(CASES, State.VERIFIED), "10": State.PURGED}
    for one in SPECIAL:
        assert await in_bucket(here, one) == [one.id != 10] * 2
        told = await here.query(f"select reason from history where after = 'verified' and recording_id = '{one.id}'")
        assert [str(reason).partition("; ")[2] for (reason,) in told] == [f"on legal hold: {one.id}" * (one.id != 10)]


async def test_what_a_case_may_be_about_is_held_too(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(ONE, replace(OTHER, cnam="SOMEBODY"))))
    here.policies = keeping()
    await office.hold(here, future=True, cnam=("mehta*",))
    await here.sync()
    assert here.simulator.requests.deletes == [2]


async def test_only_two_people_release_and_only_the_last_case_frees(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = keeping()
    await office.hold(here, "all", future=True)
    await office.hold(here, "one", future=True, ids=["1"])
    await here.sync()

    await office.release(here, "all", ANNA)
    with pytest.raises(SafetyLimit, match="a second person"):
        await office.release(here, "all", f" {ANNA.upper()}.")
    await here.sync()
    assert await in_bucket(here, ONE, OTHER) == [True] * 4

    await office.release(here, "all", ANNA, withdraw=True)
    await office.release(here, "all", ANNA)  # it begins anew: who asks again is again the first
    with pytest.raises(SafetyLimit):
        await office.release(here, "all", ANNA)
    await here.sync()
    assert here.simulator.requests.deletes == []

    await office.release(here, "all", BERTA)
    await here.sync()
    assert await in_bucket(here, ONE, OTHER) == [True, True, False, False]
    assert here.simulator.requests.deletes == [2]
    await office.release_by_two(here, "one")
    await here.sync()
    assert await in_bucket(here, ONE) == [False] * 2
    assert sorted(here.simulator.requests.deletes) == [1, 2]
    told = "select reason from history where recording_id = '1' and reason like '%legal hold%' order by id"
    assert [str(reason).partition("; ")[2] or reason for (reason,) in await here.query(told)] == [
        "to be put on legal hold in the bucket: all, one",
        "on legal hold: all, one",
        "no longer on legal hold",
    ]


async def test_without_locks_in_the_bucket_the_catalogue_alone_holds(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE, OTHER)))
    here.policies = keeping(delete_after="35d")
    await office.hold(here, future=True, ids=["1"])
    await here.sync()
    assert here.simulator.requests.deletes == [2]
    assert (await here.entries())["1"].on_hold
    await office.release_by_two(here)
    await here.sync()
    assert here.simulator.requests.deletes == [2, 1]
    await here.sync()
    assert await here.objects() == {}


async def test_a_hold_between_plan_and_apply_stops_both_sides(locked_world: MakeWorld) -> None:
    """One planned for its source, one for the archive: neither goes, and both reasons are said."""
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = keeping(mode="approve", delete_after="35d")
    await here.sync()
    here.simulator.remove(2)
    await here.change("update recordings set state = 'purged', purged_at = verified_at where recording_id = '2'")
    text = await office.approved_plan(here)
    assert text.count('"due"') == 2
    await office.hold(here)
    done = await office.carry_out(here, text)
    assert done.reports["acme"].kept == {Reason.ON_HOLD: 2}
    assert here.simulator.requests.deletes == []
    assert await here.states() == {"1": State.VERIFIED, "2": State.PURGED}
    assert len(await here.objects()) == 4


async def test_a_hold_that_comes_during_the_last_check_stops_the_delete(locked_world: MakeWorld) -> None:
    """The source is slow to describe the recording once more; a case is opened while the archiver waits."""
    slow = Fault(on=Operation.GET, do=Hang(), times=1)
    here = await locked_world(Account(recordings=(ONE,), faults=(slow,)))
    here.policies = keeping()

    async def opened() -> None:
        await here.simulator.arrived(Operation.GET, 1)
        await office.hold(here)
        here.simulator.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(opened())
        done = await here.sync()
    assert done.reports["acme"].kept == {Reason.ON_HOLD: 1}
    assert here.simulator.requests.deletes == []
    assert await here.states() == {"1": State.VERIFIED}


@pytest.mark.parametrize("after", [State.PURGING, State.EXPIRING])
async def test_a_row_that_is_held_by_now_is_not_marked_for_deletion(
    engine: AsyncEngine, catalogue: Catalogue, after: State
) -> None:
    """Another process has mirrored the hold after this one had read the row."""
    entry = await planted(engine, "1", State.VERIFIED)
    await execute(engine, "update recordings set on_hold = true")
    undisturbed = await snapshot(engine)
    with pytest.raises(Conflict):
        await catalogue.advance(entry, after, mark())
    assert await snapshot(engine) == undisturbed
    assert (await found(engine, "1")).on_hold


async def test_what_is_being_deleted_by_a_dead_process_is_handed_back_to_the_case(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = keeping(delete_after="35d")
    await here.sync()
    for one in (ONE, OTHER):
        here.simulator.put(one)
    dead = "update recordings set claimed_by = 'a run that died', state"
    await here.change(f"{dead} = 'purging', purged_at = null where recording_id = '1'")
    await here.change(f"{dead} = 'expiring' where recording_id = '2'")
    deleted = list(here.simulator.requests.deletes)
    await office.hold(here)
    done = await here.sync()
    assert done.reports["acme"].kept == {"handed_back": 2}
    assert await here.states() == {"1": State.VERIFIED, "2": State.PURGED}
    assert here.simulator.requests.deletes == deleted
    assert len(await locksmith.versions(here)) == 4
