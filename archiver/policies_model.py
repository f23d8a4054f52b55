"""The shape of the policies file, key by key, as pydantic models; the docstrings become its JSON Schema."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from archiver.core import duration
from archiver.core.duration import Duration, never_shorter
from archiver.core.policy import NEVER, Deletion, Match, Mode, Policy
from archiver.validation import DurationText, closest, read_duration

_CENTURY_MONTHS = 1_200
_ALL = 100  # percent
_MONTH_SECONDS = 2_629_746  # the Gregorian average: good enough to tell the absurd

_Item = TypeVar("_Item")


def _sane(value: Duration) -> Duration:
    if value.total_months * _MONTH_SECONDS + value.total_seconds > _CENTURY_MONTHS * _MONTH_SECONDS:
        msg = "is longer than 100 years"
        raise ValueError(msg)
    return value


def _fixed(value: Duration) -> Duration:
    value.as_timedelta()
    return value


def _read_source_wait(value: object) -> Duration | Literal["never"]:
    return NEVER if value == NEVER else _sane(read_duration(value))


def _known_mode(value: object) -> str:
    if value == "approve":
        msg = "approve is not available in this version: use disabled or automatic"
        raise ValueError(msg)
    known = [mode.value for mode in Mode]
    if not isinstance(value, str) or value not in known:
        msg = f"must be {' or '.join(known)}" + (closest(value, known) if isinstance(value, str) else "")
        raise ValueError(msg)
    return value


def _percent(value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= float(str(value)) <= _ALL:
        msg = "must be a number from 0 to 100"
        raise ValueError(msg)
    return float(str(value))


def _plain_name(value: str) -> str:
    if not re.fullmatch(_NAME.strip("^$"), value):
        msg = "must be up to 100 letters, digits, - _ or . and begin with a letter or digit"
        raise ValueError(msg)
    return value


def _one_word(value: str) -> str:
    if not re.fullmatch(r"\S{1,100}", value):
        msg = "must be 1 to 100 characters without spaces"
        raise ValueError(msg)
    return value


def _not_empty(value: list[_Item]) -> list[_Item]:
    """Refuse `[]`: the core would read it as all calls, a person as none."""
    if not value:
        msg = "must not be empty: leave the key out if you mean all"
        raise ValueError(msg)
    return value


def _archive_kind(value: object) -> str:
    return "bool" if isinstance(value, bool) else "ArchiveFile"


_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_Name = Annotated[StrictStr, AfterValidator(_plain_name), WithJsonSchema({"type": "string", "pattern": _NAME})]
_Word = Annotated[StrictStr, AfterValidator(_one_word), WithJsonSchema({"type": "string", "pattern": r"^\S{1,100}$"})]
_Wait = Annotated[DurationText, BeforeValidator(lambda value: _sane(read_duration(value)))]
_CallLength = Annotated[DurationText, BeforeValidator(lambda value: _fixed(_sane(read_duration(value))))]
_SourceWait = Annotated[
    Duration | Literal["never"],
    PlainValidator(_read_source_wait),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": duration.PATTERN}, {"const": NEVER}]}),
]
_Asked = Annotated[list[_Item], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
_Mode = Annotated[str, PlainValidator(_known_mode), WithJsonSchema({"enum": [mode.value for mode in Mode]})]
_Percent = Annotated[float, PlainValidator(_percent), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100})]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MatchFile(_File):
    """Which calls the policy is about. A key that is left out asks nothing; all keys must fit."""

    accounts: _Asked[_Word] = []
    """Names of accounts as the main configuration has them."""
    extensions: _Asked[_Word] = []
    """Patterns in quotes: * stands for any text, ? for one character. One extension that fits is enough."""
    directions: _Asked[Literal["INBOUND", "OUTBOUND", "INTRA_PBX"]] = []
    """Directions of the call."""
    min_duration: _CallLength | None = None
    """Shortest call, itself included: 30s, 5m, 1h."""
    max_duration: _CallLength | None = None
    """Longest call, itself included."""

    @model_validator(mode="after")
    def _in_order(self) -> MatchFile:
        if self.min_duration and self.max_duration and not never_shorter(self.max_duration, self.min_duration):
            msg = f"max_duration {self.max_duration} is shorter than min_duration {self.min_duration}: no call fits"
            raise ValueError(msg)
        return self


class SourceFile(_File):
    """What may happen to the recording at the source."""

    delete_after: _SourceWait
    """How long after the end of the call the recording may be deleted at the source, or never."""


class ArchiveFile(_File):
    """How long the archive keeps its copy. Read and checked; nothing in this version deletes from the archive."""

    keep_at_least: _Wait | None = None
    """The floor: the copy is kept at least so long after the end of the call."""
    delete_after: _Wait | None = None
    """The ceiling: the copy is to be gone so long after the end of the call."""

    @field_validator("delete_after")
    @classmethod
    def _not_at_once(cls, value: Duration | None) -> Duration | None:
        if value is not None and not value.total_months and not value.total_seconds:
            msg = "0 would delete every copy at once; to archive nothing say archive: false"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> ArchiveFile:
        if self.keep_at_least and self.delete_after and not never_shorter(self.delete_after, self.keep_at_least):
            msg = (
                f"delete_after {self.delete_after} is, or can be, shorter than keep_at_least {self.keep_at_least}: "
                "the copy would have to go while it must be kept"
            )
            raise ValueError(msg)
        return self


class PolicyFile(_File):
    """One named policy."""

    name: _Name
    """Letters, digits, - _ and . only; unique in the file. Plans and history show it."""
    match: MatchFile = Field(default_factory=MatchFile)
    """Which calls the policy is about; all, when left out."""
    source: SourceFile | None = None
    """Deletion at the source; when left out, the policy neither permits nor forbids it."""
    archive: (
        Annotated[
            Annotated[StrictBool, Tag("bool")] | Annotated[ArchiveFile, Tag("ArchiveFile")],
            Discriminator(_archive_kind),
        ]
        | None
    ) = None
    """Retention in the archive, or false to keep these calls out of it."""

    @model_validator(mode="after")
    def _deletes_only_copies(self) -> PolicyFile:
        if self.archive is False and self.source and self.source.delete_after != NEVER:
            msg = "archive: false and source.delete_after exclude each other: only a recording with a copy is deleted"
            raise ValueError(msg)
        return self

    def policy(self) -> Policy:
        """Return the policy as the core knows it."""
        kept = self.archive if isinstance(self.archive, ArchiveFile) else ArchiveFile()
        return Policy(
            name=self.name,
            match=Match(
                accounts=tuple(self.match.accounts),
                extensions=tuple(self.match.extensions),
                directions=tuple(self.match.directions),
                min_duration=self.match.min_duration,
                max_duration=self.match.max_duration,
            ),
            source_delete_after=self.source.delete_after if self.source else None,
            archive=True if isinstance(self.archive, ArchiveFile) else self.archive,
            keep_at_least=kept.keep_at_least,
            delete_after=kept.delete_after,
        )


class DeletionFile(_File):
    """The switch and the caps of deletion at the source."""

    mode: _Mode = "disabled"
    """disabled: nothing is deleted. automatic: every pass deletes what the policies permit."""
    max_per_run: Annotated[StrictInt, Field(ge=0)] = 500
    """A run that would delete more recordings than this deletes none."""
    max_percent: _Percent = 5
    """The same, as a percentage of an account's recordings that are still at the source."""

    def deletion(self) -> Deletion:
        """Return the switch and the caps as the core knows them."""
        # The decimal that was written: the binary fraction of 0.1 is a little more than a tenth.
        percent = Decimal(str(self.max_percent))
        return Deletion(mode=Mode(self.mode), max_per_run=self.max_per_run, max_percent=percent)


class PoliciesFile(_File):
    """The policies file. Every recording is archived unless a policy says archive: false."""

    deletion: DeletionFile = Field(default_factory=DeletionFile)
    """Whether and how much may be deleted at the source."""
    policies: list[PolicyFile] = []
    """The policies, in any order. With none, nothing is ever deleted."""
