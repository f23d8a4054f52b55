"""After the policies have changed, what the earlier ones would have kept stays for the cooling-off period."""

from __future__ import annotations

from datetime import datetime, timedelta

from structlog.testing import capture_logs

from archiver.core.decision import Reason
from archiver.core.model import State
from archiver.simulator import Account
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls

TWO = calls(2, days=40)


def rules(*, cooling_off: str | None = None, **asked: str) -> dict[str, object]:
    """A policies file with a cooling-off period: the usual one unless another is said."""
    plain = keeping(**asked)
    deletion = {name: value for name, value in plain["deletion"].items() if name != "cooling_off"}  # type: ignore[attr-defined]
    return {**plain, "deletion": deletion | ({"cooling_off": cooling_off} if cooling_off else {})}


async def deleted_on(here: World, moment: datetime) -> int:
    """How many are deleted after a pass at that moment."""
    here.clock.now = moment
    await here.sync()
    return len(here.simulator.requests.deletes)


async def test_the_very_first_policies_have_nothing_before_them(world: MakeWorld) -> None:
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="30d")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_shorter_wait_counts_after_seven_days(world: MakeWorld) -> None:
    """In passes, and in a plan that was approved meanwhile; the log says when it begins."""
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="90d")
    await here.sync()
    here.policies = rules(source="30d")
    changed = here.clock()
    with capture_logs() as logs:
        await here.sync()
    [said] = [event for event in logs if event["event"] == "policies_changed"]
    assert said["cooling_off_until"] == changed + timedelta(days=7)
    assert (await here.draft()).kept["source"] == {Reason.COOLING_OFF: 2}
    assert await deleted_on(here, changed + timedelta(days=7, seconds=-1)) == 0
    assert await deleted_on(here, changed + timedelta(days=7)) == 2


async def test_it_begins_when_the_changed_file_is_first_read_for_a_plan(world: MakeWorld) -> None:
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="90d")
    await here.sync()
    here.policies = rules(source="30d")
    changed = here.clock()
    await office.write_plan(here)
    assert await deleted_on(here, changed + timedelta(days=7, seconds=-1)) == 0
    assert await deleted_on(here, changed + timedelta(days=7)) == 2


async def test_what_both_would_delete_goes_on(world: MakeWorld) -> None:
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="39d", mode="disabled")
    await here.sync()
    here.policies = rules(source="30d")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_longer_wait_counts_at_once(world: MakeWorld) -> None:
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="30d", mode="disabled")
    await here.sync()
    here.policies = rules(source="90d")
    assert await deleted_on(here, here.clock() + timedelta(days=49)) == 0


async def test_several_changes_bind_each_for_its_own_time(world: MakeWorld) -> None:
    """90 days, then never, then 30 a day later: the first binds seven days after the second, that one a day longer."""
    here = await world(Account(recordings=TWO))
    begin = here.clock()
    here.policies = rules(source="90d")
    await here.sync()
    here.clock.move(days=1)
    here.policies = rules(source="never")
    await here.sync()
    here.clock.move(days=1)
    here.policies = rules(source="30d")
    assert await deleted_on(here, here.clock()) == 0
    assert await deleted_on(here, begin + timedelta(days=9, seconds=-1)) == 0
    assert await deleted_on(here, begin + timedelta(days=9)) == 2


async def test_there_and_back_again_binds_nothing(world: MakeWorld) -> None:
    """A change that was taken back: what is in force now was in force before it; the one between binds."""
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="30d", mode="disabled")
    await here.sync()
    here.policies = rules(source="20d", mode="disabled")
    await here.sync()
    here.policies = rules(source="30d")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_to_shorten_the_period_first_does_not_get_round_it(world: MakeWorld) -> None:
    """In the same change; an hour before; in steps: the longer one counts until it has run out."""
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="90d")
    await here.sync()
    for shorter in ("1d", "1h", "0s"):
        here.policies = rules(source="90d", cooling_off=shorter)
        here.clock.move(hours=1)
        await here.sync()
    shortened = here.clock() - timedelta(hours=2)  # the first of the three replaced seven days
    here.policies = rules(source="30d", cooling_off="0s")
    assert await deleted_on(here, here.clock() + timedelta(hours=1)) == 0
    replaced = here.clock()
    assert replaced < shortened + timedelta(days=7)
    assert await deleted_on(here, replaced + timedelta(days=7, seconds=-1)) == 0
    assert await deleted_on(here, replaced + timedelta(days=7)) == 2


async def test_when_the_longer_period_has_run_out_the_shorter_one_counts(world: MakeWorld) -> None:
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="90d")
    await here.sync()
    here.policies = rules(source="90d", cooling_off="0s")
    await here.sync()
    here.clock.move(days=7)
    here.policies = rules(source="30d", cooling_off="0s")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_clock_that_was_set_back_or_forward_does_not_shorten_it(world: MakeWorld) -> None:
    """The period begins no earlier than the latest entry of the record."""
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="90d")
    await here.sync()
    there = here.clock()
    here.policies = rules(source="30d")
    here.clock.move(days=-7)
    await here.sync()
    assert await deleted_on(here, there) == 0
    assert await deleted_on(here, there + timedelta(days=7, seconds=-1)) == 0
    assert await deleted_on(here, there + timedelta(days=7)) == 2


async def test_the_archive_and_erasure_cool_off_too(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=TWO))
    here.policies = rules(source="10d", keep_at_least="1y", delete_after="2y")
    await here.sync()
    here.policies = rules(source="10d", delete_after="30d")
    await here.sync()
    assert (await here.draft()).kept["archive"] == {Reason.COOLING_OFF: 2}
    answer = await office.ask_for_erasure(here, "1")
    assert not isinstance(answer, str)
    assert answer.reason is Reason.COOLING_OFF
    assert len(await locksmith.versions(here)) == 4
    here.clock.move(days=7)
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}


async def test_policies_that_can_no_longer_be_read_keep_everything(world: MakeWorld) -> None:
    """A file that an older version took and this one does not."""
    here = await world(Account(recordings=TWO))
    here.policies = rules(source="39d", mode="disabled")
    await here.sync()
    await here.change(
        """alter table policy_sets disable trigger policy_sets_append_only;
        update policy_sets set text = 'policies: [{name: x, then: what}]';
        alter table policy_sets enable trigger policy_sets_append_only"""
    )
    here.policies = rules(source="30d")
    changed = here.clock()
    with capture_logs() as logs:
        await here.sync()
    assert [event for event in logs if event["event"] == "earlier_policies_unreadable"]
    assert here.simulator.requests.deletes == []
    assert await deleted_on(here, changed + timedelta(days=7)) == 2
