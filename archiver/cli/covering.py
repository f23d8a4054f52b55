"""`coverage`: for each account and day, what the source says, what the archive has, and whether that is proved."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

import typer

from archiver.adapters import database
from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import now, open_engine
from archiver.cli.common import AsJson, State, add, echo, leave, moment, out, print_json, run, show, span, table, words
from archiver.cli.looking import ACCOUNT, read_time
from archiver.core.coverage import Coverage, DayFacts, DayRow, in_percent, total
from archiver.core.gaps import Gap
from archiver.errors import ConfigError
from archiver.settings import Settings

DAYS = 31  # shown where no range is given
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
COLUMNS = ("account", "day", "state", "reason", "source_says", "known", "verified", "deleted_at_source", "excluded",
           "waiting", "missing", "open_gaps", "explained_gaps", "checked_at", "proved_at", "settled_at")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """Which days, of which accounts, and as they were known when."""

    first: date
    last: date
    accounts: tuple[str, ...]
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is known about a range."""

    asked: Range
    rows: Mapping[str, Sequence[DayRow]]
    gaps: Sequence[Gap]

    @property
    def code(self) -> int:
        """3 while a gap is open that nobody has explained."""
        return 3 if any(gap.explanation is None for gap in self.gaps) else 0


def add_to(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(coverage)


def coverage(
    context: typer.Context,
    *,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day, UTC: 2026-01-31.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day; default: today.")] = None,
    account: Annotated[str | None, ACCOUNT] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="As it was known then: 2026-01-31, or with a time.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line for each account and day, as CSV.")] = False,
) -> None:
    """Show for each day whether the archive is proved to have every call. Exit code 3 while a gap is open."""
    if as_json and as_csv:
        raise typer.BadParameter("choose --json or --csv")
    state: State = context.obj
    settings = state.settings(quiet=True)
    asked = chosen(settings, first, last, account, None if as_of is None else read_time("--until", as_of))
    leave(run(_coverage(settings, asked, as_json=as_json, as_csv=as_csv)))


def chosen(
    settings: Settings, first: str | None, last: str | None, account: str | None, as_of: datetime | None = None
) -> Range:
    """Read the options of a range. Raises ConfigError."""
    today = now().date()
    until = today if last is None else _day("--to", last)
    since = until - timedelta(days=DAYS - 1) if first is None else _day("--from", first)
    if since > until:
        raise ConfigError(f"--from {since} lies after --to {until}", hint="the first day comes first")
    names = tuple(one.name for one in settings.accounts)
    if account is not None and account not in names:
        raise ConfigError(f"there is no account {account!r} in the configuration", hint=f"there is: {', '.join(names)}")
    return Range(since, min(until, today), names if account is None else (account,), as_of)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r} is not a day", hint="write it like 2026-01-31; days are UTC") from None


async def _coverage(settings: Settings, asked: Range, *, as_json: bool, as_csv: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        view = await look(CoverageReads(engine), settings, asked)
    if as_json:
        print_json(_document(view))
    elif as_csv:
        echo(_csv(view))
    else:
        show_coverage(view)
    return view.code


async def look(reads: CoverageReads, settings: Settings, asked: Range) -> View:
    """Read a range out of the record. Days that were never listed are unproven, days before the start are left out."""
    rows = {}
    for account in settings.accounts:
        if account.name not in asked.accounts:
            continue
        first = max(asked.first, account.start_from.date())
        if asked.as_of is None:
            known = await reads.days(account.name, first, asked.last)
        else:
            known = await reads.days_as_of(account.name, first, asked.last, asked.as_of)
        days = [first + timedelta(days=number) for number in range((asked.last - first).days + 1)]
        rows[account.name] = [known.get(day) or _unlisted(account.name, day) for day in days]
    return View(asked, rows, await reads.gaps(asked.accounts, asked.first, asked.last, as_of=asked.as_of))


def _unlisted(account: str, day: date) -> DayRow:
    facts = DayFacts(account=account, day=day, said=None, known=0, verified=0, deleted=0, excluded=0, waiting=0)
    return DayRow(facts, Coverage.UNPROVEN, "not listed yet")


def show_coverage(view: View) -> None:
    """Print the days, the sums, and every gap by name."""
    if view.asked.as_of is not None:
        out.print(f"As it was known at {moment(view.asked.as_of)}:")
    for account, rows in view.rows.items():
        if not rows:
            out.print(f"[bold]{account}[/]: nothing is kept of these days: they lie before start_from")
            continue
        _show_days(account, rows)
        sums = total(rows)
        days = ", ".join(f"{count} {state}" for state, count in sums.days.items() if count)
        missing = f", {sums.missing} missing" if sums.missing else ""
        waiting = f", {sums.waiting} waiting" if sums.waiting else ""
        out.print(
            f"[bold]{account}: {in_percent(sums.percent)} covered[/]: {sums.verified} of {sums.known} calls verified"
            f"{waiting}{missing}; days: {days}\n"
        )
    _show_gaps(view.gaps)


def _show_days(account: str, rows: Sequence[DayRow]) -> None:
    numbers = ("source says", "known", "verified", "deleted", "missing")
    shown = table("day", *numbers, "state", "proved at", "why", title=f"Coverage of {account}, days in UTC",
                  right=numbers)  # fmt: skip
    for row in rows:
        facts = row.facts
        add(shown, facts.day, "-" if facts.said is None else facts.said, facts.known, facts.verified,
            facts.deleted or "", sum(facts.missing.values()) or "", row.state, moment(facts.proved_at),
            row.reason)  # fmt: skip
    show(shown)


def _show_gaps(gaps: Sequence[Gap]) -> None:
    if not gaps:
        out.print("No gap is open.")
        return
    shown = table("gap", "account", "recording", "call start", "kind", "age", "reason", title="Gaps of these days")
    for gap in gaps:
        why = gap.reason if gap.explanation is None else f"{gap.reason} (explained: {gap.explanation})"
        add(shown, gap.id, gap.account, gap.recording_id or "-", moment(gap.since), gap.kind,
            span(now() - gap.opened_at), why)  # fmt: skip
    show(shown)
    if any(gap.explanation is None for gap in gaps):
        out.print(words("What to do: archiver gaps show ID; docs/coverage.md"))


def as_line(row: DayRow) -> dict[str, object]:
    """One day, for `--json` and `--csv`."""
    facts = row.facts
    values = (facts.account, facts.day, row.state, row.reason, facts.said, facts.known, facts.verified, facts.deleted,
              facts.excluded, facts.waiting, sum(facts.missing.values()), facts.open_gaps, facts.explained_gaps,
              facts.checked_at, facts.proved_at, facts.settled_at)  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _document(view: View) -> dict[str, object]:
    accounts = []
    for name, rows in view.rows.items():
        sums = total(rows)
        days = [{**as_line(row), "missing_by_kind": row.facts.missing} for row in rows]
        summary = {"percent": sums.percent, "days_by_state": sums.days, "known": sums.known, "verified": sums.verified}
        accounts.append({"account": name, **summary, "waiting": sums.waiting, "missing": sums.missing, "days": days})
    asked = {"from": view.asked.first, "to": view.asked.last, "as_of": view.asked.as_of}
    return {**asked, "accounts": accounts, "gaps": list(view.gaps)}


def _csv(view: View) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for rows in view.rows.values():
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in as_line(row).items()})
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text
