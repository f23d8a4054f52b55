"""A deletion in the archive that was cut off: taken back while the copy is whole, finished where half of it is gone."""

from __future__ import annotations

from dataclasses import replace

from structlog.testing import capture_logs

from archiver.app import new_run_id
from archiver.core import notes
from archiver.core.model import Fixity, State
from archiver.passes import Pass
from archiver.simulator import Account
from tests.support import locksmith, office
from tests.support.locksmith import keeping, versions
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

THREE = calls(3, days=40)
DUE = keeping(source="10d", delete_after="30d")
AUDIO = {key_of(one) for one in THREE}
SIDECARS = {sidecar_of(one) for one in THREE}


async def cut_off(make: MakeWorld) -> World:
    """A world in which a process died between its mark and the first removal, for every recording."""
    here = await make(Account(recordings=THREE))
    here.policies = DUE
    await here.sync()
    await here.change("update recordings set state = 'expiring', claimed_by = 'a run that died'")
    return here


async def half_gone(make: MakeWorld) -> World:
    """The same, after the audio was removed."""
    here = await cut_off(make)
    async with here.app() as app:
        for key in AUDIO:
            await app.locks.remove(key)
    assert set(await versions(here)) == SIDECARS
    return here


async def test_what_is_still_due_is_finished(locked_world: MakeWorld) -> None:
    here = await cut_off(locked_world)
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await versions(here) == {}
    assert here.exit_code == 0


async def test_what_is_whole_and_no_longer_permitted_goes_back_where_it_was(locked_world: MakeWorld) -> None:
    """A longer ceiling, a mode that waits for approval, a hold: not one version is removed."""
    here = await cut_off(locked_world)
    await here.change("update recordings set purged_at = null, absent_since = verified_at where recording_id = '3'")
    waiting = keeping(source=None, delete_after="30d", archive_mode="approve")
    for policies in (keeping(source=None, delete_after="90d"), keeping(source=None), waiting):
        here.policies = policies
        with capture_logs() as logs:
            done = await here.sync()
        assert done.reports["acme"].kept == {"handed_back": 3}
        assert await here.states() == dict.fromkeys("12", State.PURGED) | {"3": State.VERIFIED}
        said = [str(event["reason"]) for event in logs if event["event"] == "expiry_skipped"]
        assert all(reason.startswith("not deleted after all: ") for reason in said)
        await here.change("update recordings set state = 'expiring', claimed_by = 'a run that died'")
    here.policies = DUE
    await office.hold(here)
    await here.sync()
    assert State.EXPIRED not in (await here.states()).values()
    assert len(await versions(here)) == 6


async def test_a_copy_that_lies_whole_is_looked_at_again_as_closely_as_before(locked_world: MakeWorld) -> None:
    """Somebody has locked one of them meanwhile."""
    here = await cut_off(locked_world)
    await locksmith.lock(here, sidecar_of(THREE[0]), here.clock().replace(year=2034))
    await here.sync()
    assert await here.states() == {"1": State.EXPIRING} | dict.fromkeys("23", State.EXPIRED)
    assert set(await versions(here)) == {key_of(THREE[0]), sidecar_of(THREE[0])}


async def test_what_is_half_gone_is_finished_though_the_policies_have_changed(locked_world: MakeWorld) -> None:
    """It cannot come back: whether it was to go by now is no longer asked, only what forbids any deletion."""
    here = await half_gone(locked_world)
    for policies in (keeping(source="10d", delete_after="90d"), keeping(source="10d")):
        here.policies = {**policies, "deletion": {"mode": "disabled", "cooling_off": "0s"}}
        await here.sync()
        assert set((await here.states()).values()) == {State.EXPIRED}
        assert await versions(here) == {}


async def test_what_is_half_gone_and_forbidden_stays_as_it_is(locked_world: MakeWorld) -> None:
    """A case, then a floor: the rest lies there, the row says so, and it is finished when they are over."""
    here = await half_gone(locked_world)
    await office.hold(here)
    for reason in ("on_hold", "inside_floor", "archive_never"):
        with capture_logs() as logs:
            done = await here.sync()
        assert done.reports["acme"].kept == {reason: 3}
        said = [str(event["reason"]) for event in logs if event["event"] == "expiry_skipped"]
        assert all(text.startswith("half deleted: ") for text in said)
        assert set((await here.states()).values()) == {State.EXPIRING}
        if reason == "on_hold":
            await office.release_by_two(here)
            here.policies = keeping(source="10d", keep_at_least="1y", delete_after="2y")
        else:
            here.policies = keeping(source="10d", delete_after="never")
    assert set(await versions(here)) == SIDECARS
    here.policies = DUE
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await versions(here) == {}


async def test_the_last_trace_goes_only_where_a_tombstone_tells_of_it(locked_world: MakeWorld) -> None:
    """What stands in its place and is none, or another copy's, keeps the sidecar until somebody moves it aside."""
    here = await half_gone(locked_world)
    first, second, third = (key_of(one).removesuffix(".mp3") for one in THREE)
    entry = (await here.entries())["2"]
    another = replace(entry, fixity=Fixity(sha256="ab" * 32, size=7))
    await here.put(f"{first}.expired.json", b"{}")
    await here.put(f"{second}.expired.json", notes.render(notes.of_entry(another, State.EXPIRED, [])))
    await here.put(f"{third}.expired.json", (await here.everything())[f"{third}.purged.json"])
    done = await here.sync()
    assert done.reports["acme"].failures == {"IntegrityError": 3}
    assert set((await here.states()).values()) == {State.EXPIRING}
    assert set(await versions(here)) == SIDECARS

    for stem in (first, second, third):
        await here.take(f"{stem}.expired.json")
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await versions(here) == {}


async def test_a_removal_that_the_bucket_refuses_is_finished_by_the_next_pass(locked_world: MakeWorld) -> None:
    """One keeps its sidecar, one everything; no other is held up; nothing is called gone that is not."""
    here = await locked_world(Account(recordings=THREE))
    here.policies = DUE
    await here.sync()
    async with here.app() as app:
        locksmith.refuse(app, "DeleteObject", key=sidecar_of(THREE[0]))
        locksmith.refuse(app, "DeleteObject", key=key_of(THREE[1]))
        done = Pass(app=app, run=new_run_id())
        assert await done.sync() == 3
    assert done.reports["acme"].failures == {"Transient": 2}
    assert await here.states() == dict.fromkeys("12", State.EXPIRING) | {"3": State.EXPIRED}
    assert set(await versions(here)) == {sidecar_of(THREE[0]), key_of(THREE[1]), sidecar_of(THREE[1])}
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await versions(here) == {}
    assert here.exit_code == 0


async def test_a_right_that_is_missing_stops_the_stage_and_says_which(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=THREE[:1]))
    here.policies = DUE
    await here.sync()
    async with here.app() as app:
        locksmith.refuse(app, "DeleteObject", key="/acme/", status=403, code="AccessDenied")
        done = Pass(app=app, run=new_run_id())
        with capture_logs() as logs:
            assert await done.sync() == 5
    [stopped] = [event for event in logs if event["event"] == "stage_stopped"]
    assert "s3:DeleteObjectVersion" in str(stopped["hint"])
    assert State.EXPIRED not in (await here.states()).values()
    assert len(await versions(here)) == 2
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}


async def test_what_lies_whole_and_is_approved_goes_when_its_plan_is_applied_again(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=THREE))
    here.policies = keeping(source="10d", delete_after="30d", archive_mode="approve")
    await here.sync()
    text = await office.approved_plan(here)
    await here.change(
        "update recordings set state = 'expiring', claimed_by = 'a run that died' where recording_id = '2'"
    )
    await office.carry_out(here, text)
    assert set((await here.states()).values()) == {State.EXPIRED}
    [(detail,)] = await here.query("select detail from history where after = 'expired' and recording_id = '2'")
    assert isinstance(detail, dict)
    assert (detail["planned_by"], detail["approved_by"]) == ("Anna", "Berta")


async def test_a_store_without_versions_is_finished_too(world: MakeWorld) -> None:
    here = await half_gone_plain(world)
    await here.sync()
    assert set((await here.states()).values()) == {State.EXPIRED}
    assert await here.objects() == {}


async def half_gone_plain(make: MakeWorld) -> World:
    """Half gone, in a bucket that keeps no versions."""
    here = await cut_off(make)
    for one in THREE:
        await here.take(key_of(one))
    return here
