"""Which calls a policy, or a legal hold, is about.

What the source left out may decide either way, so a match is yes, maybe or no. Whoever asks takes the safe
side: only a sure match permits a deletion or an exclusion, a possible one is enough to delay or forbid it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from enum import IntEnum
from functools import lru_cache
from typing import Final, Protocol

from archiver.core.duration import Duration

DIRECTIONS: Final = ("INBOUND", "OUTBOUND", "INTRA_PBX")  # all that the source documents
_ADDRESS = re.compile(r"^(tel|sips?):|[@;].*$")  # what stands around a number in an address
_INTERNATIONAL = 10  # digits: 00 before fewer is no prefix of another country


class Call(Protocol):
    """What can be asked about a recording: `Recording` and `Candidate` both answer."""

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    @property
    def start(self) -> datetime:
        """When the call began, aware."""
        ...

    @property
    def duration_ms(self) -> int | None:
        """Length of the call in milliseconds."""
        ...

    @property
    def direction(self) -> str | None:
        """As the source says it; None when it does not."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]:
        """Extensions that took part; empty when the source names none."""
        ...

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """Recording rules of the source that caught the call; empty when it names none."""
        ...

    @property
    def caller_id(self) -> str | None:
        """The caller's number, as text."""
        ...

    @property
    def dnis(self) -> str | None:
        """The called number, as text."""
        ...

    @property
    def cnam(self) -> str | None:
        """The caller's name."""
        ...


class Fit(IntEnum):
    """How surely a rule is about a call. The smallest of several rules counts."""

    NO = 0
    MAYBE = 1  # the source left out, or garbled, what the rule asks for
    YES = 2


Test = Callable[[Call], Fit]


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day: from `since`, itself included, to `until`, itself not; over midnight where that is earlier."""

    since: time
    until: time  # 00:00 is the end of the day

    def covers(self, moment: time) -> bool:
        """Whether the time of day lies in it."""
        if self.since < self.until:
            return self.since <= moment < self.until
        return moment >= self.since or moment < self.until


@dataclass(frozen=True, slots=True)
class Dates:
    """Days of call starts, both included. None: no bound."""

    since: date | None = None
    until: date | None = None

    def covers(self, day: date) -> bool:
        """Whether the day lies in them."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which calls are meant; an empty rule is about all. All rules must fit; one value of a rule is enough.

    In patterns * is any text and ? one character. Numbers and names are compared without regard to their spelling.
    Times of day and dates are those of the start of the call in `zone`.
    """

    accounts: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()  # patterns
    directions: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()  # patterns
    dnis: tuple[str, ...] = ()  # patterns
    numbers: tuple[str, ...] = ()  # patterns: of the caller's or the called number
    cnam: tuple[str, ...] = ()  # patterns
    rule_ids: tuple[str, ...] = ()
    min_duration: Duration | None = None  # both included; without years and months
    max_duration: Duration | None = None
    hours: Hours | None = None
    dates: Dates | None = None
    zone: tzinfo = UTC
    _static: tuple[Test, ...] = field(init=False, repr=False, compare=False)  # about what has few values
    _varying: tuple[Test, ...] = field(init=False, repr=False, compare=False)  # about what each call has its own of

    def __post_init__(self) -> None:
        """Prepare the rules that ask something: a match is made once and asked a million times."""
        object.__setattr__(self, "_static", tuple(_static_tests(self)))
        object.__setattr__(self, "_varying", tuple(_varying_tests(self)))

    def fits(self, call: Call) -> Fit:
        """Return how surely the call is meant."""
        return self.fits_varying(call, self.fits_static(call))

    def fits_static(self, call: Call) -> Fit:
        """Return the same as far as account, direction, extensions and rules of the source tell."""
        return _worst(call, self._static, Fit.YES)

    def fits_varying(self, call: Call, static: Fit) -> Fit:
        """Return the same for the rest, where the former is known."""
        return static if static is Fit.NO else _worst(call, self._varying, static)

    @property
    def varies(self) -> bool:
        """Whether `fits_varying` asks anything."""
        return bool(self._varying)

    @property
    def asks_nothing(self) -> bool:
        """Whether every call is meant."""
        return not self._static and not self._varying


def number(text: str) -> str:
    """Return a number, or a pattern of numbers, without its spelling: `+91 (22) 5550-100` as `91225550100`.

    The same number is also written `tel:+9122…`, `sip:+9122…@host`, `0091 22 …`, or in other digits than 0 to 9.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _ADDRESS.sub("", plain.strip()).replace("(0)", "")
    kept = "".join(_digit(char) for char in plain if char.isalnum() or char in "*?")
    abroad = kept.startswith("00") and (len(kept) >= _INTERNATIONAL or "*" in kept)
    return kept[2:] if abroad else kept


def _digit(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else char


def name(text: str) -> str:
    """Return a name, or a pattern of names, without regard to capitals, blanks and the way accents are encoded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _worst(call: Call, tests: tuple[Test, ...], so_far: Fit) -> Fit:
    for test in tests:
        fit = test(call)
        if fit is Fit.NO:
            return fit
        if fit is Fit.MAYBE:
            so_far = fit
    return so_far


def _static_tests(match: Match) -> Iterator[Test]:
    """Give a test for each rule that asks something, the cheapest first."""
    if match.accounts:
        yield _account(frozenset(match.accounts))
    if match.directions:
        yield _direction(frozenset(match.directions))
    if match.extensions:
        fits = _compiled(match.extensions).fullmatch
        yield lambda call: _any_of(call.extensions, fits)
    if match.rule_ids:
        rules = frozenset(match.rule_ids).__contains__
        yield lambda call: _any_of(call.rule_ids, rules)


def _varying_tests(match: Match) -> Iterator[Test]:
    if match.min_duration or match.max_duration:
        yield _length(match.min_duration, match.max_duration)
    yield from _number_tests(match)
    if match.cnam:
        named = _compiled(tuple(map(name, match.cnam))).fullmatch
        yield lambda call: _of_one(None if call.cnam is None else name(call.cnam), named)
    if match.hours or match.dates:
        yield _when(match.hours or Hours(time.min, time.min), match.dates or Dates(), match.zone)


def _number_tests(match: Match) -> Iterator[Test]:
    if match.callers:
        calling = _numbers(match.callers)
        yield lambda call: _of_number(call.caller_id, calling)
    if match.dnis:
        called = _numbers(match.dnis)
        yield lambda call: _of_number(call.dnis, called)
    if match.numbers:
        either = _numbers(match.numbers)
        yield lambda call: max(_of_number(call.caller_id, either), _of_number(call.dnis, either))


def _account(known: frozenset[str]) -> Test:
    return lambda call: Fit.YES if call.account in known else Fit.NO


def _direction(known: frozenset[str]) -> Test:
    def test(call: Call) -> Fit:
        if call.direction in known:
            return Fit.YES
        return Fit.NO if call.direction in DIRECTIONS else Fit.MAYBE

    return test


def _length(least: Duration | None, most: Duration | None) -> Test:
    shortest = least.total_seconds * 1000 if least else 0
    longest = most.total_seconds * 1000 if most else None

    def test(call: Call) -> Fit:
        milliseconds = call.duration_ms
        if not shortest and longest is None:
            return Fit.YES
        if milliseconds is None or milliseconds < 0:
            return Fit.MAYBE
        return Fit.NO if milliseconds < shortest or (longest is not None and milliseconds > longest) else Fit.YES

    return test


def _when(hours: Hours, dates: Dates, zone: tzinfo) -> Test:
    def test(call: Call) -> Fit:
        there = call.start.astimezone(zone)
        return Fit.YES if hours.covers(there.time()) and dates.covers(there.date()) else Fit.NO

    return test


def _any_of(values: Iterable[str], fits: Callable[[str], object]) -> Fit:
    known = [value for value in values if value]
    if not known:
        return Fit.MAYBE
    return Fit.YES if any(fits(value) for value in known) else Fit.NO


def _of_one(value: str | None, fits: Callable[[str], object]) -> Fit:
    if not value:
        return Fit.MAYBE
    return Fit.YES if fits(value) else Fit.NO


def _of_number(value: str | None, fits: Callable[[str], object]) -> Fit:
    return _of_one(None if value is None else number(value), fits)


def _numbers(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return _compiled(tuple(map(number, patterns))).fullmatch


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_wild, patterns)), re.DOTALL)


def _wild(pattern: str) -> str:
    """Write a pattern as an expression that never goes back over what a * has taken: names come from callers."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", pattern).split("*"))
    if not others:
        return first
    return first + "".join(f"(?>.*?{part})" for part in others[:-1]) + f".*{others[-1]}"
