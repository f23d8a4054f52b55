"""The request budget: what the quota allows, what the work needs, and when a backlog is worked off. Pure."""

from __future__ import annotations

from datetime import timedelta


def room(per_minute: int, every: timedelta, share: int) -> int:
    """Requests that archiving may use between two passes; `share`, in percent, is left to recounts and listing."""
    return max(1, int(per_minute * every.total_seconds() / 60 * (100 - share) / 100))
