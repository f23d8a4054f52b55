"""Passes from cron that tell how they do: real messages to a real server, what was told kept in the catalogue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from archiver.adapters import database
from archiver.adapters.heartbeat import Heartbeat, Sign
from archiver.adapters.messenger import messenger
from archiver.adapters.notice_rows import NoticeRows
from archiver.app import App, new_run_id
from archiver.core.health import Level
from archiver.core.notices import Happening, Memory, Rules, Seen, Trouble, delivered, draft, observe
from archiver.core.report import PassReport
from archiver.errors import ArchiverError, NotFound, Unreachable
from archiver.passes import Pass
from archiver.simulator import Account, Fault, Html, Operation, Status
from archiver.watch.look import Look
from archiver.watch.monitor import Monitor
from archiver.watch.news import ENDED
from archiver.watch.pinger import Pinger
from archiver.watch.teller import Teller
from tests.support.receiver import LONGEST, Receiver, receiving
from tests.support.rows import NOW
from tests.support.settings import changed, load_document
from tests.support.simulator import Clock
from tests.support.world import MakeWorld, World, calls

REFUSED = Fault(on=Operation.LIST, do=Status(401), times=None)
GAP = Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None)
HALF = timedelta(hours=0.5)
NEWER = "dGhpcyBpcyBhIG5ld2VyIGtleSBvZiAzMiBieXRlcyE="


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


@dataclass
class Done:
    """A pass that has ended."""

    reports: dict[str, PassReport] = field(default_factory=dict)
    refusal: ArchiverError | None = None


@pytest.mark.parametrize("closed", [True, False])
async def test_a_pass_after_which_nothing_can_be_seen_is_judged_by_itself(
    tmp_path: Path, receiver: Receiver, *, closed: bool
) -> None:
    """The daemon is on its way out, or the catalogue takes its time."""
    settings = load_document(tmp_path, changed("notifications.pings", [receiver.switch]))
    monitor = Monitor(settings, Clock(), timedelta(seconds=1))

    async def never() -> Look:
        await asyncio.Event().wait()
        raise AssertionError

    async with monitor.telling():
        monitor.watch.take = never
        report = PassReport("acme", archived=12_345_678, stopped="at 919812345678")
        with monitor.watching(Done({"acme": report})) as ended:
            ended(0)
        if closed:
            await monitor.aclose()
    assert receiver.paths == ["/start", ""]
    assert " 12345678 archived, " in receiver.signs[1][1]
    assert receiver.signs[1][1].endswith("; stopped: at [phone]")


async def test_a_single_pass_looks_as_long_as_a_message_may_take(tmp_path: Path, receiver: Receiver) -> None:
    """Nobody asks for its health meanwhile, so that a large catalogue does not make it a bad one."""
    settings = load_document(tmp_path, changed("notifications.pings", [receiver.switch]))
    monitor = Monitor(settings, Clock(), timedelta(seconds=20))
    async with monitor.telling(once=True):
        assert monitor.watch.wait == 20


async def test_a_signal_cuts_the_goodbye_of_a_single_pass(tmp_path: Path, receiver: Receiver) -> None:
    """Whoever hangs keeps nobody: what was not told is told by the next pass."""
    receiver.hangs, asked = True, asyncio.Event()
    settings = load_document(tmp_path, changed("notifications.pings", [receiver.switch]))
    monitor = Monitor(settings, Clock(), timedelta(hours=1))

    async def once() -> None:
        async with monitor.telling(once=True, asked=asked):
            with monitor.watching(Done()) as ended:
                ended(0)

    leaving = asyncio.create_task(once())
    await receiver.until(lambda one: one.refused == 1)
    with capture_logs() as logged:
        asked.set()
        async with asyncio.timeout(LONGEST):
            await leaving
    assert [one["event"] for one in logged] == ["notifications_cut"]


async def test_new_secrets_are_used_wherever_they_can_be(world: MakeWorld, receiver: Receiver) -> None:
    """Of the catalogue and of each address by itself; and none of them gets into a message."""
    made = await world(Account(recordings=calls(1)))
    silent = {**Receiver(port=9).channel, "name": "silent"}
    made.document["notifications"] = {"channels": [silent, receiver.channel], "pings": [receiver.switch]}
    good = made.settings
    made.document["notifications"] = {
        "channels": [silent, Receiver(port=9).channel],
        "pings": [Receiver(port=9).switch],
    }
    right = made.document["database"]
    made.document["database"] = {"url": "postgresql://nobody@127.0.0.1:9/none"}
    monitor = Monitor(made.settings, made.clock, timedelta(seconds=10))
    made.document["database"] = right
    wrong = good.notifications.channels[0].model_copy(update={"url": SecretStr("json://example.com/x")})
    section = good.notifications.model_copy(update={"channels": (wrong, good.notifications.channels[1])})
    renewed = good.model_copy(update={"notifications": section})
    later = renewed.model_copy(update={"encryption_key": SecretStr(NEWER)})

    async def daemon(app: App) -> None:
        async with monitor.telling():
            for settings in (renewed, later):
                await monitor.follows(replace(app, settings=settings))
            raise NotFound(f"nobody takes {NEWER}")

    async with made.app() as app:
        with capture_logs() as logged, pytest.raises(NotFound):
            await daemon(app)
        kept = await NoticeRows(app.engine).load("desk")
    (refused,) = [one["problems"] for one in logged if one["event"] == "configuration_refused"]
    assert [one.partition(" ")[0] for one in refused] == ["notifications.channels[0].url:"]
    assert [one.title.partition(": ")[2] for one in receiver.messages] == [
        "critical: the archiver has ended by itself: nobody takes [redacted]"
    ]
    assert receiver.signs == [("/fail", "nobody takes [redacted]")]
    assert list(kept.episodes) == [ENDED]


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
    full = False

    async def load(self, channel: str) -> Memory:
        if self.away:
            raise Unreachable("away")
        return await super().load(channel)

    async def save(self, channel: str, memory: Memory, now: datetime) -> None:
        if self.full:
            raise Unreachable("no room")
        await super().save(channel, memory, now)


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
        name="desk", archive="calls-1234567", rules=rules, messenger=to, rows=rows, outcomes=Counter(), clock=clock
    )
    ended = Trouble(key=ENDED, level=Level.CRITICAL, text="never told without a memory")
    for away, troubles in ((True, [new, ended]), (True, [new]), (False, [new, old]), (False, []), (False, [])):
        rows.away = away
        clock.move(seconds=60)
        await teller.tell(Seen(troubles=troubles), patience=10)
    assert [one.title for one in receiver.messages] == [
        "calls-1234567: critical: catalogue", "calls-1234567: resolved: gap/acme (and 1 more)",
    ]  # fmt: skip
    assert (await rows.load("desk")).episodes == {}

    with capture_logs() as logged:
        for away in (True, True, False, True):  # it is said once for each time that it is away
            rows.full = away
            clock.move(hours=5)
            await teller.tell(Seen(troubles=[old]), patience=10)
    said = [(one["event"], one["channel"], one["reason"]) for one in logged if one["event"] != "notification_sent"]
    assert said == [("notices_unsaved", "desk", "no room")] * 2
