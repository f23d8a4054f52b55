"""Passes from cron that tell how they do: real messages to a real server, what was told kept in the catalogue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.adapters.messenger import messenger
from archiver.adapters.notice_rows import NoticeRows
from archiver.app import new_run_id
from archiver.core.health import Level
from archiver.core.notices import Happening, Memory, Rules, Seen, Trouble, delivered, draft, observe
from archiver.errors import ArchiverError, NotFound, Unreachable
from archiver.passes import Pass
from archiver.simulator import Account, Fault, Html, Operation, Status
from archiver.watch.monitor import Monitor
from archiver.watch.news import ENDED
from archiver.watch.pinger import Pinger
from archiver.watch.teller import Teller
from tests.support.receiver import Receiver, receiving
from tests.support.rows import NOW
from tests.support.simulator import Clock
from tests.support.world import MakeWorld, World, calls

REFUSED = Fault(on=Operation.LIST, do=Status(401), times=None)
GAP = Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None)
HALF = timedelta(hours=0.5)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where messages and signs of life go."""
    async with receiving() as started:
        yield started


def configure(world: World, receiver: Receiver, **channel: object) -> None:
    """Tell the receiver."""
    world.document["notifications"] = {
        "channels": [{**receiver.channel, "quiet_for": "4h", **channel}],
        "pings": [receiver.switch],
    }


async def cron(world: World, *, patience: float = 10, later: timedelta = HALF) -> int:
    """One pass, as `archiver sync` does it, half an hour after the last one."""
    world.clock.move(seconds=later.total_seconds())
    monitor = Monitor(world.settings, world.clock, timedelta(seconds=patience))
    async with monitor.telling(once=True), world.app() as app:
        work = Pass(app=app, run=new_run_id(), sleep=world.sleep)
        with monitor.watching(work) as ended:
            return ended(await work.sync())


async def test_a_trouble_that_lasts_is_told_once_and_its_end_too(world: MakeWorld, receiver: Receiver) -> None:
    """Four processes one after the other; the switch hears of each pass. What follows from it is no trouble more."""
    made = await world(Account(recordings=calls(3)))
    configure(made, receiver)
    assert await cron(made) == 0
    made.simulator.script(REFUSED)
    assert [await cron(made), await cron(made)] == [5, 5]
    made.simulator.heal()
    assert await cron(made) == 0

    begun, over = receiver.messages
    assert begun.title.startswith(f"{made.bucket}: critical: acme: a person must act: ")
    assert (begun.tone, "[stopped] acme" in begun.body) == ("failure", True)
    assert over.title.startswith(f"{made.bucket}: resolved: acme")
    assert (over.tone, "(lasted 60 min)" in over.body) == ("success", True)
    assert receiver.paths == ["/start", "", "/start", "/fail", "/start", "/fail", "/start", ""]
    assert " 3 archived, 3 verified, " in receiver.signs[1][1]
    assert "a person must act" in receiver.signs[3][1]


async def test_a_pass_is_good_as_long_as_the_archive_is_not_ill(world: MakeWorld, receiver: Receiver) -> None:
    """A gap is a warning at first, and the pass did its work; after a day it is critical, and told as worse."""
    made = await world(Account(recordings=calls(4), faults=(GAP,)))
    configure(made, receiver)
    made.document["health"] = {"pending": "30d"}
    assert [await cron(made), await cron(made, later=timedelta(hours=23))] == [3, 3]
    assert await cron(made, later=timedelta(hours=2)) == 3
    assert receiver.paths == ["/start", "", "/start", "", "/start", "/fail"]
    titles = [message.title.partition(": ")[2] for message in receiver.messages]
    assert [title.partition(": ")[0] for title in titles] == ["warning", "still warning", "critical"]


async def test_deletions_that_are_refused_and_those_that_are_done(world: MakeWorld, receiver: Receiver) -> None:
    """A limit that refuses them is a warning until it does no longer; what was deleted is counted."""
    made = await world(Account(recordings=calls(4)))
    configure(made, receiver)
    policy = {"name": "old", "source": {"delete_after": "1d"}}
    deletion = {"mode": "automatic", "cooling_off": "0s", "max_percent": 5}
    made.policies = {"policies": [policy], "deletion": deletion}
    assert [await cron(made), await cron(made)] == [4, 4]
    made.policies = {"policies": [policy], "deletion": {**deletion, "max_percent": 100}}
    assert await cron(made) == 0

    refused, done = receiver.messages
    assert (refused.tone, "[deletion] nothing was deleted by itself" in refused.body) == ("warning", True)
    assert "Over:\n- [deletion]" in done.body
    assert "Done:\n- acme: recordings deleted at the source: 4" in done.body
    assert receiver.paths == ["/start", "/fail", "/start", "/fail", "/start", ""]


@pytest.mark.parametrize("trouble", ["it says 500", "it hangs", "nobody listens"])
async def test_a_receiver_in_trouble_disturbs_no_pass(world: MakeWorld, receiver: Receiver, trouble: str) -> None:
    """The pass is as good as ever, and what could not be told is told by the next one."""
    made = await world(Account(recordings=calls(3), faults=(GAP,)))
    configure(made, Receiver(port=9) if trouble == "nobody listens" else receiver)
    receiver.status, receiver.hangs = 500, trouble == "it hangs"
    code = await cron(made, patience=0.5)
    states = {identity: str(state) for identity, state in (await made.states()).items()}
    assert (code, states) == (3, {"1": "verified", "2": "verified", "3": "discovered"})
    assert (receiver.messages, receiver.signs) == ([], [])
    assert (receiver.refused > 1) == (trouble != "nobody listens")

    receiver.status, receiver.hangs = 200, False
    receiver.release()
    configure(made, receiver)
    await cron(made)
    titles = [message.title.partition(": ")[2] for message in receiver.messages]
    assert titles == ["warning: acme: gaps are open: retrying 1"]


async def test_a_database_out_of_reach_is_told_without_a_memory(world: MakeWorld, receiver: Receiver) -> None:
    """Each pass says so: nobody else could. The others' troubles are neither over nor forgotten by it."""
    made = await world(Account(recordings=calls(3), faults=(GAP,)))
    configure(made, receiver)
    await cron(made)
    right = made.document["database"]
    made.document["database"] = {"url": "postgresql://nobody@127.0.0.1:9/none"}
    with pytest.raises(ArchiverError):
        await cron(made)
    made.document["database"] = right
    await cron(made)

    titles = [message.title.partition(": ")[2] for message in receiver.messages]
    assert titles == ["warning: acme: gaps are open: retrying 1", "critical: the database is out of reach"]
    assert receiver.paths == ["/start", "", "/fail", "/start", ""]


async def test_what_was_told_is_read_as_it_was_written(engine: AsyncEngine) -> None:
    """Also by a version that writes it otherwise: then as if nothing had been told."""
    rules = Rules(level=Level.OK, settle=timedelta(0), quiet_for=HALF, per_hour=9)
    seen = Seen(
        troubles=[Trouble(key="gap/acme", level=Level.CRITICAL, text="a gap")], happened=[Happening(what="x", count=3)]
    )
    memory = observe(Memory(), seen, rules, NOW)
    notice = draft(memory, seen, rules, NOW)
    assert notice is not None
    memory = observe(delivered(memory, notice, NOW), seen, rules, NOW)
    rows = NoticeRows(engine)
    assert await rows.load("desk") == Memory()
    for one in (Memory(failures=2), memory):
        await rows.save("desk", one, NOW)
        assert await rows.load("desk") == one
    async with database.connection(engine) as opened:
        await opened.exec_driver_sql("update notices set memory = '{\"episodes\": 5}'")
    assert await rows.load("desk") == Memory()


async def test_a_sign_of_life_is_tried_again_where_that_may_help(receiver: Receiver) -> None:
    """A server in trouble may recover; an address that nobody knows stays unknown."""
    pauses: list[float] = []

    async def recover(seconds: float) -> None:
        pauses.append(seconds)
        receiver.status = 200

    receiver.status = 503
    async with aclosing(Heartbeat(str(receiver.switch["url"]), "healthchecks", sleep=recover)) as heartbeat:
        await heartbeat.send(Sign.FAILURE, "why")
        assert (receiver.signs, receiver.refused, len(pauses)) == ([("/fail", "why")], 1, 1)
        receiver.status = 404
        with pytest.raises(NotFound, match=r"^HTTP 404$"):
            await heartbeat.send(Sign.FAILURE, "why")
    assert (receiver.refused, len(pauses)) == (2, 1)


async def test_only_the_latest_signs_wait_for_a_switch_that_hangs(receiver: Receiver) -> None:
    """However many passes end meanwhile; those that were dropped are counted."""
    outcomes: Counter[tuple[str, str]] = Counter()
    receiver.hangs = True
    async with aclosing(Heartbeat(str(receiver.switch["url"]), "healthchecks")) as heartbeat:
        pinger = Pinger("switch", heartbeat, outcomes)
        working = asyncio.create_task(pinger.work())
        for number in range(20):

            async def making(body: str = str(number)) -> tuple[Sign, str]:
                return Sign.SUCCESS, body

            pinger.push(making)
            if number == 0:
                await receiver.until(lambda one: one.refused == 1)
        receiver.hangs = False
        receiver.release()
        pinger.push(None)
        await working
    assert [body for _, body in receiver.signs] == [str(number) for number in range(13, 20)]
    assert outcomes == {("switch", "failed"): 12, ("switch", "sent"): 8}


class Away(NoticeRows):
    """The catalogue, out of reach when it is told to be."""

    away = True

    async def load(self, channel: str) -> Memory:
        if self.away:
            raise Unreachable("away")
        return await super().load(channel)


async def test_a_daemon_goes_on_from_memory_while_the_catalogue_is_away(
    engine: AsyncEngine, receiver: Receiver
) -> None:
    """What it told meanwhile it does not tell again, nor what was told before it began; and both ends are told."""
    rules = Rules(level=Level.OK, settle=timedelta(0), quiet_for=HALF, per_hour=9)
    rows, clock = Away(engine), Clock()
    old, new = (Trouble(key=key, level=Level.CRITICAL, text=key) for key in ("gap/acme", "catalogue"))
    seen = Seen(troubles=[old])
    memory = observe(Memory(), seen, rules, clock())
    notice = draft(memory, seen, rules, clock())
    assert notice is not None
    await rows.save("desk", delivered(memory, notice, clock()), clock())

    to = messenger(str(receiver.channel["url"]), allow_http=False)
    teller = Teller(
        name="desk", archive="calls", rules=rules, messenger=to, rows=rows, redact=str, outcomes=Counter(), clock=clock
    )
    ended = Trouble(key=ENDED, level=Level.CRITICAL, text="never told without a memory")
    for away, troubles in ((True, [new, ended]), (True, [new]), (False, [new, old]), (False, []), (False, [])):
        rows.away = away
        clock.move(seconds=60)
        await teller.tell(Seen(troubles=troubles), patience=10)
    assert [one.title for one in receiver.messages] == [
        "calls: critical: catalogue", "calls: resolved: gap/acme (and 1 more)",
    ]  # fmt: skip
    assert (await rows.load("desk")).episodes == {}
