"""A request, read: all that the service needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from archiver.simulator.faults import Operation

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an operation. What its path did not name is left at the default."""

    operation: Operation
    origin: str  # scheme, host and port as the client used them: for links
    account: str = "self"
    recording: int | None = None
    job: str = ""
    authorization: str | None = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    body: bytes = field(default=b"", repr=False)
    form: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
