"""The limits on how much one run may delete: past one of them nothing is deleted at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Protocol

from archiver.core.policy import Caps, Deletion
from archiver.errors import SafetyLimit

_HINT = (
    "Read the plan. If it is right, raise the limit in the policies file for as long as it takes; "
    "if not, correct the policies and plan again."
)


class Owned(Protocol):
    """Anything that belongs to an account."""

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...


def check_caps(items: Iterable[Owned], totals: Mapping[str, int], side: Side) -> None:
    """Raise SafetyLimit, naming every limit that is passed, unless all items may be deleted in one run.

    `totals` counts each account's recordings that the catalogue knows to be on that side.
    """
    counts = Counter(item.account for item in items)
    passed = [*_over_run(counts.total(), side), *_over_percent(counts, totals, side)]
    if passed:
        raise SafetyLimit("; ".join([*passed, f"nothing was deleted {side.place}"]), hint=_HINT)


@dataclass(frozen=True, slots=True)
class Side:
    """Where a deletion happens, for the words of a refusal, and the caps that hold there."""

    caps: Caps
    prefix: str  # of the caps' keys in the policies file
    place: str


SOURCE_SIDE, ARCHIVE_SIDE = "at the source", "in the archive"


def at_source(deletion: Deletion) -> Side:
    """The source's side."""
    return Side(deletion.source, "deletion", SOURCE_SIDE)


def in_archive(deletion: Deletion) -> Side:
    """The archive's side."""
    return Side(deletion.archive, "deletion.archive", ARCHIVE_SIDE)


def allowed(total: int, max_percent: Decimal) -> int:
    """Return how many of `total` recordings one run may delete: at least one where the percentage is above 0."""
    if max_percent <= 0:
        return 0
    share = int((max_percent * total / 100).to_integral_value(ROUND_FLOOR))
    return min(total, max(1, share))


def _over_run(wanted: int, side: Side) -> Iterable[str]:
    if wanted > side.caps.max_per_run:
        limit = f"{side.prefix}.max_per_run allows {side.caps.max_per_run}"
        yield f"{wanted} recordings are to be deleted {side.place}, {limit}"


def _over_percent(counts: Mapping[str, int], totals: Mapping[str, int], side: Side) -> Iterable[str]:
    for account, wanted in sorted(counts.items()):
        total = totals.get(account, 0)
        limit = allowed(total, side.caps.max_percent)
        if wanted > limit:
            percent = f"{side.caps.max_percent.normalize():f}"
            yield (
                f"account {account}: {wanted} recordings are to be deleted {side.place}, {side.prefix}.max_percent "
                f"{percent} allows {limit} of the {total} that are there"
            )
