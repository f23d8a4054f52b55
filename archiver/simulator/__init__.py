"""The VBC Call Recording API on localhost, with faults on demand.

For the demonstration, the tests, the bench, and users without an account.
"""

from archiver.simulator.account import Account, SimRecording, ordinary
from archiver.simulator.audio import audio_bytes, audio_sha256
from archiver.simulator.awkward import awkward
from archiver.simulator.behaviour import Behaviour, Credentials, Endless, Numbers, PageZero, RetryAfter, Totals
from archiver.simulator.faults import (
    Changed,
    CutAfter,
    Drop,
    Empty,
    EmptyListing,
    Extra,
    Fault,
    Flip,
    Garbage,
    Hang,
    Html,
    JsonError,
    MalformedItems,
    NeverEnds,
    Operation,
    Redirect,
    Revoke,
    Shrunken,
    StallAfter,
    Status,
    Truncate,
)
from archiver.simulator.journal import Journal, Seen
from archiver.simulator.query import ListRequest
from archiver.simulator.serve import in_thread, serve
from archiver.simulator.server import Simulator

__all__ = [
    "Account",
    "Behaviour",
    "Changed",
    "Credentials",
    "CutAfter",
    "Drop",
    "Empty",
    "EmptyListing",
    "Endless",
    "Extra",
    "Fault",
    "Flip",
    "Garbage",
    "Hang",
    "Html",
    "Journal",
    "JsonError",
    "ListRequest",
    "MalformedItems",
    "NeverEnds",
    "Numbers",
    "Operation",
    "PageZero",
    "Redirect",
    "RetryAfter",
    "Revoke",
    "Seen",
    "Shrunken",
    "SimRecording",
    "Simulator",
    "StallAfter",
    "Status",
    "Totals",
    "Truncate",
    "audio_bytes",
    "audio_sha256",
    "awkward",
    "in_thread",
    "ordinary",
    "serve",
]
