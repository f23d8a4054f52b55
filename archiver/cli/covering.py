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
from archiver.adapters.backfill_rows import BackfillRows
from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import now, open_engine
from archiver.cli.common import AsJson, State, add, echo, leave, moment, out, print_json, run, show, span, table, words
from archiver.cli.looking import ACCOUNT, read_time
from archiver.cli.summary import call_starts, told
from archiver.core.backfill import kept_from
from archiver.core.coverage import Coverage, DayFacts, DayRow, in_percent, total
from archiver.core.gaps import Gap
from archiver.errors import ConfigError
from archiver.settings import Account, Settings

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
    begins: Mapping[str, date]  # first day that is kept of each account

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
    asked = chosen(settings, first, last, account, None if as_of is None else read_time("--as-of", as_of))
    leave(run(_coverage(settings, asked, as_json=as_json, as_csv=as_csv)))


def chosen(
    settings: Settings, first: str | None, last: str | None, account: str | None, as_of: datetime | None = None
) -> Range:
    """Read the options of a range. Raises ConfigError."""
    today = (now() if as_of is None else min(now(), as_of)).date()
    until = today if last is None else read_day("--to", last)
    since = _days_before(until, DAYS - 1) if first is None else read_day("--from", first)
    if since > today:
        raise ConfigError(f"{since} had not come yet on {today}", hint="begin with an earlier day: --from")
    if since > until:
        raise ConfigError(f"--from {since} lies after --to {until}", hint="the first day comes first")
    names = tuple(one.name for one in settings.accounts)
    if account is not None and account not in names:
        raise ConfigError(f"there is no account {account!r} in the configuration", hint=f"there is: {', '.join(names)}")
    return Range(since, min(until, today), names if account is None else (account,), as_of)


def _days_before(day: date, count: int) -> date:
    return day - timedelta(days=min(count, (day - date.min).days))


def read_day(option: str, text: str) -> date:
    """Read an option's day. Raises ConfigError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r} is not a day", hint="write it like 2026-01-31; days are UTC") from None


async def _coverage(settings: Settings, asked: Range, *, as_json: bool, as_csv: bool) -> int:
    async with open_engine(settings) as engine:
        await database.require_schema(engine)
        view = await look(CoverageReads(engine), BackfillRows(engine), settings, asked)
    if as_json:
        print_json(document(view))
    elif as_csv:
        echo(_csv(view))
    else:
        show_coverage(view)
    return view.code


async def look(reads: CoverageReads, history: BackfillRows, settings: Settings, asked: Range) -> View:
    """Read a range out of the record. Days that were never listed are unproven, days before the start are left out."""
    rows = {}
    begins = {one.name: await _begin(history, one) for one in settings.accounts}
    for account in settings.accounts:
        if account.name not in asked.accounts:
            continue
        first = max(asked.first, begins[account.name])
        if asked.as_of is None:
            known = await reads.days(account.name, first, asked.last)
        else:
            known = await reads.days_as_of(account.name, first, asked.last, asked.as_of)
        days = [first + timedelta(days=number) for number in range((asked.last - first).days + 1)]
        rows[account.name] = [known.get(day) or _unlisted(account.name, day) for day in days]
    gaps = await reads.gaps(asked.accounts, asked.first, asked.last, as_of=asked.as_of)
    return View(asked, rows, gaps, begins)


async def _begin(history: BackfillRows, account: Account) -> date:
    """First day that the account answers for: a finished backfill that reaches up to start_from goes before it."""
    return kept_from(account.start_from, await history.all(account.name)).date()


def _unlisted(account: str, day: date) -> DayRow:
    facts = DayFacts(account=account, day=day, said=None, known=0, verified=0, deleted=0, excluded=0, waiting=0)
    return DayRow(facts, Coverage.UNPROVEN, "not listed yet")


def show_coverage(view: View) -> None:
    """Print the days, the sums, and every gap by name."""
    if view.asked.as_of is not None:
        out.print(f"As it was known at {moment(view.asked.as_of)}:")
    for account, rows in view.rows.items():
        if rows:
            _show_days(account, rows)
            out.print(words(_sums(account, rows)), style="bold")
        if view.asked.first < view.begins[account]:
            last = min(view.asked.last, view.begins[account] - timedelta(days=1))
            out.print(words(f"{account}: {view.asked.first} to {last}: not kept, before start_from"))
        out.print()
    _show_gaps(view)


def _sums(account: str, rows: Sequence[DayRow]) -> str:
    sums = total(rows)
    days = ", ".join(f"{count} {state}" for state, count in sums.days.items() if count)
    left = {"waiting": sums.waiting, "missing": sums.missing, "excluded by policy": sums.excluded}
    parts = [
        f"{sums.verified} of {sums.known} calls verified",
        *(f"{many} {what}" for what, many in left.items() if many),
    ]
    return f"{account}: {in_percent(sums.percent)} covered: {', '.join(parts)}; days: {days}"


def _show_days(account: str, rows: Sequence[DayRow]) -> None:
    numbers = ["source says", "known", "verified", "deleted", "excluded", "missing"]
    if not any(row.facts.excluded for row in rows):
        numbers.remove("excluded")
    shown = table("day", *numbers, "state", "proved at", "why", title=f"Coverage of {account}, days in UTC",
                  right=numbers)  # fmt: skip
    for row in rows:
        facts = row.facts
        cells = {"source says": "-" if facts.said is None else facts.said, "known": facts.known,
                 "verified": facts.verified, "deleted": facts.deleted or "", "excluded": facts.excluded or "",
                 "missing": sum(facts.missing.values()) or ""}  # fmt: skip
        proved_at = "-" if facts.proved_at is None else f"{facts.proved_at:%Y-%m-%d %H:%M}Z"
        add(shown, facts.day, *(cells[name] for name in numbers), row.state, proved_at, row.reason)
    show(shown)


def _show_gaps(view: View) -> None:
    if not view.gaps:
        out.print("No gap is open.")
        return
    then = view.asked.as_of or now()
    shown = table("gap", "account", "recording", "call start", "kind", "age", "reason", title="Gaps of these days")
    for gap in view.gaps:
        add(shown, gap.id, gap.account, gap.recording_id or "-", call_starts(gap), gap.kind,
            span(then - gap.opened_at), told(gap))  # fmt: skip
    show(shown)
    if view.code:
        out.print(words("What to do: archiver gaps show ID; docs/coverage.md"))


def as_line(row: DayRow) -> dict[str, object]:
    """One day, for `--json` and `--csv`."""
    facts = row.facts
    values = (facts.account, facts.day, row.state, row.reason, facts.said, facts.known, facts.verified, facts.deleted,
              facts.excluded, facts.waiting, sum(facts.missing.values()), facts.open_gaps, facts.explained_gaps,
              facts.checked_at, facts.proved_at, facts.settled_at)  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def document(view: View) -> dict[str, object]:
    """Everything about a range, for `--json`."""
    accounts = []
    for name, rows in view.rows.items():
        sums = total(rows)
        days = [{**as_line(row), "missing_by_kind": row.facts.missing} for row in rows]
        summary = {"percent": sums.percent, "days_by_state": sums.days, "known": sums.known, "verified": sums.verified,
                   "excluded": sums.excluded, "waiting": sums.waiting, "missing": sums.missing}  # fmt: skip
        accounts.append({"account": name, "start_from": view.begins[name], **summary, "days": days})
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
