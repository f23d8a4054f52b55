"""A bucket or a database that fails in the middle of a pass: nothing is lost, the next pass completes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.errors import ArchiverError, ConfigError, Unreachable
from archiver.simulator import Account, Fault, Hang, Operation, audio_bytes
from tests.support.simulator import StartSimulator
from tests.support.stores import free_port
from tests.support.strict_store import Fault as StoreFault
from tests.support.world import MakeWorld, World, calls, key_of

TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


async def in_the_middle(here: World, strike: Callable[[], Awaitable[object]]) -> ArchiverError | None:
    """Run a pass that holds its breath at a download, strike, and let it go on. Returns what it raised."""
    here.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), times=None, after=3))
    running = asyncio.create_task(here.sync())
    await here.simulator.arrived(Operation.AUDIO, 5)
    await strike()
    here.simulator.heal()
    try:
        await running
    except ArchiverError as error:
        return error
    return None


async def completes(here: World, count: int) -> None:
    """Assert that the next pass brings everything in, once and whole."""
    here.clock.move(minutes=15)
    await here.sync()
    wanted = calls(count)
    assert await here.audio() == {key_of(item): audio_bytes(item.id, item.size) for item in wanted}
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert here.exit_code == 0


async def test_the_bucket_goes_away_in_the_middle(world: MakeWorld) -> None:
    """A clear end (exit 2: no such bucket), nothing left claimed."""
    here = await world(Account(recordings=calls(20)), sync={"concurrency": 4})

    async def strike() -> None:
        here.store.strict_state.buckets.discard(here.bucket)

    error = await in_the_middle(here, strike)

    assert isinstance(error, ConfigError)
    assert (error.exit_code, error.hint) == (2, "create the bucket, or correct vault.bucket")
    assert State.TRANSFERRING not in (await here.states()).values()
    here.store.strict_state.buckets.add(here.bucket)
    await completes(here, 20)


async def test_a_right_is_taken_away_in_the_middle(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(20)), sync={"concurrency": 4})

    async def strike() -> None:
        here.store.strict_state.denied = frozenset({"PUT"})

    with capture_logs() as logs:
        await in_the_middle(here, strike)

    assert here.exit_code == 5
    stop = next(event for event in logs if event["event"] == "stage_stopped")
    assert (stop["stage"], stop["kind"]) == ("transfer", "AccessDenied")
    assert "s3:PutObject" in stop["hint"]
    waiting = [entry for entry in (await here.entries()).values() if entry.state is State.DISCOVERED]
    assert {entry.attempts for entry in waiting} == {0}
    here.store.strict_state.heal_faults()
    await completes(here, 20)


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET"])
async def test_a_store_that_fails_now_and_then_costs_nothing(world: MakeWorld, method: str) -> None:
    """Three requests of a kind are answered 500: whatever was not done is done by this pass or the next."""
    here = await world(Account(recordings=calls(8)), sync={"concurrency": 2})

    async def strike() -> None:
        here.store.strict_state.fault = StoreFault(kind="status", methods=frozenset({method}), times=3)

    assert await in_the_middle(here, strike) is None
    assert here.exit_code in {0, 3}
    await completes(here, 8)


async def test_a_store_that_is_down_is_waited_for(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(3)))
    right = here.section("vault")["endpoint_url"]
    here.section("vault")["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    done = await here.sync()
    assert here.exit_code == 5
    assert done.reports["acme"].stopped.startswith("transfer: ")
    assert {entry.attempts for entry in (await here.entries()).values()} == {0}
    here.section("vault")["endpoint_url"] = right
    await completes(here, 3)


async def test_sessions_of_the_database_end_in_the_middle(world: MakeWorld) -> None:
    """As when the server is restarted: the pass may stop, and the next one completes."""
    here = await world(Account(recordings=calls(20)), sync={"concurrency": 4})

    error = await in_the_middle(here, lambda: here.query(TERMINATE))

    assert error is None or isinstance(error, Unreachable)
    await completes(here, 20)
    assert await here.query("select count(*) from runs where finished_at is null") == [(0,)]


async def test_a_database_that_cannot_be_reached_is_said_so(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(3)))
    right = here.section("database")["url"]
    here.section("database")["url"] = f"postgresql://postgres@127.0.0.1:{free_port()}/archiver"
    with pytest.raises(Unreachable, match="the database is out of reach") as caught:
        await here.sync()
    assert caught.value.exit_code == 5
    assert len(here.simulator.requests) == 0
    here.section("database")["url"] = right
    await completes(here, 3)


async def test_an_account_at_work_is_not_left_behind_by_an_error_of_another(
    world: MakeWorld, simulator: StartSimulator
) -> None:
    """The bucket is gone: that ends the run, but only when every account has come to its end."""
    here = await world(Account(recordings=calls(2)))
    slow = await simulator(Account(recordings=calls(3), faults=(Fault(on=Operation.LIST, do=Hang()),)))
    here.document["accounts"] = [
        here.section("accounts"),
        {**here.section("accounts"), "name": "slow", "base_url": slow.base_url},
    ]
    here.store.strict_state.buckets.discard(here.bucket)

    running = asyncio.create_task(here.sync())
    await slow.arrived(Operation.LIST)
    ended, _ = await asyncio.wait({running}, timeout=0.7)
    slow.heal()

    assert not ended
    with pytest.raises(ConfigError):
        await running
    assert await here.query("select count(*) from recordings where account = 'slow'") == [(3,)]
    assert await here.query("select count(*) from recordings where state = 'transferring'") == [(0,)]
    assert await here.query("select exit_code from runs") == [(2,)]
