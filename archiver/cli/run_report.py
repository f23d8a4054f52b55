"""How runs look on a terminal: a line for each in the list, and the whole report of one, both within 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from archiver.cli.common import moment, out, show, span, words
from archiver.cli.summary import cautions, done, listed
from archiver.core.report import PassReport
from archiver.core.runs import Run, Standing

Line = tuple[str, Text]  # what it is about, and what is said
SHORTEST = 0.05  # seconds: what is less is shown as 0.0s, so it goes unsaid
FINE = frozenset({0, None})
HEAD = f"{'no':>2}  {'run':<23}  {'command':<7}  {'began':<17}  {'took':>5}  end"


def show_runs(runs: Iterable[Run], account: str | None) -> None:
    """List runs, a line each; below it what was done for each account, or for one of them."""
    out.print(HEAD, style="dim")
    for run in runs:
        began = f"{run.started_at:%Y-%m-%d %H:%MZ}"
        facts = f"{run.number:>2}  {run.run_id:<23}  {run.command:<7}  {began}  {span(run.took):>5}  "
        out.print(words(facts), _ending(run), sep="")
        for report in run.reports:
            if account in (None, report.account) and (said := _in_short(report)):
                out.print(Text("    "), words(f"{report.account}: "), said, sep="")


def _ending(run: Run) -> Text:
    wrong = run.exit_code not in FINE or run.standing is Standing.LOST
    return Text(run.in_short, style="red" if wrong else "")


def _in_short(report: PassReport) -> Text | None:
    """Say what was done, and where it was stopped. None: there was nothing to do."""
    said = Text.from_markup(done(report))
    if report.stopped:
        stopped = words(f"stopped in {report.stopped}")
        return said + Text("; ") + stopped if said else stopped
    return said or None


def show_run(run: Run) -> None:
    """Print all that is on record about one run."""
    version = f", archiver {run.version}" if run.version else ""
    out.print(words(f"Run {run.run_id}: {run.command}{version}"), style="bold")
    show(grid(of_run(run)))
    for report in run.reports:
        out.print(words(report.account), style="bold")
        show(grid(of_account(report)))


def grid(lines: Iterable[Line]) -> Table:
    """Lay lines out: what each is about, and beside it what is said, wrapped within its column."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, said in lines:
        rows.add_row(f"  {name:<12}", said)  # as wide in every part of a report
    return rows


def of_run(run: Run) -> Iterator[Line]:
    """Say when a run was, and how it ended."""
    yield "began", Text(moment(run.started_at))
    if run.finished_at is not None:
        yield "ended", Text(f"{moment(run.finished_at)}, after {span(run.took)}")
    code = "" if run.exit_code is None else f"{run.exit_code}: "
    yield "exit code" if code else "end", Text(code + run.meaning, style=_ending(run).style)
    if run.stop_kind is not None:
        yield "because", words(f"{run.stop_kind}: {run.stop_reason}")
    if run.counts is None:
        yield "report", Text("none: it is written at the end")


def of_account(report: PassReport) -> Iterator[Line]:
    """Say all that is known of a pass over one account; what did not happen goes unsaid."""
    nothing = "nothing could be done" if report.stopped else "nothing to do"
    yield "done", Text.from_markup(done(report) or nothing)
    if report.stopped:
        yield "stopped", _stopped(report)
    yield from _counts(report)
    yield from (("note", Text.from_markup(caution)) for caution in cautions(report))
    yield from _transfers(report)
    yield from _failures(report)


def _stopped(report: PassReport) -> Text:
    if report.stop is None:
        return words(f"in {report.stopped}")
    after = "a person must act" if report.stop.final else "the next pass tries again"
    return words(f"{report.stop.kind} in {report.stop.reason} ({after})")


def _counts(report: PassReport) -> Iterator[Line]:
    excluded = report.excluded_by or {"by a policy": report.excluded}
    for name, counts in (("excluded", excluded), ("not deleted", report.kept), ("retried", report.retries)):
        if any(counts.values()):
            yield name, words(listed(counts))
    if report.already_gone:
        yield "already gone", Text(f"{report.already_gone} of the deleted, the source no longer had them")
    sent = f": {listed(report.sent)}" if report.sent else ""
    yield "requests", words(f"{report.requests}{sent}")
    if spent := [f"{stage} {span(seconds)}" for stage, seconds in report.seconds.items() if seconds >= SHORTEST]:
        yield "time", words(", ".join(spent))


def _transfers(report: PassReport) -> Iterator[Line]:
    """The slowest, and those that took several attempts."""
    yield from _named("slowest", [f"{name}  {span(spent)}" for spent, name in report.slowest.found])
    repeats = report.repeats
    more = [f"and others, {repeats.beyond} times"] if repeats.beyond else []
    yield from _named("again", [*(f"{name}  {_causes(causes)}" for name, causes in repeats.causes.items()), *more])


def _causes(causes: Mapping[str, int]) -> str:
    return ", ".join(cause if times == 1 else f"{cause} {times} times" for cause, times in sorted(causes.items()))


def _failures(report: PassReport) -> Iterator[Line]:
    """How many by kind, then the first ones by name."""
    if not report.failures:
        return
    more = [f"and {report.failed_beyond} more"] if report.named and report.failed_beyond > 0 else []
    named = [f"{one.recording_id}  {one.kind}: {one.reason}" for one in report.named]
    yield from _named("failed", [listed(report.failures), *named, *more])


def _named(name: str, lines: Iterable[str]) -> Iterator[Line]:
    """Put the name beside the first line only."""
    for number, line in enumerate(lines):
        yield name if number == 0 else "", words(line)
