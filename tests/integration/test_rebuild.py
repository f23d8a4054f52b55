"""A lost catalogue is made again from the bucket: what stood there, what was deleted, and what holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from archiver.adapters.database import exclusive
from archiver.core.controls import Kind, holds_in
from archiver.core.lifecycle import MOVES
from archiver.core.model import State
from archiver.core.plan_file import render
from archiver.core.rebuilding import Trouble
from archiver.errors import AccountBusy, Unreachable
from archiver.simulator import Account, Operation
from archiver.stages.context import STAGES
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.office import controls_of
from tests.support.postgres import Databases
from tests.support.strict_store import Stored
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

OLD = tuple(replace(one, cnam="MEHTA & SONS", file_name="mehta.mp3") for one in calls(8, days=40))
NEW = tuple(replace(one, id=one.id + 8) for one in calls(4, days=5))
#: What a rebuild cannot know, or says anew: the work on a row, and when it was stored and verified.
ANEW = ("attempts", "next_attempt_at", "stored_at", "verified_at", "hold_set", "earlier", "single_only")
ROWS = "select to_jsonb(r) from recordings r order by recording_id"


@pytest.fixture
def another_catalogue(databases: Databases) -> Iterator[str]:
    """A second empty catalogue."""
    with databases.lend() as url:
        yield url


async def rows(here: World) -> dict[str, Mapping[str, object]]:
    """All rows, as far as a rebuild should know them."""
    found = [row for (row,) in await here.query(ROWS)]
    return {row["recording_id"]: {name: row[name] for name in row if name not in ANEW} for row in found}  # type: ignore[index,attr-defined]


async def lived(make: MakeWorld) -> World:
    """A world with recordings that are gone on both sides (1), at the source alone (2, 3), on hold (4), and new."""
    here = await make(Account(recordings=(*OLD, *NEW)))
    await office.hold(here, "case-4", future=True, ids=["4", "5", "6", "7", "8"])
    here.policies = keeping(source="30d", delete_after="39d")
    await here.sync()  # 1 to 3 go at the source
    here.clock.move(hours=1)
    await office.hold(here, "case-2", ids=["2", "3"])
    await here.sync()  # and 1 in the archive
    assert await here.states() == {
        "1": State.EXPIRED,
        **dict.fromkeys("23", State.PURGED),
        **dict.fromkeys(("4", "5", "6", "7", "8", "9", "10", "11", "12"), State.VERIFIED),
    }
    return here


async def test_the_catalogue_comes_back_and_nothing_is_fetched_again(world: MakeWorld, another_catalogue: str) -> None:
    """Rows, cases, plan and evidence are what they were; a pass asks for no audio, and a second rebuild for nothing."""
    here = await lived(world)
    before, plan, bucket = await rows(here), render(await here.draft()), await here.everything()
    gone = {"1": await history(here, "1"), "2": (await history(here, "2"))[:6]}  # what came after its deletion is lost
    assert gone["2"][-1][1:4] == ("purging", "purged", "deleted at the source")
    downloads = here.simulator.requests.counts[Operation.AUDIO]

    here.lose_catalogue(another_catalogue)
    dry = await here.rebuild(dry_run=True)
    assert await rows(here) == {}
    assert (
        await here.query("select 1 from runs union all select 1 from accounts union all select 1 from controls") == []
    )
    report = await here.rebuild()
    assert (here.exit_code, report.named) == (0, [])
    assert dry.as_counts() == report.as_counts()
    assert (report.stored, report.purged, report.expired, report.decisions) == (11, 2, 1, 3)
    states = await here.states()
    assert states == dict.fromkeys(states, State.STORED) | {"1": State.EXPIRED}
    assert (await here.draft()).items == ()

    await here.sync()
    assert here.exit_code == 0
    assert await rows(here) == before
    assert render(await here.draft()).partition("items")[2] == plan.partition("items")[2]
    assert here.simulator.requests.counts[Operation.AUDIO] == downloads
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    assert await here.gaps() == {}
    assert await here.everything() == bucket
    for one, told in gone.items():
        assert (await history(here, one))[: len(told)] == told
    await walks(here)

    asked = len(here.store.strict_state.requests)
    again = await here.rebuild()
    assert (again.known, again.stored, again.expired, again.decisions, here.exit_code) == (12, 0, 0, 0, 0)
    assert [one for one in here.store.strict_state.requests[asked:] if ".json" in one and "decision" not in one] == []
    assert await rows(here) == before


async def history(here: World, recording_id: str) -> list[tuple[object, ...]]:
    """What the history says of a recording."""
    columns = "at, before, after, reason, run_id, detail::text"
    return await here.query(f"select {columns} from history where recording_id = '{recording_id}' order by id")


async def walks(here: World) -> None:
    """Each history is a walk of the lifecycle up to the present state, but for the line that says rebuilt."""
    for identity, state in (await here.states()).items():
        last: str | None = None
        for _, before, after, reason, *_ in await history(here, identity):
            assert before == last
            rebuilt = str(reason).startswith("rebuilt from ")
            assert rebuilt or before in {None, after} or State(str(after)) in MOVES[State(str(before))]
            last = str(after)
        assert last == state


async def test_what_a_case_holds_is_held_before_the_first_pass(world: MakeWorld, another_catalogue: str) -> None:
    """Also the pause, a release that waits for a second person, policies that still bind, and a case of many ids."""
    here = await lived(world)
    await office.hold(here, "large", ids=[f"{number:064}" for number in range(20_000)])
    await office.release(here, "case-4", office.ANNA)
    await office.pause(here)
    await here.sync()
    async with controls_of(here) as controls:
        before = await controls.log(list(Kind))
    here.lose_catalogue(another_catalogue)
    await here.rebuild()
    async with controls_of(here) as controls:
        assert await controls.log(list(Kind)) == before

    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    await office.resume(here)
    await office.release(here, "case-4", office.BERTA)
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4, 5, 6, 7, 8]
    await here.sync()
    assert (await here.states())["2"] is State.PURGED  # case-2 still holds it


async def test_what_was_decided_after_a_dump_is_taken_on(world: MakeWorld, another_catalogue: str) -> None:
    """A withdrawn release and a second pause, of which the dump knows the beginning: a first one."""
    here = await world(Account(recordings=OLD[:2]))
    await office.hold(here, ids=["1"], future=True)
    await office.release(here, "case-1", office.ANNA)
    await office.pause(here)
    await office.resume(here)
    async with controls_of(here) as controls:
        dump = await controls.log(list(Kind))
    here.clock.move(hours=1)
    await office.release(here, "case-1", office.ANNA, withdraw=True)
    await office.pause(here)
    await here.sync()
    async with controls_of(here) as controls:
        before = [one for one in await controls.log(list(Kind)) if one.kind is not Kind.POLICIES]

    here.lose_catalogue(another_catalogue)
    async with controls_of(here) as controls:
        for one in dump:
            await controls.record(one)
    dry, report = await here.rebuild(dry_run=True), await here.rebuild()
    assert (report.named, here.exit_code, dry.decisions) == ([], 0, report.decisions)
    async with controls_of(here) as controls:
        assert [one for one in await controls.log(list(Kind)) if one.kind is not Kind.POLICIES] == before


async def test_a_bucket_from_before_notes_and_decisions(world: MakeWorld, another_catalogue: str) -> None:
    """Sidecars alone: what the source has no more is no gap, and deleted nowhere twice."""
    here = await lived(world)
    for key in set(await here.everything()) - set(await here.objects()):
        await here.take(key)
    here.lose_catalogue(another_catalogue)
    here.policies = keeping(source="30d")
    report = await here.rebuild()
    assert (report.stored, report.purged, report.expired, report.decisions, here.exit_code) == (11, 0, 0, 0, 0)
    await here.sync()
    assert (here.exit_code, await here.gaps()) == (0, {})
    entries = await here.entries()
    assert {one.id for one in entries.values() if not one.at_source} == {"2", "3", *"45678"}
    assert {entries[one].state for one in "23"} == {State.PURGED}  # asked about one by one, and not there
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, *range(4, 9)]  # no case any more


async def test_a_hold_of_the_bucket_gets_a_case_where_none_is_left(
    locked_world: MakeWorld, another_catalogue: str
) -> None:
    """Locks come back too. Without copies of decisions one case holds what the bucket holds, until two release it."""
    here = await locked_world(Account(recordings=OLD[:4]))
    await office.hold(here, "case-1", future=True, ids=["1", "2"])
    here.policies = keeping(source=None, keep_at_least="10y", lock="governance")
    await here.sync()
    before = await rows(here)
    for key in await here.everything():
        if key.endswith(".decision.json"):
            await here.take(key)
    here.lose_catalogue(another_catalogue)
    dry = await here.rebuild(dry_run=True)
    with capture_logs() as logs:
        report = await here.rebuild()
    assert (dry.held, dry.uncased, dry.cases, report.held, report.uncased) == (2, 2, [], 2, 2)
    assert (report.cases, here.exit_code) == (["rebuilt-acme"], 3)
    assert [line["recordings"] for line in logs if line["event"] == "case_rebuilt"] == [2]
    assert (await rows(here))["1"]["lock_until"] == before["1"]["lock_until"]
    here.policies = keeping(source="30d", keep_at_least="10y", lock="governance")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [3, 4]
    assert [row["on_hold"] for row in (await rows(here)).values()] == [True, True, False, False]

    assert ((await here.rebuild()).cases, here.exit_code) == ([], 0)
    await office.release_by_two(here, "rebuilt-acme")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [3, 4]  # whose hold it is in the bucket nobody knows: it stays
    for key in (key_of(OLD[0]), sidecar_of(OLD[0])):
        await locksmith.hold(here, key, on=False)
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 3, 4]


async def test_what_is_not_right_is_named_and_left(world: MakeWorld, another_catalogue: str) -> None:
    """Nothing is guessed, and the rest is taken on."""
    here = await world(Account(recordings=OLD))
    await here.sync()
    bodies = await here.everything()
    one, two, three, four, five, six, seven, eight = OLD

    def changed(recording: object, **parts: object) -> bytes:
        return json.dumps(json.loads(bodies[sidecar_of(recording)]) | parts).encode()  # type: ignore[arg-type]

    await here.take(sidecar_of(one))
    await here.take(key_of(two))
    await here.put(sidecar_of(three), b"{")
    await here.put(sidecar_of(four), bodies[sidecar_of(five)])
    await here.put(key_of(five), b"\xff\xfb")
    await here.put(sidecar_of(six), changed(six, format="call-recording-sidecar/2"))
    await here.put(sidecar_of(seven), changed(seven, audio={"key": key_of(seven), "sha256": "AB" * 32, "size": 0}))
    await here.put(key_of(one).replace("acme", "other"), b"")
    moved = replace(eight, start=eight.start + timedelta(hours=1))  # copied there by hand
    await here.put(key_of(moved), bodies[key_of(eight)])
    await here.put(sidecar_of(moved), bodies[sidecar_of(eight)])
    await here.put("notes/plan.txt", b"")
    impossible = ".archiver/decisions//1.decision.json"  # no request can ask for it
    here.store.strict_state.objects[here.bucket, impossible] = Stored(b"[]")
    await here.put(".archiver/decisions/1.decision.json", b"[]")
    here.lose_catalogue(another_catalogue)

    report = await here.rebuild()
    assert {refusal.key: refusal.trouble for refusal in report.named} == {
        key_of(one): Trouble.NO_SIDECAR,
        sidecar_of(two): Trouble.NO_AUDIO,
        sidecar_of(three): Trouble.UNREADABLE,
        sidecar_of(four): Trouble.MISPLACED,
        key_of(five): Trouble.OTHER_SIZE,
        sidecar_of(six): Trouble.UNREADABLE,
        sidecar_of(seven): Trouble.UNREADABLE,
        key_of(one).replace("acme", "other"): Trouble.UNKNOWN_ACCOUNT,
        sidecar_of(moved): Trouble.MISPLACED,
        "notes/plan.txt": Trouble.FOREIGN,
        ".archiver/decisions/1.decision.json": Trouble.UNREADABLE,
        impossible: Trouble.UNREADABLE,
    }
    assert (here.exit_code, await here.states()) == (3, {"8": State.STORED})

    await here.sync()  # audio alone is adopted; what was spoilt is for a person to look at
    states = await here.states()
    assert {one for one, state in states.items() if state is State.QUARANTINED} == {"5"}
    assert (await here.everything())[sidecar_of(one)] == bodies[sidecar_of(one)]


async def test_what_is_not_believed_keeps_no_good_copy_out(world: MakeWorld, another_catalogue: str) -> None:
    """Audio without a sidecar under an earlier start of the same call."""
    here = await world(Account(recordings=NEW[:2]))
    await here.sync()
    orphan = key_of(replace(NEW[0], start=NEW[0].start - timedelta(hours=1)))
    await here.put(orphan, b"x")
    here.lose_catalogue(another_catalogue)
    report = await here.rebuild()
    assert [(one.key, one.trouble) for one in report.named] == [(orphan, Trouble.NO_SIDECAR)]
    assert await here.states() == dict.fromkeys(("9", "10"), State.STORED)


async def test_a_deletion_that_was_cut_off_is_finished(world: MakeWorld, another_catalogue: str) -> None:
    """Killed between the tombstone and the last removal, and the catalogue lost: a case by the caller's name counts."""
    here = await world(Account(recordings=OLD[:1]))
    here.policies = keeping(source="30d", delete_after="39d")
    await here.sync()
    rest = (await here.everything())[sidecar_of(OLD[0])]
    await here.sync()
    assert await here.states() == {"1": State.EXPIRED}
    await here.put(sidecar_of(OLD[0]), rest)
    here.lose_catalogue(another_catalogue)
    await office.hold(here, "case-1", ids=["1"])
    report = await here.rebuild()
    assert (report.expired, report.stored, here.exit_code) == (1, 0, 0)
    [(state, cnam)] = await here.query("select state::text, cnam from recordings")
    assert (state, cnam) == ("expiring", "MEHTA & SONS")
    await here.sync()
    assert sidecar_of(OLD[0]) in await here.everything()

    await office.release_by_two(here, "case-1")
    await here.sync()
    assert sidecar_of(OLD[0]) not in await here.everything()
    assert await here.query("select state::text, cnam from recordings") == [("expired", None)]
    await walks(here)


async def test_a_tombstone_that_a_restored_dump_knows_nothing_of_is_named(world: MakeWorld) -> None:
    """The dump's row is left as it is, with the people in it: that is for a person to see."""
    here = await world(Account(recordings=OLD[:1]))
    here.policies = keeping(source="30d", delete_after="39d")
    await here.sync()
    await here.change("create table dump as select * from recordings")
    await here.sync()
    tombstone = key_of(OLD[0]).replace(".mp3", ".expired.json")
    assert ((await here.rebuild()).known, here.exit_code) == (1, 0)
    await here.change("update recordings r set state = d.state, expired_at = null, cnam = d.cnam from dump d")
    report = await here.rebuild()
    assert [(one.key, one.trouble) for one in report.named] == [(tombstone, Trouble.CONTRADICTION)]
    assert (report.known, here.exit_code) == (0, 3)
    assert await here.states() == {"1": State.PURGED}


async def test_it_waits_for_nobody_and_disturbs_nobody(world: MakeWorld, another_catalogue: str) -> None:
    """While any stage of an account is at work it is refused; a bucket out of reach ends it before it has begun."""
    here = await world(Account(recordings=NEW))
    await here.sync()
    async with here.app() as app:
        for stage in STAGES:
            async with exclusive(app.engine, "acme", stage):
                with pytest.raises(AccountBusy, match=stage):
                    await here.rebuild()
    here.lose_catalogue(another_catalogue)
    here.section("vault")["endpoint_url"] = "http://127.0.0.1:9"
    with pytest.raises(Unreachable):
        await here.rebuild()
    here.section("vault")["endpoint_url"] = here.store.url
    assert (await here.rebuild()).stored == len(NEW)
    told = await here.query("select command, exit_code from runs order by started_at, exit_code desc")
    assert told == [("rebuild", 5), ("rebuild", 0)]


async def test_a_row_that_is_there_is_never_overwritten(world: MakeWorld, another_catalogue: str) -> None:
    """A catalogue that went on by itself, and a case that it has opened anew, are left alone; so is the old case."""
    here = await world(Account(recordings=NEW))
    await office.hold(here, "case-1", future=True, ids=["9", "10"])
    await office.release_by_two(here)
    await here.sync()
    here.lose_catalogue(another_catalogue)
    await office.hold(here, "case-1", future=True, ids=["9"])
    await here.rebuild()
    async with controls_of(here) as controls:
        cases = holds_in(await controls.log(list(Kind)))
    assert [(case.name, case.open) for case in cases] == [("case-1", True), ("case-1-2", False)]
    await here.change("update recordings set state = 'verified', verified_at = now(), absent_since = null")
    before = await here.query(ROWS)

    report = await here.rebuild()
    assert (report.known, report.troubles) == (4, {})
    assert await here.query(ROWS) == before
    here.policies = keeping(source="1d")
    here.clock.now += timedelta(days=1)
    await here.sync()
    assert 9 not in here.simulator.requests.deletes  # the old release must not end the new case
