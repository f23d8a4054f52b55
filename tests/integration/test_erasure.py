"""Erasure on request: a plan that a second person approves, or the rule that forbids it; then nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.core.decision import Reason
from archiver.core.model import State
from archiver.core.plan_file import parse
from archiver.errors import SafetyLimit
from archiver.simulator import Account, Fault, Operation, Status
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

ONE, OTHER = (replace(one, caller_id="+15550177777", cnam="MEHTA & SONS") for one in calls(2, days=40))
RULES = keeping(mode="approve", source="90d", delete_after="2y")  # nothing is due


async def asked(here: World, recording_id: str = "1") -> str:
    """Ask for an erasure that nothing forbids."""
    answer = await office.ask_for_erasure(here, recording_id)
    assert isinstance(answer, str)
    return answer


async def forbidden(here: World, recording_id: str = "1") -> Reason:
    """Ask for an erasure that something forbids."""
    answer = await office.ask_for_erasure(here, recording_id)
    assert not isinstance(answer, str)
    return answer.reason


async def test_it_goes_at_the_source_and_in_the_archive_by_two_people(locked_world: MakeWorld) -> None:
    """Though no wait and no ceiling has passed; the other recording stays; the history says who and why."""
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = RULES
    await here.sync()
    text = await asked(here)
    assert "MEHTA" not in text
    assert "5550177777" not in text
    with pytest.raises(SafetyLimit, match="not approved"):
        await office.carry_out(here, text)
    with pytest.raises(SafetyLimit, match="somebody else"):
        await office.approve(here, text, by="anna")
    await office.approve(here, text)
    await office.carry_out(here, text)
    assert here.exit_code == 0
    assert await here.states() == {"1": State.EXPIRED, "2": State.VERIFIED}
    assert (here.simulator.requests.deletes, here.simulator.holds(2)) == ([1], True)
    assert set(await locksmith.versions(here)) == {key_of(OTHER), sidecar_of(OTHER)}
    [(caller, name, raw)] = await here.query("select caller_id, cnam, raw from recordings where recording_id = '1'")
    assert (caller, name, raw) == (None, None, {})
    told = await here.query("select after::text, reason, detail from history where recording_id = '1' order by id")
    assert [after for after, _, _ in told[-4:]] == ["purging", "purged", "expiring", "expired"]
    detail = told[-1][2]
    assert isinstance(detail, dict)
    assert (detail["purpose"], detail["planned_by"], detail["approved_by"]) == (
        "erasure on request: 2026-9", "Anna", "Berta",
    )  # fmt: skip
    assert await forbidden(here) is Reason.ALREADY_EXPIRED


async def test_also_where_deletion_is_automatic_an_erasure_waits_for_a_second_person(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE,)))
    here.policies = keeping(source="90d")
    await here.sync()
    text = await asked(here)
    with pytest.raises(SafetyLimit, match="not approved"):
        await office.carry_out(here, text)
    await office.approve(here, text)
    await office.carry_out(here, text)
    assert await here.objects() == {}


async def test_what_the_source_no_longer_has_goes_in_the_archive_alone(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE,)))
    here.policies = keeping()
    await here.sync()
    text = await asked(here)
    assert [item.action.value for item in parse(text).items] == ["delete_in_archive"]
    await office.approve(here, text)
    await office.carry_out(here, text)
    assert await here.states() == {"1": State.EXPIRED}
    assert here.simulator.requests.deletes == [1]


async def test_the_rule_that_forbids_it_is_named(locked_world: MakeWorld) -> None:
    """A hold, a floor, never, a lock: asked for, and found again by a plan that was approved before."""
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = RULES
    await here.sync()
    text = await asked(here)
    await office.approve(here, text)

    await office.hold(here)
    assert await forbidden(here) is Reason.ON_HOLD
    done = await office.carry_out(here, text)
    assert done.reports["acme"].kept == {Reason.ON_HOLD: 2}
    await office.release_by_two(here)
    await here.sync()

    for policies, reason in (
        (keeping(mode="approve", source="90d", keep_at_least="1y"), Reason.INSIDE_FLOOR),
        (keeping(mode="approve", source="90d", delete_after="never"), Reason.ARCHIVE_NEVER),
        (keeping(mode="approve", source="never"), Reason.SOURCE_NEVER),
    ):
        here.policies = policies
        assert await forbidden(here) is reason
        done = await here.apply(parse(text))
        assert set(done.reports["acme"].kept) == {reason} | {Reason.STILL_AT_SOURCE} & set(done.reports["acme"].kept)

    here.policies = keeping(mode="approve", source="90d", keep_at_least="10y", lock="governance")
    await here.sync()
    here.policies = RULES
    assert await forbidden(here) is Reason.LOCKED
    done = await here.apply(parse(text))
    assert done.reports["acme"].kept == {Reason.LOCKED: 2}
    assert here.simulator.requests.deletes == []
    assert len(await locksmith.versions(here)) == 4


async def test_a_lock_that_only_the_bucket_knows_forbids_it_before_the_source_is_asked(
    locked_world: MakeWorld,
) -> None:
    """Else the source's copy would be gone, and the archive's could not go."""
    here = await locked_world(Account(recordings=(ONE,)))
    here.policies = RULES
    await here.sync()
    await locksmith.lock(here, sidecar_of(ONE), here.clock().replace(year=2034))
    text = await asked(here)
    await office.approve(here, text)
    await office.carry_out(here, text)
    assert len(await locksmith.versions(here)) == 2
    assert here.simulator.requests.deletes == []


async def test_while_the_source_keeps_it_the_archive_keeps_it_too(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE,)))
    here.policies = RULES
    await here.sync()
    text = await asked(here)
    await office.approve(here, text)
    here.simulator.script(Fault(on=Operation.DELETE, do=Status(500), times=None))
    await office.carry_out(here, text)
    assert here.exit_code == 3
    assert len(await here.objects()) == 2
    here.simulator.heal()
    await office.carry_out(here, text)
    assert (here.exit_code, await here.states()) == (0, {"1": State.EXPIRED})
    assert await here.objects() == {}


async def test_what_is_not_proved_cannot_be_erased(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE, OTHER)))
    here.policies = RULES
    await here.sync()
    await here.change("update recordings set state = 'quarantined' where recording_id = '1'")
    assert await forbidden(here) is Reason.QUARANTINED
    await here.change("update recordings set state = 'stored' where recording_id = '2'")
    assert await forbidden(here, "2") is Reason.NOT_VERIFIED
