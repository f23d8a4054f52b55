"""Cases beyond what is verified: what a policy keeps out of the archive, what is missing, what the bucket refuses."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from archiver.app import new_run_id
from archiver.core.model import Lock, LockMode, State
from archiver.passes import Pass
from archiver.simulator import Account
from tests.support import locksmith, office
from tests.support.locksmith import keeping, protection
from tests.support.world import MakeWorld, calls, key_of, sidecar_of

ONE, OTHER = calls(2, days=40)
KEPT_OUT = {
    "deletion": {"mode": "automatic", "max_percent": 100, "cooling_off": "0s"},
    "policies": [{"name": "nothing", "archive": False}],
}


async def test_a_case_brings_into_the_archive_what_a_policy_keeps_out(locked_world: MakeWorld) -> None:
    """What was excluded before the case, and what is listed after it; when it is released they stay archived."""
    here = await locked_world(Account(recordings=(ONE,)))
    here.policies = KEPT_OUT
    await here.sync()
    assert await here.states() == {"1": State.EXCLUDED}
    await office.hold(here, future=True)
    here.simulator.put(calls(3, days=1)[2])
    here.clock.move(hours=1)
    for _ in range(2):
        await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "3": State.VERIFIED}
    assert (await protection(here, key_of(ONE))).on_hold
    [(reason,)] = await here.query("select reason from history where before = 'excluded' and recording_id = '1'")
    assert "on legal hold: case-1" in str(reason)
    await office.release_by_two(here)
    await here.sync()
    assert await here.states() == {"1": State.VERIFIED, "3": State.VERIFIED}
    assert not (await protection(here, key_of(ONE))).on_hold


async def test_a_held_copy_that_is_not_there_is_said(locked_world: MakeWorld) -> None:
    """The stage that mirrors the hold meets it first, not the next verification months later."""
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    await here.sync()
    await here.take(sidecar_of(ONE))
    await office.hold(here)
    await here.sync()
    assert await here.states() == {"1": State.QUARANTINED, "2": State.VERIFIED}
    assert (await here.gaps())["1"].kind == "quarantined"
    assert here.exit_code == 3
    assert (await protection(here, key_of(OTHER))).on_hold


async def test_without_the_right_to_lock_archiving_goes_on_and_the_source_keeps_all(locked_world: MakeWorld) -> None:
    """Told with the right that is missing; settled by the first pass that has it."""
    here = await locked_world(Account(recordings=(ONE, OTHER)))
    here.policies = keeping(keep_at_least="10y", lock="governance")
    async with here.app() as app:
        locksmith.refuse(app, "PutObjectRetention", status=403, code="AccessDenied")
        with capture_logs() as logs:
            await Pass(app=app, run=new_run_id()).sync()
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert here.simulator.requests.deletes == []
    said = [event for event in logs if event["event"] == "lock_missing"]
    assert said
    assert "s3:PutObjectRetention" in str(said[0]["hint"])
    await here.sync()
    ended = ONE.start.replace(year=ONE.start.year + 10, minute=ONE.start.minute + 1)
    assert (await protection(here, key_of(ONE))).lock == Lock(LockMode.GOVERNANCE, ended)
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_hold_that_could_not_be_taken_off_is_taken_off_when_the_right_is_back(locked_world: MakeWorld) -> None:
    """Else nobody would, and the copy could never go."""
    here = await locked_world(Account(recordings=(ONE,)))
    await office.hold(here, future=True)
    await here.sync()
    await office.release_by_two(here)
    async with here.app() as app:
        locksmith.refuse(app, "PutObjectLegalHold", status=403, code="AccessDenied")
        await Pass(app=app, run=new_run_id()).sync()
    assert (await protection(here, key_of(ONE))).on_hold
    await here.sync()
    assert not (await protection(here, key_of(ONE))).on_hold
    assert not (await protection(here, sidecar_of(ONE))).on_hold


@pytest.mark.xfail(strict=True, reason="the row is written first, and then taken for what the bucket had")
async def test_a_hold_that_could_not_be_set_is_no_drift(locked_world: MakeWorld) -> None:
    """It was never there: nobody has taken it off."""
    here = await locked_world(Account(recordings=(ONE,)))
    await here.sync()
    await office.hold(here)
    async with here.app() as app:
        await app.store.facts()
        locksmith.refuse(app, "PutObjectLegalHold", key=sidecar_of(ONE))
        await Pass(app=app, run=new_run_id()).sync()
    done = await here.sync()
    assert (await protection(here, sidecar_of(ONE))).on_hold
    assert done.reports["acme"].drifted == 0
