"""How a pass, a plan and the gap list look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.adapters.catalogue_reads import Gap
from archiver.cli.common import moment, out, size, span, table
from archiver.core.plan import Plan
from archiver.core.policy import Mode, PolicySet
from archiver.core.report import PassReport
from archiver.core.retention import Decision
from archiver.passes import Pass

MOST_ROWS = 40


def show_pass(work: Pass, gaps: Sequence[Gap], all_gaps: int) -> None:
    """Sum up a pass: what was listed, archived, verified, retried, and what failed with its reason."""
    for name, report in work.reports.items():
        out.print(f"[bold]{name}[/]: {_sentence(report)}")
        if report.retries:
            out.print("  retried: " + ", ".join(f"{cause} {count}" for cause, count in sorted(report.retries.items())))
        if report.kept:
            out.print("  not deleted: " + ", ".join(f"{why} {count}" for why, count in sorted(report.kept.items())))
        if report.stopped:
            out.print(f"  [red]stopped[/] in {report.stopped}")
    show_gaps(gaps, all_gaps)


def _sentence(report: PassReport) -> str:
    parts = [
        f"{report.listed} listed ({report.new} new)",
        f"{report.archived} archived ({size(report.bytes)})",
        f"{report.verified} verified",
        f"{report.deleted} deleted at the source",
        f"{report.failures.total()} failed",
        f"{report.requests} requests",
        span(sum(report.seconds.values())),
    ]
    extra = [
        (report.adopted, "adopted from a cut-off attempt"),
        (report.excluded, "excluded by policy"),
        (report.disagreeing, "not as long as listed"),
        (report.malformed, "unreadable items"),
        (report.unproven, "slices unproven"),
        (report.quarantined, "quarantined"),
    ]
    return ", ".join([*parts, *(f"{count} {what}" for count, what in extra if count)])


def show_gaps(gaps: Sequence[Gap], total: int) -> None:
    """List what should be in the archive and is not."""
    if not gaps:
        out.print("No gap is open.")
        return
    rows = table("account", "recording", "call start", "kind", "reason", title=f"Open gaps: {total}")
    for gap in gaps:
        rows.add_row(gap.account, gap.recording_id or "-", moment(gap.start), gap.kind, gap.reason)
    out.print(rows)
    if total > len(gaps):
        out.print(f"… and {total - len(gaps)} more: archiver status --json")


def show_plan(plan: Plan, policies: PolicySet) -> None:
    """Show what would be deleted at the source, and why the rest stays."""
    rows = table("account", "recording", "call ended", "size", "reason", right=("size",))
    for item in plan.items[:MOST_ROWS]:
        decision = Decision(action=item.action, reason=item.reason, policy=item.policy, not_before=item.not_before)
        rows.add_row(item.account, item.recording_id, moment(item.ended_at), size(item.size), decision.sentence)
    if plan.items:
        out.print(rows)
    if len(plan.items) > MOST_ROWS:
        out.print(f"… and {len(plan.items) - MOST_ROWS} more")
    out.print(f"[bold]Delete at the source: {len(plan.items)}[/] ({size(plan.bytes)} stay in the archive)")
    for reason, count in sorted(plan.kept.items()):
        out.print(f"Keep {count}: {reason}")
    if policies.deletion.mode is Mode.DISABLED:
        out.print("deletion.mode is disabled: [bold]apply[/] will refuse this plan.")
