"""The stage that brings locks and holds up to the terms: goes on where it failed, and rests when nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from archiver.adapters.catalogue import Catalogue
from archiver.app import App, new_run_id
from archiver.core.model import Protection, State
from archiver.passes import Pass
from archiver.simulator import Account
from archiver.stages.retention_ports import Settled
from tests.support import locksmith, office
from tests.support.locksmith import keeping, protection
from tests.support.rows import NOW, open_account
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

THREE = calls(3, days=40)
NOWHERE = "http://127.0.0.1:1"


async def held(here: World) -> dict[str, list[bool]]:
    """Of each recording: whether the bucket holds audio and sidecar, and what the row says."""
    entries = await here.entries()
    return {
        str(one.id): [
            *[(await protection(here, key)).on_hold for key in (key_of(one), sidecar_of(one))],
            entries[str(one.id)].on_hold,
        ]
        for one in THREE
    }


async def test_what_fails_half_way_is_finished_by_the_next_pass(locked_world: MakeWorld) -> None:
    """The bucket refuses the hold of one sidecar: the rest is held, and the terms do not count as settled."""
    here = await locked_world(Account(recordings=THREE))
    await here.sync()
    settled = "select protected_under, holds_checked_at from accounts"
    before = await here.query(settled)
    await office.hold(here)
    here.clock.now += timedelta(hours=1)
    async with here.app() as app:
        await app.store.facts()
        locksmith.refuse(app, "PutObjectLegalHold", key=sidecar_of(THREE[1]))
        assert await Pass(app=app, run=new_run_id()).sync() == 3
    assert await held(here) == {"1": [True] * 3, "2": [True, False, True], "3": [True] * 3}  # the row goes first
    assert await here.query(settled) == before
    await here.sync()
    assert await held(here) == dict.fromkeys("123", [True] * 3)
    assert here.exit_code == 0
    assert (await here.query(settled))[0][1] == here.clock()
    told = "select distinct recording_id from history where reason like '%on legal hold%: case-1' order by 1"
    assert await here.query(told) == [("1",), ("2",), ("3",)]


async def test_a_process_that_dies_between_bucket_and_row_leaves_nothing_undone(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=THREE))
    await here.sync()
    await office.hold(here)
    await here.change(
        """create function dies() returns trigger language plpgsql as $$ begin raise exception 'dies'; end $$;
        create trigger dies before update on recordings for each row when (new.on_hold) execute function dies()"""
    )
    await here.sync()
    assert here.exit_code != 0
    assert not any(row for *_, row in (await held(here)).values())
    await here.change("drop trigger dies on recordings")
    await here.sync()
    assert await held(here) == dict.fromkeys("123", [True] * 3)
    assert (here.exit_code, here.simulator.requests.deletes) == (0, [])


async def test_nothing_is_asked_of_the_bucket_until_the_terms_change_or_a_day_has_passed(
    locked_world: MakeWorld,
) -> None:
    """A bucket that nobody can reach does not matter to a pass without work."""
    here = await locked_world(Account(recordings=THREE))
    here.policies = keeping(source="90d", keep_at_least="10y", lock="governance")
    await office.hold(here, future=True, ids=["1"])
    await here.sync()
    url = here.section("vault")["endpoint_url"]
    here.section("vault")["endpoint_url"] = NOWHERE
    for hours, code in ((1, 0), (22, 0), (1, 5)):
        here.clock.now += timedelta(hours=hours)
        await here.sync()
        assert here.exit_code == code
    here.section("vault")["endpoint_url"] = url
    await here.sync()
    here.section("vault")["endpoint_url"] = NOWHERE
    await office.hold(here, "case-2", future=True, ids=["2"])
    await here.sync()
    assert here.exit_code == 5
    await office.release_by_two(here, "case-2")  # the terms are those of before: nothing was done about the others
    with capture_logs() as logs:
        await here.sync()
    assert [line["stage"] for line in logs if line["event"] == "stage_stopped"] == ["decisions"]  # to be copied
    here.policies = keeping(source="90d", keep_at_least="11y", lock="governance")
    await here.sync()
    assert here.exit_code == 5


@contextmanager
def statements(app: App) -> Iterator[list[str]]:
    """What is said to the database meanwhile."""
    said: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(app.engine.sync_engine, "before_cursor_execute", heard)
    yield said
    event.remove(app.engine.sync_engine, "before_cursor_execute", heard)


async def test_no_row_is_read_while_nothing_has_changed(locked_world: MakeWorld) -> None:
    """However large the catalogue is, a quiet pass asks two questions."""
    here = await locked_world(Account(recordings=THREE))
    here.policies = keeping(source="90d", keep_at_least="10y", lock="governance")
    await here.sync()
    async with here.app() as app:
        await app.terms.terms(app.clock())
        with statements(app) as said:
            await Pass(app=app, run=new_run_id())._protect_all()
        assert said
        assert not [one for one in said if "recordings" in one]
        await office.hold(here)
        with statements(app) as said:
            await Pass(app=app, run=new_run_id())._protect_all()
        assert [one for one in said if "recordings" in one]


async def test_what_a_future_case_catches_is_held_at_once(locked_world: MakeWorld) -> None:
    """A call that begins later is held before it counts as verified; a case without a future lets it be."""
    here = await locked_world(Account(recordings=THREE[:1]))
    await here.sync()
    await office.hold(here, "past")
    await office.hold(here, "coming", future=True, extensions=("21*",))
    here.clock.now += timedelta(hours=1)
    new = calls(5, days=-0.02)
    here.simulator.put(new[3])
    await here.sync()
    told = "select before::text, reason from history where recording_id = '4' and after = 'verified'"
    good = "the copy in the bucket is the one on record"
    assert await here.query(told) == [("stored", f"{good}; on legal hold: coming")]
    assert await protection(here, key_of(new[3])) == Protection(on_hold=True)
    await office.release_by_two(here, "coming")
    done = await here.sync()
    assert done.reports["acme"].released == 1
    assert await protection(here, key_of(new[3])) == Protection()
    assert (await protection(here, key_of(THREE[0]))).on_hold


async def test_a_deletion_that_was_taken_back_is_held_like_the_rest(locked_world: MakeWorld) -> None:
    """A case opened while a killed process has begun to delete: the copy goes back to the archive, and is held."""
    here = await locked_world(Account(recordings=THREE))
    here.policies = keeping()
    await here.sync()
    back = "update recordings set claimed_by = 'a run that died', purged_at = null, state = 'purging'"
    await here.change(f"{back} where recording_id = '1'")
    for one in THREE:
        here.simulator.put(one)
    await office.hold(here)
    await here.sync()
    assert (await here.states())["1"] is State.VERIFIED
    await here.sync()
    assert (await held(here))["1"] == [True] * 3


async def test_an_account_without_a_row_is_not_settled(catalogue: Catalogue, engine: AsyncEngine) -> None:
    assert await catalogue.settled("acme") == Settled(None, None)
    await catalogue.settle("acme", Settled("terms", NOW))
    assert await catalogue.settled("acme") == Settled(None, None)
    await open_account(catalogue)
    await open_account(catalogue, "other")
    await catalogue.settle("acme", Settled("terms", NOW))
    assert await catalogue.settled("acme") == Settled("terms", NOW)
    assert await catalogue.settled("other") == Settled(None, None)
