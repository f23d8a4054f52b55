"""The process that dies: a real pass of the real application, with a tripwire in its ports.

`python -m tests.support.crash_main` reads orders from standard input, one JSON object to a line, and runs each in a
process of its own, forked before any client, thread or event loop exists: that saves the seconds of importing
everything. It answers with the child's exit code, or minus the signal that killed it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from archiver import plans
from archiver.app import App, Waiting, new_run_id, open_app
from archiver.cli.deleting import history_of
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import State
from archiver.core.plan_file import parse
from archiver.passes import Pass
from archiver.settings import load
from tests.support.crash_wire import Moment, Point, Tripwire
from tests.support.fake_time import FakeTime
from tests.support.warm import warm


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One pass to run. The journal is the file that every step is written to."""

    config: str
    now: str  # the clock stands still at this moment, but for what the pass waits
    journal: str
    command: str = "sync"
    point: tuple[str, Moment, int] | None = None

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


class Hours:
    """The time of day in one pass, which goes on only while the pass waits for an export. Nobody really waits."""

    def __init__(self, now: datetime) -> None:
        """Begin at an aware moment."""
        self._now, self._quota = now, FakeTime()

    def __call__(self) -> datetime:
        """Return the time."""
        return self._now

    @property
    def waiting(self) -> Waiting:
        """How the quota is waited for: by a clock of its own."""
        return Waiting(sleep=self._quota.sleep, seconds=self._quota.clock, shared=self._quota.clock)

    async def sleep(self, seconds: float) -> None:
        """Wait for an export."""
        self._now += timedelta(seconds=seconds)
        await self._quota.sleep(seconds)


async def run(order: Order) -> int:
    """Run one pass; returns its exit code, if it lives."""
    hours = Hours(datetime.fromisoformat(order.now))
    journal = os.open(order.journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    async with open_app(load(Path(order.config), {}), hours, hours.waiting) as app:
        watched = Tripwire(None if order.point is None else Point(*order.point), journal).watch(app)
        done = Pass(app=watched, run=new_run_id(), sleep=hours.sleep)
        if order.command == "sync":
            return await done.sync()
        if order.command == "apply":
            return await apply(watched, done, Path(order.config).with_name("plan.json").read_text())
        states = ARCHIVED | {State.QUARANTINED}
        return await done.verify({name: watched.reads.entries(name, states) for name in watched.sources})


async def apply(app: App, work: Pass, text: str) -> int:
    """Carry out an approved plan, as the command does."""
    plan = parse(text)
    async with plans.in_use(app.engine, app.controls, plan, text, app.policies, app.clock()) as record:
        code = await work.apply(plan, history_of(record))
        if code == 0:
            await plans.use_up(app.controls, record, work.run, app.clock())
        return code


def carry_out(text: str) -> int:
    """Run an order in this process."""
    order = Order(**json.loads(text))
    log = os.open(order.journal + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    return asyncio.run(run(order))


def carry_out_forked(text: str) -> int:
    """Run an order in a process of its own; returns its exit code, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = carry_out(text)
        except BaseException:  # noqa: BLE001 - nothing may come back into the parent's loop
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Carry out all orders that come."""
    warm()
    gc.freeze()
    for line in sys.stdin:
        print(carry_out_forked(line), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
