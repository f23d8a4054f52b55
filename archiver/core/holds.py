"""Legal holds: cases that keep recordings whatever any policy says, until two people release them.

What a case catches follows from its query and from what is on record about a call, every time that it is asked.
Nothing has to be marked first, so a recording that was listed a second ago is held like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

from archiver.core.clocks import TOLERATED
from archiver.core.match import Call, Dates, Fit, Match

_LISTS = ("accounts", "extensions", "directions", "callers", "dnis", "numbers", "cnam", "rule_ids")


class Listed(Call, Protocol):
    """A call with its place in the record: `Candidate` answers."""

    @property
    def recording_id(self) -> str:
        """The recording's id at the source."""
        ...

    @property
    def listed_at(self) -> datetime:
        """When it was first listed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which recordings a case is about: those that match, and, where ids are named, only of these."""

    ids: tuple[str, ...] = ()
    match: Match = field(default_factory=Match)

    def fits(self, call: Listed) -> Fit:
        """How surely a recording is meant."""
        if self.ids and call.recording_id not in self.ids:
            return Fit.NO
        return self.match.fits(call)

    @property
    def asks_nothing(self) -> bool:
        """Whether every recording is meant."""
        return not self.ids and self.match.asks_nothing

    def as_json(self) -> dict[str, object]:
        """Write the query for the record; `of_json` reads it."""
        asked: dict[str, object] = {name: list(getattr(self.match, name)) for name in _LISTS}
        dates = self.match.dates or Dates()
        asked |= {"since": dates.since and str(dates.since), "until": dates.until and str(dates.until)}
        asked |= {"zone": str(self.match.zone)} if self.match.dates else {}
        return {name: value for name, value in {"ids": list(self.ids), **asked}.items() if value}

    @classmethod
    def of_json(cls, data: Mapping[str, object]) -> Query:
        """Read what `as_json` wrote."""
        lists = {name: tuple(cast("Sequence[str]", data.get(name, ()))) for name in ("ids", *_LISTS)}
        ids = lists.pop("ids")
        dates = Dates(_day(data.get("since")), _day(data.get("until")))
        zone = str(data.get("zone", "UTC"))
        plain = Match(dates=dates if dates != Dates() else None, zone=UTC if zone == "UTC" else ZoneInfo(zone))
        return cls(ids=ids, match=replace(plain, **cast("dict[str, Any]", lists)))


def _day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One case. `future`: calls that begin after it was opened are caught as well."""

    name: str
    reason: str
    author: str
    at: datetime
    query: Query
    future: bool = False
    release_asked_by: str | None = None  # the first of two people
    release_asked_at: datetime | None = None
    release_reason: str | None = None
    released_by: str | None = None  # the second
    released_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it holds anything."""
        return self.released_at is None

    def fits(self, call: Listed) -> Fit:
        """How surely the case is about a recording. A possible one is held like a sure one."""
        # a call that had begun when it was opened may be meant, also where it is listed later: published late, or
        # listed anew because the catalogue was lost. Whoever opens it and whoever lists may have clocks of their own
        known = min(call.start, call.listed_at)
        if not self.open or (not self.future and known > self.at + TOLERATED):
            return Fit.NO
        return self.query.fits(call)


def holding(call: Listed, holds: Iterable[Hold]) -> tuple[str, ...]:
    """Name the cases that hold a recording, in order."""
    return tuple(sorted(hold.name for hold in holds if hold.fits(call) is not Fit.NO))
