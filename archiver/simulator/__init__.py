"""The VBC Call Recording API on localhost, bulk exports included, with faults on demand.

For the demonstration, the tests, the bench, and users without an account.
"""

from archiver.simulator.account import Account, SimRecording, ordinary
from archiver.simulator.audio import audio_bytes, audio_sha256
from archiver.simulator.awkward import awkward
from archiver.simulator.behaviour import Behaviour, Credentials, Endless, Numbers, PageZero, RetryAfter, Totals
from archiver.simulator.exports import ExportRequest, Exports, JobState, Names, NotYet
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
from archiver.simulator.spoils import (
    Altered,
    BadBit,
    Bomb,
    Encrypted,
    LeftOut,
    LyingDirectory,
    Named,
    NoDirectory,
    Spoil,
    Stranger,
    Twice,
    WrongSizes,
)
from archiver.simulator.zipping import Method

__all__ = [
    "Account",
    "Altered",
    "BadBit",
    "Behaviour",
    "Bomb",
    "Changed",
    "Credentials",
    "CutAfter",
    "Drop",
    "Empty",
    "EmptyListing",
    "Encrypted",
    "Endless",
    "ExportRequest",
    "Exports",
    "Extra",
    "Fault",
    "Flip",
    "Garbage",
    "Hang",
    "Html",
    "JobState",
    "Journal",
    "JsonError",
    "LeftOut",
    "ListRequest",
    "LyingDirectory",
    "MalformedItems",
    "Method",
    "Named",
    "Names",
    "NeverEnds",
    "NoDirectory",
    "NotYet",
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
    "Spoil",
    "StallAfter",
    "Status",
    "Stranger",
    "Totals",
    "Truncate",
    "Twice",
    "WrongSizes",
    "audio_bytes",
    "audio_sha256",
    "awkward",
    "in_thread",
    "ordinary",
    "serve",
]
