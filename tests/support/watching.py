"""The endpoint of a daemon, asked as a probe and Prometheus ask it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tests.support.commands import Process
from tests.support.metrics import values


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One daemon's."""

    address: str

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def statuses(self) -> tuple[int, int, int]:
        """Of /livez, /readyz and /healthz."""
        live, ready, health = (self.get(path)[0] for path in ("/livez", "/readyz", "/healthz"))
        return live, ready, health

    def reasons(self) -> list[tuple[str | None, str, str]]:
        """Account, cause and level of each reason of /healthz."""
        found = cast("list[dict[str, str]]", self.health()["reasons"])
        return [(one["account"], one["cause"], one["level"]) for one in found]

    def health(self) -> Mapping[str, object]:
        """What /healthz says."""
        return cast("dict[str, object]", json.loads(self.get("/healthz")[1]))

    def metrics(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """What /metrics says, as `values` has it."""
        return values(self.get("/metrics")[1].encode())


def endpoint_of(daemon: Process) -> Endpoint:
    """Wait until it listens."""
    return Endpoint(str(daemon.wait_for("http_listening")["address"]))


def passes_more(daemon: Process, count: int = 2) -> None:
    """Wait for so many more passes; when a second one has ended, all that the first one did is written down."""
    daemon.wait_for("pass_finished", count=len(daemon.events("pass_finished")) + count)
