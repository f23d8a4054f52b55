"""Tells one channel what it must know. What it was told is kept in the catalogue, and here while that is away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from archiver.adapters.messenger import Messenger, Tone
from archiver.adapters.notice_rows import NoticeRows
from archiver.core.health import Level
from archiver.core.notice_text import WORDS, body, title
from archiver.core.notices import Memory, Notice, Rules, Seen, delivered, draft, joined, observe, undelivered
from archiver.errors import ArchiverError
from archiver.watch.news import ENDED

log = structlog.get_logger()

_TONES: dict[Level, Tone] = {Level.OK: "info", Level.WARNING: "warning", Level.CRITICAL: "failure"}


@dataclass(slots=True, kw_only=True)
class Teller:
    """One channel."""

    name: str
    archive: str  # which archive its messages are about
    rules: Rules
    messenger: Messenger
    rows: NoticeRows | None  # None: there is no catalogue
    outcomes: Counter[tuple[str, str]]
    clock: Callable[[], datetime]
    memory: Memory = field(default_factory=Memory)
    recalled: bool = False  # whether the catalogue has said what was told before
    unsaved: bool = False  # what is here is newer than what the catalogue has
    complained: bool = False  # … and that was said

    async def tell(self, seen: Seen, *, patience: float, parting: bool = False) -> None:
        """Take in what there is, and send what is due; `patience` in seconds."""
        await self._recall()
        if not self.recalled:  # a daemon that is started, and ends, again and again must not tell it each time
            seen = replace(seen, troubles=[one for one in seen.troubles if one.key != ENDED])
        now = self.clock()
        memory = observe(self.memory, seen, self.rules, now)
        notice = draft(memory, seen, self.rules, now, parting=parting)
        if notice is not None:
            memory = await self._sent(memory, notice, now, patience)
        await self._keep(memory)

    async def _sent(self, memory: Memory, notice: Notice, now: datetime, patience: float) -> Memory:
        quiet = notice.level is Level.OK and notice.over
        tone: Tone = "success" if quiet else _TONES[notice.level]
        try:
            await self.messenger.send(title(notice, self.archive), body(notice, now), tone, patience)
        except ArchiverError as error:
            self.outcomes[self.name, "failed"] += 1
            log.warning("notification_failed", channel=self.name, reason=str(error))
            return undelivered(memory, now)
        self.outcomes[self.name, "sent"] += 1
        log.info("notification_sent", channel=self.name, severity=WORDS[notice.level])
        return delivered(memory, notice, now)

    async def _recall(self) -> None:
        if self.rows is None or (self.recalled and self.unsaved):
            return
        try:
            kept = await self.rows.load(self.name)
        except ArchiverError:  # whoever looks at the catalogue says so: it is one of the troubles
            return
        self.memory = kept if self.recalled else joined(kept, self.memory)
        self.recalled = True

    async def _keep(self, memory: Memory) -> None:
        self.unsaved = self.unsaved or memory != self.memory
        self.memory = memory
        if self.rows is None or not self.unsaved or not self.recalled:
            return
        try:
            await self.rows.save(self.name, memory, self.clock())
        except ArchiverError as error:
            if not self.complained:
                log.warning("notices_unsaved", channel=self.name, reason=str(error), hint=error.hint)
            self.complained = True
            return
        self.unsaved = self.complained = False
