"""Ledger: say of each day of which something has changed what it is worth now, and keep what was said before."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.core.coverage import judge_day
from archiver.stages.context import Context
from archiver.stages.ports import Ledger

BATCH = 200  # days


@dataclass(frozen=True, slots=True)
class KeepLedger:
    """The stage for one account."""

    context: Context
    ledger: Ledger

    async def run(self) -> None:
        """Bring the gap list and the ledger up to what the catalogue holds."""
        account = self.context.account
        await self.ledger.settle_gaps(account, self.context.mark("where the recording stands"))
        await self.ledger.look_through(account)
        while facts := await self.ledger.stale_days(account, limit=BATCH):
            await self.ledger.write_days([judge_day(one) for one in facts], self.context.mark("ledger"))
            if len(facts) < BATCH:
                return
