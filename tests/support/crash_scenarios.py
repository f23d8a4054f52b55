"""Small accounts in which every step of every stage happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from archiver.simulator import Account, Fault, Html, Operation, SimRecording, audio_bytes
from tests.support.crash_lab import Event, Experiment, Scenario
from tests.support.crash_wire import Point
from tests.support.simulator import NOON
from tests.support.world import LONG_AGO

MIB = 1024 * 1024
AFTER_A_MONTH = {"delete_after": "30d"}
SOON = {"mode": "automatic", "max_percent": 100, "cooling_off": "0s"}
DELETING = {
    "deletion": SOON,
    "policies": [
        {"name": "old", "source": AFTER_A_MONTH},
        {"name": "private", "match": {"extensions": ["9999"]}, "archive": False},
    ],
}


def call(number: int, start: datetime, **more: object) -> SimRecording:
    """Make a recording whose JSON is the same whatever port the simulator listens on."""
    place = f"https://source.invalid/{number}"
    overlay = {"download_url": place, "_links": {"self": {"href": place}}}
    usual = SimRecording(id=number, start=start, size=900, duration_ms=60_000, overlay=overlay)
    return replace(usual, **more)  # type: ignore[arg-type]


def old(number: int, **more: object) -> SimRecording:
    """Make a call of two months ago."""
    return call(number, LONG_AGO + timedelta(minutes=number), **more)


def young(number: int, **more: object) -> SimRecording:
    """Make a call of today."""
    return call(number, NOON - timedelta(hours=2, minutes=number), **more)


def key_of(recording: SimRecording) -> str:
    """Where its audio must lie."""
    return f"acme/{recording.start:%Y/%m/%d/%H%M%S}Z-{recording.id}.mp3"


UNREADABLE = replace(old(5), overlay={"start": None, "download_url": None, "_links": {}})
TAKEN = young(7)
ALWAYS_HTML = Fault(on=Operation.AUDIO, do=Html(), recording=8, times=None)
SMALL = (old(1), old(2), old(3, listed_size=1000), old(4, extensions=("9999",)), UNREADABLE, young(6), TAKEN, young(8))
LARGE = young(21, size=12 * MIB)


def put_object(recording: SimRecording, body: bytes) -> Event:
    """Make an event: somebody else's bytes come to stand under a recording's key."""

    async def event(experiment: Experiment) -> None:
        world = experiment.world
        put = world.store.client.put_object
        await asyncio.to_thread(put, Bucket=world.bucket, Key=key_of(recording), Body=body)

    return event


def put_recording(recording: SimRecording) -> Event:
    """Make an event: the source describes a recording otherwise."""

    async def event(experiment: Experiment) -> None:
        experiment.world.simulator.put(recording)

    return event


def crash(step: str, count: int = 1) -> Event:
    """Make an event: a pass dies after a step."""

    async def event(experiment: Experiment) -> None:
        await experiment.crash(Point(step, "after", count))

    return event


def command(name: str) -> Event:
    """Make an event: a command runs to its end."""

    async def event(experiment: Experiment) -> None:
        await experiment.settle(name)

    return event


def configured(**account: object) -> Event:
    """Make an event: the account's section of the configuration says something more."""

    async def event(experiment: Experiment) -> None:
        experiment.world.section("accounts").update(account)

    return event


async def two_days_later(experiment: Experiment) -> None:
    """Let a failed recording become due again, with the source healed and the exclusion taken back."""
    experiment.world.clock.move(days=2)
    experiment.world.simulator.heal()
    experiment.world.policies = {}


SYNC, VERIFY = command("sync"), command("verify")
PURGING = crash("purge catalogue.advance purging")

#: Deleted twice at the source, a size that disagrees, excluded, unreadable, kept, key taken, never downloadable.
MAIN = Scenario(
    name="main",
    account=Account(recordings=SMALL, faults=(ALWAYS_HTML,)),
    policies=DELETING,
    sync={"page_size": 2},
    before=(put_object(TAKEN, b"somebody else's"),),
)
#: Two that are deleted at the source, and one that is kept.
FEW = Scenario(name="few", account=Account(recordings=(old(1), old(2), young(6))), policies=DELETING)
#: A recording of three parts.
BIG = Scenario(name="big", account=Account(recordings=(LARGE,)))
#: Two parts, and downloaded twice, because the size is not as listed: the first upload is aborted.
ODD = Scenario(name="odd", account=Account(recordings=(young(22, size=6 * MIB, listed_size=6 * MIB + 1),)))
#: The same item twice: the source claims two, and lists one.
ONCE = young(31, call_id="00000000-0000-4000-8000-000000000031", file_name="31.mp3")
AGAIN = replace(ONCE, id=32, overlay={**ONCE.overlay, "id": 31})
SHORT = Scenario(name="short", account=Account(recordings=(ONCE, AGAIN)))
#: One attempt only, and it fails.
FAILING = Scenario(
    name="failing",
    account=Account(recordings=(young(8), young(9, extensions=("9999",))), faults=(ALWAYS_HTML,)),
    policies=DELETING,
    sync={"attempts": 1},
)
#: Two attempts only; the first two are claimed together.
POISON = Scenario(name="poison", account=Account(recordings=(old(1), old(2), young(6))), sync={"attempts": 2})
#: The day after: what failed and what was excluded comes back.
RETURNING = replace(FAILING, name="returning", before=(SYNC, two_days_later))
#: The source deletes by itself what is 70 days old; one recording comes near that.
ENDANGERED = Scenario(
    name="endangered",
    account=Account(recordings=(old(1), young(6))),
    before=(configured(source_retention="70d"),),
)
#: Died between sidecar and row, then again; in the meantime the source gave the recording another name.
RENAMED = Scenario(
    name="renamed",
    account=Account(recordings=(young(6),)),
    sync={"lookback": "72h"},
    before=(
        crash("transfer store.create sidecar"),
        crash("transfer catalogue.hand_back"),
        put_recording(young(6, cnam="RENAMED")),
    ),
)
#: Died between the mark and the DELETE; then the source changes the recording.
CHANGED = Scenario(
    name="changed",
    account=Account(recordings=(old(1),)),
    policies=DELETING,
    before=(PURGING, put_recording(old(1, listed_size=901))),
)
#: Died between the mark and the DELETE; then the copy rots.
ROTTEN = Scenario(
    name="rotten",
    account=Account(recordings=(old(1),)),
    policies=DELETING,
    before=(PURGING, put_object(old(1), b"rotten")),
)
#: The copy rots between transfer and verify.
SPOILT = replace(
    ROTTEN, name="spoilt", before=(crash("transfer catalogue.hand_back", 2), put_object(old(1), b"spoilt"))
)
#: `archiver verify` over a purged recording whose copy was lost and has been restored, and over a good one.
RECHECKED = Scenario(
    name="rechecked",
    account=Account(recordings=(old(1), young(6))),
    policies=DELETING,
    command="verify",
    before=(SYNC, put_object(old(1), b"lost"), VERIFY, put_object(old(1), audio_bytes(1, 900))),
)


def gone_at_source(*numbers: int) -> Event:
    """Make an event: another administrator deletes recordings at the source."""

    async def event(experiment: Experiment) -> None:
        for number in numbers:
            experiment.world.simulator.remove(number)

    return event


#: Died between sidecar and row; then the source has it no longer.
ADOPTED = Scenario(
    name="adopted",
    account=Account(recordings=(young(6),)),
    before=(crash("transfer store.create sidecar"), gone_at_source(6)),
)
#: One of five is no longer there when the source is asked again.
GONE = Scenario(
    name="gone", account=Account(recordings=tuple(young(number) for number in range(1, 6))),
    before=(SYNC, gone_at_source(3)),
)  # fmt: skip
#: They are more than fit on a page, so they are counted.
COUNTED = replace(GONE, name="counted", sync={"page_size": 2})
#: All but one of them, at once: that is not believed.
SHRUNKEN = replace(GONE, name="shrunken", before=(SYNC, gone_at_source(1, 2, 3, 4)))
#: Everything at once, four at a time.
MIXED = replace(
    MAIN, name="mixed", account=Account(recordings=(*SMALL, LARGE), faults=(ALWAYS_HTML,)), sync={"concurrency": 4}
)
