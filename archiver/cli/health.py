"""`status --max-age`: whether the archive still moves. One cheap question, for health checks."""

from __future__ import annotations

from datetime import timedelta

from archiver.adapters import database
from archiver.adapters.catalogue_reads import Reads
from archiver.app import now, open_engine
from archiver.cli.common import moment, out, print_json, span
from archiver.core import duration
from archiver.errors import ConfigError, Unreachable
from archiver.settings import Settings


def length(option: str, text: str) -> timedelta:
    """Read a duration of the command line. Raises ConfigError, with months and years too: theirs is not fixed."""
    try:
        return duration.parse(text).as_timedelta()
    except (ValueError, OverflowError) as error:
        msg = f"{option} {text!r}: {error}"
        raise ConfigError(msg) from None


async def tell_freshness(settings: Settings, max_age: timedelta, *, as_json: bool) -> int:
    """Print when work was last done. Returns 0 when that is at most `max_age` ago, else 5."""
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        last = await Reads(engine).last_progress()
    age = None if last is None else now() - last
    fresh = age is not None and age <= max_age
    if as_json:
        seconds = None if age is None else round(age.total_seconds())
        print_json({"fresh": fresh, "last_progress": last, "age_seconds": seconds})
    elif age is None:
        out.print("No pass has done anything yet")
    else:
        out.print(f"Last progress: {moment(last)}, {span(age)} ago")
    return 0 if fresh else Unreachable.exit_code
