"""Small accounts whose recordings come by exports, and history that is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from archiver.adapters.backfill_rows import BackfillRows
from archiver.core.model import Slice
from archiver.simulator import (
    Account,
    BadBit,
    Behaviour,
    Exports,
    Fault,
    LeftOut,
    Named,
    Operation,
    SimRecording,
    Spoil,
    Status,
    Stranger,
    audio_bytes,
)
from archiver.simulator.spoils import Trick
from tests.support.crash_lab import Event, Experiment, Scenario
from tests.support.crash_scenarios import MIB, SYNC, call, configured, young
from tests.support.simulator import NOON
from tests.support.world import LONG_AGO

TINY = configured(requests_per_minute=2, exports="always", export_user="auditor")


def exported(number: int, **more: object) -> SimRecording:
    """Make a call of this morning; a ZIP has them in the order of their numbers."""
    return call(number, NOON - timedelta(hours=3) + timedelta(minutes=number), **more)


def plain(count: int) -> tuple[SimRecording, ...]:
    """Make so many calls of which no two have the same size."""
    return tuple(exported(number, size=900 + number) for number in range(1, count + 1))


def spoiling(*tricks: Trick) -> Fault:
    """Make a fault: every ZIP is spoilt like this."""
    return Fault(on=Operation.RETRIEVE, do=Spoil(tricks), times=None)


def by_export(
    name: str,
    recordings: Sequence[SimRecording],
    *faults: Fault,
    before: Sequence[Event] = (),
    per_job: int = 1000,
    polls: int = 0,
) -> Scenario:
    """Make a scenario in which exports are always worth it; the source answers "not yet" `polls` times for each job."""
    return Scenario(
        name=name,
        account=Account(recordings=tuple(recordings), faults=faults),
        behaviour=Behaviour(exports=Exports(per_job=per_job, polls=polls)),
        before=(TINY, *before),
        waits=True,
    )


def later(*, polls: int, forget: bool = False) -> Event:
    """Make an event: hours later, ZIPs come after so many answers "not yet", for jobs that are known still, or not."""

    async def event(experiment: Experiment) -> None:
        simulator = experiment.world.simulator
        simulator.behaviour = Behaviour(exports=Exports(polls=polls))
        if forget:
            simulator.forget_jobs()
        experiment.world.clock.move(hours=2)

    return event


def asked_for(window: Slice) -> Event:
    """Make an event: somebody asks for history."""

    async def event(experiment: Experiment) -> None:
        await BackfillRows(experiment.engine).ask("acme", window, experiment.world.clock())

    return event


#: Two ZIPs: one member is spoilt, one left out, one of two parts, two cannot be told apart, and one is unknown.
EXPORTED = by_export(
    "exported",
    [
        *plain(3),
        exported(4, size=6 * MIB),
        exported(5, file_name="call.mp3"),
        exported(6, file_name="call.mp3"),
        exported(7, size=907),
    ],
    spoiling(BadBit(2), LeftOut(3), Stranger("more.mp3", audio_bytes(999, 500))),
    per_job=4,
    polls=3,
)
#: Nothing is wrong.
SIX = plain(6)
PLAIN = by_export("plain", SIX)
#: Not ready in the first pass: it comes in the next.
AWAITED = by_export("awaited", SIX, before=(SYNC, later(polls=0)), polls=9)
#: Not ready in the first pass, and gone in the next: it is asked for once more.
OUTDATED = by_export("outdated", SIX, before=(SYNC, later(polls=0, forget=True)), polls=9)
#: The source makes no exports.
REFUSED = by_export("refused", SIX, Fault(on=Operation.EXPORT, do=Status(403), times=None))
#: One member is called like another one, and is as long: both are taken for one recording.
MISNAMED = by_export(
    "misnamed", [exported(1, file_name="one.mp3"), exported(2), *plain(7)[2:]], spoiling(Named(2, "one.mp3"))
)
#: History of two stretches, listed behind what is new.
OLDER = Slice(LONG_AGO - timedelta(days=4), LONG_AGO - timedelta(seconds=1))
FILLED = Scenario(
    name="filled",
    account=Account(
        recordings=(*(call(number, OLDER.since + timedelta(days=number)) for number in (1, 2, 3)), young(6))
    ),
    before=(SYNC, asked_for(OLDER)),
)
