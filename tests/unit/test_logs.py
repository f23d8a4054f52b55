"""What `configure` sets up: formats, levels, the standard library's records, and a logger that never raises."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from archiver import logs
from archiver.errors import ConfigError

LIBRARIES = ("botocore", "httpx", "aiohttp", "apscheduler", "sqlalchemy.engine", "alembic", "somebody.else")


pytest_plugins = ["tests.support.logs"]
pytestmark = pytest.mark.usefixtures("logging_restored")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def configured(level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(format="json", level=level, stream=stream, secrets=())
    return stream


def only_ours() -> None:
    """Take the test runner's own handlers away: they raise on a broken log call."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__.startswith("_pytest")]:
        root.removeHandler(handler)


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_time_level_and_context() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(run_id="r1", account="acme", stage="transfer"):
        structlog.get_logger().info("recording_stored", recording_id="42", size=4096)

    (event,) = events(stream)

    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(event.pop("timestamp")))
    assert event == {
        "level": "info",
        "event": "recording_stored",
        "recording_id": "42",
        "size": 4096,
        "run_id": "r1",
        "account": "acme",
        "stage": "transfer",
    }


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_events_below_the_level_are_left_out(level: str, heard: int) -> None:
    stream = configured(level)
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("tried")

    assert len(events(stream)) == heard


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_are_heard_from_warning_upwards(level: str, library: str) -> None:
    stream = configured(level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(library).log(number, "said")

    expected = ["error"] if level == "error" else ["warning", "error"]
    assert [event["level"] for event in events(stream)] == expected


def test_a_library_that_lowers_its_own_level_is_still_not_heard() -> None:
    stream = configured("debug")
    library = logging.getLogger("sqlalchemy.engine.lowered")
    library.setLevel(logging.DEBUG)

    library.info("SELECT 1")

    assert stream.getvalue() == ""


def test_records_of_libraries_have_the_same_form() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(run_id="r1"):
        logging.getLogger("apscheduler.executors").warning("job %s missed by %d s", "sync", 5)

    (event,) = events(stream)

    assert str(event.pop("timestamp")).endswith("Z")
    assert event == {
        "level": "warning",
        "event": "job sync missed by 5 s",
        "logger": "apscheduler.executors",
        "run_id": "r1",
    }


def test_warnings_are_logged() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert events(stream)[0]["logger"] == "py.warnings"


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("json", io.StringIO, True),
        ("json", Terminal, True),
        ("console", io.StringIO, False),
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
    ],
)
def test_auto_is_for_people_only_on_a_terminal(form: str, stream: type[io.StringIO], *, is_json: bool) -> None:
    output = stream()
    logs.configure(format=form, level="info", stream=output, secrets=())
    structlog.get_logger().info("started", account="acme")

    assert output.getvalue().startswith("{") is is_json
    assert "started" in output.getvalue()
    assert ("\x1b[" in output.getvalue()) is (form != "json" and stream is Terminal)


def test_the_last_configuration_counts_even_for_loggers_that_were_used_before() -> None:
    first = configured()
    log = structlog.get_logger()
    log.info("one")
    second = configured("error")
    log.error("two")
    logging.getLogger("x").error("three")

    assert [event["event"] for event in events(first)] == ["one"]
    assert [event["event"] for event in events(second)] == ["two", "three"]


@pytest.mark.parametrize(("form", "level"), [("xml", "info"), ("json", "trace"), ("json", "INFO")])
def test_another_format_or_level_is_refused(form: str, level: str) -> None:
    with pytest.raises(ConfigError, match="logging must have format"):
        logs.configure(format=form, level=level, stream=io.StringIO(), secrets=())


def test_an_exception_is_type_message_and_frames_with_what_caused_it() -> None:
    stream = configured()
    try:
        try:
            raise KeyError("size")
        except KeyError as error:
            error.add_note("while reading page 3")
            raise ConfigError("the listing is odd") from error
    except ConfigError:
        structlog.get_logger().exception("listing_failed")

    text = str(events(stream)[0]["exception"])

    place = r"  .*tests/unit/test_logs\.py:\d+ in test_an_exception_\w+\n"
    assert re.fullmatch(
        rf"ConfigError: the listing is odd\n{place}caused by:\nKeyError: 'size'\nwhile reading page 3\n{place}",
        text + "\n",
    )


def test_every_member_of_a_group_is_told_and_a_circle_ends() -> None:
    stream = configured()
    first, second = OSError("first"), OSError("second")
    first.__context__, second.__context__ = second, first

    structlog.get_logger().error("failed", exc_info=ExceptionGroup("both", [first, second]))

    text = str(events(stream)[0]["exception"])
    assert text.count("OSError: first") == text.count("OSError: second") == 1
    assert text.startswith("ExceptionGroup: both (2 members)\nmember 1:\nOSError: first")


def test_a_suppressed_cause_is_not_told() -> None:
    stream = configured()
    try:
        try:
            raise OSError("hidden")
        except OSError:
            raise ConfigError("shown") from None
    except ConfigError as error:
        structlog.get_logger().error("failed", exc_info=error)

    assert "hidden" not in stream.getvalue()


class Colour(StrEnum):
    RED = "red"


class Secretive:
    def __repr__(self) -> str:
        return "CANARY"


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        (None, None),
        (True, True),
        (919812345678, 919812345678),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (Colour.RED, "red"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
        (date(2024, 1, 1), "2024-01-01"),
        (timedelta(seconds=1.5), 1.5),
        (Path("/var/lib/x"), "/var/lib/x"),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (b"CANARY", "<6 bytes>"),
        (Secretive(), "<Secretive>"),
        ([1, Secretive()], [1, "<Secretive>"]),
        (("a", "b"), ["a", "b"]),
        ({"n": {"x": Secretive()}}, {"n": {"x": "<Secretive>"}}),
        ({Secretive(): 1}, {"<key>": 1}),
        (OSError("gone"), "OSError: gone"),
    ],
)
def test_values_are_logged_plainly_and_never_by_their_repr(value: object, logged: object) -> None:
    stream = configured()
    structlog.get_logger().info("seen", value=value)

    assert events(stream)[0]["value"] == logged


def test_a_value_that_holds_itself_is_cut_off() -> None:
    stream = configured()
    circle: list[object] = []
    circle.append(circle)
    structlog.get_logger().info("seen", value=circle)

    assert events(stream)[0]["event"] == "seen"


def test_an_event_that_cannot_be_rendered_is_replaced() -> None:
    class Broken(dict[str, object]):
        def items(self) -> None:  # type: ignore[override]
            raise RuntimeError("CANARY")

    stream = configured()
    only_ours()
    structlog.get_logger().error("seen", value=Broken())
    logging.getLogger("broken.library").error("%d CANARY", "CANARY")

    assert [(one["level"], one["event"]) for one in events(stream)] == [("error", "log_event_unprintable")] * 2
    assert events(stream)[1]["logger"] == "broken.library"
    assert all("timestamp" in event for event in events(stream))
    assert "CANARY" not in stream.getvalue()


def test_a_full_disk_or_a_closed_stream_does_not_stop_the_archiver() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        logs.configure(format="auto", level="info", stream=stream, secrets=())
        structlog.get_logger().info("lost")
        logging.getLogger("x").error("lost")

    after = configured()
    structlog.get_logger().info("heard")
    assert len(events(after)) == 1


def test_text_that_the_stream_cannot_encode_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    logs.configure(format="console", level="info", stream=stream, secrets=())
    structlog.get_logger().info("seen", place="Zürich")

    assert b"Z\\xfcrich" in raw.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_control_characters_cannot_reach_a_terminal(form: str) -> None:
    stream = io.StringIO()
    logs.configure(format=form, level="info", stream=stream, secrets=())
    logging.getLogger("x").warning("name\r\x1b[2Jforged\x9b1m")

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", stream.getvalue())
