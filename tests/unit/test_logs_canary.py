"""Secrets and people's data, put into every kind of error that a neighbour can raise, never reach the log."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable

import boto3
import httpx
import psycopg
import pydantic
import pytest
import sqlalchemy
import structlog
from botocore.exceptions import ClientError
from sqlalchemy.exc import DBAPIError

from archiver import logs
from tests.support.settings import changed, load_document

pytest_plugins = ["tests.support.logs"]
pytestmark = pytest.mark.usefixtures("logging_restored")

TOKEN, PASSWORD = "tok-CanaryToken-4711", "Canary/P@ss%w0rd9"
PHONE, NAME = "+91 98765 43210", "Canary Sharma"
TRACES = ("CanaryToken", "P@ss", "P%40ss", "w0rd9", "98765", "43210", "Sharma", "Canary")


class Row(pydantic.BaseModel):
    cnam: int
    token: str = pydantic.Field(max_length=3)


def from_pydantic() -> None:
    Row.model_validate({"cnam": NAME, "token": TOKEN})


def from_pydantic_with_a_long_value() -> None:
    Row.model_validate({"cnam": f"{NAME} " * 20, "token": TOKEN * 5})


def from_sqlalchemy() -> None:
    """A real engine: the message names every parameter of the statement."""
    engine = sqlalchemy.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            statement = sqlalchemy.text("select * from absent where caller_id = :caller and cnam = :name and t = :t")
            connection.execute(statement, {"caller": PHONE, "name": NAME, "t": TOKEN})
    finally:
        engine.dispose()


def from_sqlalchemy_many() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            rows = [{"a": PHONE, "b": f"{NAME}\n{PASSWORD}"} for _ in range(30)]
            connection.execute(sqlalchemy.text("insert into absent values (:a, :b)"), rows)
    finally:
        engine.dispose()


def from_psycopg() -> None:
    raise psycopg.errors.InvalidTextRepresentation(f'invalid input syntax for type integer: "{NAME} {PHONE}"')


def from_psycopg_through_sqlalchemy() -> None:
    detail = f"DETAIL:  Failing row contains (1, {NAME},\n{PHONE}, {TOKEN})."
    original = psycopg.errors.CheckViolation(f"new row violates check constraint\n{detail}")
    raise DBAPIError("insert into recordings values (%(a)s)", {"a": NAME}, original)


def from_httpx_status() -> None:
    url = httpx.URL("https://api.example.com/list", params={"caller_id": PHONE, "cnam": NAME, "access_token": TOKEN})
    request = httpx.Request("GET", url, headers={"Authorization": f"Bearer {TOKEN}"})
    httpx.Response(403, request=request).raise_for_status()


def from_httpx_url() -> None:
    httpx.Request("GET", f"https://user:{PASSWORD}@api.example.com:port/")


def from_httpx_protocol() -> None:
    raise httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}\\n'")


def from_botocore_parameters() -> None:
    client = boto3.client("s3", region_name="x", aws_access_key_id="x", aws_secret_access_key="x")
    client.put_object(Bucket=f"{NAME} {PHONE} {TOKEN}", Key="k", Body=b"")


def from_botocore_answer() -> None:
    answer = {"Code": "AccessDenied", "Message": f"{NAME} may not read {PHONE} with {TOKEN}"}
    raise ClientError({"Error": answer, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")  # type: ignore[typeddict-item]


def from_python() -> None:
    int(NAME)


def from_unicode() -> None:
    f"{NAME}\xff".encode("ascii")


def from_a_mapping() -> None:
    dict[str, int]()[NAME]


def from_one_of_our_own() -> None:
    raise RuntimeError(f"login with password={PASSWORD} and {TOKEN} for caller {PHONE} failed, cnam={NAME!r}")


FAILURES = [value for name, value in sorted(globals().items()) if name.startswith("from_")]
LEVELS = ["debug", "info", "warning", "error", "critical"]


@pytest.fixture(params=["json", "console", "auto"])
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> io.StringIO:
    """What was logged. The secrets are those of a configuration, as the daemon would give them."""
    document = changed("accounts[0].auth", {"token": TOKEN})
    document["database"] = {"url": "postgresql://archiver@db/archiver", "password": PASSWORD}
    settings = load_document(tmp_path_factory.mktemp("config"), document)
    output = io.StringIO()
    logs.configure(format=request.param, level="debug", stream=output, secrets=settings.secrets())
    return output


def assert_clean(stream: io.StringIO, *, lines: int) -> None:
    text = re.sub(r":\d\d\.\d{6}", "", stream.getvalue())  # the time: its digits may be any
    assert len(text.splitlines()) >= lines, "the canary must have been given something to sing about"
    assert [trace for trace in TRACES if trace in text.replace("[redacted]", "")] == []


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_no_error_of_a_neighbour_tells(stream: io.StringIO, fail: Callable[[], None]) -> None:
    log = structlog.get_logger()
    try:
        try:
            fail()
        except Exception as cause:
            cause.add_note(f"note: {PHONE} {TOKEN}")
            raise OSError(f"while calling {PHONE}") from cause
    except OSError as error:
        for level in LEVELS:
            getattr(log, level)("tried", error=error, cause=error.__cause__, nested={"errors": [error.__cause__]})
            getattr(log, level)("failed", exc_info=error)
        logging.getLogger("library").exception("it failed")
        logging.getLogger("library").exception("it said %s", PHONE, exc_info=ExceptionGroup("g", [error]))
    else:
        pytest.fail("nothing was raised")

    assert_clean(stream, lines=2 * len(LEVELS) + 2)


@pytest.mark.parametrize("level", LEVELS)
def test_no_event_tells_at_any_level(stream: io.StringIO, level: str) -> None:
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(username=NAME, detail=f"{PHONE}", run_id="r1"):
        getattr(log, level)(
            "event_seen",
            token=TOKEN,
            caller_id=PHONE,
            cnam=NAME,
            dnis=PHONE,
            extensions=[PHONE],
            file_name=f"{NAME}.mp3",
            raw={"cnam": NAME},
            error=f"caller {PHONE} used {TOKEN}",
            url=f"https://h/x?cnam={NAME.replace(' ', '%20')}&caller_id={PHONE.replace('+', '%2B').replace(' ', '')}",
            headers={"Authorization": f"Bearer {TOKEN}", "Cookie": NAME},
            pairs=[("authorization", TOKEN), ("x", PHONE)],
            secrets={TOKEN: PASSWORD, PHONE: 1},
            deep=[{"a": ({"b": [TOKEN, PASSWORD]},)}],
            row=Row.model_construct(cnam=1, token=NAME),
        )
        getattr(log, level)(f"said {PASSWORD} to {PHONE}")
        getattr(log, level)("said %s", TOKEN)

    assert_clean(stream, lines=3)


@pytest.mark.parametrize("library", ["botocore.auth", "httpx", "sqlalchemy.engine.Engine", "aiohttp.client", "asyncio"])
def test_no_library_tells_at_any_level(stream: io.StringIO, library: str) -> None:
    logger = logging.getLogger(library)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(level, "Authorization: Bearer %s for %s\n{'cnam': %r}", TOKEN, PHONE, NAME)
        logger.log(level, "future: <Task exception=ValueError('%s')>", NAME)
        logger.log(level, "[generated in 0.001s] {'password': '%s'}", PASSWORD)

    assert_clean(stream, lines=9)


def test_the_canary_would_be_heard_without_the_redaction() -> None:
    """The traces are really in these errors: otherwise the tests above would prove nothing."""
    silent = [fail for fail in FAILURES if not any(trace in message_of(fail) for trace in TRACES)]

    assert silent == []


def message_of(fail: Callable[[], None]) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it raises
        fail()
    return f"{caught.value!s} {caught.value!r}"
