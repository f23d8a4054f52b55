"""The part of a pass that deletes: planning, limits, and the two stages that act, each account under its lock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog

from archiver.app import App
from archiver.core.budget import deletes_allowed
from archiver.core.caps import SOURCE_SIDE, Side, at_source, check_caps, in_archive
from archiver.core.decision import Action
from archiver.core.lifecycle import ARCHIVED, AT_SOURCE
from archiver.core.model import State
from archiver.core.plan import Draft, Plan, PlanItem
from archiver.core.policy import Mode
from archiver.errors import SafetyLimit
from archiver.stages.context import Context, StageName
from archiver.stages.expire import Expire
from archiver.stages.last_check import LastCheck
from archiver.stages.noting import Notes
from archiver.stages.purge import Purge

log = structlog.get_logger()

HERE = ARCHIVED | {State.EXPIRING}  # in the bucket, or partly so
PROGRAM = "archiver"  # the author of plans that nobody has asked for


def _of(account: str, items: Iterable[PlanItem]) -> list[PlanItem]:
    return [item for item in items if item.account == account]


class RunStage(Protocol):
    """Runs one stage of an account under its lock, and puts what stops it into the report."""

    def __call__(self, context: Context, name: StageName, work: Callable[[], Awaitable[None]]) -> Awaitable[bool]:
        """Return whether the neighbours are still there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """Made for one run."""

    app: App
    stage: RunStage
    context: Callable[[str], Context]

    async def draft(
        self, states: Collection[State] = HERE, *, started_before: datetime | None = None, author: str = PROGRAM
    ) -> Plan:
        """Decide about every archived recording. Changes nothing; memory holds only what is to be deleted."""
        now = self.app.clock()
        draft = Draft(terms=await self.app.terms.terms(now), now=now)
        for name in self.app.sources:
            async for one in self.app.candidates.candidates(name, states, started_before=started_before):
                draft.consider(one)
        return draft.plan(author=author)

    async def finish_interrupted(self) -> None:
        """Take up deletions that a killed process has begun, on both sides, if they are no more than a run may do."""
        deletion = self.app.policies.deletion
        for name in self.app.sources:
            context = self.context(name)
            with structlog.contextvars.bound_contextvars(account=name):
                purge, expire = self._purge(context, {}), self._expire(context, {})
                few = await self._are_few(name, State.PURGING, deletion.source.max_per_run)
                await self.stage(context, "purge", partial(purge.finish_interrupted, may_delete=few))
                few = await self._are_few(name, State.EXPIRING, deletion.archive.max_per_run)
                await self.stage(context, "expire", partial(expire.finish_interrupted, may_delete=few))

    async def _are_few(self, account: str, state: State, most: int) -> bool:
        return await self.app.reads.count_in(account, state) <= most

    async def delete_due(self) -> None:
        """Delete what the policies permit, on the sides where that is automatic. Raises SafetyLimit."""
        deletion, now = self.app.policies.deletion, self.app.clock()
        rules = self.app.terms.rules
        bounds = [(State.VERIFIED, rules.source_bound(now) if deletion.mode is Mode.AUTOMATIC else None)]
        if deletion.in_archive is Mode.AUTOMATIC:
            bounds += [(State.PURGED, rules.archive_bound(now)), (State.VERIFIED, rules.archive_bound(now))]
        before = max((bound for _, bound in bounds if bound is not None), default=None)
        if before is None:
            return
        if (pause := await self.app.terms.paused()) is not None:
            log.warning("deletion_paused", reason=pause)
            return
        plan = await self.draft({state for state, bound in bounds if bound is not None}, started_before=before)
        items = plan.items if deletion.in_archive is Mode.AUTOMATIC else plan.at_source()
        await self.delete(items, {}, {name: await self._allowed(name) for name in self.app.sources})

    async def _allowed(self, account: str) -> int:
        """Deletions at the source that the quota leaves room for: archiving comes first."""
        app = self.app
        standing = await app.quotas[account].standing()
        due = await app.budget_reads.count_due(account, app.clock())
        return deletes_allowed(standing.in_force, app.settings.sync.every, due)

    async def delete(
        self, items: Sequence[PlanItem], under: Mapping[str, object], most: Mapping[str, int] | None = None
    ) -> None:
        """Delete what is named, at the source first. Raises SafetyLimit before anything is deleted.

        `under`: the plan and who has approved it, for the history. `most`: of each account, at the source; the caps
        are held against all of it nevertheless.
        """
        if (pause := await self.app.terms.paused()) is not None:
            raise SafetyLimit(pause, hint="to end the pause: archiver resume")
        for item in items:
            self.app.account(item.account)
        there = [item for item in items if item.action is Action.DELETE_AT_SOURCE]
        here = [item for item in items if item.action is Action.DELETE_IN_ARCHIVE]
        await self._check_caps(there, at_source(self.app.policies.deletion), AT_SOURCE, self.app.reads.count_at_source)
        await self._check_caps(here, in_archive(self.app.policies.deletion), HERE, self.app.reads.count_archived)
        for name in sorted({item.account for item in items}):
            context = self.context(name)
            with structlog.contextvars.bound_contextvars(account=name):
                if mine := self._affordable(_of(name, there), None if most is None else most[name]):
                    await self.stage(context, "purge", partial(self._purge(context, under).run, mine))
                if mine := _of(name, here):
                    await self.stage(context, "expire", partial(self._expire(context, under).run, mine))

    def _affordable(self, items: list[PlanItem], most: int | None) -> list[PlanItem]:
        """Leave what the quota has no room for to a later pass. Each begins elsewhere: what is kept blocks nobody."""
        if most is None or len(items) <= most:
            return items
        log.info("deletions_deferred", due=len(items), now=most)
        number = int(self.app.clock().timestamp() // self.app.settings.sync.every.total_seconds())
        first = number * most % len(items)
        return [*items[first:], *items[:first]][:most]

    async def _check_caps(
        self, items: Sequence[PlanItem], side: Side, states: Collection[State], count: Callable[[str], Awaitable[int]]
    ) -> None:
        """Hold the caps against what is still there: what an earlier run of the same plan has deleted is over."""
        counted, totals = list[PlanItem](), dict[str, int]()
        for name in {item.account for item in items}:
            mine = _of(name, items)
            present = await self.app.reads.among(name, [item.recording_id for item in mine], states)
            counted += [item for item in mine if item.recording_id in present]
            report = self.context(name).report  # what this run has finished of an earlier one counts as well
            finished = report.deleted if side.place == SOURCE_SIDE else report.expired
            counted += mine[:1] * finished
            totals[name] = await count(name) + finished
        check_caps(counted, totals, side)

    def _purge(self, context: Context, under: Mapping[str, object]) -> Purge:
        return Purge(
            check=self._last_check(context, "purge_skipped"),
            mode=self.app.policies.deletion.mode,
            concurrency=self.app.settings.sync.concurrency,
            under=under,
        )

    def _expire(self, context: Context, under: Mapping[str, object]) -> Expire:
        return Expire(
            check=self._last_check(context, "expiry_skipped"),
            mode=self.app.policies.deletion.in_archive,
            concurrency=self.app.settings.sync.concurrency,
            under=under,
        )

    def _last_check(self, context: Context, skipped: str) -> LastCheck:
        app = self.app
        return LastCheck(
            context=context,
            source=app.sources[context.account],
            store=app.store,
            locks=app.locks,
            catalogue=app.catalogue,
            reads=app.reads,
            controls=app.terms,
            notes=Notes(app.store, app.reads),
            skipped=skipped,
        )
