"""Cases of legal hold as the command line speaks of them: what they ask for, and what they catch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.candidate_reads import CandidateReads
from archiver.adapters.catalogue_reads import Reads
from archiver.cli.common import moment
from archiver.core.candidates import candidate
from archiver.core.decision import Candidate
from archiver.core.holds import Hold, Query
from archiver.core.match import DIRECTIONS, Dates, Fit, Match
from archiver.core.model import State as Stage
from archiver.errors import ConfigError
from archiver.policies_fields import read_day, read_pattern
from archiver.settings import Settings

MOST = 40  # recordings shown of a case
Texts = list[str] | None


#: Options of `hold add` by the name of what they ask for.
OPTIONS = {
    "ids": "--id", "accounts": "--account", "numbers": "--number", "callers": "--caller", "dnis": "--dnis",
    "cnam": "--cnam", "extensions": "--extension", "directions": "--direction", "rule_ids": "--rule",
}  # fmt: skip
NUMBERS = ("numbers", "callers", "dnis")


def query_of(asked: Mapping[str, Texts], since: str | None, until: str | None, zone: tzinfo) -> Query:
    """Put the options together, by the names of `OPTIONS`. Raises ConfigError for what no call could fit."""
    for one in asked["ids"] or []:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one.strip()):
            raise ConfigError(
                f"--id {one!r} is no id of a recording", hint="ids are given whole; for patterns use --number"
            )
    lists = {
        name: tuple([read_pattern(value, OPTIONS[name], number=name in NUMBERS) for value in values or ()])
        for name, values in asked.items()
    }
    if unknown := sorted(set(lists["directions"]) - set(DIRECTIONS)):
        raise ConfigError(f"--direction {unknown[0]!r} must be one of {', '.join(DIRECTIONS)}")
    first = None if since is None else read_day(since, "--since")
    last = None if until is None else read_day(until, "--until")
    if first and last and last < first:
        raise ConfigError(f"--until {last} is before --since {first}: no call fits")
    match = {name: values for name, values in lists.items() if name != "ids"}
    dates = Dates(first, last) if first or last else None
    return Query(ids=lists["ids"], match=replace(Match(dates=dates, zone=zone), **cast("dict[str, Any]", match)))


@dataclass(slots=True)
class Caught:
    """What a case holds, counted, and the first of them by id."""

    by_state: Counter[str] = field(default_factory=Counter)
    maybe: int = 0
    missing: set[str] = field(default_factory=set)  # ids that the case names and nobody has listed
    ids: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many recordings."""
        return self.by_state.total()

    def note(self, one: Candidate, fit: Fit) -> None:
        """Count one."""
        self.by_state[one.state] += 1
        self.maybe += fit is Fit.MAYBE
        self.missing.discard(one.recording_id)
        if len(self.ids) < MOST:
            self.ids.append(one.recording_id)

    def told(self) -> str:
        """Say it in words."""
        unsure = f" ({self.maybe} of them because the source left out what it asks for)" if self.maybe else ""
        return f"{self.total} recording{'' if self.total == 1 else 's'} on record{unsure}"


async def gather(engine: AsyncEngine, settings: Settings, case: Hold, states: Sequence[Stage] = tuple(Stage)) -> Caught:
    """Count what a case holds."""
    caught = Caught(missing=set(case.query.ids))
    async for one in _all(engine, settings, case, states):
        if (fit := case.fits(one)) is not Fit.NO:
            caught.note(one, fit)
    return caught


async def any_of(engine: AsyncEngine, settings: Settings, case: Hold) -> bool:
    """Whether a case holds anything at all."""
    async for one in _all(engine, settings, case, tuple(Stage)):
        if case.fits(one) is not Fit.NO:
            return True
    return False


async def _all(
    engine: AsyncEngine, settings: Settings, case: Hold, states: Sequence[Stage]
) -> AsyncIterator[Candidate]:
    """Walk what may be meant: the recordings that are named, or else all of the accounts."""
    for identity in dict.fromkeys(case.query.ids):
        for entry in await Reads(engine).find(identity):
            if entry.state in states and entry.state is not Stage.EXPIRED:
                yield candidate(entry)
    if case.query.ids:
        return
    asked = case.query.match.accounts
    for account in settings.accounts:
        if not asked or account.name in asked:
            async for one in CandidateReads(engine).candidates(account.name, states):
                if one.state is not Stage.EXPIRED:  # nothing is left to be held
                    yield one


def about(case: Hold) -> str:
    """Say what a case asks for, in the words of its options."""
    asked = [
        f"{name} {' '.join(value) if isinstance(value, list) else value}"
        for name, value in case.query.as_json().items()
    ]
    return "; ".join([*(asked or ["everything"]), *(["and later ones"] if case.future else [])])


def standing(case: Hold) -> str:
    """Say whether a case holds, and what its release waits for."""
    if case.released_at is not None:
        return f"released {moment(case.released_at)} by {case.release_asked_by} and {case.released_by}"
    if case.release_asked_by is not None:
        return f"open; release asked for by {case.release_asked_by}, a second person must confirm"
    return "open"
