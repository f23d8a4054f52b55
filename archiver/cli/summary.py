"""How a pass, a plan and the gap list look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from archiver.app import now
from archiver.cli.common import add, moment, out, show, size, span, table, words
from archiver.core.caps import at_source, in_archive
from archiver.core.clocks import skewed
from archiver.core.decision import Reason
from archiver.core.gaps import Gap
from archiver.core.model import Slice, midnight, whole_day
from archiver.core.plan import ARCHIVE, SOURCE, Plan, PlanItem, total_bytes
from archiver.core.policy import Mode, PolicySet
from archiver.core.report import PassReport
from archiver.passes import Pass

MOST_ROWS = 40


def show_pass(work: Pass, gaps: Sequence[Gap], all_gaps: int) -> None:
    """Sum up a pass: what was listed, archived, verified, retried, and what failed with its reason."""
    show_reports(work)
    if work.refusal is not None:
        out.print("[red]deletion refused[/]:", words(work.refusal))
        out.print(words(f"  {work.refusal.hint}"))
    show_gaps(gaps, all_gaps)


def show_reports(work: Pass) -> None:
    """Say for each account what was done, and where it was stopped."""
    for name, report in work.reports.items():
        out.print(f"[bold]{name}[/]: {_sentence(report)}")
        for note in notes(report):
            out.print(f"  {note}")
        if report.stopped:
            out.print("  [red]stopped[/] in", words(report.stopped))


def notes(report: PassReport) -> Iterator[str]:
    """Say what else a person should know of a pass, a line each."""
    if report.retries:
        yield f"retried: {listed(report.retries)}"
    if report.kept:
        yield f"not deleted: {listed(report.kept)}"
    yield from cautions(report)


def cautions(report: PassReport) -> Iterator[str]:
    """Say what may need a person, a line each."""
    if report.unlocked:
        yield f"[red]not locked[/]: {many(report.unlocked, 'object')} cannot be held in the bucket as it is asked for"
    if report.drifted:
        yield f"[red]drifted[/]: {many(report.drifted, 'object')} in the bucket not held as it was left, set again"
    if report.awaited:
        yield f"{many(report.awaited, 'recording')} to come by exports that are not ready yet, in a later pass"
    if report.unlisted_members:
        yield f"[red]not listed[/]: {many(report.unlisted_members, 'member')} of exports that no listing has"
    if report.endangered:
        yield f"[red]endangered[/]: {report.endangered} that the source deletes soon were not archived at first"
    if report.recounts_due:
        yield f"{many(report.recounts_due, 'older day')} left to ask about again, as the quota allows"
    ahead = timedelta(seconds=report.clock_seconds or 0)
    if skewed(ahead):
        side = "ahead of" if ahead > timedelta(0) else "behind"
        yield f"[red]clocks differ[/]: the source's is {span(abs(ahead))} {side} this host's. Look at this host's first"


def many(count: int, noun: str) -> str:
    """Write a number of things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(counts: Mapping[str, int]) -> str:
    """Write counts by what they are of."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _sentence(report: PassReport) -> str:
    nothing = "nothing could be done" if report.stopped else "nothing to do"
    spent = span(sum(report.seconds.values()))
    return f"{done(report) or nothing}  [dim]{many(report.requests, 'request')}, {spent}[/]"


def done(report: PassReport) -> str:
    """Say what was done; what did not happen goes unsaid."""
    late = f", {report.late} of them late" if report.late else ""
    parts = [
        (report.recounted, f"{many(report.recounted, 'day')} asked about again"),
        (report.listed, f"{report.listed} listed ({report.new} new{late})"),
        (report.absent, f"{report.absent} no longer at the source"),
        (report.archived, f"{report.archived} archived ({size(report.bytes)})"),
        (report.exported, f"{report.exported} of them by export"),
        (report.adopted, f"{report.adopted} found in the bucket"),
        (report.disagreeing, f"{report.disagreeing} not as long as listed"),
        (report.excluded, f"{report.excluded} excluded by policy"),
        (report.verified, f"{report.verified} verified"),
        (report.held, f"{report.held} put on legal hold"),
        (report.released, f"{report.released} released from legal hold"),
        (report.locked, f"{report.locked} locked in the bucket"),
        (report.deleted, f"{report.deleted} deleted at the source"),
        (report.expired, f"{report.expired} deleted in the archive"),
        (report.malformed, many(report.malformed, "unreadable item")),
        (report.unproven, f"{many(report.unproven, 'slice')} unproven"),
        (report.failures.total(), f"[red]{report.failures.total()} failed[/]"),
    ]
    return ", ".join(text for count, text in parts if count)


def show_verified(account: str, report: PassReport) -> None:
    """Sum up a verification: how many copies are good, and which are not, with the reason."""
    undecided = report.failures.total() - report.quarantined
    unknown = f", {undecided} could not be compared" if undecided else ""
    out.print(f"{account}: {report.verified} good, {report.quarantined} bad{unknown}")
    for one in report.named:
        out.print(words(f"  {one.recording_id}: {one.reason}"))
    if report.stopped:
        out.print("  [red]stopped[/] in", words(report.stopped))


def show_gaps(gaps: Sequence[Gap], total: int) -> None:
    """List what should be in the archive and is not, but for what a person has explained."""
    unexplained = [gap for gap in gaps if gap.explanation is None]
    if not total:
        more = " Those that were explained: archiver gaps list" if gaps else ""
        out.print(f"No gap is open.{more}")
        return
    rows = table("gap", "account", "recording", "call start", "kind", "age", "reason", title=f"Open gaps: {total}")
    for gap in unexplained:
        age = span(now() - gap.opened_at)
        add(rows, gap.id, gap.account, gap.recording_id or "-", call_starts(gap), gap.kind, age, gap.reason)
    show(rows)
    if total > len(unexplained):
        out.print(f"… and {total - len(unexplained)} more: archiver gaps list")


def told(gap: Gap) -> str:
    """Give a gap's reason, and a person's explanation after it."""
    return gap.reason if gap.explanation is None else f"{gap.reason} (explained: {gap.explanation})"


def call_starts(gap: Gap) -> str:
    """Say which calls a gap is about: one, those of a day, or those that started in a slice of time."""
    if gap.since == gap.until:
        return moment(gap.since)
    days = list(Slice(gap.since, gap.until).days())
    if gap.since == midnight(days[0]) and gap.until == whole_day(days[-1]).until:
        return f"{days[0]}, all day" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    until = f"{gap.until:%H:%M:%S}Z" if len(days) == 1 else moment(gap.until)
    return f"{gap.since:%Y-%m-%d %H:%M:%S} to {until}"


def show_plan(plan: Plan, policies: PolicySet, *, most: int = MOST_ROWS) -> None:
    """Show what would be deleted on each side, and why the rest stays."""
    deletion = policies.deletion
    _show_side(plan.at_source(), plan.kept[SOURCE], "Delete at the source", "stay in the archive", most)
    _show_side(plan.in_archive(), plan.kept[ARCHIVE], "Delete in the archive", "are gone then", most)
    for items, side in ((plan.at_source(), at_source(deletion)), (plan.in_archive(), in_archive(deletion))):
        if len(items) > side.caps.max_per_run:
            out.print(
                f"[red]More than {side.prefix}.max_per_run[/] ({side.caps.max_per_run}): apply will refuse this plan."
            )
    if deletion.mode is Mode.DISABLED:
        out.print("deletion.mode is disabled: [bold]apply[/] will refuse this plan.")
    elif plan.in_archive() and deletion.in_archive is Mode.DISABLED:
        out.print("deletion.archive.mode is disabled: [bold]apply[/] will refuse this plan.")


def _show_side(items: Sequence[PlanItem], kept: Mapping[Reason, int], title: str, then: str, most: int) -> None:
    rows = table("account", "recording", "call ended", "size", "due since", "by policy", right=("size",))
    for item in items[:most]:
        due = "-" if item.not_before is None else f"{item.not_before:%Y-%m-%d %H:%M}Z"
        policy = item.policy or item.reason.replace("_", " ")
        add(rows, item.account, item.recording_id, moment(item.ended_at), size(item.size), due, policy)
    if items:
        show(rows)
    if len(items) > most:
        out.print(f"… and {len(items) - most} more")
    out.print(f"[bold]{title}: {len(items)}[/]" + (f" ({size(total_bytes(items))} {then})" if items else ""))
    for reason, count in sorted(kept.items()):
        out.print(f"  keep {count}: {reason.replace('_', ' ')}")
