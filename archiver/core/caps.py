"""The limits on how much one run may delete: past one of them nothing is deleted at all."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Protocol

from archiver.core.policy import Deletion, Mode
from archiver.errors import SafetyLimit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def check_mode(deletion: Deletion) -> None:
    """Raise SafetyLimit unless the policies file switches deletion on."""
    if deletion.mode is Mode.DISABLED:
        raise SafetyLimit(
            "deletion.mode is disabled: nothing was deleted",
            hint="Set deletion.mode to automatic in the policies file to delete what the policies permit.",
        )


def check_caps(items: Iterable[Owned], at_source_by_account: Mapping[str, int], deletion: Deletion) -> None:
    """Raise SafetyLimit, naming every limit that is passed, unless all items may be deleted in one run.

    `at_source_by_account` counts each account's recordings that the catalogue knows to be at the source.
    """
    counts = Counter(item.account for item in items)
    passed = [*_over_run(counts.total(), deletion), *_over_percent(counts, at_source_by_account, deletion)]
    if passed:
        raise SafetyLimit("; ".join([*passed, "nothing was deleted"]), hint=_HINT)


def allowed(total: int, max_percent: Decimal) -> int:
    """Return how many of `total` recordings one run may delete: at least one where the percentage is above 0."""
    if max_percent <= 0:
        return 0
    share = int((max_percent * total / 100).to_integral_value(ROUND_FLOOR))
    return min(total, max(1, share))


def _over_run(wanted: int, deletion: Deletion) -> Iterable[str]:
    if wanted > deletion.max_per_run:
        yield f"{wanted} recordings are due, deletion.max_per_run allows {deletion.max_per_run}"


def _over_percent(counts: Mapping[str, int], totals: Mapping[str, int], deletion: Deletion) -> Iterable[str]:
    for account, wanted in sorted(counts.items()):
        total = totals.get(account, 0)
        limit = allowed(total, deletion.max_percent)
        if wanted > limit:
            percent = f"{deletion.max_percent.normalize():f}"
            yield (
                f"account {account}: {wanted} recordings are due, deletion.max_percent {percent} "
                f"allows {limit} of the {total} that are still at the source"
            )
