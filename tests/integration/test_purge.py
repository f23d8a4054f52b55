"""Deletion at the source: exactly what policy permits, looked at again just before. Every DELETE is counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from archiver.core.decision import Reason
from archiver.core.model import State
from archiver.core.plan import Plan
from archiver.errors import SafetyLimit
from archiver.simulator import Account, Operation, SimRecording
from tests.support import office
from tests.support.world import MakeWorld, World, calls, key_of

DUE = calls(3, days=40)
YOUNG = tuple(replace(item, id=item.id + 100) for item in calls(2, days=10))


def deleting(after: object = "30d", *, mode: str = "automatic", **caps: object) -> dict[str, object]:
    """A policies file: everything may go so long after the end of the call."""
    rule = {"name": "everything", "source": {"delete_after": after}}
    return {"deletion": {"mode": mode, "max_percent": 100, "cooling_off": "0s", **caps}, "policies": [rule]}


async def archived(make: MakeWorld, *recordings: SimRecording) -> World:
    """A world whose recordings are archived and verified, and nothing was deleted."""
    here = await make(Account(recordings=recordings))
    await here.sync()
    assert set((await here.states()).values()) == {State.VERIFIED}
    return here


async def test_exactly_what_is_due_is_deleted(any_world: MakeWorld) -> None:
    """One DELETE for each, in the pass that archived it; the archive keeps everything; a second pass does nothing."""
    here = await any_world(Account(recordings=(*DUE, *YOUNG)))
    here.policies = deleting()

    with capture_logs(processors=[merge_contextvars]) as logs:
        done = await here.sync()

    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    assert {one.id: here.simulator.holds(one.id) for one in (*DUE, *YOUNG)} == {
        **dict.fromkeys((1, 2, 3), False),
        **dict.fromkeys((101, 102), True),
    }
    states = await here.states()
    assert [states[str(number)] for number in (1, 2, 3, 101, 102)] == [State.PURGED] * 3 + [State.VERIFIED] * 2
    assert set(await here.audio()) == {key_of(one) for one in (*DUE, *YOUNG)}
    assert {event["recording_id"] for event in logs if event["event"] == "recording_purged"} == {"1", "2", "3"}
    assert (done.reports["acme"].deleted, done.reports["acme"].already_gone) == (3, 0)
    assert here.exit_code == 0
    again = await here.sync()
    assert len(here.simulator.requests.deletes) == 3
    assert again.reports["acme"].deleted == 0
    assert here.exit_code == 0


async def test_nothing_is_deleted_a_second_before_its_floor(world: MakeWorld) -> None:
    """Counted from the end of the call, not from its start."""
    one = DUE[0]
    here = await world(Account(recordings=(one,)))
    here.policies = deleting()
    floor = one.start + timedelta(milliseconds=one.duration_ms) + timedelta(days=30)
    here.clock.now = floor - timedelta(seconds=1)
    await here.sync()
    assert here.simulator.requests.deletes == []
    here.clock.move(seconds=1)
    await here.sync()
    assert here.simulator.requests.deletes == [1]


async def test_the_history_proves_the_last_check(world: MakeWorld) -> None:
    """Before each DELETE it says which copy was proved, and what the source said again."""
    here = await world(Account(recordings=DUE[:1]))
    here.policies = deleting()
    await here.sync()

    (row,) = await here.query("select reason, detail from history where after = 'purging'")
    entry = (await here.entries())["1"]
    assert entry.fixity is not None
    assert "permits it since" in str(row[0])
    assert row[1] == {
        "copy": entry.key,
        "sha256": entry.fixity.sha256,
        "size": entry.fixity.size,
        "source": "call_id, start and size as archived",
    }


PERMITTING_NOTHING: tuple[dict[str, object], ...] = (
    {},
    deleting(mode="disabled"),
    {**deleting(), "policies": []},
    deleting("never"),
    deleting("41d"),
)


async def test_what_no_policy_permits_is_never_deleted(world: MakeWorld) -> None:
    """No file, deletion switched off, no policy, `never`, a floor that is a day away."""
    here = await world(Account(recordings=DUE))
    for policies in PERMITTING_NOTHING:
        here.policies = policies
        await here.sync()
        assert here.exit_code == 0
    assert here.simulator.requests.deletes == []
    assert set((await here.states()).values()) == {State.VERIFIED}


async def test_a_longer_floor_of_another_policy_wins(world: MakeWorld) -> None:
    """Recordings of the direction that is kept longer stay."""
    kept = replace(DUE[0], direction="OUTBOUND")
    here = await world(Account(recordings=(kept, *DUE[1:])))
    longer = {"name": "longer", "match": {"directions": ["OUTBOUND"]}, "source": {"delete_after": "90d"}}
    policies = deleting()
    here.policies = {**policies, "policies": [longer, {"name": "everything", "source": {"delete_after": "30d"}}]}
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [2, 3]


async def test_a_recording_whose_size_disagrees_is_barred(world: MakeWorld) -> None:
    here = await world(Account(recordings=(replace(DUE[0], listed_size=9_999), *DUE[1:])))
    here.policies = deleting()
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [2, 3]
    assert (await here.states())["1"] is State.VERIFIED


async def test_above_a_limit_nothing_at_all_is_deleted(world: MakeWorld) -> None:
    """Three of five are due: exit 4, no DELETE; what was archived in the same pass stays archived."""
    here = await world(Account(recordings=(*DUE, *YOUNG)))
    capped = (deleting(max_per_run=2), deleting(max_percent=50), deleting(max_percent=0), deleting(max_per_run=0))
    for policies in capped:
        here.policies = policies
        with capture_logs() as logs:
            await here.sync()
        assert here.exit_code == 4
        refusal = next(event for event in logs if event["event"] == "deletion_refused")
        assert "nothing was deleted" in refusal["reason"]
    assert here.simulator.requests.deletes == []
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert await here.query("select exit_code from runs") == [(4,)] * 4


async def test_a_clock_that_was_set_back_deletes_nothing(world: MakeWorld) -> None:
    """Verified in the future: one of the two times is wrong."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    here.clock.move(days=-5)
    await here.sync()
    assert here.simulator.requests.deletes == []


async def test_a_deletion_is_on_record_even_if_the_copy_was_found_bad_meanwhile(world: MakeWorld) -> None:
    """`verify --all` quarantines it between mark and DELETE: the row must still say that the source has none."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    await here.change(
        """create function verifier() returns trigger language plpgsql as $$ begin
            update recordings set state = 'quarantined', claimed_by = null, problem = 'the object is not in the bucket'
                where recording_id = new.recording_id;
            return null;
        end $$;
        create trigger verifier after update on recordings for each row when (new.state = 'purging')
            execute function verifier()"""
    )
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    told = "select recording_id from history where after = 'quarantined' and reason = 'deleted at the source'"
    assert sorted(await here.query(told)) == [("1",), ("2",), ("3",)]
    entries = (await here.entries()).values()
    assert {(entry.state, entry.purged_at) for entry in entries} == {(State.QUARANTINED, here.clock())}


async def plan_of(here: World) -> Plan:
    plan = await here.draft()
    assert [item.recording_id for item in plan.items] == ["1", "2", "3"]
    assert here.simulator.requests.deletes == []
    return plan


async def test_a_plan_is_applied_as_it_was_written(world: MakeWorld) -> None:
    """What became due since stays, until a plan names it."""
    here = await archived(world, *DUE, *YOUNG)
    here.policies = deleting()
    plan = await plan_of(here)
    here.clock.move(days=60)
    await here.apply(plan)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    assert here.exit_code == 0


async def test_an_item_that_no_longer_qualifies_is_skipped_with_its_reason(world: MakeWorld) -> None:
    """The policies were changed between plan and apply: to never, and to a longer wait."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    plan = await plan_of(here)
    for after, reason in (("never", Reason.SOURCE_NEVER), ("50d", Reason.NOT_YET)):
        here.policies = deleting(after)
        with capture_logs() as logs:
            done = await here.apply(plan)
        assert done.reports["acme"].kept == {reason: 3}
        assert [event["kind"] for event in logs if event["event"] == "purge_skipped"] == [reason] * 3
    assert here.simulator.requests.deletes == []


async def test_items_of_a_plan_that_the_catalogue_contradicts_are_skipped(world: MakeWorld) -> None:
    """Another copy than was planned, an unknown recording, one in quarantine."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    plan = await plan_of(here)
    await here.change("update recordings set state = 'quarantined' where recording_id = '3'")
    other, unknown = replace(plan.items[0], sha256="0" * 64), replace(plan.items[1], recording_id="77")
    done = await here.apply(replace(plan, items=(other, unknown, plan.items[2])))
    assert here.simulator.requests.deletes == []
    assert done.reports["acme"].kept == {"copy_changed": 1, "unknown": 1, Reason.QUARANTINED: 1}


async def test_a_plan_does_not_go_past_the_limits(world: MakeWorld) -> None:
    """Deletion switched off, or a cap lowered, since the plan was made."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    text = await office.write_plan(here)
    said = {"is disabled": deleting(mode="disabled"), "max_per_run allows 2": deleting(max_per_run=2)}
    for reason, policies in said.items():
        here.policies = policies
        with pytest.raises(SafetyLimit, match=reason) as caught:
            await office.carry_out(here, text)
        assert caught.value.exit_code == 4
    assert here.simulator.requests.deletes == []
    # the first was refused before a run began
    assert await here.query("select exit_code from runs where command = 'apply'") == [(4,)]
    here.policies = deleting()
    await office.carry_out(here, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]


async def test_drafting_a_plan_changes_nothing_and_asks_nobody(world: MakeWorld) -> None:
    here = await archived(world, *DUE, *YOUNG)
    here.policies = deleting()
    requests, rows = len(here.simulator.requests), await here.query("select count(*) from history")
    plan = await here.draft()
    assert plan.kept == {"source": {Reason.NOT_YET: 2}, "archive": {Reason.NO_CEILING: 5}}
    assert len(here.simulator.requests) == requests
    assert await here.query("select count(*) from history") == rows
    assert here.simulator.requests.counts[Operation.DELETE] == 0
