"""What stops a deletion as a whole: modes, caps on both sides, and the pause, which also stops what has begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.core.policy import Mode
from archiver.errors import SafetyLimit
from archiver.simulator import Account
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls

FOUR = calls(4, days=40)
BOTH = keeping(source="10d", delete_after="30d")
DEAD = "update recordings set claimed_by = 'a run that died', state"


async def half_way(make: MakeWorld) -> World:
    """A world in which 1 and 2 are due at the source, 3 and 4 in the archive, and nothing is permitted yet."""
    here = await make(Account(recordings=FOUR))
    await here.sync()
    for number in (3, 4):
        here.simulator.remove(number)
    await here.change(
        "update recordings set state = 'purged', purged_at = verified_at where recording_id in ('3', '4')"
    )
    return here


async def nothing_is_gone(here: World) -> None:
    """Neither at the source nor in the bucket, whatever the rows say."""
    assert here.simulator.requests.deletes == []
    assert await locksmith.versions(here) == dict.fromkeys(await here.objects(), 1)
    assert len(await here.objects()) == 8


def limited(**deletion: object) -> dict[str, object]:
    """The policies of `BOTH` with another `deletion`."""
    changed = {**BOTH["deletion"], **deletion}  # type: ignore[dict-item]
    return {**BOTH, "deletion": changed}


MODES: tuple[tuple[str, str, int, int], ...] = (  # of source and archive; how many are gone there after a pass
    *(("disabled", archive.value, 0, 0) for archive in Mode),
    *(("approve", archive.value, 0, 0) for archive in Mode),
    ("automatic", "disabled", 2, 0),
    ("automatic", "approve", 2, 0),
    ("automatic", "automatic", 2, 4),
)


async def test_of_the_two_modes_the_more_careful_holds_for_the_archive(locked_world: MakeWorld) -> None:
    """A pass deletes by itself at the source where `mode` says automatic, in the archive where both do."""
    here = await half_way(locked_world)
    for source, archive, at_source, in_archive in MODES:
        here.policies = keeping(source="10d", delete_after="30d", mode=source, archive_mode=archive)
        await here.sync()
        assert here.exit_code == 0
        assert len(here.simulator.requests.deletes) == at_source
        assert list((await here.states()).values()).count(State.EXPIRED) == in_archive
        assert len(await here.objects()) == 8 - 2 * in_archive


async def test_what_a_mode_disables_no_plan_can_do(locked_world: MakeWorld) -> None:
    """Approved or not; and where only the archive's side is disabled, nothing of the plan is done."""
    here = await half_way(locked_world)
    here.policies = keeping(source="10d", delete_after="30d", mode="approve", archive_mode="approve")
    text = await office.approved_plan(here)
    for source, archive, place in (
        ("disabled", "automatic", "at the source"),
        ("approve", "disabled", "in the archive"),
    ):
        here.policies = keeping(source="10d", delete_after="30d", mode=source, archive_mode=archive)
        with pytest.raises(SafetyLimit, match=f"deletion {place} is disabled"):
            await office.carry_out(here, text)
    await nothing_is_gone(here)


async def test_where_the_archive_waits_for_approval_a_plan_waits_for_it_too(locked_world: MakeWorld) -> None:
    here = await half_way(locked_world)
    here.policies = keeping(source="10d", delete_after="30d", archive_mode="approve")
    text = await office.write_plan(here)
    with pytest.raises(SafetyLimit, match="not approved"):
        await office.carry_out(here, text)
    await nothing_is_gone(here)
    await office.approve(here, text)
    await office.carry_out(here, text)
    assert await here.states() == dict.fromkeys("12", State.PURGED) | dict.fromkeys("34", State.EXPIRED)


CAPS: tuple[tuple[Mapping[str, object], str], ...] = (
    ({"max_per_run": 1}, "deletion.max_per_run allows 1"),
    ({"max_percent": 50}, "deletion.max_percent 50 allows 1 of the 2"),
    ({"archive": {"mode": "automatic", "max_percent": 100, "max_per_run": 1}}, "deletion.archive.max_per_run allows 1"),
    ({"archive": {"mode": "automatic", "max_percent": 25}}, "deletion.archive.max_percent 25 allows 1 of the 4"),
    ({"archive": {"mode": "automatic", "max_percent": 0}}, "deletion.archive.max_percent 0 allows 0 of the 4"),
)


async def test_past_a_cap_of_either_side_nothing_goes_on_both(locked_world: MakeWorld) -> None:
    """By itself in a pass, and by an approved plan: exit code 4."""
    here = await half_way(locked_world)
    here.policies = BOTH
    text = await office.approved_plan(here)
    for caps, reason in CAPS:
        here.policies = limited(**caps)
        with capture_logs() as logs:
            await here.sync()
        [refusal] = [event for event in logs if event["event"] == "deletion_refused"]
        assert (here.exit_code, reason in str(refusal["reason"])) == (4, True)
    with pytest.raises(SafetyLimit, match="nothing was deleted"):
        await office.carry_out(here, text)
    await nothing_is_gone(here)
    here.policies = BOTH
    await office.carry_out(here, text)  # what was refused was not used
    assert await here.states() == dict.fromkeys("12", State.PURGED) | dict.fromkeys("34", State.EXPIRED)
    assert len(await here.objects()) == 4


async def test_a_plan_that_was_interrupted_counts_only_what_is_left(locked_world: MakeWorld) -> None:
    """The caps allow two of four in the archive: one of the two has gone in an earlier attempt."""
    here = await half_way(locked_world)
    here.policies = BOTH
    text = await office.approved_plan(here)
    plan = await here.draft()
    await here.apply(replace(plan, items=plan.items[-1:]))
    assert (await here.states())["4"] is State.EXPIRED
    here.policies = limited(archive={"mode": "automatic", "max_percent": 34, "max_per_run": 1})
    await office.carry_out(here, text)
    assert await here.states() == dict.fromkeys("12", State.PURGED) | dict.fromkeys("34", State.EXPIRED)


async def test_a_pause_stops_both_sides_and_what_has_begun_until_it_ends(locked_world: MakeWorld) -> None:
    """What killed processes had marked stays marked; archiving goes on; no plan goes through."""
    here = await half_way(locked_world)
    here.policies = BOTH
    text = await office.approved_plan(here)
    await here.change(f"{DEAD} = 'purging' where recording_id = '1'")
    await here.change(f"{DEAD} = 'expiring' where recording_id = '3'")
    await office.pause(here)
    new = calls(9, days=1)[8]
    here.simulator.put(new)
    here.clock.move(hours=1)
    with capture_logs() as logs:
        await here.sync()
    assert [event["event"] for event in logs if event["event"] == "deletion_paused"] == ["deletion_paused"]
    with pytest.raises(SafetyLimit, match="paused: an audit"):
        await office.carry_out(here, text)
    stands = {"1": State.PURGING, "2": State.VERIFIED, "3": State.EXPIRING, "4": State.PURGED, "9": State.VERIFIED}
    assert await here.states() == stands
    assert here.simulator.requests.deletes == []
    assert len(await here.objects()) == 10

    await office.resume(here)
    await here.sync()  # what had begun at the source is finished first, and so is due in the archive
    assert await here.states() == dict.fromkeys("134", State.EXPIRED) | {"2": State.PURGED, "9": State.VERIFIED}
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_pause_in_the_middle_of_a_pass_stops_the_rest(locked_world: MakeWorld) -> None:
    """One recording is gone when somebody pauses: the others stay, in every process that was at work."""
    here = await half_way(locked_world)
    here.policies = BOTH
    here.section("sync")["concurrency"] = 1
    await here.change(
        """create function pauses() returns trigger language plpgsql as $$ begin
            insert into controls (at, kind, subject, event, by, reason, detail)
                values (now(), 'pause', '', 'paused', 'anna', 'an audit', '{}');
            return null;
        end $$;
        create trigger pauses after update on recordings for each row when (new.state = 'purged')
            execute function pauses()"""
    )
    done = await here.sync()
    assert len(here.simulator.requests.deletes) == 1
    assert done.reports["acme"].kept == {"paused": 3}
    assert list((await here.states()).values()).count(State.PURGED) == 3
    assert len(await here.objects()) == 8
