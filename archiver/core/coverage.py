"""The coverage ledger: what the source says about a day, what the archive has of it, and whether that is proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from archiver.core.model import Slice


class Coverage(StrEnum):
    """What is known of a day."""

    PROVED = "proved"  # the source and the catalogue agree, and everything that must be archived is, verified
    UNPROVEN = "unproven"  # no gap is known, but that there is none was not shown
    GAP = "gap"  # something is missing, and has a name on the gap list


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a slice that was read or counted is not proved."""

    window: Slice
    reason: str
    usable: bool = True  # whether the source's totals mean anything there
    lost: int = 0  # recordings that the catalogue expects at the source and the source did not list


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of asking the source about a slice. Without doubts it is proved."""

    run: str  # gaps of the slice that this run has not seen are closed by its reading
    at: datetime
    listed: tuple[Slice, ...]  # where every item was listed; elsewhere only the totals were compared
    doubts: tuple[Doubt, ...] = ()
    settled_before: date | None = None  # earlier days that were listed are settled: their lookback is over
    start_from: datetime | None = None  # nothing is asked for before it: a day that holds it begins with it


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFacts:
    """What the catalogue holds about one day (UTC) of one account. Counts are recordings."""

    account: str
    day: date
    said: int | None  # what the source said it has, when it was last asked; None: nothing usable
    known: int  # ever listed
    verified: int  # a verified copy is in the archive, or was until its policy ended it
    deleted: int  # of those: deleted at the source by the archiver
    excluded: int  # a policy says that they must not be archived
    waiting: int  # listed, not verified yet, and without a gap
    missing: Mapping[str, int] = field(default_factory=dict)  # by kind of gap, explained ones too
    open_gaps: int = 0  # gaps without an explanation
    explained_gaps: int = 0
    checked_at: datetime | None = None  # the source was last asked about the whole day
    proved_at: datetime | None = None  # and its answer agreed with the catalogue
    settled_at: datetime | None = None  # listed once more when its lookback was over
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class DayRow:
    """One line of the ledger: the facts, and what they are worth."""

    facts: DayFacts
    state: Coverage
    reason: str


def judge_day(facts: DayFacts) -> DayRow:
    """Say what a day's facts are worth. An explained gap stays a gap: the call is not there."""
    if facts.open_gaps or facts.explained_gaps:
        return DayRow(facts, Coverage.GAP, _gap_reason(facts))
    if facts.doubt is not None:
        return DayRow(facts, Coverage.UNPROVEN, facts.doubt)
    if facts.checked_at is None or facts.proved_at is None:
        return DayRow(facts, Coverage.UNPROVEN, "not compared with the source yet")
    if left := facts.known - facts.verified - facts.excluded:
        return DayRow(facts, Coverage.UNPROVEN, f"{left} not archived yet")
    return DayRow(facts, Coverage.PROVED, "")


def _gap_reason(facts: DayFacts) -> str:
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(facts.missing.items()) if count)
    explained = "explained: " if not facts.open_gaps else ""
    return explained + (found or facts.doubt or "see the gap list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over days. `percent` is None where there was nothing to archive."""

    days: Mapping[Coverage, int]
    known: int
    verified: int
    excluded: int
    waiting: int
    missing: int
    percent: float | None


def total(rows: Iterable[DayRow]) -> Totals:
    """Sum days up. Coverage: verified copies for each hundred calls that the source ever said or listed.

    Calls that a policy excludes do not count; calls that are claimed and not listed do, and so does every explained
    gap: an explanation is no copy.
    """
    listed = list(rows)
    facts = [row.facts for row in listed]
    known, verified = sum(one.known for one in facts), sum(one.verified for one in facts)
    excluded = sum(one.excluded for one in facts)
    beyond = sum(sum(one.missing.get(kind, 0) for kind in ("unlisted", "malformed")) for one in facts)
    wanted = known - excluded + beyond
    return Totals(
        days={state: sum(row.state is state for row in listed) for state in Coverage},
        known=known,
        verified=verified,
        excluded=excluded,
        waiting=sum(one.waiting for one in facts),
        missing=sum(sum(one.missing.values()) for one in facts),
        percent=100 * verified / wanted if wanted else None,
    )


def in_percent(value: float | None) -> str:
    """Write a percentage so that only a whole archive reads 100 %: 99.996 is cut to 99.99, never rounded up."""
    return "-" if value is None else f"{int(value * 100) / 100:.2f} %"
