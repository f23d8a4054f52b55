"""A source that refuses, throttles or is not there: who is to blame decides what stops."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Fault, Operation, Revoke, Status
from tests.support.world import MakeWorld, World, calls


def with_password(here: World) -> None:
    """Let the archiver log in by the password grant."""
    known = here.simulator.credentials
    here.section("accounts")["auth"] = {
        "token_url": here.simulator.token_url,
        "username": known.username,
        "password": known.password,
        "client_id": known.client_id,
        "client_secret": known.client_secret,
    }


async def attempts(here: World) -> set[int]:
    return {entry.attempts for entry in (await here.entries()).values() if entry.state is not State.VERIFIED}


async def test_a_revoked_static_token_stops_the_run_at_once(world: MakeWorld) -> None:
    """Nobody but a person can renew it: exit 5, the claims are handed back and no attempt is used up."""
    here = await world(Account(recordings=calls(30)), sync={"concurrency": 2})
    here.simulator.script(Fault(on=Operation.AUDIO, do=Revoke(), after=5))

    with capture_logs() as logs:
        done = await here.sync()

    assert here.exit_code == 5
    assert done.reports["acme"].stopped == "transfer: the configured token was refused"
    stops = [event for event in logs if event["event"] == "stage_stopped" and event["stage"] == "transfer"]
    assert [(event["kind"], event["hint"] != "") for event in stops] == [("AccessDenied", True)]
    assert set((await here.states()).values()) <= {State.VERIFIED, State.STORED, State.DISCOVERED}
    assert await attempts(here) == {0}
    assert here.simulator.requests.counts[Operation.AUDIO] < 10


async def test_a_password_grant_is_renewed_once_and_goes_on(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(12)))
    with_password(here)
    here.simulator.script(Fault(on=Operation.AUDIO, do=Revoke(), after=4))
    await here.sync()
    assert len(await here.audio()) == 12
    assert here.simulator.requests.counts[Operation.TOKEN] == 2
    assert here.exit_code == 0


async def test_an_expired_token_is_renewed_while_listing(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(3)))
    with_password(here)
    here.simulator.script(Fault(on=Operation.LIST, do=Revoke(), after=2))
    await here.sync()
    assert len(await here.audio()) == 3
    assert here.simulator.requests.counts[Operation.TOKEN] == 2
    assert here.exit_code == 0


async def test_refused_credentials_are_tried_once_only(world: MakeWorld) -> None:
    """Asking again with a wrong password locks accounts."""
    here = await world(Account(recordings=calls(3)))
    with_password(here)
    here.simulator.script(Fault(on=Operation.TOKEN, do=Status(401), times=None))
    await here.sync()
    assert here.exit_code == 5
    assert here.simulator.requests.counts[Operation.TOKEN] == 1
    assert here.simulator.requests.counts[Operation.LIST] == 0


async def test_throttling_never_makes_a_failed_recording(world: MakeWorld) -> None:
    """Every third request is refused with Retry-After: slower, and otherwise as if nothing were."""
    here = await world(
        Account(recordings=calls(20)), behaviour=Behaviour(throttle_every=3, retry_after=20), sync={"attempts": 1}
    )
    done = await here.sync()
    assert len(await here.audio()) == 20
    assert done.reports["acme"].retries["status_429"] > 5
    assert sum(here.time.slept) >= 20
    assert here.exit_code == 0


async def test_a_pause_beyond_patience_stops_the_stage_without_a_failure(world: MakeWorld) -> None:
    """The source wants an hour: the pass ends, the recordings wait for the next one as if never tried."""
    pause = Fault(on=Operation.AUDIO, do=Status(429, retry_after=3600), times=None, after=2)
    here = await world(Account(recordings=calls(10), faults=(pause,)), sync={"concurrency": 2, "attempts": 1})

    done = await here.sync()

    assert here.exit_code == 5
    assert done.reports["acme"].failures == {}
    assert await attempts(here) == {0}
    assert await here.gaps() == {}
    here.simulator.heal()
    asked = len(here.simulator.requests)
    await here.sync()
    assert len(here.simulator.requests) == asked, "the pause is the account's, not the process's"
    here.time.seconds += 3600
    await here.sync()
    assert len(await here.audio()) == 10


async def test_a_source_that_is_down_burns_no_attempts(world: MakeWorld) -> None:
    """It goes away in the middle: the stage stops, and the backlog is as it was."""
    here = await world(Account(recordings=calls(40)), sync={"concurrency": 4})
    stop = asyncio.create_task(here.simulator.arrived(Operation.AUDIO, 8))
    stop.add_done_callback(lambda _: downs.append(asyncio.ensure_future(here.simulator.stop())))
    downs: list[asyncio.Future[None]] = []

    done = await here.sync()

    await asyncio.gather(*downs)
    assert here.exit_code == 5
    assert done.reports["acme"].stopped.startswith("transfer: ")
    assert sum(entry.attempts for entry in (await here.entries()).values() if entry.state is State.DISCOVERED) <= 4
    await here.simulator.start()
    here.clock.move(minutes=15)
    await here.sync()
    assert len(await here.audio()) == 40
    assert here.exit_code == 0


async def test_a_source_that_only_fails_stops_the_stage_early(world: MakeWorld) -> None:
    """Every download is answered 500: after a streak it is the source that is bad, not a hundred recordings."""
    broken = Fault(on=Operation.AUDIO, do=Status(500), times=None)
    here = await world(Account(recordings=calls(100), faults=(broken,)), sync={"concurrency": 4})
    done = await here.sync()
    assert here.exit_code == 5
    assert "in a row" in done.reports["acme"].stopped
    tried = [entry for entry in (await here.entries()).values() if entry.attempts]
    assert len(tried) <= 24
    assert {entry.state for entry in tried} == {State.DISCOVERED}


@pytest.mark.parametrize("operation", [Operation.LIST, Operation.AUDIO])
async def test_a_source_that_cannot_be_reached_at_all(world: MakeWorld, operation: Operation) -> None:
    """Down before the pass begins, at first or with a backlog: exit 5, nothing lost."""
    here = await world(Account(recordings=calls(3)))
    if operation is Operation.AUDIO:
        here.simulator.script(Fault(on=operation, do=Status(500), times=None))
        await here.sync()
    await here.simulator.stop()
    with capture_logs() as logs:
        await here.sync()
    assert here.exit_code == 5
    assert [event["stage"] for event in logs if event["event"] == "stage_stopped"] == ["discover"]
    await here.simulator.start()
    here.simulator.heal()
    here.clock.move(minutes=15)
    await here.sync()
    assert len(await here.audio()) == 3
    assert here.exit_code == 0
