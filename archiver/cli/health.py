"""`status --check` and `status --max-age`: whether the archive does its work, for health checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog

from archiver.adapters import database
from archiver.adapters.catalogue_reads import Reads
from archiver.app import now, open_engine, shared_quota
from archiver.cli.common import State, complain, echo, moment, out, print_json, run, span
from archiver.core import duration
from archiver.core.health import AccountFacts, Cause, Level, Limits
from archiver.errors import ArchiverError, ConfigError, Unreachable
from archiver.settings import Settings
from archiver.watch.look import Look, blind, limits_of, look

log = structlog.get_logger()


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


def run_check(state: State, *, as_json: bool) -> int:
    """Print how the archive does in one line. Returns a Nagios plugin's exit code: 3 where it cannot be told."""
    try:
        settings = state.settings(quiet=True)
        found = run(_look(settings))
    except ArchiverError as error:  # a configuration that does not load, say
        complain(error)
        if as_json:
            print_json({"status": "unknown", "message": str(error)})
        else:
            echo(f"ARCHIVER UNKNOWN - {_plain(str(error))}\n")
        return Level.UNKNOWN
    except Exception as error:
        log.exception("bug")
        echo(f"ARCHIVER UNKNOWN - a bug ({type(error).__name__})\n")
        return Level.UNKNOWN
    if as_json:
        print_json(found.as_document())
    else:
        figures = " ".join(_figures(found, limits_of(settings)))
        echo(f"ARCHIVER {found.level.name} - {_told(found)}{figures and ' | '}{figures}\n")
    return found.level


async def _look(settings: Settings) -> Look:
    async with open_engine(settings) as engine:
        quotas = {account.name: shared_quota(account, engine) for account in settings.accounts}
        try:
            return await look(settings, engine, quotas, now())
        except ArchiverError as error:
            return blind(Cause.CATALOGUE, error, now())


def _told(found: Look) -> str:
    """Say what is wrong, the worst first; else when the last passes were good. No `|`: figures begin behind one."""
    if not found.reasons:
        oldest = min((one.good_pass for one in found.accounts if one.good_pass is not None), default=found.at)
        count = len(found.accounts)
        return f"{count} account{'s' * (count != 1)}, every one passed well in the last {span(found.at - oldest)}"
    told = (f"{one.account + ': ' if one.account else ''}{one.message}{_age(one.age)}" for one in found.reasons)
    return _plain("; ".join(told))


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _age(age: timedelta | None) -> str:
    return "" if age is None else f" ({span(age)})"


def _figures(found: Look, limits: Limits) -> Iterator[str]:
    """Performance data, each as name=value and unit; then where it is a warning, and where critical."""
    for one in found.accounts:
        yield f"{one.account}_archived_bytes={one.bytes}B"
        yield f"{one.account}_open_gaps={sum(one.gaps.values())}"
        yield from _since(found.at, one, limits)


def _since(at: datetime, one: AccountFacts, limits: Limits) -> Iterator[str]:
    if one.watermark is not None:
        yield f"{one.account}_lag={_whole(at - one.watermark)}s"
    aged = {
        "last_good_pass": (one.good_pass, limits.last_pass),
        "oldest_pending": (one.oldest_pending, limits.pending),
    }
    for name, (since, limit) in aged.items():
        if since is not None:
            yield f"{one.account}_{name}={_whole(at - since)}s;{_whole(limit / 2)};{_whole(limit)}"


def _whole(value: timedelta) -> int:
    return round(value.total_seconds())
