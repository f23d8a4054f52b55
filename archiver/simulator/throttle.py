"""The quota of the gateway: so many requests a minute for each token."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from archiver.simulator.behaviour import Behaviour, RetryAfter
from archiver.simulator.replies import Headers, Reply, fault_reply, http_date


def retry_after_header(seconds: int, now: datetime, *, as_date: bool) -> Headers:
    """Name a pause in one of the two forms that HTTP knows."""
    if not as_date:
        return (("Retry-After", str(seconds)),)
    return (("Retry-After", http_date(now + timedelta(seconds=seconds))),)


class Throttle:
    """Counts requests in fixed windows, as the gateway does."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._windows: dict[str, tuple[datetime, int]] = {}
        self._seen = 0

    def admit(self, token: str, behaviour: Behaviour, now: datetime) -> Reply | None:
        """Count one request; return the refusal where it is one too many."""
        self._seen += 1
        if behaviour.throttle_every is not None and self._seen % behaviour.throttle_every == 0:
            return _refusal(behaviour.retry_after or 1, behaviour, now)
        if behaviour.requests_per_minute is None:
            return None
        began, count = self._windows.get(token, (now, 0))
        if now - began >= behaviour.quota_window:
            began, count = now, 0
        self._windows[token] = (began, count + 1)
        if count < behaviour.requests_per_minute:
            return None
        left = math.ceil((began + behaviour.quota_window - now).total_seconds())
        return _refusal(behaviour.retry_after or max(left, 1), behaviour, now)


def _refusal(seconds: int, behaviour: Behaviour, now: datetime) -> Reply:
    if behaviour.retry_after_form is RetryAfter.ABSENT:
        return fault_reply(429)
    as_date = behaviour.retry_after_form is RetryAfter.DATE
    return fault_reply(429, headers=retry_after_header(seconds, now, as_date=as_date))
