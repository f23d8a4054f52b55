"""What a rebuild needs of the world, and whoever writes what a rebuild reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from archiver.core.controls import Control, Kind
from archiver.core.decision_copies import Copy
from archiver.core.model import Entry
from archiver.core.naming import Address
from archiver.core.rebuilding import Known, Listed, Rebuilt, Refusal


class ObjectListing(Protocol):
    """What stands in the bucket. Raises as `ObjectStore` does."""

    def objects(self, prefix: str) -> AsyncIterator[Listed]:
        """Walk the objects whose keys begin with a text, in the order of their keys, a page at a time."""
        ...


class DecisionLog(Protocol):
    """The log of decisions about deletion."""

    async def log(self, kinds: Collection[Kind], subject: str | None = None) -> list[Control]:
        """Read the decisions of some kinds, oldest first."""
        ...

    async def extent(self) -> tuple[int, int]:
        """Return how many there are, and the number of the last."""
        ...

    async def record(self, one: Control, *, after: int | None = None) -> None:
        """Write a decision down. Raises Conflict where it can be made once only, and was."""
        ...


class RebuildRows(Protocol):
    """What a rebuild asks of the catalogue, and adds to it. It changes no row that is there."""

    async def known(self, addresses: Sequence[Address]) -> Mapping[tuple[str, str], Known]:
        """Tell which recordings have a row, by account and id."""
        ...

    async def add(self, rebuilt: Sequence[Rebuilt]) -> None:
        """Add recordings with their history, all or none. One that has a row already is left as it is."""
        ...

    async def add_decisions(
        self, given: Sequence[tuple[str, Copy]], *, dry_run: bool
    ) -> tuple[list[Control], list[Refusal]]:
        """Add decisions, given with the keys of their copies in the order of the log, all or none.

        What the catalogue has itself decided about stands. Returns what was added, or would be, and what was not.
        """
        ...


class HeldEntries(Protocol):
    """Recordings by what holds them."""

    def held_entries(self, account: str) -> AsyncIterator[Entry]:
        """Walk the recordings that were last known to be on hold, in batches."""
        ...
