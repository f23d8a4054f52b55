"""What can be scripted to go wrong, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from archiver.simulator.spoils import Spoil


class Operation(StrEnum):
    """What a request asks for."""

    LIST = "list"
    GET = "get"
    DELETE = "delete"
    AUDIO = "audio"
    EXPORT = "export"
    RETRIEVE = "retrieve"
    SIGNED = "signed"  # a ZIP where a retrieval was redirected to: needs no token
    TOKEN = "token"  # noqa: S105 - the name of an operation
    OTHER = "other"  # no route: a link followed blindly, a wrong base URL


# Instead of doing the operation -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Status:
    """A WSO2 fault with this status. `retry_after`: seconds, or with `as_date` a date so many seconds ahead."""

    code: int
    retry_after: int | None = None
    as_date: bool = False


@dataclass(frozen=True, slots=True)
class Html:
    """An error page in HTML with status 200; with `audio/mpeg` for a type it even lies about what it is."""

    content_type: str = "text/html"


@dataclass(frozen=True, slots=True)
class JsonError:
    """A JSON error of 59 bytes with status 200."""

    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Garbage:
    """JSON that ends in the middle, with status 200."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """302 to another place: an absolute URL."""

    location: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """The token of this request is revoked and the request answered with 401."""


# After doing the operation, to its answer -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection closes without an answer; `applied` says whether the operation was done before."""

    applied: bool = False


@dataclass(frozen=True, slots=True)
class CutAfter:
    """The connection breaks after so many bytes of the body."""

    size: int


@dataclass(frozen=True, slots=True)
class StallAfter:
    """After so many bytes of the body nothing more comes, and the connection stays open."""

    size: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """Only so many bytes come, and the answer ends as if that were all."""

    size: int


@dataclass(frozen=True, slots=True)
class Empty:
    """A body of no bytes."""


@dataclass(frozen=True, slots=True)
class NeverEnds:
    """The body goes on until the client has had enough."""


@dataclass(frozen=True, slots=True)
class Extra:
    """So many more bytes than the recording has."""

    size: int = 100


@dataclass(frozen=True, slots=True)
class Flip:
    """One bit of the first frame is wrong, another one each time."""


@dataclass(frozen=True, slots=True)
class EmptyListing:
    """A page that claims that there is nothing at all."""


@dataclass(frozen=True, slots=True)
class Shrunken:
    """A listing of only this share of what matches, rounded down: the first ones, in the total and on every page.

    An export holds only the earliest ones.

    Raises ValueError for a share that is not between 0 and 1.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"a share lies between 0 and 1, not at {self.share}")

    def of(self, total: int) -> int:
        """Return how many of so many are left."""
        return int(total * Decimal(str(self.share)))  # as it was written: 0.29 of 100 are 29


@dataclass(frozen=True, slots=True)
class MalformedItems:
    """The page holds one more item of each kind; see `malformed.KINDS`. Totals do not count them."""

    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """Fields of a recording (get one) read otherwise than in the listing."""

    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the client gives up; or, after `Simulator.release()`, the ordinary one."""


Instead = Status | Html | JsonError | Garbage | Redirect | Revoke
Stream = CutAfter | StallAfter | Truncate | Empty | NeverEnds | Extra | Flip
Document = EmptyListing | MalformedItems | Changed
Upon = Stream | Document
Action = Instead | Upon | Drop | Hang | Shrunken | Spoil


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`do` this to requests of the operation, for one recording or (None) any.

    The first `after` requests that match are let pass, the next `times` (None: all of them) are struck.
    One request meets at most one fault: the first that is due, those of its recording before those of all.
    """

    on: Operation
    do: Action
    recording: int | None = None
    times: int | None = 1
    after: int = 0
