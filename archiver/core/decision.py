"""What retention is asked about, and what it answers: values and words, no rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from archiver.core.model import Lock, State


class Action(StrEnum):
    """What a decision asks for."""

    KEEP = "keep"
    DELETE_AT_SOURCE = "delete_at_source"
    DELETE_IN_ARCHIVE = "delete_in_archive"
    ERASE = "erase"  # at the source and in the archive, on request


class Reason(StrEnum):
    """Why. A closed set: docs/policies.md explains each, and scripts may rely on them."""

    ALREADY_PURGED = "already_purged"
    PURGE_BEGUN = "purge_begun"
    ALREADY_EXPIRED = "already_expired"
    EXPIRY_BEGUN = "expiry_begun"
    ON_HOLD = "on_hold"
    QUARANTINED = "quarantined"
    EXCLUDED = "excluded"
    NOT_VERIFIED = "not_verified"
    SIZE_DISAGREES = "size_disagrees"
    CLOCK_DOUBT = "clock_doubt"
    NO_POLICY = "no_policy"
    NO_SOURCE_RULE = "no_source_rule"
    NO_CEILING = "no_ceiling"
    MATCH_UNCERTAIN = "match_uncertain"
    SOURCE_NEVER = "source_never"
    ARCHIVE_NEVER = "archive_never"
    INSIDE_FLOOR = "inside_floor"
    CEILING_BELOW_FLOOR = "ceiling_below_floor"
    NOT_YET = "not_yet"
    STILL_AT_SOURCE = "still_at_source"
    NOT_LOCKED = "not_locked"
    LOCKED = "locked"
    COOLING_OFF = "cooling_off"
    DUE = "due"
    ERASURE_REQUESTED = "erasure_requested"


_SENTENCES = {
    Reason.ALREADY_PURGED: "the source no longer has it",
    Reason.PURGE_BEGUN: "its deletion at the source has begun and will be finished",
    Reason.ALREADY_EXPIRED: "the archive no longer has it",
    Reason.EXPIRY_BEGUN: "its deletion in the archive has begun and will be finished",
    Reason.ON_HOLD: "it is on legal hold: {holds}",
    Reason.QUARANTINED: "its bytes and its record disagree: a person must look",
    Reason.EXCLUDED: "a policy keeps it out of the archive, so there is no copy",
    Reason.NOT_VERIFIED: "there is no verified copy in the archive",
    Reason.SIZE_DISAGREES: "its size is not the one that the source listed: a person must clear it",
    Reason.CLOCK_DOUBT: "it was listed or verified later than now: a clock is wrong",
    Reason.NO_POLICY: "no policy is about it",
    Reason.NO_SOURCE_RULE: "no policy that is about it says source.delete_after",
    Reason.NO_CEILING: "no policy that is about it says archive.delete_after",
    Reason.MATCH_UNCERTAIN: "the source left out what a policy asks for, so none permits it for sure",
    Reason.SOURCE_NEVER: "policy {policy} says source.delete_after: never",
    Reason.ARCHIVE_NEVER: "policy {policy} says archive.delete_after: never",
    Reason.INSIDE_FLOOR: "policy {policy} keeps it in the archive at least until {moment}",
    Reason.CEILING_BELOW_FLOOR: "every archive.delete_after about it is below the floor of policy {policy}",
    Reason.NOT_YET: "policy {policy} keeps it until {moment}",
    Reason.STILL_AT_SOURCE: "policy {policy} would let it go since {moment}, but the source still has it",
    Reason.NOT_LOCKED: "the lock that a policy wants is not in place in the bucket",
    Reason.LOCKED: "the bucket holds it under a lock until {moment}",
    Reason.COOLING_OFF: "the policies have changed, and the earlier ones, which keep it, bind until {moment}",
    Reason.DUE: "policy {policy} permits it since {moment}",
    Reason.ERASURE_REQUESTED: "its erasure was requested, and nothing forbids it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the catalogue knows of one recording that the decision needs. Every moment is aware, in UTC."""

    account: str
    recording_id: str
    direction: str | None
    extensions: tuple[str, ...]
    duration_ms: int | None
    start: datetime
    ended_at: datetime  # `Recording.ended_at`
    state: State
    listed_at: datetime  # when it was first listed
    verified_at: datetime | None
    size_disagrees: bool  # the archived size is not the listed one, and nobody has cleared it
    sha256: str | None  # of the archived copy
    size: int | None  # bytes, of the archived copy
    caller_id: str | None = None
    dnis: str | None = None
    cnam: str | None = None
    rule_ids: tuple[str, ...] = ()
    at_source: bool = True  # as far as is known
    lock: Lock | None = None  # as it was last seen in the bucket
    on_hold: bool = False  # the bucket's own legal hold, as it was last set or seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with one recording on one side, and why."""

    action: Action
    reason: Reason
    policy: str | None = None  # the one that decided
    not_before: datetime | None = None  # when this reason ends, or since when the deletion is permitted
    holds: tuple[str, ...] = ()  # cases

    @property
    def sentence(self) -> str:
        """The reason for a person to read."""
        moment = f"{self.not_before:%Y-%m-%d %H:%M:%S} UTC" if self.not_before else ""
        holds = ", ".join(self.holds)
        return _SENTENCES[self.reason].format(policy=self.policy, moment=moment, holds=holds)
