"""What every stage is told about the run that it is part of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from archiver.core.model import Mark
from archiver.core.report import PassReport

StageName = Literal["decisions", "discover", "transfer", "verify", "protect", "purge", "expire", "ledger"]
#: Each has a lock of its own for each account: whoever holds all of them is alone with the account.
STAGES: tuple[StageName, ...] = get_args(StageName)


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
