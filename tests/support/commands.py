"""The archiver's commands as processes: started afresh (`Process`), or forked from one that has imported everything.

An interpreter needs a second or two of both cores to import the program. The forked ones (`Workshop`) run the very
same `python -m archiver` in a process of their own, with their own streams and environment, and start at once.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import archiver.cli
from tests.support.warm import warm

LONGEST = 90  # seconds that a command or a wait may take before the test fails
ROOT = Path(__file__).parent.parent.parent
Event = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command to run. `room`: the largest file in bytes that it may write."""

    words: Sequence[str]
    out: str
    err: str
    env: Mapping[str, str] = field(default_factory=dict)
    room: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, object]:
        """Standard output, which must be one JSON object."""
        return cast("dict[str, object]", json.loads(self.out))

    @property
    def answers(self) -> list[dict[str, object]]:
        """Standard output, which must be one JSON list of objects."""
        return cast("list[dict[str, object]]", json.loads(self.out))

    def section(self, name: str) -> dict[str, object]:
        """An object inside the answer."""
        return cast("dict[str, object]", self.answer[name])

    def rows(self, name: str) -> list[dict[str, object]]:
        """A list of objects inside the answer."""
        return cast("list[dict[str, object]]", self.answer[name])

    @property
    def events(self) -> list[Event]:
        """Log events among the lines of standard error."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    def of(self, event: str) -> list[Event]:
        """Log events of one name."""
        return [one for one in self.events if one["event"] == event]


class Workshop:
    """A process that forks one child for each command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """`process` runs this module."""
        self._process = process

    def run(self, order: Order) -> int:
        """Run one command to its end; returns its exit code, or minus the signal that ended it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asdict(order)) + "\n")
        stdin.flush()
        return int(stdout.readline())


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a command: nothing of the tests' own that could configure it."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL"}}
    return {**kept, **(extra or {})}


class Process:
    """A command in an interpreter of its own, whose log is read while it runs."""

    def __init__(
        self, *words: str, env: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "archiver")
    ) -> None:
        """Start `archiver WORDS`."""
        self.process = subprocess.Popen(
            [sys.executable, *program, *words],
            env=environment(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.out = ""
        self._news = threading.Condition()
        self._ended = False
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._read_log, self._read_answer)]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        """Already started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs."""
        self.process.kill()
        self.ended()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _read_answer(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.out += line
                self._news.notify_all()

    def first_line(self) -> str:
        """Wait for the first line of standard output."""
        with self._news:
            assert self._news.wait_for(lambda: "\n" in self.out or self._ended, timeout=LONGEST)
        return self.out.splitlines()[0]

    @property
    def log(self) -> str:
        """Everything on standard error until now."""
        return "".join(self.lines)

    def events(self, name: str) -> list[Event]:
        """Log events of one name until now."""
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [one for one in found if one["event"] == name]

    def wait_for(self, event: str, *, count: int = 1, where: Callable[[Event], bool] = lambda _: True) -> Event:
        """Wait until the event was logged so many times; returns the last of them."""

        def found() -> list[Event]:
            return [one for one in self.events(event) if where(one)]

        with self._news:
            self._news.wait_for(lambda: self._ended or len(found()) >= count, timeout=LONGEST)
        fitting = found()
        assert len(fitting) >= count, f"{event} was logged {len(fitting)} of {count} times:\n{self.log}"
        return fitting[count - 1]

    def seen(self, word: str) -> None:
        """Wait until a line of the log, of whatever format, has the word."""
        with self._news:
            self._news.wait_for(lambda: self._ended or word in self.log, timeout=LONGEST)
        assert word in self.log

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; returns the exit code, or minus the signal that ended it."""
        try:
            code = self.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end:\n{self.log}") from None
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code

    def stop(self) -> int:
        """Ask it to end in order, and wait."""
        self.signal(signal.SIGTERM)
        return self.ended()


def carry_out(order: Order) -> None:
    """Become the command."""
    os.setsid()
    for number, path in ((1, order.out), (2, order.err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    trusted = {"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]}
    os.environ.clear()
    os.environ.update(trusted | environment(order.env))
    if order.room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.room, order.room))
    signal.alarm(LONGEST)
    sys.argv = ["archiver", *order.words]
    runpy.run_module("archiver", run_name="__main__")


def fork(order: Order) -> int:
    """Run the command in a child; returns its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code: object = 70
        try:
            carry_out(order)
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:  # noqa: BLE001 - nothing may come back into the parent's loop
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 71)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Carry out the orders that come on standard input."""
    assert archiver.cli
    warm()
    gc.freeze()
    for line in sys.stdin:
        print(fork(Order(**json.loads(line))), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
