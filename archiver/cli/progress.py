"""Live progress on a terminal; elsewhere the log lines tell the story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TextIO, cast

from rich.live import Live
from rich.table import Table

from archiver import logs
from archiver.cli.common import err, size, table
from archiver.passes import Pass
from archiver.settings import Settings

REFRESH = 0.2  # seconds


class _AboveTheTable:
    """A stream for the log that prints above the live table instead of through it."""

    def write(self, line: str) -> int:
        err.print(line.rstrip("\n"), markup=False)
        return len(line)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True


def shown(work: Pass, settings: Settings | None = None) -> AbstractAsyncContextManager[None]:
    """Show a pass while it goes on."""
    return live(partial(_table, work), settings)


@asynccontextmanager
async def live(draw: Callable[[], Table], settings: Settings | None = None) -> AsyncIterator[None]:
    """Draw a table again and again. With settings the log moves above the table, cut down to warnings."""
    if not err.is_terminal:
        yield
        return
    if settings is not None:
        stream = cast("TextIO", _AboveTheTable())
        logs.configure(format="console", level="warning", stream=stream, secrets=settings.secrets())
    with Live(draw(), console=err, refresh_per_second=1 / REFRESH, transient=True) as display:
        ticking = asyncio.ensure_future(_tick(display, draw))
        try:
            yield
        finally:
            ticking.cancel()


async def _tick(display: Live, draw: Callable[[], Table]) -> None:
    while True:
        display.update(draw())
        await asyncio.sleep(REFRESH)


def _table(work: Pass) -> Table:
    shown = table("account", "stage", "listed", "new", "archived", "bytes", "verified", "deleted", "retried", "failed",
                  right=("listed", "new", "archived", "bytes", "verified", "deleted", "retried", "failed"))  # fmt: skip
    for name, report in work.reports.items():
        numbers = (report.listed, report.new, report.archived)
        shown.add_row(
            name,
            report.stage,
            *map(str, numbers),
            size(report.bytes),
            str(report.verified),
            str(report.deleted),
            str(report.retries.total()),
            str(report.failures.total()),
        )
    return shown
