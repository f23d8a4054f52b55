"""How the simulated service behaves where the vendor's documents leave a choice, and whom it lets in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from archiver.simulator.exports import EXPORTS, USER, Exports


class Totals(StrEnum):
    """What a page claims about the whole listing."""

    TRUE = "true"
    ZERO = "zero"  # page, page_size, total_items and total_pages are all 0, as in the vendor's example
    ABSENT = "absent"  # no total_items, no total_pages
    PAGE = "page"  # total_items counts the items on the page itself, total_pages is 1


class PageZero(StrEnum):
    """What `page=0` means where pages are counted from 1."""

    CLAMP = "clamp"  # the first page
    REFUSE = "refuse"  # 400


class Endless(StrEnum):
    """A listing whose pages never run out."""

    NO = "no"
    REPEATING = "repeating"  # beyond the end the same items come again and again
    CHANGING = "changing"  # beyond the end every page holds ids never seen before


class Numbers(StrEnum):
    """How caller_id and extensions are written in JSON."""

    AS_STORED = "as_stored"
    INTEGERS = "integers"  # where no leading zero or plus would be lost
    STRINGS = "strings"


class RetryAfter(StrEnum):
    """In which form a 429 names the pause."""

    SECONDS = "seconds"
    DATE = "date"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Choices of the service; the default is the kindest reading of the documents."""

    page_base: int = 1  # 0 or 1: the documents say both
    page_zero: PageZero = PageZero.CLAMP
    page_size_cap: int = 100
    totals: Totals = Totals.TRUE
    totals_off_by: int = 0  # added to total_items
    endless: Endless = Endless.NO
    ignore_window: bool = False  # start filters are read and then not applied
    numbers: Numbers = Numbers.AS_STORED
    download_origin: str | None = None  # scheme and host that download_url names instead of the service's own
    date_ahead: timedelta = timedelta(0)  # how far the clock of the Date header is ahead of the simulator's
    date_absent: bool = False  # no Date header at all
    retention: timedelta | None = None  # what began longer ago (by the simulator's clock) is purged, for good
    latency: float = 0.0  # seconds before each answer
    requests_per_minute: int | None = None  # for each token
    quota_window: timedelta = timedelta(minutes=1)  # shorter where nobody wants to wait a real minute
    retry_after: int | None = None  # seconds that a 429 names; None: what is left of the window
    retry_after_form: RetryAfter = RetryAfter.SECONDS
    throttle_every: int | None = None  # every n-th request is answered 429, whatever the quota
    expires_in: int = 86_400  # seconds that an access token lives
    refresh_lives: timedelta = timedelta(days=7)
    refresh_revokes: bool = False  # an exchange ends the access tokens issued before
    exports: Exports = EXPORTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the gateway accepts. The password holds the characters that careless form encoding destroys."""

    token: str = field(default="sim-token", repr=False)  # static: never expires, until revoked
    username: str = USER  # sent as auditor@vbc.prod
    password: str = field(default="p&ss=w+rd %41", repr=False)
    client_id: str = "sim-client"
    client_secret: str = field(default="sim+secret/=", repr=False)
    refresh_token: str = field(default="sim-refresh-0", repr=False)  # the first one: single use


KIND = Behaviour()
CREDENTIALS = Credentials()
