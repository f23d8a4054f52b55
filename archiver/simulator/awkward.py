"""An account in which everything goes wrong that goes wrong in the field: for the demonstration."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from archiver.simulator.account import DIRECTIONS, Account, SimRecording, fictional_number, shuffled_ids
from archiver.simulator.audio import BYTES_PER_MS
from archiver.simulator.faults import CutAfter, Fault, Html, JsonError, Operation, Status, Truncate

_DAYS = 45
_SIZES = (20_000, 200_000)  # bytes: 5 to 50 seconds of talk
_LATE_BY_DOWNLOADS = 20
_EXTENSIONS: tuple[tuple[int | str, ...], ...] = (("2101",), (2102,), ("2103", "2104"), (3105,), ("0417",))
_LEAST = 20  # below this the oddities would not find a recording each


def awkward(count: int = 300, *, seed: int = 1, now: datetime) -> Account:
    """Make `count` recordings of the 45 days before `now`, and script what goes wrong with some of them.

    The first are old enough for a retention of 30 days, `late` is of yesterday. Raises ValueError below 20.
    """
    if count < _LEAST:
        raise ValueError(f"an awkward account needs at least {_LEAST} recordings")
    random = Random(seed)  # noqa: S311 - the same account every time, not a secret
    ids = shuffled_ids(count, random)
    begin = (now - timedelta(days=_DAYS)).replace(microsecond=0)
    step = timedelta(days=_DAYS) / (count + 1)
    recordings = [_call(number, begin + (place + 1) * step, random) for place, number in enumerate(ids)]
    oddities = _make_odd(recordings, now)
    return Account(recordings=tuple(recordings), faults=_faults(oddities), oddities=oddities)


def _call(number: int, start: datetime, random: Random) -> SimRecording:
    size = random.randint(*_SIZES)
    caller = fictional_number(random)
    return SimRecording(
        id=number,
        start=start.replace(microsecond=0),
        size=size,
        duration_ms=size // BYTES_PER_MS,
        direction=random.choice(DIRECTIONS),
        extensions=random.choice(_EXTENSIONS),
        caller_id=int(caller) if caller.isdigit() and caller[0] != "0" else caller,
        cnam=random.choice((None, f"CALLER {number % 1000}")),
    )


def _make_odd(recordings: list[SimRecording], now: datetime) -> dict[str, int]:
    """Change some recordings in place; return which ones, by what is odd about them."""
    old = len(recordings) // 10  # well before the last 30 days
    same_second = recordings[old].start
    for place in range(old, old + 4):
        recordings[place] = replace(recordings[place], start=same_second)
    for place in (old + 4, -3):
        recordings[place] = replace(recordings[place], file_name="recording.mp3")
    recordings[old + 5] = replace(recordings[old + 5], listed_size=recordings[old + 5].size + 1_234)
    yesterday = (now - timedelta(hours=26)).replace(microsecond=0)
    recordings[-1] = replace(recordings[-1], start=yesterday, after_downloads=_LATE_BY_DOWNLOADS)
    places = {
        "same_second": old,
        "repeated_file_name": old + 4,
        "size_disagrees": old + 5,
        "html_always": old + 6,
        "html_once": 0,
        "cut_once": 1,
        "throttled": -2,
        "repeated_file_name_again": -3,
        "unavailable_once": -4,
        "short_once": -5,
        "json_once": -6,
        "late": -1,
    }
    return {name: recordings[place].id for name, place in places.items()}


def _faults(odd: dict[str, int]) -> tuple[Fault, ...]:
    audio = Operation.AUDIO
    return (
        Fault(on=Operation.LIST, do=Status(429, retry_after=1), after=1),
        Fault(on=Operation.LIST, do=Status(503), after=2),
        Fault(on=audio, do=Status(429, retry_after=1), recording=odd["throttled"]),
        Fault(on=audio, do=Status(503), recording=odd["unavailable_once"]),
        Fault(on=audio, do=CutAfter(10_000), recording=odd["cut_once"]),
        Fault(on=audio, do=Truncate(10_000), recording=odd["short_once"]),
        Fault(on=audio, do=Html(), recording=odd["html_once"]),
        Fault(on=audio, do=JsonError(content_type="audio/mpeg"), recording=odd["json_once"]),
        Fault(on=audio, do=Html(content_type="audio/mpeg"), recording=odd["html_always"], times=None),
    )
