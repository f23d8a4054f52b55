"""Exports that a run has left half done, and what lies beside one that is under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from archiver.simulator import Exports, Fault, LeftOut, Operation, Spoil, Stranger, audio_bytes
from tests.integration.test_exports import COUNT, asked, everything_is_archived, exporting
from tests.support.world import MakeWorld, calls


async def test_a_listing_that_fails_behind_the_last_zip(world: MakeWorld) -> None:
    """The last job is written down as read; then the slice is listed (a stranger was there), which fails once."""
    import pytest

    from archiver.errors import Unreachable
    from archiver.stages.exporting import Exporting

    made = await exporting(world)
    made.simulator.script(
        Fault(on=Operation.RETRIEVE, do=Spoil((Stranger("more.mp3", audio_bytes(999, 500)), LeftOut(7))), times=None)
    )

    async def fails(*_: object) -> None:
        raise Unreachable("list: status_500")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Exporting, "_list", fails)
        await made.sync()
    for _ in range(5):
        made.clock.move(days=1)
        made.time.seconds += 86400
        await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))


async def test_killed_between_the_last_job_and_the_close(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(delay=timedelta(hours=1)))
    await made.sync()
    await made.change("update export_jobs set done_at = now()")
    for _ in range(5):
        made.clock.move(days=1)
        made.time.seconds += 86400
        await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))


async def test_due_calls_on_both_sides_of_an_open_export(world: MakeWorld) -> None:
    old = calls(COUNT, days=1)
    made = await exporting(world, old, Exports(delay=timedelta(hours=5)))
    await made.sync()
    before = [replace(one, id=one.id + 100, start=one.start - timedelta(hours=2)) for one in old]
    after = [replace(one, id=one.id + 200, start=one.start + timedelta(hours=2)) for one in old]
    for one in (*before, *after):
        made.simulator.put(one)
    made.clock.move(minutes=30)
    done = await made.sync()
    assert not done.reports["acme"].stopped


async def test_a_zip_that_the_process_dies_of_is_given_up(world: MakeWorld) -> None:
    """As killed processes leave it: fetched ten times, never read to the end. It is fetched again as if nothing were."""
    made = await exporting(world, exports=Exports(delay=timedelta(hours=1)))
    await made.sync()
    await made.change("update export_jobs set fetches = 10, ready_at = now()")
    made.clock.move(hours=2)
    made.time.seconds += 7200
    asked(made, Operation.RETRIEVE)
    from archiver.stages.members import MemberReader

    class Killed(BaseException):
        pass

    async def read(*_: object, **__: object) -> None:
        raise Killed

    import pytest

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MemberReader, "read", read)
        try:
            await made.sync()
        except BaseException:
            raise AssertionError("the ZIP is read an eleventh time") from None
