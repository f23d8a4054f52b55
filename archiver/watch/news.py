"""What there is to tell of one process: the troubles that a look at the archive finds, its own, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from archiver.core.health import Cause, Level, Reason
from archiver.core.notices import Happening, Seen, Trouble
from archiver.core.report import PassReport
from archiver.errors import ArchiverError
from archiver.watch.look import BLIND, Look

ENDED = "ended"  # key of the trouble that the process has ended by itself
REFUSED = "deletion"  # … that the automatic deletion was refused as a whole
STARTED = "the daemon has started"
STOPPED = "the daemon has stopped, as it was asked to"
DELETED = "recordings deleted at the source: {count}"
EXPIRED = "recordings deleted in the archive: {count}"
QUARANTINED = "recordings quarantined, because bytes and record disagree: {count}"


class Work(Protocol):
    """A pass, as far as it is told of."""

    @property
    def reports(self) -> Mapping[str, PassReport]:
        """By account; they grow while it goes on."""
        ...

    @property
    def refusal(self) -> ArchiverError | None:
        """What forbade the automatic deletion as a whole."""
        ...


class News:
    """Collects it until somebody asks."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        """`redact` cleans what others have said: reasons and errors."""
        self._redact = redact
        self.awaits = False  # the daemon waits for a neighbour before it can begin
        self._begun = False
        self._passed = False  # a pass has come to its end
        self._refused: Trouble | None = None
        self._ended: Trouble | None = None
        self._happened: list[Happening] = []

    def started(self) -> None:
        """The daemon is at work."""
        self._begun = True
        self._happened.append(Happening(what=STARTED))

    def stopped(self) -> None:
        """The daemon has ended in order."""
        if self._begun:
            self._happened.append(Happening(what=STOPPED))

    def pass_ended(self, work: Work, *, whole: bool) -> None:
        """A pass has ended. `whole`: it was not interrupted, nor left to another archiver."""
        for report in work.reports.values():
            counts = ((DELETED, Level.OK, report.deleted), (EXPIRED, Level.OK, report.expired),
                      (QUARANTINED, Level.WARNING, report.quarantined))  # fmt: skip
            self._happened += [
                Happening(what=what, level=level, account=report.account, count=count)
                for what, level, count in counts
                if count
            ]
        if whole:
            self._begun = self._passed = True
            why = f"nothing was deleted by itself: {self._redact(str(work.refusal))}"
            self._refused = Trouble(key=REFUSED, level=Level.WARNING, text=why) if work.refusal else None

    def ended(self, why: str) -> None:
        """The process ends before its time."""
        text = f"the archiver has ended by itself: {self._redact(why)}"
        self._ended = Trouble(key=ENDED, level=Level.CRITICAL, text=text)

    def words(self, reason: Reason) -> str:
        """Say what is wrong, and where."""
        account = f"{reason.account}: " if reason.account else ""
        return f"{account}{self._redact(reason.message)}"

    def seen(self, look: Look | None) -> Seen:
        """Tell what there is, and what has happened since it was last asked for. None: nobody has looked."""
        reasons = look.reasons if look else ()
        causes = {reason.cause for reason in reasons} if look else {Cause.STARTING}
        blind = bool(causes & BLIND)
        stops = [one for one in reasons if one.cause is Cause.STOPPED and one.level is Level.CRITICAL]
        implied = {_key(Cause.LAST_PASS, one.account) for one in stops}
        found = {_key(one.cause, one.account): one for one in reasons if one.cause is not Cause.STARTING or self.awaits}
        told = [
            Trouble(key=key, level=reason.level, text=self.words(reason))
            for key, reason in found.items()
            if key not in implied
        ]
        own = (self._refused, None if look and blind else self._ended)
        known = {ENDED: self._begun, REFUSED: self._passed, Cause.STARTING: look is not None,
                 Cause.CATALOGUE: Cause.STARTING not in causes}  # fmt: skip
        happened, self._happened = self._happened, []
        return Seen(
            troubles=[*told, *(one for one in own if one)],
            happened=happened,
            hidden=lambda key: key in implied or not known.get(key.partition("/")[0], not blind),
        )


def _key(cause: Cause, account: str | None) -> str:
    return f"{cause}/{account}" if account else str(cause)
