"""How the simulated service exports in bulk, and what is noted of each request for an export."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.simulator.zipping import Method

USER = "auditor"
_CREATED = (200, 201, 202)
_GONE = (404, 410)


class NotYet(StrEnum):
    """What the retrieval of a job that is not ready is answered with: the documents do not say."""

    JSON = "json"  # 200, {"status": "IN_PROGRESS"}
    HTML = "html"  # 200, a page
    ACCEPTED = "accepted"  # 202, the same JSON
    NO_CONTENT = "no_content"  # 204
    NOT_FOUND = "not_found"  # 404
    CONFLICT = "conflict"  # 409
    UNAVAILABLE = "unavailable"  # 503


class Names(StrEnum):
    """What the members of a ZIP are called."""

    FILE_NAME = "file_name"  # as listed: where that repeats, so does the member's name
    FOLDER = "folder"  # recordings/<file_name>
    ID = "id"  # <id>.mp3


class JobState(StrEnum):
    """How far an export job is."""

    WAITING = "waiting"
    READY = "ready"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """Choices of the bulk export; `delay` goes by the simulator's clock, and is fixed for a job when it is created.

    Raises ValueError for what the service could not do.
    """

    per_job: int = 1000  # recordings; more of them make more jobs
    created: int = 201  # the status of a POST: 200, 201 or 202
    late_binding: bool = False  # one job, of what the slice shows when it is retrieved
    delay: timedelta = timedelta(0)  # from the POST until the job is ready
    polls: int = 0  # so many retrievals of each job are answered "not yet", however late they come
    not_yet: NotYet = NotYet.JSON
    lives: timedelta | None = None  # from ready until expired; None: for ever
    gone: int = 404  # the status of an expired job: 404 or 410
    method: Method = Method.STORED
    descriptors: bool = False  # sizes and CRC behind the data instead of before
    descriptor_signature: bool = True
    zip64: bool = False
    names: Names = Names.FILE_NAME
    user: str = USER  # the only userName that may retrieve
    redirect: str | None = None  # retrieving answers 302 to this absolute URL with the job's id behind it

    def __post_init__(self) -> None:
        """Refuse what could not be served."""
        if self.per_job < 1 or self.created not in _CREATED or self.gone not in _GONE:
            raise ValueError(f"exports: per_job from 1, created one of {_CREATED}, gone one of {_GONE}")


EXPORTS = Exports()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What one POST asked for, as it was sent, and the jobs that it made, whether or not the answer told of them.

    None stands for what was left out or makes no sense.
    """

    since: datetime | None  # in UTC, like `until`
    until: datetime | None
    filters: tuple[tuple[str, str], ...] = ()  # name and value of every other filter, by name
    job_ids: tuple[str, ...] = ()
