"""An answer as a value: faults change it before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum

Headers = tuple[tuple[str, str], ...]


class Ending(StrEnum):
    """How the connection is left."""

    WHOLE = "whole"
    CUT = "cut"  # after what was sent, without the end that chunked encoding wants
    STALLED = "stalled"  # after what was sent, held open without another byte
    NO_ANSWER = "no_answer"  # closed before anything was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back. `chunked` bodies carry no Content-Length and are never held whole."""

    status: int = 200
    content_type: str = "application/json"
    chunks: Iterable[bytes] = ()
    chunked: bool = False
    headers: Headers = ()
    ending: Ending = Ending.WHOLE
    job_ids: tuple[str, ...] = ()  # of the jobs that were made, for the journal

    def body(self) -> bytes:
        """Return everything at once: for small bodies only."""
        return b"".join(self.chunks)


def http_date(moment: datetime) -> str:
    """Write an aware time as HTTP headers do."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


# WSO2's code and words for the statuses that the gateway gives by itself.
_GATEWAY_FAULTS: Mapping[int, tuple[int, str, str]] = {
    400: (400, "Bad Request", "The request could not be understood"),
    401: (
        900901,
        "Invalid Credentials",
        "Access failure. Make sure you have provided the correct security credentials",
    ),
    403: (900908, "Resource forbidden", "User is NOT authorized to access the resource"),
    404: (404, "Not Found", "There is no such recording"),
    429: (900800, "Message throttled out", "You have exceeded your quota"),
    503: (303001, "Service Unavailable", "The endpoint is suspended"),
}


def json_reply(document: object, status: int = 200, headers: Headers = ()) -> Reply:
    """Answer with JSON."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(status=status, chunks=(body,), headers=headers)


def fault_reply(
    status: int, *, code: int | None = None, description: str | None = None, headers: Headers = ()
) -> Reply:
    """Answer as the gateway does when it refuses: a WSO2 fault."""
    usual, message, words = _GATEWAY_FAULTS.get(status, (101_000, "Runtime Error", "The backend has failed"))
    fault = {"code": code or usual, "message": message, "description": description or words}
    return json_reply({"fault": fault}, status, headers)
