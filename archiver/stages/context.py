"""What every stage is told about the run that it is part of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from archiver.core.model import Mark
from archiver.core.report import PassReport


@dataclass(frozen=True, slots=True)
class Context:
    """One run over one account. `clock` gives the present moment, aware; `stopping` is asked between items."""

    account: str
    run: str
    clock: Callable[[], datetime]
    report: PassReport
    stopping: Callable[[], bool]

    def mark(self, reason: str, **detail: object) -> Mark:
        """Stamp a change that happens now."""
        return Mark(self.run, self.clock(), reason, detail or None)
