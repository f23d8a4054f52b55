"""What stands in single fields of the policies file: how it is read, and what is refused. Raises ValueError."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StrictStr, WithJsonSchema

from archiver.core import duration
from archiver.core.duration import Duration
from archiver.core.match import Hours
from archiver.core.model import LockMode
from archiver.core.policy import NEVER, Mode, Wait
from archiver.errors import ConfigError
from archiver.validation import DurationText, closest, read_duration

_CENTURY_MONTHS = 1_200
_ALL = 100  # percent
_MONTH_SECONDS = 2_629_746  # the Gregorian average: good enough to tell the absurd
_LONGEST = 100  # characters of a pattern

#: Classes from which a copy can be read at once: what must be restored first can neither be verified nor found.
STORAGE_CLASSES = ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY")

_Item = TypeVar("_Item")


def _sane(value: Duration) -> Duration:
    if value.total_months * _MONTH_SECONDS + value.total_seconds > _CENTURY_MONTHS * _MONTH_SECONDS:
        msg = "is longer than 100 years"
        raise ValueError(msg)
    return value


def _fixed(value: Duration) -> Duration:
    value.as_timedelta()
    return value


def _read_wait(value: object) -> Wait:
    return NEVER if value == NEVER else _sane(read_duration(value))


def _one_of(known: list[str]) -> PlainValidator:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            listed = f"{', '.join(known[:-1])} or {known[-1]}"
            msg = f"must be {listed}" + (closest(value, known) if isinstance(value, str) else "")
            raise ValueError(msg)
        return value

    return PlainValidator(read)


def _read_storage_class(value: object) -> str:
    if value in ("GLACIER", "DEEP_ARCHIVE"):
        msg = "a copy in this class must be restored before it can be read, so it could not be verified or fetched"
        raise ValueError(msg)
    if not isinstance(value, str) or value not in STORAGE_CLASSES:
        msg = f"must be one of {', '.join(STORAGE_CLASSES)}"
        raise ValueError(msg)
    return value


def _percent(value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= float(str(value)) <= _ALL:
        msg = "must be a number from 0 to 100"
        raise ValueError(msg)
    return float(str(value))


def _plain_name(value: str) -> str:
    if not re.fullmatch(NAME.strip("^$"), value):
        msg = "must be up to 100 letters, digits, - _ or . and begin with a letter or digit"
        raise ValueError(msg)
    return value


def _one_word(value: str) -> str:
    if not re.fullmatch(r"\S{1,100}", value) or not value.isprintable():
        msg = "must be 1 to 100 characters without spaces"
        raise ValueError(msg)
    return value


def _line(value: str) -> str:
    if not value.strip() or len(value) > _LONGEST or not value.isprintable():
        msg = "must be 1 to 100 characters on one line"
        raise ValueError(msg)
    return value


def _number(value: str) -> str:
    if not re.search(r"[\w*?]", value):
        msg = "must hold digits, or * or ?"
        raise ValueError(msg)
    return _line(value)


def _not_empty(value: list[_Item]) -> list[_Item]:
    """Refuse `[]`: the core would read it as all calls, a person as none."""
    if not value:
        msg = "must not be empty: leave the key out if you mean all"
        raise ValueError(msg)
    return value


def _clock(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(0 if (hour, minute) == (24, 0) else hour, minute)


def _read_hours(value: object) -> Hours:
    msg = 'must be a time of day in quotes, like "09:00-17:30"; "22:00-06:00" goes over midnight'
    found = re.fullmatch(r"([0-9]{2}:[0-9]{2})\s*-\s*([0-9]{2}:[0-9]{2})", value) if isinstance(value, str) else None
    if found is None or found[1] == found[2] or found[1] == "24:00":
        raise ValueError(msg)
    try:
        return Hours(_clock(found[1]), _clock(found[2]))
    except ValueError:
        raise ValueError(msg) from None


def _read_day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        msg = "must be a day alone, like 2025-03-31"
        raise ValueError(msg) from None


def read_day(text: str, where: str) -> date:
    """Read a day from the command line. Raises ConfigError."""
    try:
        return _read_day(text)
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from None


def read_pattern(text: str, where: str, *, number: bool) -> str:
    """Read a pattern from the command line, as strictly as one of a policy. Raises ConfigError."""
    try:
        return _number(text.strip()) if number else _line(text.strip())
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from None


def read_name(text: str) -> str:
    """Read a name from the command line: as strict as a policy's. Raises ConfigError."""
    try:
        return _plain_name(text)
    except ValueError as error:
        raise ConfigError(f"the name {error}") from None


def read_zone(value: object) -> str:
    """Return the name of a time zone as the IANA database has it. Raises ValueError."""
    if not isinstance(value, str) or value not in available_timezones():
        near = closest(value, available_timezones()) if isinstance(value, str) else ""
        msg = f"is no time zone: write it like Asia/Kolkata or UTC{near}"
        raise ValueError(msg)
    return value


def zone_of(name: str) -> tzinfo:
    """Return the zone with a name."""
    return UTC if name == "UTC" else ZoneInfo(name)


NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
Name = Annotated[StrictStr, AfterValidator(_plain_name), WithJsonSchema({"type": "string", "pattern": NAME})]
Word = Annotated[StrictStr, AfterValidator(_one_word), WithJsonSchema({"type": "string", "pattern": r"^\S{1,100}$"})]
Line = Annotated[StrictStr, AfterValidator(_line), WithJsonSchema({"type": "string", "pattern": r"^.{1,100}$"})]
Number = Annotated[StrictStr, AfterValidator(_number), WithJsonSchema({"type": "string", "pattern": r"^.{1,100}$"})]
Keeping = Annotated[DurationText, BeforeValidator(lambda value: _sane(read_duration(value)))]
FixedLength = Annotated[DurationText, BeforeValidator(lambda value: _fixed(_sane(read_duration(value))))]
WaitOrNever = Annotated[
    Wait,
    PlainValidator(_read_wait),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": duration.PATTERN}, {"const": NEVER}]}),
]
Asked = Annotated[list[_Item], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
ModeText = Annotated[
    str, _one_of([mode.value for mode in Mode]), WithJsonSchema({"enum": [mode.value for mode in Mode]})
]
LockText = Annotated[
    str, _one_of([mode.value for mode in LockMode]), WithJsonSchema({"enum": [mode.value for mode in LockMode]})
]
StorageClass = Annotated[str, PlainValidator(_read_storage_class), WithJsonSchema({"enum": list(STORAGE_CLASSES)})]
Percent = Annotated[float, PlainValidator(_percent), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100})]
HoursText = Annotated[
    Hours, PlainValidator(_read_hours), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d-\d\d:\d\d$"})
]
Day = Annotated[date, PlainValidator(_read_day), WithJsonSchema({"type": "string", "format": "date"})]
ZoneName = Annotated[str, PlainValidator(read_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Kolkata"]})]
