"""Being told, by the real daemon and the real commands: how it begins, how it ends, and that no secret gets out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from archiver.simulator import Account, Fault, Operation, Status
from tests.support.commands import ROOT
from tests.support.desk import Desk, MakeDesk
from tests.support.receiver import UUID, Receiver, receiving
from tests.support.world import calls

REFUSED = Fault(on=Operation.LIST, do=Status(401), times=None)


class Told:
    """A desk whose archiver tells a receiver."""

    def __init__(self, desk: Desk, receiver: Receiver) -> None:
        """Both are there."""
        self.desk, self.receiver = desk, receiver
        desk.world.document |= {"logging": {"level": "debug"}, "http": {"listen": "127.0.0.1:0"}}
        desk.world.document["notifications"] = {
            "channels": [receiver.channel],
            "pings": [receiver.switch],
            "every": "1s",
            "settle": "0s",
        }

    def until(self, arrived: Callable[[Receiver], bool]) -> None:
        """Wait until what came is as expected."""
        self.desk.backstage.call(self.receiver.until(arrived))

    @property
    def titles(self) -> list[str]:
        """Titles of the messages, without the name of the archive."""
        return [message.title.partition(": ")[2] for message in self.receiver.messages]


@pytest.fixture
def told(desk: MakeDesk) -> Iterator[Told]:
    """A desk and a receiver; a pass each second."""
    made = desk(Account(recordings=calls(3)), sync={"every": "1s", "shutdown_grace": "1s"})
    stack = AsyncExitStack()
    receiver = made.backstage.call(stack.enter_async_context(receiving()))
    yield Told(made, receiver)
    made.backstage.do(receiver.release)
    made.backstage.call(stack.aclose())


def test_a_daemon_tells_how_a_trouble_begins_and_ends_and_that_it_was_stopped(told: Told) -> None:
    """Passes go on each second meanwhile; not one of them is a message of its own."""
    wanted = told.desk.world.document.pop("notifications")
    told.desk.does("sync")  # so that nobody misses a first pass
    told.desk.world.document["notifications"] = wanted
    with told.desk.start("run") as daemon:
        told.until(lambda receiver: len(receiver.messages) == 1 and "" in receiver.paths)
        told.desk.backstage.do(lambda: told.desk.simulator.script(REFUSED))
        told.until(lambda receiver: len(receiver.messages) == 2 and receiver.paths[-6:].count("/fail") == 3)
        told.desk.backstage.do(told.desk.simulator.heal)
        told.until(lambda receiver: len(receiver.messages) == 3)
        assert daemon.stop() == 0

    started, begun, over, stopped = told.titles
    assert begun.startswith("critical: acme: a person must act: discover: the configured token was refused")
    assert over.startswith("resolved: acme: a person must act")
    assert (started, stopped) == ("the daemon has started", "the daemon has stopped, as it was asked to")
    assert [one["severity"] for one in daemon.events("notification_sent")] == ["info", "critical", "info", "info"]
    assert UUID not in daemon.log


def test_a_receiver_that_fails_is_said_without_its_address_and_holds_nothing_up(told: Told) -> None:
    """Passes go on, and the daemon ends when it is asked to."""
    told.receiver.status = 500
    with told.desk.start("run") as daemon:
        failed = daemon.wait_for("notification_failed")
        pinged = daemon.wait_for("ping_failed")
        told.receiver.hangs = True
        done = len(daemon.events("pass_finished"))
        daemon.wait_for("pass_finished", count=done + 3)
        assert daemon.stop() == 0
    assert (failed["channel"], failed["reason"]) == ("desk", "HTTP 500")
    assert (pinged["ping"], pinged["reason"]) == ("switch", "HTTP 500")
    assert UUID not in daemon.log
    assert daemon.events("bug") == []


def test_a_daemon_that_cannot_go_on_says_why_and_says_it_once(told: Told) -> None:
    """However often it is started again."""
    told.desk.change("update alembic_version set version_num = '0001'")
    assert [told.desk.run("run").code for _ in range(3)] == [2, 2, 2]
    (title,) = told.titles
    assert title.startswith("critical: the archiver has ended by itself: the catalogue's schema is at 0001")
    assert told.receiver.paths == ["/fail"] * 3


def test_the_test_reaches_everybody_or_says_whom_it_does_not(told: Told) -> None:
    """A note to a switch changes nothing there; a plain heartbeat knows nothing but a sign of life."""
    section = told.desk.world.document["notifications"]
    assert isinstance(section, dict)
    heartbeat = {**told.receiver.switch, "name": "plain", "style": "heartbeat"}
    heartbeat["url"] = f"{heartbeat['url']}?up=1"
    section["pings"] = [told.receiver.switch, heartbeat]
    done = told.desk.run("notify", "--test")
    assert (done.code, done.out.count(" sent")) == (0, 3)
    assert told.titles == ["a test"]
    assert told.receiver.paths == ["/log", "?up=1"]

    told.receiver.status = 404
    refused = told.desk.run("notify", "--test", "--json")
    assert refused.code == 5
    assert [(one["name"], one["outcome"]) for one in refused.answers] == [
        ("desk", "HTTP 404"), ("switch", "HTTP 404"), ("plain", "HTTP 404"),
    ]  # fmt: skip
    assert UUID not in refused.err + refused.out
    assert told.desk.run("notify").code == 2


def test_an_address_that_means_nothing_is_refused_without_being_quoted(told: Told) -> None:
    """By its path, before anything is done; `doctor` says so beside the rest."""
    section = told.desk.world.document["notifications"]
    assert isinstance(section, dict)
    section["channels"] = [
        {**told.receiver.channel, "url": f"slack://{UUID}"},
        {"name": "two", "url": f"json://example.com/{UUID}"},
    ]
    for command in ("check", "run", "sync", "notify --test"):
        said = told.desk.refuses(2, *command.split())
        assert "notifications.channels[0].url: is no address that apprise understands" in said
        assert "notifications.channels[1].url: is not encrypted" in said
        assert UUID not in said
    doctor = told.desk.run("doctor")
    assert (doctor.code, "channel of the notifications cannot be used" in doctor.out) == (2, True)
    assert told.desk.query("select * from runs") == []


def test_other_commands_do_not_wait_for_apprise() -> None:
    """It takes longer to import than they take to answer."""
    program = "import sys, archiver.cli; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
