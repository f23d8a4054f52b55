"""Everything that can go wrong, grouped by what to do about it.

    ArchiverError
      Transient            try again: the neighbour may answer next time
        Throttled          … after the time that the neighbour named
        BodyRejected       … what came is not the recording (cut, an error page, wrong size)
      SkipItem             this recording cannot be handled; the others can
        NotFound           the neighbour has no such thing
        ObjectExists       an object already stands under the key
        IntegrityError     bytes and record disagree
        Conflict           the row is no longer in the state that the caller saw
        Withheld           a deletion that had begun is forbidden now
      StopStage            nothing more can be done in this stage now
        Unreachable        a neighbour is out of reach (exit 5)
        AccountBusy        another process works on this account (exit 4)
      StopDaemon           going on would be wrong: a person must act
        AccessDenied       credentials refused, or a right is missing (exit 5)
        ConfigError        usage or configuration (exit 2)
        SchemaError        the catalogue's schema is not the one this version needs (exit 2)
        SafetyLimit        refused by a limit that protects the archive (exit 4)

Messages name what failed and what to do; they never hold a secret, a phone number or a person's name.
"""

from __future__ import annotations


class ArchiverError(Exception):
    """Root of every expected error. `hint` says what an operator can do; `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the hint apart, so that logs and terminal can show it in their own way."""
        super().__init__(message)
        self.hint = hint


class Transient(ArchiverError):
    """May succeed when tried again."""

    exit_code = 5


class Throttled(Transient):
    """The neighbour asked for a pause of `retry_after` seconds (None: it did not say how long)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds from now."""
        super().__init__(message)
        self.retry_after = retry_after


class BodyRejected(Transient):
    """A download came that is not the recording: cut, too long, or not audio at all."""

    exit_code = 3


class SkipItem(ArchiverError):
    """This one recording cannot be handled now; the others can."""

    exit_code = 3


class NotFound(SkipItem):
    """The neighbour has no such recording or object."""


class ObjectExists(SkipItem):
    """A conditional create found an object under the key."""


class IntegrityError(SkipItem):
    """Bytes and record disagree."""


class Conflict(SkipItem):
    """A guarded update matched no row: someone else has moved the recording on."""


class Withheld(SkipItem):
    """A deletion that had begun must not go on: a hold, a pause, or a policy forbids it now."""


class StopStage(ArchiverError):
    """The stage cannot go on now; the next pass may."""

    exit_code = 5


class Unreachable(StopStage):
    """A neighbour does not answer after all retries."""


class AccountBusy(StopStage):
    """Another process holds the lock of this account's stage."""

    exit_code = 4


class StopDaemon(ArchiverError):
    """Going on would be wrong; a person must act first."""

    exit_code = 2


class AccessDenied(StopDaemon):
    """Credentials were refused, or a right is missing."""

    exit_code = 5


class ConfigError(StopDaemon):
    """Usage or configuration. `problems` are (path, message) pairs, all of them at once."""

    def __init__(self, message: str, *, problems: tuple[tuple[str, str], ...] = (), hint: str = "") -> None:
        """`problems` is empty where the message says it all."""
        super().__init__(message, hint=hint)
        self.problems = problems


class SchemaError(StopDaemon):
    """The catalogue's schema is older or newer than this version needs."""


class SafetyLimit(StopDaemon):
    """A limit that protects the archive refused the run; nothing was deleted."""

    exit_code = 4
