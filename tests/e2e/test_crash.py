"""A crash anywhere loses nothing: a pass is killed at every step, and the next one comes to the same end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from archiver.core.exports import MOST_BEGUN
from archiver.core.model import State
from archiver.core.naming import sidecar_key
from archiver.simulator import Operation
from tests.support import crash_exports as fetched
from tests.support import crash_retention as kept
from tests.support import crash_scenarios as made
from tests.support import office
from tests.support.crash_cases import CASES, INSIDE, LENIENT, Case
from tests.support.crash_lab import Lab, Scenario
from tests.support.crash_wire import ANY, WITHIN, Moment, Point
from tests.support.stores import StoreServer

AUDIO = made.key_of(made.old(1))
SIDECAR = sidecar_key(AUDIO)
PAGE = Path(__file__).parents[2] / "docs" / "write-order.md"


@pytest.mark.parametrize("case", [*CASES, *INSIDE], ids=str)
async def test_a_killed_pass_is_taken_up_again(lab: Lab, case: Case) -> None:
    """After the crash and one more pass nothing tells that there was a crash."""
    await lab.survives(case.scenario, *case.first, *case.points)


@pytest.mark.parametrize("case", LENIENT, ids=str)
async def test_a_lenient_store_makes_no_difference(lab: Lab, juicefs_store: StoreServer, case: Case) -> None:
    """Where the store would overwrite, the archiver still does not."""
    await replace(lab, plain=juicefs_store).survives(case.scenario, *case.first, *case.points)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("scenario", "least"), [(made.MIXED, 60), (kept.MOVING, 30)], ids=["mixed", "moving"])
async def test_two_crashes_in_a_row(lab: Lab, scenario: Scenario, least: int, seed: int) -> None:
    """Wherever they strike, with several recordings on their way at once."""
    random = Random(seed)
    steps = [step for _, step in (await lab.twin(scenario)).steps]
    # what is purged in one pass expires in the next: a later first crash would leave a pass more than the twin has had
    calls = next((place for place, step in enumerate(steps) if step.startswith("expire ")), len(steps)) // 2
    first = random.randrange(1, calls)
    second = random.randrange(1, least)  # a pass that has little left to do makes fewer calls
    moment: Moment = random.choice(["before", "after"])
    await lab.survives(scenario, Point(ANY, moment, first), Point(ANY, moment, second))


@pytest.mark.parametrize(
    ("step", "state", "left"),
    [("catalogue.advance expiring", State.PURGED, {AUDIO, SIDECAR}), ("locks.remove audio", State.EXPIRING, {SIDECAR})],
    ids=["whole", "half"],
)
async def test_a_case_that_is_opened_in_between_keeps_what_is_left(
    lab: Lab, step: str, state: State, left: set[str]
) -> None:
    """Whole: the mark is taken back. Half deleted: the rest stays. When two people release the case, it goes."""
    twin = await lab.twin(kept.EXPIRING)
    async with lab.world(kept.EXPIRING) as experiment:
        await experiment.crash(Point(f"expire {step}", "after"))
        await office.hold(experiment.world, ids=["1"])
        await experiment.settle()
        assert (await experiment.world.entries())["1"].state is state
        assert set(await experiment.world.objects()) & {AUDIO, SIDECAR} == left

        await office.release_by_two(experiment.world)
        await experiment.settle()
        end = await experiment.end_state()
    assert end.record["recordings"] == twin.end.record["recordings"]
    assert (end.objects, end.versions) == (twin.end.objects, twin.end.versions)


async def test_a_pause_stops_what_was_begun(lab: Lab) -> None:
    """On both sides: what is marked stays marked, and goes when the pause has ended."""
    for scenario, step in ((made.FEW, "purge catalogue.advance purging"), (kept.EXPIRING, "expire locks.remove audio")):
        twin = await lab.twin(scenario)
        async with lab.world(scenario) as experiment:
            await experiment.crash(Point(step, "after"))
            await office.pause(experiment.world)
            before = await experiment.end_state()
            await experiment.settle()
            after = await experiment.end_state()
            assert (after.record["recordings"], after.versions) == (before.record["recordings"], before.versions)
            assert (after.objects, after.deleted) == (before.objects, before.deleted)

            await office.resume(experiment.world)
            await experiment.settle()
            end = await experiment.end_state()
        assert end.record["recordings"] == twin.end.record["recordings"]
        assert (end.objects, end.versions, end.deleted) == (twin.end.objects, twin.end.versions, twin.end.deleted)


async def test_a_recording_that_kills_the_process_stops_nothing_else(lab: Lab) -> None:
    """After as many deaths as it has attempts it stands on the gap list, and the others are archived."""
    async with lab.world(made.POISON) as experiment:
        for _ in range(2):
            await experiment.crash(Point("transfer source.download", "after"))
        await experiment.settle()

        entries = await experiment.world.entries()
        assert entries["1"].state is entries["2"].state is State.FAILED  # nobody knows which of the two it was
        assert entries["1"].problem == "the process died in the last attempt"
        assert entries["6"].state is State.VERIFIED


async def test_a_zip_that_kills_the_process_is_given_up(lab: Lab) -> None:
    """After some deaths it is not fetched again: what it has not brought comes by single requests."""
    async with lab.world(fetched.PLAIN) as experiment:
        for _ in range(MOST_BEGUN):
            await experiment.crash(Point("transfer exports.fetching", "after"))
        counts = experiment.world.simulator.requests.counts
        fetches = counts[Operation.RETRIEVE]
        await experiment.settle()

        assert (counts[Operation.RETRIEVE], counts[Operation.AUDIO]) == (fetches, len(fetched.SIX))
        assert set((await experiment.world.states()).values()) == {State.VERIFIED}


async def test_every_step_is_crashed_at_before_and_after(lab: Lab) -> None:
    """The page names every step that the stages take, and each of them is a crash point on both sides."""
    taken: set[str] = set()
    covered: set[tuple[str, str]] = set()
    for case in CASES:
        steps = (await lab.twin(case.scenario, *case.first)).steps
        taken |= {step for _, step in steps if not step.startswith(WITHIN)}
        covered |= {moment for point in case.points for moment in moments(steps, point)}

    assert taken == documented()
    assert sorted({(moment, step) for moment in ("before", "after") for step in taken} - covered) == []


def moments(steps: Iterable[tuple[str, str]], point: Point) -> set[tuple[str, str]]:
    """What a crash at the point is just before and just after."""
    outer = [one for one in steps if not one[1].startswith(WITHIN)]
    place = [index for index, one in enumerate(outer) if one == (point.moment, point.step)]
    assert len(place) >= point.count, f"no pass comes to the point {point}"
    chosen = place[point.count - 1]
    beside = chosen + 1 if point.moment == "after" else chosen - 1
    return {outer[chosen], *outer[beside : beside + 1]}


def documented() -> set[str]:
    """Read the steps from the page: rows `| T1 | `call` | …` below a heading that names the stage."""
    steps, stage = set(), ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            stage = line.removeprefix("## ").split()[0].lower().rstrip(":")
        elif line.startswith("| ") and line.split("|")[2].strip().startswith("`"):
            steps.add(f"{stage} {line.split('`')[1]}")
    return steps
