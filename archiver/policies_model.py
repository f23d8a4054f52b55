"""The shape of the policies file, key by key, as pydantic models; the docstrings become its JSON Schema."""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    field_validator,
    model_validator,
)

from archiver.core.duration import Duration, never_shorter, never_shorter_anywhere
from archiver.core.match import Dates, Match
from archiver.core.model import LockMode
from archiver.core.policy import NEVER, Caps, Deletion, Mode, Policy, Wait
from archiver.policies_fields import (
    Asked,
    Day,
    FixedLength,
    HoursText,
    Keeping,
    Line,
    LockText,
    ModeText,
    Name,
    Number,
    Percent,
    StorageClass,
    WaitOrNever,
    Word,
    ZoneName,
)


def _archive_kind(value: object) -> str:
    return "bool" if isinstance(value, bool) else "ArchiveFile"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DatesFile(_File):
    """Days of the call's start in the file's zone, both included."""

    since: Annotated[Day | None, Field(alias="from")] = None
    """The first day."""
    until: Day | None = None
    """The last day."""

    @model_validator(mode="after")
    def _in_order(self) -> DatesFile:
        if self.since is None and self.until is None:
            msg = "needs from, until, or both"
            raise ValueError(msg)
        if self.since and self.until and self.until < self.since:
            msg = f"until {self.until} is before from {self.since}: no call fits"
            raise ValueError(msg)
        return self


class MatchFile(_File):
    """Which calls the policy is about. A key that is left out asks nothing; all keys must fit."""

    accounts: Asked[Word] = []
    """Names of accounts as the main configuration has them."""
    extensions: Asked[Word] = []
    """Patterns in quotes: * stands for any text, ? for one character. One extension that fits is enough."""
    directions: Asked[Literal["INBOUND", "OUTBOUND", "INTRA_PBX"]] = []
    """Directions of the call."""
    callers: Asked[Number] = []
    """Patterns of the caller's number; +, blanks, dots, dashes and brackets do not count."""
    dnis: Asked[Number] = []
    """Patterns of the number that was called, read like callers."""
    cnam: Asked[Line] = []
    """Patterns of the caller's name as the source shows it; capitals do not count."""
    rule_ids: Asked[Word] = []
    """Ids of the source's recording rules. One that caught the call is enough."""
    min_duration: FixedLength | None = None
    """Shortest call, itself included: 30s, 5m, 1h."""
    max_duration: FixedLength | None = None
    """Longest call, itself included."""
    hours: HoursText | None = None
    """Time of day of the call's start in the file's zone, "09:00-17:30": the end itself not included."""
    dates: DatesFile | None = None
    """Days of the call's start in the file's zone."""

    @model_validator(mode="after")
    def _in_order(self) -> MatchFile:
        if self.min_duration and self.max_duration and not never_shorter(self.max_duration, self.min_duration):
            msg = f"max_duration {self.max_duration} is shorter than min_duration {self.min_duration}: no call fits"
            raise ValueError(msg)
        return self

    def match(self, zone: tzinfo) -> Match:
        """Return the match as the core knows it."""
        lists = ("accounts", "extensions", "directions", "callers", "dnis", "cnam", "rule_ids")
        return Match(
            **{name: tuple(getattr(self, name)) for name in lists},
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            hours=self.hours,
            dates=Dates(self.dates.since, self.dates.until) if self.dates else None,
            zone=zone,
        )


class SourceFile(_File):
    """What may happen to the recording at the source."""

    delete_after: WaitOrNever
    """How long after the end of the call the recording may be deleted at the source, or never."""


class ArchiveFile(_File):
    """How long, and how, the archive keeps its copy."""

    keep_at_least: Keeping | None = None
    """The floor: the copy is kept at least so long after the end of the call."""
    delete_after: WaitOrNever | None = None
    """The ceiling: the copy is to be gone so long after the end of the call; or never."""
    storage_class: StorageClass | None = None
    """S3 storage class that new copies get."""
    lock: LockText | None = None
    """S3 Object Lock, governance or compliance, set until the floor. The bucket must have been made with it."""

    @field_validator("delete_after", "keep_at_least")
    @classmethod
    def _not_at_once(cls, value: Wait | None) -> Wait | None:
        if isinstance(value, Duration) and not value.total_months and not value.total_seconds:
            msg = "0 would keep no copy at all; to archive nothing say archive: false, to ask nothing leave the key out"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> ArchiveFile:
        floor, ceiling = self.keep_at_least, self.delete_after
        if floor and isinstance(ceiling, Duration) and not never_shorter_anywhere(ceiling, floor):
            msg = (
                f"delete_after {ceiling} is, or can be, shorter than keep_at_least {floor}: "
                "the copy would have to go while it must be kept"
            )
            raise ValueError(msg)
        if self.lock and not floor:
            msg = "lock needs keep_at_least: a lock is set until the floor"
            raise ValueError(msg)
        return self


class PolicyFile(_File):
    """One named policy."""

    name: Name
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
        if self.source is None and self.archive is None:
            msg = "says nothing: give it source or archive"
            raise ValueError(msg)
        return self

    def policy(self, zone: tzinfo) -> Policy:
        """Return the policy as the core knows it."""
        kept = self.archive if isinstance(self.archive, ArchiveFile) else ArchiveFile()
        return Policy(
            name=self.name,
            match=self.match.match(zone),
            source_delete_after=self.source.delete_after if self.source else None,
            archive=True if isinstance(self.archive, ArchiveFile) else self.archive,
            keep_at_least=kept.keep_at_least,
            delete_after=kept.delete_after,
            storage_class=kept.storage_class,
            lock=LockMode(kept.lock) if kept.lock else None,
        )


class CapsFile(_File):
    """How much one run may delete. One that would delete more deletes nothing."""

    max_per_run: Annotated[StrictInt, Field(ge=0)] = 500
    """A run that would delete more recordings than this deletes none."""
    max_percent: Percent = 5
    """The same, as a percentage of an account's recordings that are still on that side."""

    def caps(self) -> Caps:
        """Return the caps as the core knows them."""
        # The decimal that was written: the binary fraction of 0.1 is a little more than a tenth.
        return Caps(max_per_run=self.max_per_run, max_percent=Decimal(str(self.max_percent)))


class ArchiveDeletionFile(CapsFile):
    """Deletion in the archive: its own switch and caps. The more careful of both switches holds."""

    mode: ModeText = "approve"
    """disabled: nothing. approve: what an approved plan names. automatic: every pass, where deletion.mode is too."""


class DeletionFile(CapsFile):
    """The switch and the caps of deletion; those of the source stand here, those of the archive below archive."""

    mode: ModeText = "disabled"
    """disabled: nothing is deleted. approve: what an approved plan names. automatic: every pass, by the policies."""
    archive: ArchiveDeletionFile = Field(default_factory=ArchiveDeletionFile)
    """Deletion in the archive."""
    cooling_off: FixedLength = Duration(days=7)
    """After a change of the policies nothing is deleted for so long that the earlier ones would have kept."""
    plan_valid: FixedLength = Duration(days=7)
    """A plan can be applied so long after it was made."""

    @field_validator("plan_valid")
    @classmethod
    def _usable(cls, value: Duration) -> Duration:
        if not value.total_seconds:
            msg = "0 would make every plan worthless"
            raise ValueError(msg)
        return value

    def deletion(self) -> Deletion:
        """Return the switch and the caps as the core knows them."""
        return Deletion(
            mode=Mode(self.mode),
            source=self.caps(),
            archive=self.archive.caps(),
            archive_mode=Mode(self.archive.mode),
            cooling_off=self.cooling_off.as_timedelta(),
            plan_valid=self.plan_valid.as_timedelta(),
        )


class PoliciesFile(_File):
    """The policies file. Every recording is archived unless a policy says archive: false."""

    zone: ZoneName = "UTC"
    """Time zone by whose calendar years, months, days, hours and dates go: Asia/Kolkata, UTC."""
    deletion: DeletionFile = Field(default_factory=DeletionFile)
    """Whether and how much may be deleted."""
    policies: list[PolicyFile] = []
    """The policies, in any order. With none, nothing is ever deleted."""
