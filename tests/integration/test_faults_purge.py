"""Whatever is wrong just before a DELETE, the DELETE does not go out; whatever is wrong after it, nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

import pytest

from archiver.core.model import State
from archiver.simulator import (
    Changed,
    Drop,
    EmptyListing,
    Fault,
    Garbage,
    Html,
    Operation,
    Redirect,
    Revoke,
    SimRecording,
    Status,
    audio_bytes,
)
from archiver.simulator.faults import Action
from tests.integration.test_purge import DUE, YOUNG, archived, deleting
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of


async def flip(here: World, one: SimRecording) -> None:
    body = audio_bytes(one.id, one.size)
    await here.put(key_of(one), body[:-1] + bytes([body[-1] ^ 1]))


async def remove(here: World, one: SimRecording) -> None:
    await here.take(key_of(one))


async def remove_sidecar(here: World, one: SimRecording) -> None:
    await here.take(sidecar_of(one))


async def marked(make: MakeWorld, *recordings: SimRecording) -> World:
    """A world in which a process died between its mark and the source's answer, for every recording."""
    here = await archived(make, *recordings)
    await here.change("update recordings set state = 'purging', claimed_by = 'a run that died'")
    return here


@pytest.mark.parametrize("tamper", [flip, remove, remove_sidecar])
async def test_a_copy_that_is_not_good_keeps_its_source(
    any_world: MakeWorld, tamper: Callable[[World, SimRecording], Awaitable[None]]
) -> None:
    """Verified a moment ago, altered since: no DELETE for it, quarantine, gap list; the others go."""
    here = await archived(any_world, *DUE)
    await tamper(here, DUE[1])
    here.policies = deleting()
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 3]
    assert (await here.states())["2"] is State.QUARANTINED
    assert (await here.gaps())["2"].kind == "quarantined"
    assert here.exit_code == 3


DESCRIBED_OTHERWISE: tuple[Mapping[str, object], ...] = (
    {"call_id": "00000000-0000-4000-8000-000000000000"},
    {"call_id": None},
    {"start": "2024-01-02T03:04:05+0000"},
    {"file_size_in_bytes": 12_345},
    {"file_size_in_bytes": None},
)
SAYING_NOTHING: tuple[Action, ...] = (
    Changed({"id": 3}),
    Changed({"start": None}),
    Garbage(),
    Html(),
    Status(500),
    Status(403),
    Drop(),
)


def answering(operation: Operation, answers: Iterable[Action]) -> list[Fault]:
    """Spoil every request about recording 1 in the first way, about recording 2 in the second, and so on."""
    return [Fault(on=operation, do=do, recording=number, times=None) for number, do in enumerate(answers, 1)]


async def test_a_source_that_describes_it_otherwise_keeps_it(world: MakeWorld) -> None:
    """The id was used again, perhaps: what lies there now was never archived."""
    odd = len(DESCRIBED_OTHERWISE)
    here = await archived(world, *calls(odd + 2, days=40))
    here.policies = deleting()
    here.simulator.script(*answering(Operation.GET, map(Changed, DESCRIBED_OTHERWISE)))
    done = await here.sync()
    assert sorted(here.simulator.requests.deletes) == [odd + 1, odd + 2]
    assert done.reports["acme"].kept == {"changed_at_source": odd}
    assert list((await here.states()).values()).count(State.VERIFIED) == odd


async def test_an_answer_that_says_nothing_keeps_it(world: MakeWorld) -> None:
    """No readable description, no DELETE; said in the exit code, and tried again by the next pass."""
    odd = len(SAYING_NOTHING)
    here = await archived(world, *calls(odd + 2, days=40))
    here.policies = deleting()
    here.simulator.script(*answering(Operation.GET, SAYING_NOTHING))
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [odd + 1, odd + 2]
    assert list((await here.states()).values()).count(State.VERIFIED) == odd
    assert here.exit_code == 3
    here.simulator.heal()
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == list(range(1, odd + 3))
    assert here.exit_code == 0


async def test_what_is_gone_already_is_purged_without_a_delete(world: MakeWorld) -> None:
    """404 when it is read again, and not listed: someone else has deleted it."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    here.simulator.remove(2)
    done = await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 3]
    assert (await here.states())["2"] is State.PURGED
    assert (done.reports["acme"].deleted, done.reports["acme"].already_gone) == (3, 1)
    [(reason,)] = await here.query("select reason from history where recording_id = '2' and after = 'purged'")
    assert "404" in str(reason)


async def test_a_404_beside_a_listing_that_shows_it_is_not_believed(world: MakeWorld) -> None:
    here = await archived(world, *DUE)
    here.policies = deleting()
    here.simulator.script(Fault(on=Operation.GET, do=Status(404), recording=2, times=None))
    done = await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 3]
    assert (await here.states())["2"] is State.VERIFIED
    assert done.reports["acme"].kept == {"contradiction": 1}


async def test_a_404_to_the_delete_is_taken_as_gone(world: MakeWorld) -> None:
    here = await archived(world, *DUE)
    here.policies = deleting()
    here.simulator.script(Fault(on=Operation.DELETE, do=Status(404), recording=2))
    done = await here.sync()
    assert set((await here.states()).values()) == {State.PURGED}
    assert done.reports["acme"].already_gone == 1
    [(reason,)] = await here.query("select reason from history where recording_id = '2' and after = 'purged'")
    assert reason == "the source had no copy any more (404)"
    assert here.exit_code == 0


async def test_a_delete_whose_answer_is_lost_is_asked_again(world: MakeWorld) -> None:
    """The source did it, and the connection broke: the second DELETE says 404."""
    here = await archived(world, *DUE)
    here.policies = deleting()
    here.simulator.script(Fault(on=Operation.DELETE, do=Drop(applied=True), recording=2))
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 2, 3]
    assert set((await here.states()).values()) == {State.PURGED}
    assert here.exit_code == 0


async def test_a_delete_that_is_refused_is_finished_by_the_next_pass(world: MakeWorld) -> None:
    """The mark stays where the source was in trouble, and is taken back where it said no; no other is held up."""
    here = await archived(world, *calls(5, days=40))
    here.policies = deleting()
    refusals = (Status(500), Status(403), Redirect("http://127.0.0.1:1/elsewhere"))
    here.simulator.script(*answering(Operation.DELETE, refusals))
    await here.sync()
    stands = {"1": State.PURGING, "2": State.VERIFIED, "3": State.VERIFIED}
    assert await here.states() == stands | dict.fromkeys("45", State.PURGED)
    assert [here.simulator.holds(number) for number in range(1, 6)] == [True, True, True, False, False]
    assert here.exit_code == 3
    here.simulator.heal()
    await here.sync()
    assert set((await here.states()).values()) == {State.PURGED}
    assert not any(here.simulator.holds(number) for number in range(1, 6))
    assert here.exit_code == 0


async def test_a_token_revoked_in_the_middle_stops_the_deletion(world: MakeWorld) -> None:
    here = await archived(world, *calls(12, days=40))
    here.policies = deleting()
    here.section("sync")["concurrency"] = 1
    here.simulator.script(Fault(on=Operation.DELETE, do=Revoke(), after=4))
    await here.sync()
    assert here.exit_code == 5
    assert len(here.simulator.requests.deletes) == 5
    assert sum(here.simulator.holds(number) for number in range(1, 13)) == 8


async def test_a_bad_listing_deletes_nothing(world: MakeWorld) -> None:
    """Nothing listed, or no listing at all, pass after pass: whoever is not due stays, at the source and here."""
    here = await archived(world, *YOUNG)
    here.policies = deleting()
    for answer in (EmptyListing(), Status(500), Garbage(), Status(404)):
        here.simulator.heal()
        here.simulator.script(Fault(on=Operation.LIST, do=answer, times=None))
        here.clock.move(hours=1)
        await here.sync()
    assert here.simulator.requests.deletes == []
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert len(await here.audio()) == len(YOUNG)


async def test_an_interrupted_purge_is_finished(world: MakeWorld) -> None:
    here = await marked(world, *DUE)
    here.policies = deleting()
    here.simulator.remove(2)  # the source had done it before the process died
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 3]
    assert set((await here.states()).values()) == {State.PURGED}
    assert here.exit_code == 0


@pytest.mark.parametrize("policies", [{}, deleting(mode="disabled"), deleting("90d")], ids=["none", "off", "longer"])
async def test_an_interrupted_purge_is_given_up_when_the_policies_have_changed(
    world: MakeWorld, policies: dict[str, object]
) -> None:
    """What the source still has goes back to verified; what it has not is on record as purged."""
    here = await marked(world, *DUE)
    here.policies = policies
    here.simulator.remove(3)
    await here.sync()
    assert here.simulator.requests.deletes == []
    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED, "3": State.PURGED}
    assert here.exit_code == 0


async def test_an_interrupted_purge_is_checked_as_closely_as_a_new_one(world: MakeWorld) -> None:
    """Copy altered meanwhile: quarantine. Source changed meanwhile: back to verified. No DELETE for either."""
    here = await marked(world, *DUE)
    here.policies = deleting()
    await flip(here, DUE[0])
    here.simulator.script(Fault(on=Operation.GET, do=Changed({"call_id": "x"}), recording=2, times=None))
    await here.sync()
    assert here.simulator.requests.deletes == [3]
    assert await here.states() == {"1": State.QUARANTINED, "2": State.VERIFIED, "3": State.PURGED}
    assert here.exit_code == 3


async def test_an_interrupted_purge_ignores_no_floor(world: MakeWorld) -> None:
    """A mark made under a clock that ran ahead."""
    here = await marked(world, *YOUNG)
    here.policies = deleting()
    await here.sync()
    assert here.simulator.requests.deletes == []
    assert set((await here.states()).values()) == {State.VERIFIED}
    here.clock.move(seconds=timedelta(days=30).total_seconds())
    await here.sync()
    assert len(here.simulator.requests.deletes) == len(YOUNG)
