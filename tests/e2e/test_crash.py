"""A crash anywhere loses nothing: a pass is killed at every step, and the next one comes to the same end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from archiver.core.model import State
from tests.support import crash_scenarios as made
from tests.support.crash_lab import Lab, Scenario
from tests.support.crash_wire import ANY, Moment, Point
from tests.support.stores import StoreServer

PAGE = Path(__file__).parents[2] / "docs" / "write-order.md"


@dataclass(frozen=True)
class Case:
    """A pass of the scenario that dies at `point`, maybe after an earlier one that died at `first`."""

    scenario: Scenario
    point: Point
    first: tuple[Point, ...] = ()

    def __str__(self) -> str:
        """For the names of tests."""
        return f"{self.scenario.name}: " + ", then ".join(map(str, [*self.first, self.point]))


def after(
    scenario: Scenario, stage: str, calls: str, *, first: tuple[Point, ...] = (), moment: Moment = "after"
) -> list[Case]:
    """Die after each of some calls of a stage, separated by semicolons; `#2`: after the second of its kind."""
    parted = [call.strip().partition("#") for call in calls.split(";")]
    points = [Point(f"{stage} {name.strip()}", moment, int(count or 1)) for name, _, count in parted]
    return [Case(scenario, point, first) for point in points]


def before(scenario: Scenario, stage: str, calls: str) -> list[Case]:
    """Die before each of some calls."""
    return after(scenario, stage, calls, moment="before")


def died(step: str) -> tuple[Point, ...]:
    """An earlier pass died after this step."""
    return (Point(step, "after"),)


# Only steps touch the world outside, one at a time: just after one is the same moment as just before the next. So
# `before` stands only where no step that comes before is among those that are crashed after.
CASES = [
    *before(made.MAIN, "discover", "ledger.open_account"),
    *before(made.MAIN, "discover", "ledger.record_malformed"),
    *before(made.SHORT, "discover", "ledger.record_gap"),
    *before(made.GONE, "discover", "ledger.expected; ledger.lost"),
    *before(made.COUNTED, "discover", "ledger.claims"),
    *before(made.MAIN, "ledger", "ledger.settle_gaps"),
    *before(made.MAIN, "transfer", "store.create audio; store.readback_fixity audio; catalogue.hand_back #2"),
    *before(made.MAIN, "transfer", "catalogue.advance quarantined; catalogue.advance discovered"),
    *before(made.BIG, "transfer", "store.upload audio"),
    *before(made.RENAMED, "transfer", "store.read sidecar"),
    *before(made.FAILING, "transfer", "catalogue.advance failed"),
    *before(made.SPOILT, "verify", "catalogue.advance quarantined"),
    *before(made.RECHECKED, "verify", "catalogue.note; catalogue.advance purged"),
    *before(made.MAIN, "pass", "reads.count_at_source; reads.count_gaps"),
    *before(made.CHANGED, "purge", "catalogue.advance verified"),
    *before(made.ROTTEN, "purge", "catalogue.advance quarantined"),
    *after(made.MAIN, "discover", "ledger.open_account; source.list_page; ledger.record_page"),
    *after(made.MAIN, "discover", "ledger.record_malformed; ledger.accept_slice; ledger.accept_slice #2"),
    *after(made.SHORT, "discover", "ledger.record_page #10; ledger.record_gap; ledger.accept_slice #3"),
    *after(made.GONE, "discover", "ledger.expected; ledger.lost; ledger.mark_absent; ledger.conclude"),
    *after(made.COUNTED, "discover", "ledger.claims"),
    *after(made.GONE, "discover", "ledger.due_days"),
    *after(made.SHRUNKEN, "discover", "ledger.record_gap; ledger.conclude"),
    *after(made.MAIN, "ledger", "ledger.settle_gaps; ledger.look_through; ledger.stale_days; ledger.write_days"),
    *after(made.MAIN, "transfer", "catalogue.hand_back; catalogue.requeue_failed; catalogue.requeue_excluded"),
    *after(made.RETURNING, "transfer", "catalogue.requeue_failed; catalogue.requeue_excluded"),
    *after(made.ENDANGERED, "transfer", "catalogue.requeue_excluded; reads.count_endangered; catalogue.claim"),
    *after(made.MAIN, "transfer", "catalogue.claim; catalogue.claim #2; source.download; body.next"),
    *after(made.MAIN, "transfer", "store.create audio; store.size audio; source.download, leaving"),
    *after(made.MAIN, "transfer", "store.create sidecar; catalogue.advance stored; catalogue.hand_back #2"),
    *after(made.MAIN, "transfer", "catalogue.advance excluded; store.readback_fixity audio"),
    *after(made.MAIN, "transfer", "catalogue.advance quarantined; catalogue.advance discovered"),
    *after(made.FAILING, "transfer", "catalogue.advance failed"),
    *after(made.BIG, "transfer", "body.next #100; store.upload audio; upload.write; upload.write #2; upload.write #3"),
    *after(made.BIG, "transfer", "upload.complete; store.size audio; store.upload audio, leaving"),
    *after(made.ODD, "transfer", "upload.write #2; store.upload audio, leaving; upload.complete"),
    *after(made.RENAMED, "transfer", "store.readback_fixity audio; store.read sidecar; store.replace sidecar"),
    *after(made.BIG, "transfer", "store.readback_fixity audio", first=died("transfer upload.complete")),
    *after(made.MAIN, "verify", "reads.entries; store.stored_fixity audio; store.read sidecar"),
    *after(made.MAIN, "verify", "catalogue.advance verified; catalogue.advance verified #4"),
    *after(made.SPOILT, "verify", "catalogue.advance quarantined"),
    *after(made.RECHECKED, "verify", "catalogue.note; catalogue.advance purged"),
    *after(made.MAIN, "pass", "reads.entries; reads.count_at_source; reads.at_source; reads.count_gaps"),
    *after(made.MAIN, "purge", "reads.entries; reads.entry; store.stored_fixity audio; store.read sidecar"),
    *after(made.MAIN, "purge", "source.get; catalogue.advance purging; source.delete; catalogue.advance purged"),
    *after(made.MAIN, "purge", "source.delete #2"),
    *after(made.MAIN, "purge", "reads.entries; source.get", first=died("purge catalogue.advance purging")),
    *after(made.MAIN, "purge", "store.read sidecar; source.delete", first=died("purge catalogue.advance purging")),
    *after(made.MAIN, "purge", "source.get; source.list_page", first=died("purge source.delete")),
    *after(made.MAIN, "purge", "catalogue.advance purged", first=died("purge source.delete")),
    *after(made.CHANGED, "purge", "catalogue.advance verified"),
    *after(made.ROTTEN, "purge", "catalogue.advance quarantined"),
]
#: Between the requests of one call of the store: the probe of the bucket, and a multipart upload.
INSIDE = [
    *after(made.MAIN, "s3", "PutObject; PutObject #2; GetBucketVersioning; DeleteObject"),
    *after(made.BIG, "s3", "ListMultipartUploads; CreateMultipartUpload; UploadPart #2; CompleteMultipartUpload"),
    *after(made.ODD, "s3", "AbortMultipartUpload"),
]
#: The same on a store that ignores conditional creates.
LENIENT = [
    *after(made.MAIN, "transfer", "store.create audio; store.create sidecar; catalogue.hand_back #2"),
    *after(made.BIG, "transfer", "upload.write #2; upload.complete"),
    *after(made.BIG, "s3", "CreateMultipartUpload"),
    *after(made.RENAMED, "transfer", "store.replace sidecar"),
]


@pytest.mark.parametrize("case", [*CASES, *INSIDE], ids=str)
async def test_a_killed_pass_is_taken_up_again(lab: Lab, moto_store: StoreServer, case: Case) -> None:
    """After the crash and one more pass nothing tells that there was a crash."""
    await lab.survives(case.scenario, moto_store, *case.first, case.point)


@pytest.mark.parametrize("case", LENIENT, ids=str)
async def test_a_lenient_store_makes_no_difference(lab: Lab, juicefs_store: StoreServer, case: Case) -> None:
    """Where the store would overwrite, the archiver still does not."""
    await lab.survives(case.scenario, juicefs_store, *case.first, case.point)


@pytest.mark.parametrize("seed", range(8))
async def test_two_crashes_in_a_row(lab: Lab, moto_store: StoreServer, seed: int) -> None:
    """Wherever they strike, with several recordings on their way at once."""
    random = Random(seed)
    calls = len((await lab.twin(made.MIXED, moto_store)).steps) // 2
    first = random.randrange(1, calls)
    second = random.randrange(1, 60)  # a pass that has little left to do makes fewer calls
    moment: Moment = random.choice(["before", "after"])
    await lab.survives(made.MIXED, moto_store, Point(ANY, moment, first), Point(ANY, moment, second))


async def test_a_recording_that_kills_the_process_stops_nothing_else(lab: Lab, moto_store: StoreServer) -> None:
    """After as many deaths as it has attempts it stands on the gap list, and the others are archived."""
    async with lab.world(made.POISON, moto_store) as experiment:
        for _ in range(2):
            await experiment.crash(Point("transfer source.download", "after"))
        await experiment.settle()

        entries = await experiment.world.entries()
        assert entries["1"].state is entries["2"].state is State.FAILED  # nobody knows which of the two it was
        assert entries["1"].problem == "the process died in the last attempt"
        assert entries["6"].state is State.VERIFIED


async def test_every_step_is_crashed_at_before_and_after(lab: Lab, moto_store: StoreServer) -> None:
    """The page names every step that the stages take, and each of them is a crash point on both sides."""
    taken: set[str] = set()
    covered: set[tuple[str, str]] = set()
    for case in CASES:
        steps = (await lab.twin(case.scenario, moto_store, *case.first)).steps
        taken |= {step for _, step in steps if not step.startswith("s3 ")}
        covered |= moments(steps, case.point)

    assert taken == documented()
    assert {(moment, step) for moment in ("before", "after") for step in taken} - covered == set()


def moments(steps: Iterable[tuple[str, str]], point: Point) -> set[tuple[str, str]]:
    """What a crash at the point is just before and just after."""
    outer = [one for one in steps if not one[1].startswith("s3 ")]
    place = [index for index, one in enumerate(outer) if one == (point.moment, point.step)][point.count - 1]
    beside = place + 1 if point.moment == "after" else place - 1
    return {outer[place], *outer[beside : beside + 1]}


def documented() -> set[str]:
    """Read the steps from the page: rows `| T1 | `call` | …` below a heading that names the stage."""
    steps, stage = set(), ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            stage = line.removeprefix("## ").split()[0].lower().rstrip(":")
        elif line.startswith("| ") and line.split("|")[2].strip().startswith("`"):
            steps.add(f"{stage} {line.split('`')[1]}")
    return steps
