"""The source's clock beside ours: looked at after an answer of the source, and said where they differ too much."""

from __future__ import annotations

from datetime import timedelta

import structlog

from archiver.core.clocks import skewed
from archiver.stages.context import Context
from archiver.stages.ports import RecordingSource

log = structlog.get_logger()


def watch(context: Context, source: RecordingSource) -> None:
    """Put into the report how far the source's clock is ahead. More than is tolerated is said once in a pass."""
    ahead, report = source.clock_ahead, context.report
    if ahead is None or (report.clock_seconds is not None and skewed(timedelta(seconds=report.clock_seconds))):
        return
    report.clock_seconds = round(ahead.total_seconds())
    if skewed(ahead):
        hint = "one of the clocks is wrong: look at this host's first (NTP)"
        log.error("clock_skewed", seconds=report.clock_seconds, hint=hint)
