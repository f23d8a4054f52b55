"""A lost catalogue must not be less protective than it was: what was on hold stays at the source."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archiver.adapters.database import exclusive
from archiver.app import new_run_id
from archiver.passes import Pass
from archiver.simulator import Account
from tests.support import office
from tests.support.locksmith import keeping
from tests.support.postgres import Databases
from tests.support.strict_store import Fault as StoreFault
from tests.support.world import BRIEF, MakeWorld, World, calls, key_of, sidecar_of

OLD = calls(6, days=40)


@pytest.fixture
def another_catalogue(databases: Databases) -> Iterator[str]:
    """A second empty catalogue."""
    with databases.lend() as url:
        yield url


async def with_a_case(make: MakeWorld) -> World:
    """An account of which a case holds two calls that are at the source; the bucket has a copy of the decision."""
    here = await make(Account(recordings=OLD))
    await here.sync()
    await office.hold(here, "case-1", ids=["4", "5"])
    here.clock.move(hours=1)
    await here.sync()
    return here


async def delete_what_is_due(here: World) -> set[int]:
    """Let a policy delete at the source. Returns what went."""
    here.policies = keeping(source="30d")
    here.clock.move(hours=1)
    await here.sync()
    return set(here.simulator.requests.deletes)


async def test_what_was_on_hold_and_not_archived_is_held_when_it_is_listed_anew(
    world: MakeWorld, another_catalogue: str
) -> None:
    here = await with_a_case(world)
    for key in (key_of(OLD[3]), sidecar_of(OLD[3])):
        await here.take(key)
    here.lose_catalogue(another_catalogue)
    here.clock.move(hours=1)
    await here.rebuild()
    await here.sync()
    assert await delete_what_is_due(here) == {1, 2, 3, 6}


async def test_what_was_on_hold_is_held_when_a_pass_came_before_the_rebuild(
    world: MakeWorld, another_catalogue: str
) -> None:
    here = await with_a_case(world)
    here.lose_catalogue(another_catalogue)
    here.clock.move(hours=1)
    await here.sync()
    await here.rebuild()
    assert await delete_what_is_due(here) == {1, 2, 3, 6}


async def without_copies(make: MakeWorld) -> World:
    """The same, but the copies have gone from the bucket and are to be made again."""
    here = await with_a_case(make)
    for key in [key for key in await here.everything() if "decision" in key]:
        await here.take(key)
    await here.change("delete from runs")
    return here


async def test_nothing_is_deleted_while_a_decision_has_no_copy(world: MakeWorld) -> None:
    """The bucket alone must be enough to know what is held; so that comes first."""
    here = await without_copies(world)
    async with exclusive(here.eye, "acme", "decisions"):
        assert await delete_what_is_due(here) == set()
    assert here.exit_code == 4
    assert await delete_what_is_due(here) == {1, 2, 3, 6}


async def test_nothing_is_deleted_while_the_bucket_takes_no_copy_for_now(world: MakeWorld) -> None:
    """A store that fails for now stops no other stage; this one must have come to its end all the same."""
    here = await without_copies(world)
    here.policies = keeping(source="30d")
    here.clock.move(hours=1)
    async with here.app() as app:
        await app.store.facts()  # else the probe would meet the fault
        here.store.strict_state.fault = StoreFault(kind="status", methods=frozenset({"PUT"}), times=BRIEF.retries + 1)
        await Pass(app=app, run=new_run_id()).sync()
    assert here.store.strict_state.fault is None
    assert here.simulator.requests.deletes == []
    assert await delete_what_is_due(here) == {1, 2, 3, 6}
