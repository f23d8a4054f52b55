"""Channels as they are configured: how each is reached, and what it wants to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from archiver.adapters.messenger import Messenger, messenger
from archiver.adapters.notice_rows import NoticeRows
from archiver.core.health import Level
from archiver.core.notices import Rules
from archiver.errors import ConfigError
from archiver.settings import Channel, Settings
from archiver.watch.teller import Teller

LEVELS = {"critical": Level.CRITICAL, "warning": Level.WARNING, "info": Level.OK}


def messengers(settings: Settings) -> Mapping[str, Messenger]:
    """Make a messenger for each channel; takes a second. Raises ConfigError with every address that is wrong."""
    made, problems = usable(settings)
    if problems:
        msg = "a channel of the notifications cannot be used"
        raise ConfigError(msg, problems=tuple(problems), hint="see docs/operations.md, being told")
    return made


def usable(settings: Settings) -> tuple[Mapping[str, Messenger], Sequence[tuple[str, str]]]:
    """Do the same for those that can be used, and return with them what is wrong with the others, by its path."""
    made, problems = dict[str, Messenger](), list[tuple[str, str]]()
    for index, channel in enumerate(settings.notifications.channels):
        try:
            made[channel.name] = messenger(channel.url.get_secret_value(), allow_http=channel.allow_http)
        except ValueError as error:
            problems.append((f"notifications.channels[{index}].url", str(error)))
    return made, problems


def archive_of(settings: Settings) -> str:
    """Name the archive in messages."""
    return f"{settings.vault.bucket}/{settings.vault.prefix}".rstrip("/")


def teller(
    settings: Settings, channel: Channel, ready: Messenger, rows: NoticeRows | None,
    outcomes: Counter[tuple[str, str]], clock: Callable[[], datetime],
) -> Teller:  # fmt: skip
    """Make one that tells a channel by its messenger; `outcomes` counts what was sent."""
    rules = Rules(
        level=LEVELS[channel.level],
        settle=settings.notifications.settle,
        quiet_for=channel.quiet_for,
        per_hour=channel.per_hour,
    )
    return Teller(
        name=channel.name,
        archive=archive_of(settings),
        rules=rules,
        messenger=ready,
        rows=rows,
        outcomes=outcomes,
        clock=clock,
    )
