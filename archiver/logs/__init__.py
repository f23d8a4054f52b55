"""Logging: structlog events and the standard library's records, as JSON lines or for a terminal, redacted.

Both ways end in one renderer, so nothing can reach the stream past the redaction. Context (run_id, account,
stage, recording_id) is bound with `structlog.contextvars`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from archiver.errors import ConfigError
from archiver.logs.redaction import Redactor
from archiver.logs.rendering import Renderer, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Redactor", "configure"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FORMATS = ("json", "console", "auto")
_LIBRARIES = ("alembic", "aiohttp", "apscheduler", "asyncio", "boto3", "botocore", "httpx", "sqlalchemy", "urllib3")


class _Handler(logging.Handler):
    """Gives records of the standard library to the writer. A record that cannot be formatted is named, not shown."""

    def __init__(self, writer: Writer, renderer: Renderer) -> None:
        super().__init__()
        self._writer, self._renderer = writer, renderer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a library's broken log call must not stop the archiver
            moment = datetime.fromtimestamp(record.created, UTC).isoformat()
            known = {"timestamp": moment, "level": record.levelname.lower(), "logger": record.name}
            line = self._renderer.unprintable(known)
        self._writer.msg(line)


def configure(*, format: str, level: str, stream: TextIO, secrets: Iterable[str]) -> Redactor:  # noqa: A002
    """Send all logging to `stream`; may be called again. Returns the redactor, for text that goes elsewhere.

    `format` is json, console or auto (console on a terminal); `level` debug, info, warning or error. Libraries
    are heard from warning upwards, whatever the level. Raises ConfigError for another format or level.
    """
    if format not in _FORMATS or level not in _LEVELS:
        raise ConfigError(f"logging must have format {' | '.join(_FORMATS)} and level {' | '.join(_LEVELS)}")
    terminal = _is_terminal(stream)
    console = format == "console" or (format == "auto" and terminal)
    redactor = Redactor(secrets)
    renderer = Renderer(redactor, console=console, colors=terminal)
    writer = Writer(stream)
    _configure_structlog(_LEVELS[level], renderer, writer)
    _configure_libraries(max(_LEVELS[level], logging.WARNING), renderer, writer)
    return redactor


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _configure_structlog(level: int, renderer: Renderer, writer: Writer) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,  # loggers of modules outlive a second configure
    )


def _configure_libraries(level: int, renderer: Renderer, writer: Writer) -> None:
    handler = _Handler(writer, renderer)
    handler.setLevel(level)  # on the handler too: a library may lower the level of its own logger
    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if type(one) in (logging.StreamHandler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
