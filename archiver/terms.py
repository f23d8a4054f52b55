"""The terms of deletion as they stand: policies, those that still bind after a change, legal holds, and the pause."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import structlog

from archiver.adapters.controls import Controls
from archiver.core.controls import Control, Event, Kind, Replaced, holds_in, pause_in, replaced_in
from archiver.core.holds import Hold
from archiver.core.policy import PolicySet
from archiver.core.retention import Earlier, Terms
from archiver.core.rulebook import Rulebook
from archiver.errors import ConfigError
from archiver.policies import parse_policies

log = structlog.get_logger()
NEW = "the policies file as it was read"
_EVER = datetime.min.replace(tzinfo=UTC)


class LiveTerms:
    """Implements `stages.retention_ports.Controls`: reads the record anew whenever something was decided."""

    def __init__(self, controls: Controls, policies: PolicySet, accounts: Collection[str]) -> None:
        """`policies` are those of the file, `accounts` the names in the configuration."""
        self._controls, self._accounts = controls, accounts
        self.rules = Rulebook(policies)
        self._books: dict[str, Rulebook | None] = {policies.digest: self.rules}
        self._extent: tuple[int, int] | None = None
        self._holds: tuple[Hold, ...] = ()
        self._pause: Control | None = None
        self._logs: dict[str, list[Control]] = {}
        self._replaced: dict[str, tuple[Replaced, ...]] = {}
        self._reading = asyncio.Lock()

    async def announce(self, run: str, now: datetime) -> None:
        """Write down that these policies are in force, where others were: that begins their cooling-off period."""
        policies = self.rules.policies
        await self._refresh()
        # a host whose clock is behind must not begin a period in the past
        at = max(now, await self._controls.latest() or now)
        for account in self._accounts:
            before = self._logs[account][-1:]
            entry = self._in_force(account, run, at)
            if before and before[0].detail == entry.detail:
                continue
            await self._controls.keep_policies(policies.digest, policies.text, now)
            await self._controls.record(entry)
            if before and before[0].detail["digest"] != policies.digest:
                until = max((one.until for one in replaced_in([*self._logs[account], entry], now)), default=None)
                log.warning("policies_changed", account=account, digest=policies.digest, cooling_off_until=until)

    async def terms(self, now: datetime) -> Terms:
        """Return what binds a decision, as if the present policies had been announced.

        `now` counts for the cooling-off period: whoever is about to delete gives the earliest time that may be right.
        """
        await self._refresh()
        earlier = {account: await self._earlier(account, now) for account in self._accounts}
        return Terms(rules=self.rules, holds=self._holds, earlier=earlier, decided=self._extent, cooling_at=now)

    async def paused(self) -> str | None:
        """Tell why all deletion is paused; None: it is not. Who did it stays out of logs."""
        await self._refresh()
        return None if self._pause is None else f"all deletion is paused: {self._pause.reason}"

    async def _refresh(self) -> None:
        async with self._reading:  # many ask at once: none may write an older answer over a newer one
            extent = await self._controls.extent()
            if extent == self._extent:
                return
            said = await self._controls.log([Kind.HOLD, Kind.PAUSE])
            self._logs = {account: await self._controls.log([Kind.POLICIES], account) for account in self._accounts}
            self._holds = tuple(hold for hold in holds_in(said) if hold.open)
            self._pause = pause_in(said)
            self._replaced = {account: replaced_in(entries, _EVER) for account, entries in self._logs.items()}
            self._extent = extent

    def _in_force(self, account: str, run: str, now: datetime) -> Control:
        policies = self.rules.policies
        detail = {"digest": policies.digest, "cooling_off": policies.deletion.cooling_off.total_seconds()}
        return Control(
            at=now, kind=Kind.POLICIES, subject=account, event=Event.IN_FORCE, by=run, reason=NEW, detail=detail
        )

    async def _earlier(self, account: str, now: datetime) -> tuple[Earlier, ...]:
        entries, present = self._logs[account], self._in_force(account, "", now)
        if entries and entries[-1].detail != present.detail:
            binding = replaced_in([*entries, present], now)
        else:
            binding = tuple(one for one in self._replaced[account] if one.until > now)
        return tuple([Earlier(await self._book(one.digest), one.until) for one in binding])

    async def _book(self, digest: str) -> Rulebook | None:
        """Read policies that were in force; None where this version can no longer read them: that keeps everything."""
        if digest not in self._books:
            text = await self._controls.policies_text(digest)
            try:
                found = None if text is None else Rulebook(parse_policies(text, "earlier policies"))
            except ConfigError as error:
                log.warning("earlier_policies_unreadable", digest=digest, reason=str(error))
                found = None
            self._books[digest] = found
        return self._books[digest]
