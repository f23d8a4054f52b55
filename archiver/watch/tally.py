"""What this process has done since it began, over all its passes: numbers that only grow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from archiver.core.report import PassReport
from archiver.core.timing import Durations

#: Fields of a report that count recordings, by the step that was taken with them.
STEPS = (
    "listed", "new", "late", "archived", "exported", "adopted", "disagreeing", "excluded", "verified", "quarantined",
    "absent", "held", "released", "locked", "unlocked", "drifted", "deleted", "already_gone", "expired",
)  # fmt: skip
#: How a pass can end. Counted from 0 on: what first shows up as 1 has not grown, for whoever asks by how much it did.
EXIT_CODES = (0, 1, 2, 3, 4, 5, 130)


@dataclass(slots=True)
class Totals:
    """Of one account."""

    steps: Counter[str] = field(default_factory=Counter)
    bytes: int = 0  # put into the bucket
    failures: Counter[str] = field(default_factory=Counter)  # by kind
    kept: Counter[str] = field(default_factory=Counter)  # not deleted at the last check, by reason
    transfers: Durations = field(default_factory=Durations)
    stages: defaultdict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))

    def add(self, report: PassReport, *, ended: bool) -> None:
        """Count what a pass has done. How long a stage took is known when the pass has `ended`."""
        self.steps.update({step: getattr(report, step) for step in STEPS})
        self.bytes += report.bytes
        self.failures.update(report.failures)
        self.kept.update(report.kept)
        self.transfers.add(report.transfers)
        for stage, seconds in report.seconds.items() if ended else ():
            self.stages[stage].observe(seconds)


@dataclass(slots=True)
class Tally:
    """Of all accounts: the passes that have ended, and the one that is at work."""

    totals: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    passes: Counter[int] = field(default_factory=lambda: Counter(dict.fromkeys(EXIT_CODES, 0)))  # by exit code
    seconds: Durations = field(default_factory=Durations)  # of whole passes
    at_work: Mapping[str, PassReport] = field(default_factory=dict)
    notifications: Counter[tuple[str, str]] = field(default_factory=Counter)  # by channel or ping, and outcome

    def begin(self, reports: Mapping[str, PassReport]) -> None:
        """Watch the reports of a pass while it goes on."""
        self.at_work = reports

    def end(self, exit_code: int, seconds: float) -> None:
        """Count the pass that was at work as ended."""
        for report in self.at_work.values():
            self.totals[report.account].add(report, ended=True)
        self.at_work = {}
        self.passes[exit_code] += 1
        self.seconds.observe(seconds)

    def by_account(self, names: Iterable[str]) -> Mapping[str, Totals]:
        """Give what was done for each account up to this moment."""
        return {name: self._of(name) for name in names}

    def _of(self, name: str) -> Totals:
        totals, at_work = deepcopy(self.totals[name]), self.at_work.get(name)
        if at_work is not None:
            totals.add(at_work, ended=False)
        return totals
