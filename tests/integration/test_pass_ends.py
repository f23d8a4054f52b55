"""What a pass leaves on record for those who watch: a good end, a stop, or nothing where it cannot tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest

from archiver.adapters.database import exclusive
from archiver.app import new_run_id, open_app
from archiver.errors import ConfigError
from archiver.passes import Pass
from archiver.simulator import Account, Fault, Hang, Html, Operation
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls

ENDS = "select good_pass_at, stop_kind, stop_reason, stop_final from accounts"
WEB_PAGE = Fault(on=Operation.AUDIO, do=Html(), recording=1, times=None)
End = tuple[datetime | None, str | None, str | None, bool | None]


async def end(here: World) -> End:
    """What is on record of the account."""
    ((good, kind, reason, final),) = await here.query(ENDS)
    return good, kind, reason, final  # type: ignore[return-value]


async def test_a_pass_that_comes_to_its_end_is_good(world: MakeWorld) -> None:
    """With gaps, too: they are judged by themselves. It ends a stop."""
    here = await world(Account(recordings=calls(2), faults=(WEB_PAGE,)))
    here.simulator.revoke_tokens(static=True)
    await here.sync()
    assert await end(here) == (None, "AccessDenied", "discover: the configured token was refused", True)

    known = here.simulator.credentials
    here.section("accounts")["auth"] = {
        "token_url": here.simulator.token_url,
        "username": known.username,
        "password": known.password,
        "client_id": known.client_id,
        "client_secret": known.client_secret,
    }
    await here.sync()
    assert here.exit_code == 3
    assert await end(here) == (here.clock(), None, None, None)


async def test_a_stop_leaves_the_last_good_pass_as_it_is(world: MakeWorld) -> None:
    """Of several stops the first is told: it has caused the others, most often."""
    here = await world(Account(recordings=calls(2)))
    await here.sync()
    good = here.clock()
    assert good == NOON
    here.clock.move(minutes=15)
    here.simulator.put(replace(calls(1)[0], id=9, start=here.clock()))
    here.store.strict_state.denied = frozenset({"PUT", "GET", "HEAD"})
    await here.sync()
    found = await end(here)
    assert (found[0], found[1], found[3]) == (good, "AccessDenied", True)
    assert str(found[2]).startswith("transfer: probe .archiver-probe in bucket ")

    here.store.strict_state.heal_faults()
    await here.simulator.stop()
    await here.sync()
    assert await end(here) == (good, "Unreachable", "discover: list: ClientConnectorError", False)


@pytest.mark.parametrize("how", ["asked", "cancelled"])
async def test_a_pass_that_was_cut_off_says_nothing(world: MakeWorld, how: str) -> None:
    """It has not seen everything: neither good nor bad."""
    here = await world(Account(recordings=calls(3)))
    here.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), recording=2))
    asked: list[bool] = []
    async with here.app() as app:
        working = asyncio.create_task(Pass(app=app, run=new_run_id(), stopping=lambda: bool(asked)).sync())
        await here.simulator.arrived(Operation.AUDIO, 3)
        if how == "asked":
            asked.append(True)
            here.simulator.heal()
            assert await working == 130
        else:
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
    assert await end(here) == (None, None, None, None)


@pytest.mark.parametrize("stage", ["discover", "transfer", "verify", "protect", "ledger"])
async def test_a_pass_that_was_kept_out_of_a_stage_says_nothing(world: MakeWorld, stage: str) -> None:
    """Whatever the others have come to."""
    here = await world(Account(recordings=calls(1)))
    async with here.app() as app, exclusive(app.engine, "acme", stage):
        await here.sync()
    assert here.exit_code == 4
    found = await here.query(ENDS)
    assert found in ([], [(None, None, None, None)])


async def test_what_ends_the_daemon_is_no_end_of_a_pass(world: MakeWorld) -> None:
    """Nor is what other commands do."""
    here = await world(Account(recordings=calls(1)))
    await here.sync()
    before = await end(here)
    here.clock.move(minutes=15)
    await here.verify()
    await here.protect()
    here.simulator.put(replace(calls(1)[0], id=9, start=here.clock()))
    here.store.strict_state.buckets.discard(here.bucket)
    with pytest.raises(ConfigError):
        await here.sync()
    assert await end(here) == before


async def test_the_clock_of_the_source_is_kept_until_it_says_another(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(1)))
    await here.sync()
    ((first,),) = await here.query("select clock_seconds from accounts")
    assert first is not None
    await here.simulator.stop()
    await here.sync()
    assert await here.query("select clock_seconds from accounts") == [(first,)]


async def test_requests_are_counted_on_when_the_application_is_opened_anew(world: MakeWorld) -> None:
    """New secrets are no reason for a counter to begin again."""
    here = await world(Account(recordings=calls(2)))
    async with here.app() as app:
        await Pass(app=app, run=new_run_id()).sync()
        before = app.sources["acme"]
        async with open_app(here.settings, here.clock, before=app) as anew:
            source = anew.sources["acme"]
            assert source.sent == before.sent != Counter()
            assert {one: spent.total for one, spent in source.took.items()} == dict(before.sent)
