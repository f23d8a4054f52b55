"""What keeps a plan from being applied: whoever altered it, whenever it comes, whoever else is at it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from archiver.core.controls import Kind, plans_in
from archiver.core.model import State
from archiver.core.plan_file import digest_of, parse, render
from archiver.errors import AccountBusy, ConfigError, SafetyLimit
from archiver.simulator import Account, Fault, Hang, Operation, Status
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls

THREE = calls(3, days=40)
RULES = keeping(mode="approve", delete_after="90d")


async def verified(make: MakeWorld, *faults: Fault) -> World:
    """A world whose three recordings are due at the source, by a plan that a second person approves."""
    here = await make(Account(recordings=THREE, faults=faults))
    here.policies = RULES
    await here.sync()
    return here


async def refused(here: World, text: str, why: str) -> None:
    """The plan cannot be applied, and deletes nothing."""
    with pytest.raises(SafetyLimit, match=why) as caught:
        await office.carry_out(here, text)
    assert caught.value.exit_code == 4
    assert "nothing was deleted" in str(caught.value)
    assert here.simulator.requests.deletes == []


def forged(text: str, old: str, new: str) -> str:
    """Alter a plan, and compute its digest anew."""
    body, tail, _ = text.replace(old, new, 1).rpartition('"digest": "')
    assert body + tail != text.rpartition('"digest": "')[0] + tail
    return f'{body}{tail}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


ALTERED: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace('"size": 2001', '"size": 2002'),
    lambda text: text.replace('"recording_id": "1"', '"recording_id": "9"'),
    lambda text: text.replace('"author": "Anna"', '"author": "Nobody"'),
    lambda text: text[:-4],
    lambda text: text + " ",
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "".join(line for line in text.splitlines(keepends=True) if '"recording_id": "3"' not in line),
)


async def test_an_altered_plan_is_no_plan(world: MakeWorld) -> None:
    here = await verified(world)
    text = await office.approved_plan(here)
    for alter in ALTERED:
        assert alter(text) != text
        with pytest.raises(ConfigError):
            await office.carry_out(here, alter(text))
        with pytest.raises(ConfigError):
            await office.approve(here, alter(text))
    assert here.simulator.requests.deletes == []


async def test_a_plan_that_this_archive_has_not_written_is_refused_however_well_it_is_made(
    world: MakeWorld,
) -> None:
    """Forged by hand; and rendered by this very program, but never written down."""
    here = await verified(world)
    text = await office.approved_plan(here)
    other = forged(text, '"author": "Anna"', '"author": "Zoe"')
    assert parse(other).author == "Zoe"
    unwritten = render(replace(parse(text), items=parse(text).items[:1]))
    for foreign in (other, unwritten):
        with pytest.raises(SafetyLimit, match="not written by this archive"):
            await office.approve(here, foreign)
        await refused(here, foreign, "not written by this archive")


async def test_a_plan_waits_for_somebody_else_than_its_author(world: MakeWorld) -> None:
    """However the author spells the own name; and it is approved once."""
    here = await verified(world)
    text = await office.write_plan(here, by="Anna B. Rao")
    await refused(here, text, "not approved")
    for name in ("Anna B. Rao", "anna b rao", "ANNA-B-RAO", " Anna  B.Rao"):
        with pytest.raises(SafetyLimit, match="somebody else must approve"):
            await office.approve(here, text, by=name)
    await refused(here, text, "not approved")
    await office.approve(here, text, by="Anna B. Raos")
    with pytest.raises(SafetyLimit, match=r"approved by Anna B\. Raos already"):
        await office.approve(here, text, by="Carl")
    await office.carry_out(here, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]


async def test_a_plan_is_used_once(world: MakeWorld) -> None:
    here = await verified(world)
    text = await office.approved_plan(here)
    await office.carry_out(here, text)
    for one in THREE:  # the source has them again
        here.simulator.put(one)
    with pytest.raises(SafetyLimit, match="was used on 2024-03-01 12:00:00 UTC"):
        await office.carry_out(here, text)
    with pytest.raises(SafetyLimit, match="was used"):
        await office.approve(here, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    details = [detail for (detail,) in await here.query("select detail from history where after = 'purging'")]
    told = {"plan": digest_of(text), "planned_by": "Anna", "approved_by": "Berta"}
    assert all(isinstance(one, dict) and told.items() <= one.items() for one in details)
    assert len(details) == 3


async def test_a_plan_is_worth_nothing_after_its_time(world: MakeWorld) -> None:
    here = await verified(world)
    text, late = await office.approved_plan(here), await office.write_plan(here, by="Zoe")
    here.clock.move(days=7, seconds=-1)
    with pytest.raises(SafetyLimit, match="not approved"):
        await office.carry_out(here, late)
    here.clock.move(seconds=1)
    with pytest.raises(SafetyLimit, match="expired"):
        await office.approve(here, late)
    await refused(here, text, "expired on 2024-03-08 12:00:00 UTC")


async def test_a_plan_is_worth_nothing_under_other_policies(world: MakeWorld) -> None:
    """Also under more generous ones, and after a policy got another name; not after limits changed."""
    here = await verified(world)
    text = await office.approved_plan(here)
    renamed = {**RULES, "policies": [{"name": "all", "source": {"delete_after": "30d"}}]}
    for policies in (keeping(source="10d", mode="approve"), keeping(source="never", mode="approve"), renamed):
        here.policies = policies
        with pytest.raises(SafetyLimit, match="other policies"):
            await office.approve(here, text)
        await refused(here, text, "other policies")
    here.policies = {**RULES, "deletion": {**keeping()["deletion"], "max_per_run": 3}}  # type: ignore[dict-item]
    await office.carry_out(here, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]


async def test_of_two_operators_at_once_one_applies_it(world: MakeWorld) -> None:
    """The other one is told that it is being applied; and, when it has ended, that it was used."""
    slow = Fault(on=Operation.GET, do=Hang(), times=1)
    here = await verified(world, slow)
    text = await office.approved_plan(here)
    async with here.app() as mine, here.app() as theirs:
        first = asyncio.create_task(office.carry_out_by(here, mine, text))
        await here.simulator.arrived(Operation.GET, 1)
        with pytest.raises(AccountBusy, match="applying this plan"):
            await office.carry_out_by(here, theirs, text)
        here.simulator.release()
        await first
        with pytest.raises(SafetyLimit, match="was used"):
            await office.carry_out_by(here, theirs, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]


async def test_of_many_operators_at_once_one_applies_it(world: MakeWorld) -> None:
    here = await verified(world)
    text = await office.approved_plan(here)
    async with here.app() as one, here.app() as two, here.app() as three:
        tries = [office.carry_out_by(here, app, text) for app in (one, two, three)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(outcome, AccountBusy | SafetyLimit) for outcome in failed)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3]
    assert await here.query("select count(*) from controls where event = 'used'") == [(1,)]


async def test_a_plan_that_was_not_carried_out_to_its_end_can_be_applied_again(world: MakeWorld) -> None:
    """The source refuses one of three; then the process dies; then it goes through."""
    here = await verified(world)
    text = await office.approved_plan(here)
    here.simulator.script(Fault(on=Operation.DELETE, do=Status(500), recording=2, times=None))
    await office.carry_out(here, text)
    assert here.exit_code == 3
    assert not here.simulator.holds(1)
    assert here.simulator.holds(2)
    async with office.controls_of(here) as controls:
        assert plans_in(await controls.log([Kind.PLAN]))[digest_of(text)].used_at is None
    await here.change(
        "update recordings set state = 'purging', claimed_by = 'a run that died' where recording_id = '2'"
    )
    here.simulator.heal()
    await office.carry_out(here, text)
    assert here.exit_code == 0
    assert set((await here.states()).values()) == {State.PURGED}
    with pytest.raises(SafetyLimit, match="was used"):
        await office.carry_out(here, text)


async def test_both_sides_of_a_plan_are_done_in_their_order(locked_world: MakeWorld) -> None:
    """One is due at the source, one in the archive; what the plan does not name stays, though it is due by now."""
    here = await locked_world(Account(recordings=THREE))
    here.policies = keeping(mode="approve", delete_after="35d")
    await here.sync()
    here.simulator.remove(2)
    await here.change("update recordings set state = 'purged', purged_at = verified_at where recording_id = '2'")
    await here.change("update recordings set state = 'quarantined' where recording_id = '3'")
    text = await office.approved_plan(here)
    await here.change("update recordings set state = 'verified' where recording_id = '3'")
    await office.carry_out(here, text)
    assert await here.states() == {"1": State.PURGED, "2": State.EXPIRED, "3": State.VERIFIED}
    assert here.simulator.requests.deletes == [1]
    assert len(await locksmith.versions(here)) == 4
