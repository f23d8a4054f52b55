"""A run of the program as the catalogue has it: when, which command, how it ended, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.core.report import PassReport
from archiver.core.stored_report import from_record


class Standing(StrEnum):
    """Whether a run has come to its end."""

    ENDED = "ended"
    AT_WORK = "at_work"
    LOST = "lost"  # it works no longer and its end is not on record: it was killed, or cut off from the database


#: What exit codes mean: in a word or two for a list, and in full.
ENDINGS = {
    0: ("done", "done"),
    1: ("bug", "a bug in the program: see the log line `bug`"),
    2: ("configuration", "usage or configuration, or a schema that is not this version's"),
    3: ("failures, gaps", "done, but some recordings failed, or a gap is open, or the bucket had drifted"),
    4: ("refused", "refused by a safety limit, or another archiver was at the same work"),
    5: ("out of reach", "a neighbour was out of reach or refused the credentials"),
    130: ("interrupted", "a signal came before the work was done; what was claimed was handed back"),
}
NOT_ENDED = {
    Standing.AT_WORK: ("at work", "at work"),
    Standing.LOST: ("did not end", "did not end: killed, or cut off from the database; the next run takes its work up"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. What older versions did not write down is None."""

    number: int  # 1: the latest of all
    run_id: str
    command: str
    version: str | None  # of the program
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    stop_kind: str | None  # class of the error that ended it, or that forbade its deletions
    stop_reason: str | None
    counts: Mapping[str, object] | None  # the report of each account, as it was written
    at_work: bool  # a process holds its lock

    @property
    def standing(self) -> Standing:
        """Whether it has come to its end."""
        if self.finished_at is not None:
            return Standing.ENDED
        return Standing.AT_WORK if self.at_work else Standing.LOST

    @property
    def took(self) -> timedelta | None:
        """How long it was at work. None: it has no end."""
        return None if self.finished_at is None else self.finished_at - self.started_at

    @property
    def in_short(self) -> str:
        """How it ended, in a word or two."""
        return self._ending[0]

    @property
    def meaning(self) -> str:
        """How it ended, in full."""
        return self._ending[1]

    @property
    def _ending(self) -> tuple[str, str]:
        if self.standing is not Standing.ENDED:
            return NOT_ENDED[self.standing]
        unknown = f"exit code {self.exit_code}"
        return ENDINGS.get(-1 if self.exit_code is None else self.exit_code, (unknown, unknown))

    @property
    def reports(self) -> list[PassReport]:
        """The report of each account, by name."""
        return [from_record(name, record) for name, record in sorted((self.counts or {}).items())]

    def as_document(self) -> dict[str, object]:
        """Give it as JSON, the accounts' reports as they were written."""
        stop = None if self.stop_kind is None else {"kind": self.stop_kind, "reason": self.stop_reason}
        return {
            "run": self.run_id,
            "number": self.number,
            "command": self.command,
            "version": self.version,
            "began": self.started_at,
            "ended": self.finished_at,
            "seconds": None if self.took is None else round(self.took.total_seconds(), 3),
            "standing": str(self.standing),
            "exit_code": self.exit_code,
            "meaning": self.meaning,
            "stop": stop,
            "accounts": self.counts or {},
        }
