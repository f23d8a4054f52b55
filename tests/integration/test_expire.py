"""Deletion in the archive: every version of what is due, after the source's copy; a tombstone and the history stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from structlog.testing import capture_logs

from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import new_run_id
from archiver.core.coverage import Coverage, DayRow, total
from archiver.core.decision import Reason
from archiver.core.model import State, whole_day
from archiver.passes import Pass
from archiver.simulator import Account, Fault, Html, Operation, SimRecording, Status
from tests.support import locksmith
from tests.support.locksmith import keeping, versions
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

FOUR = tuple(
    replace(one, caller_id="+15550177777", dnis="15550188888", cnam="MEHTA & SONS", file_name=f"mehta-{one.id}.mp3")
    for one in calls(4, days=40)
)
DAY = FOUR[0].start.date()
PERSONAL = ("caller_id", "dnis", "cnam", "file_name")
DUE = {"delete_after": "30d"}


def keys_of(*recordings: SimRecording) -> set[str]:
    """Keys of audio and sidecar."""
    return {key for one in recordings for key in (key_of(one), sidecar_of(one))}


async def purged(make: MakeWorld, *recordings: SimRecording) -> World:
    """A world whose recordings are gone at the source, and due in the archive from the next pass on."""
    here = await make(Account(recordings=recordings))
    here.policies = keeping(source="10d", **DUE)
    await here.sync()
    assert set((await here.states()).values()) == {State.PURGED}
    return here


async def known_of_the_day(here: World) -> DayRow:
    """What the ledger knows of the day of all calls."""
    async with here.app() as app:
        return (await CoverageReads(app.engine).days("acme", DAY, DAY))[DAY]


async def places_of(here: World, needle: str) -> list[str]:
    """Tables in which a text stands anywhere."""
    tables = await here.query("select relname::text from pg_stat_user_tables order by 1")
    found = [
        (str(name), await here.query(f"select 1 from {name} where {name}::text like '%{needle}%' limit 1"))
        for (name,) in tables
    ]
    return [name for name, rows in found if rows]


async def test_all_versions_of_audio_and_sidecar_go_after_the_source(locked_world: MakeWorld) -> None:
    here = await purged(locked_world, *FOUR)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4]
    bodies = await here.objects()
    for key in keys_of(FOUR[0]):
        await here.put(key, b"another body")
        await here.put(key, bodies[key])
    await here.put(f"{key_of(FOUR[0])}.bak", b"somebody else's")
    assert (await versions(here))[key_of(FOUR[0])] == 3
    done = await here.sync()
    assert await versions(here) == {f"{key_of(FOUR[0])}.bak": 1}
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert (done.reports["acme"].expired, here.exit_code) == (4, 0)
    assert (await here.sync()).reports["acme"].expired == 0
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4]


async def test_every_kind_of_store_lets_go(any_world: MakeWorld) -> None:
    """Without versions, or without even a way to ask for them."""
    here = await purged(any_world, *FOUR[:2])
    await here.put(f"{key_of(FOUR[0])}.bak", b"somebody else's")
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert set(await here.objects()) == {f"{key_of(FOUR[0])}.bak"}
    assert here.exit_code == 0


async def test_the_tombstone_tells_all_but_people(locked_world: MakeWorld) -> None:
    here = await purged(locked_world, *FOUR)
    [before] = await here.query("select to_jsonb(r) from recordings r where recording_id = '1'")
    here.clock.now += timedelta(hours=1)
    await here.sync()
    [after] = await here.query("select to_jsonb(r) from recordings r where recording_id = '1'")
    assert isinstance(before[0], dict)
    assert isinstance(after[0], dict)
    changed = {name: value for name, value in after[0].items() if value != before[0][name]}
    assert changed.pop("expired_at")
    assert changed == {"state": "expired", "raw": {}, **dict.fromkeys(PERSONAL)}
    assert all(before[0][name] for name in (*PERSONAL, "key", "sha256", "size", "verified_at", "purged_at"))
    for needle in ("5550177777", "5550188888", "MEHTA", "mehta"):
        assert await places_of(here, needle) == []
    told = await here.query("select before::text, after::text from history where recording_id = '1' order by id")
    steps = ["discovered", "transferring", "stored", "verified", "purging", "purged", "expiring", "expired"]
    assert told == list(zip([None, *steps], steps, strict=False))
    [(reason, detail)] = await here.query(
        "select reason, detail from history where after = 'expiring' and recording_id = '1'"
    )
    copy = {name: after[0][name] for name in ("sha256", "size")}
    assert (detail, "permits it since" in str(reason)) == ({"copy": key_of(FOUR[0]), **copy}, True)


async def test_a_description_that_was_replaced_is_forgotten_too(locked_world: MakeWorld) -> None:
    broken = Fault(on=Operation.AUDIO, do=Html(), times=3)
    here = await locked_world(Account(recordings=FOUR[:1], faults=(broken,)))
    here.policies = keeping(source="10d", **DUE)
    await here.sync()
    here.simulator.put(replace(FOUR[0], cnam="SOMEBODY"))
    here.clock.now += timedelta(days=1)
    async with here.app() as app:
        await Pass(app=app, run=new_run_id()).recount({"acme": whole_day(DAY)})
    for _ in range(2):
        await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await places_of(here, "MEHTA") == []


async def test_the_day_stays_covered_and_nothing_is_archived_anew(locked_world: MakeWorld) -> None:
    """Also where the source lists the recordings again: they were verified, and are known."""
    here = await purged(locked_world, *FOUR)
    before = await known_of_the_day(here)
    assert (before.state, before.facts.verified, before.facts.deleted) == (Coverage.PROVED, 4, 4)
    await here.sync()
    after = await known_of_the_day(here)
    assert (after.state, after.facts) == (Coverage.PROVED, before.facts)
    assert total([after]).percent == 100
    for one in FOUR[:2]:
        here.simulator.put(one)
    here.clock.now += timedelta(hours=2)
    rows = await here.query("select count(*) from history")
    async with here.app() as app:
        await Pass(app=app, run=new_run_id()).recount({"acme": whole_day(DAY)})
    done = await here.sync()
    assert done.reports["acme"].as_counts()["new"] == 0
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await here.query("select count(*) from history") == rows
    assert here.simulator.requests.audio.total() == 4
    assert (await known_of_the_day(here)).facts.known == 4
    assert await here.gaps() == {}
    assert await here.objects() == {}


async def test_nothing_goes_before_the_source_has_deleted_it(locked_world: MakeWorld) -> None:
    """No rule for the source; then one, and the source refuses."""
    here = await locked_world(Account(recordings=FOUR[:1]))
    here.policies = keeping(source=None, **DUE)
    for _ in range(2):
        await here.sync()
    assert (await here.draft()).kept["archive"] == {Reason.STILL_AT_SOURCE: 1}
    here.policies = keeping(source="10d", **DUE)
    here.simulator.script(Fault(on=Operation.DELETE, do=Status(500), times=None))
    for _ in range(2):
        await here.sync()
    assert await here.states() == {"1": State.PURGING}
    assert set(await here.objects()) == keys_of(FOUR[0])
    here.simulator.heal()
    await here.sync()  # finishes what had begun, and then expires it
    assert await here.states() == {"1": State.EXPIRED}


async def test_what_the_source_lost_by_itself_goes_when_it_answers_404_and_does_not_list_it(
    locked_world: MakeWorld,
) -> None:
    """Marked as absent: one that the source has after all, one that answers 404 and is listed, two that are gone."""
    here = await locked_world(Account(recordings=FOUR))
    await here.sync()
    await here.change("update recordings set absent_since = listed_at")
    for one in FOUR[2:]:
        here.simulator.remove(one.id)
    here.simulator.script(Fault(on=Operation.GET, do=Status(404), recording=2, times=None))
    here.policies = keeping(source=None, **DUE)
    done = await here.sync()
    assert await here.states() == dict.fromkeys("12", State.VERIFIED) | dict.fromkeys("34", State.EXPIRED)
    assert done.reports["acme"].kept == {Reason.STILL_AT_SOURCE: 2}
    assert set(await versions(here)) == keys_of(*FOUR[:2])
    assert here.simulator.requests.deletes == []


async def test_an_answer_that_says_nothing_keeps_what_the_source_may_still_have(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=FOUR))
    await here.sync()
    await here.change("update recordings set absent_since = listed_at")
    here.policies = keeping(source=None, **DUE)
    for number, fault in enumerate((Status(500), Status(403)), 1):
        here.simulator.script(Fault(on=Operation.GET, do=fault, recording=number, times=None))
    for one in FOUR[2:]:
        here.simulator.remove(one.id)
    here.simulator.script(Fault(on=Operation.LIST, do=Status(500), times=None))
    await here.sync()
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert len(await here.objects()) == 8


async def test_a_version_that_the_bucket_holds_keeps_all_of_it(locked_world: MakeWorld) -> None:
    """Locked by somebody: the audio; an older version of the sidecar. On legal hold: an older version of the audio."""
    here = await purged(locked_world, *FOUR)
    bodies = await here.objects()
    far = here.clock().replace(year=2034)
    await locksmith.lock(here, key_of(FOUR[0]), far)
    await locksmith.lock(here, sidecar_of(FOUR[1]), far)
    await locksmith.hold(here, key_of(FOUR[2]), on=True)
    for key in (sidecar_of(FOUR[1]), key_of(FOUR[2])):
        await here.put(key, bodies[key])
    before = await versions(here)
    with capture_logs() as logs:
        done = await here.sync()
    assert done.reports["acme"].kept == {Reason.LOCKED: 2, Reason.ON_HOLD: 1}
    reasons = {str(event["reason"]) for event in logs if event["event"] == "expiry_skipped"}
    places = (key_of(FOUR[0]), sidecar_of(FOUR[1]), key_of(FOUR[2]))
    assert reasons == {f"the bucket holds a version of {key}" for key in places}
    assert await here.states() == dict.fromkeys("123", State.PURGED) | {"4": State.EXPIRED}
    assert await versions(here) == {key: count for key, count in before.items() if key not in keys_of(FOUR[3])}


async def test_a_lock_of_ours_keeps_it_after_the_floor_was_taken_back(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=FOUR[:1]))
    here.policies = keeping(source="10d", keep_at_least="10y", lock="governance")
    await here.sync()
    here.policies = keeping(source="10d", **DUE)
    await here.sync()
    assert await here.states() == {"1": State.PURGED}
    assert (await here.draft()).kept["archive"] == {Reason.LOCKED: 1}
    assert len(await versions(here)) == 2


async def test_a_copy_that_is_not_good_is_not_deleted_but_quarantined(locked_world: MakeWorld) -> None:
    """Nobody can say what it is that would go: rotten audio, no audio, no sidecar."""
    here = await purged(locked_world, *FOUR)
    await here.put(key_of(FOUR[0]), b"\xff\xfb\x90\x00" * 500)
    await here.take(key_of(FOUR[1]))
    await here.take(sidecar_of(FOUR[2]))
    before = await versions(here)
    await here.sync()
    assert await here.states() == dict.fromkeys("123", State.QUARANTINED) | {"4": State.EXPIRED}
    assert await versions(here) == {key: count for key, count in before.items() if key not in keys_of(FOUR[3])}
    assert here.exit_code == 3
    assert set(await here.gaps()) == {"1", "2", "3"}


async def test_a_planned_copy_that_is_no_longer_the_one_on_record_stays(locked_world: MakeWorld) -> None:
    here = await purged(locked_world, *FOUR[:2])
    plan = await here.draft()
    other, unknown = replace(plan.items[0], sha256="0" * 64), replace(plan.items[1], recording_id="77")
    done = await here.apply(replace(plan, items=(other, unknown)))
    assert done.reports["acme"].kept == {"copy_changed": 1, "unknown": 1}
    assert len(await versions(here)) == 4
