"""The last step of every log event: exceptions to text, redaction, one line, one write. It never raises."""

from __future__ import annotations

import json
import sys
from threading import Lock
from typing import TYPE_CHECKING, TextIO

import structlog

from archiver.logs.exceptions import render

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from archiver.logs.redaction import Plain, Redactor

_OWN = ("timestamp", "level")
_INSTEAD = frozenset({"exc_info", "stack_info", "stack"})  # `exception` says it without source lines
_UNPRINTABLE = "log_event_unprintable"


class Renderer:
    """A structlog processor that returns the finished line."""

    def __init__(self, redactor: Redactor, *, console: bool, colors: bool) -> None:
        """`console`: for people to read, with `colors` on a terminal; otherwise JSON."""
        self._redactor = redactor
        self._console = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False) if console else None

    def __call__(self, logger: object, method: str, event: MutableMapping[str, object]) -> str:
        """Return the event as text. An event that cannot be rendered is replaced, not lost."""
        try:
            return self._line(logger, method, self._plain(event))
        except Exception:  # noqa: BLE001 - a value with a broken method must not stop the archiver
            kept = {key: str(event[key]) for key in ("timestamp", "level", "logger") if key in event}
            return self.unprintable(kept)

    def unprintable(self, kept: dict[str, str]) -> str:
        """Return the line that stands for an event that cannot be rendered; `kept` is what is known to be harmless."""
        return self._line(None, kept.get("level", "error"), {**kept, "event": _UNPRINTABLE})

    def _plain(self, event: MutableMapping[str, object]) -> dict[str, Plain]:
        own = {key: str(event[key]) for key in _OWN if key in event}  # set by our own processors
        fields = {key: value for key, value in event.items() if key not in _OWN and key not in _INSTEAD}
        ordered = {"event": fields.pop("event", ""), **fields}
        plain: dict[str, Plain] = {**own, **self._redactor.event(ordered)}
        error = _error_of(event.get("exc_info"))
        if error is not None:
            plain["exception"] = render(error, self._redactor.text)
        return plain

    def _line(self, logger: object, method: str, plain: dict[str, Plain]) -> str:
        if self._console is None:
            return json.dumps(plain)
        return str(self._console(logger, method, dict(plain)))


class Writer:
    """Writes whole lines. A full disk or a closed pipe loses the line: the archive goes on."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, which stays the caller's to close."""
        self._stream = stream
        self._lock = Lock()

    def msg(self, line: str) -> None:
        """Write one line and flush it."""
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except UnicodeError:
            self.msg(line.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):  # ValueError: the stream is closed
            return

    debug = info = warning = warn = error = critical = exception = fatal = failure = log = msg


def _error_of(given: object) -> BaseException | None:
    """Return the exception that `exc_info` stands for: itself, a triple of sys.exc_info(), or true for the current."""
    if isinstance(given, tuple):
        given = given[1]
    elif given and not isinstance(given, BaseException):
        given = sys.exc_info()[1]
    return given if isinstance(given, BaseException) else None
