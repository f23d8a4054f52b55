"""What a pass did, as numbers and reasons; and whether it may be called a success."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from archiver.core.health import Stop
from archiver.core.incidents import MOST_KEPT, MOST_NAMED, Failure, Repeats
from archiver.core.timing import Durations, Slowest

PLAIN = (
    "listed",
    "new",
    "malformed",
    "slices",
    "counts",
    "late",
    "absent",
    "recounted",
    "recounts_due",
    "unproven",
    "archived",
    "exports",
    "exported",
    "unlisted_members",
    "awaited",
    "adopted",
    "disagreeing",
    "bytes",
    "endangered",
    "excluded",
    "verified",
    "quarantined",
    "locked",
    "unlocked",
    "held",
    "released",
    "drifted",
    "deleted",
    "already_gone",
    "expired",
    "requests",
)
COUNTERS = ("sent", "retries", "failures", "kept", "excluded_by")


@dataclass(slots=True)
class PassReport:
    """Counts of one pass over one account. Memory does not grow with the number of recordings."""

    account: str
    listed: int = 0  # items on the pages that were read
    new: int = 0
    malformed: int = 0  # unreadable items seen for the first time
    slices: int = 0
    counts: int = 0  # requests for a total alone
    late: int = 0  # of the new ones: found behind the watermark
    absent: int = 0  # no longer listed by the source, though it had them
    recounted: int = 0  # older days that the source was asked about again
    recounts_due: int = 0  # and those that are left for the next passes
    unproven: int = 0  # slices whose completeness the source's totals did not show
    archived: int = 0
    exports: int = 0  # exports that the source was asked for
    exported: int = 0  # of those archived: members of an export
    unlisted_members: int = 0  # members of exports that are no listed recording, by all that is known
    awaited: int = 0  # recordings that exports under way are to bring, as the transfer ended
    adopted: int = 0  # of those archived: the object already stood there, from an attempt that was cut off
    disagreeing: int = 0  # of those archived: not as long as listed, though two downloads agreed
    bytes: int = 0
    endangered: int = 0  # not archived as the transfer began, and soon deleted by the source itself
    excluded: int = 0
    excluded_by: Counter[str] = field(default_factory=Counter)  # the same by policy
    verified: int = 0
    quarantined: int = 0
    locked: int = 0  # copies whose lock in the bucket was set or extended after they were verified
    unlocked: int = 0  # objects that could not be held in the bucket as the terms ask
    held: int = 0  # copies that came under a legal hold
    released: int = 0  # and that no longer are
    drifted: int = 0  # objects that the bucket holds otherwise than it was told
    deleted: int = 0  # at the source
    already_gone: int = 0  # of those: the source said 404
    expired: int = 0  # deleted in the archive
    requests: int = 0
    sent: Counter[str] = field(default_factory=Counter)  # the same by operation
    decisions: int | None = None  # about deletion, that have a copy in the bucket; None: not looked at
    clock_seconds: int | None = None  # the source's clock is so far ahead of ours; None: it has not said
    retries: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by kind, this pass
    kept: Counter[str] = field(default_factory=Counter)  # not deleted at the last check, by reason
    named: list[Failure] = field(default_factory=list)  # the first ones
    repeats: Repeats = field(default_factory=Repeats)  # recordings tried again
    transfers: Durations = field(default_factory=Durations)  # of single recordings, into the bucket
    slowest: Slowest = field(default_factory=Slowest)  # of these
    stage: str = ""  # the one that is at work, for progress displays
    stopped: str = ""  # why the pass ended early
    stop: Stop | None = None  # the same for those who watch; not where another process was at work
    exit_code: int = 0  # of the stop
    seconds: dict[str, float] = field(default_factory=dict)  # by stage

    def fail(self, recording_id: str, kind: str, reason: str) -> None:
        """Count one recording that could not be handled."""
        self.failures[kind] += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(Failure(recording_id, kind, reason))

    def repeat(self, recording_id: str, cause: str) -> None:
        """Count one download that is made again."""
        self.retries[cause] += 1
        self.repeats.note(recording_id, cause)

    def exclude(self, policy: str) -> None:
        """Count one recording that a policy keeps out of the archive."""
        self.excluded += 1
        self.excluded_by[policy] += 1

    def took(self, recording_id: str, seconds: float) -> None:
        """Count how long one recording was on its way into the bucket."""
        self.transfers.observe(seconds)
        self.slowest.observe(seconds, recording_id)

    @property
    def failed_beyond(self) -> int:
        """Failures that are not named."""
        return self.failures.total() - len(self.named)

    def as_record(self) -> dict[str, object]:
        """Give the whole report, for the catalogue and the log: beside the numbers, single recordings by name."""
        named, repeats = self.named[:MOST_KEPT], self.repeats.first(MOST_KEPT)
        return self.as_counts() | {
            "stop": None if self.stop is None else asdict(self.stop),
            "slowest": [{"recording_id": name, "seconds": round(spent, 3)} for spent, name in self.slowest.found],
            "failed": [asdict(one) for one in named],
            "failed_beyond": self.failures.total() - len(named),
            "repeated": [{"recording_id": one, "causes": dict(causes)} for one, causes in repeats.causes.items()],
            "repeated_beyond": repeats.beyond,
        }

    def as_counts(self) -> dict[str, object]:
        """Give the numbers alone, for `--json`."""
        counts: dict[str, object] = {name: getattr(self, name) for name in PLAIN}
        counts |= {name: dict(getattr(self, name)) for name in COUNTERS}
        counts |= {"seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()}}
        counts |= {} if self.clock_seconds is None else {"clock_seconds": self.clock_seconds}
        counts |= {} if self.decisions is None else {"decisions": self.decisions}
        return counts | ({"stopped": self.stopped} if self.stopped else {})


def exit_code(reports: Iterable[PassReport], open_gaps: int) -> int:
    """Exit code of a pass over all accounts: a stop outranks failures and gaps (3), which outrank success (0)."""
    finished = list(reports)
    worst = max((report.exit_code for report in finished), default=0)
    failed = open_gaps or any(report.failures for report in finished)
    return worst or (3 if failed else 0)
