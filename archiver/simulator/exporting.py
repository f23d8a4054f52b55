"""The bulk export: jobs, and what is answered when they are created and retrieved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from archiver.simulator.account import SimRecording
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.call import Call
from archiver.simulator.exports import ExportRequest, Exports, JobState, NotYet
from archiver.simulator.faults import Operation, Shrunken
from archiver.simulator.packing import packed
from archiver.simulator.query import FILTERS, Query, list_request, read_query
from archiver.simulator.replies import Reply, fault_reply, json_reply
from archiver.simulator.shelf import Shelf
from archiver.simulator.spoils import Trick

_WINDOW = ("start:gte", "start:lte")
_PROGRESS = {"status": "IN_PROGRESS"}
_PAGE = b"<!DOCTYPE html><html><head><title>Export</title></head><body>Your export is being prepared.</body></html>\n"
_UNREADY = "The export is not ready"
_NOT_YET: Mapping[NotYet, Reply] = MappingProxyType(
    {
        NotYet.JSON: json_reply(_PROGRESS),
        NotYet.HTML: Reply(content_type="text/html", chunks=(_PAGE,)),
        NotYet.ACCEPTED: json_reply(_PROGRESS, 202),
        NotYet.NO_CONTENT: Reply(status=204),
        NotYet.NOT_FOUND: fault_reply(404, description=_UNREADY),
        NotYet.CONFLICT: fault_reply(409, description=_UNREADY),
        NotYet.UNAVAILABLE: fault_reply(503, description=_UNREADY),
    },
)


def export_request(body: bytes, job_ids: tuple[str, ...]) -> ExportRequest:
    """Note what the body of a POST asks for, be it acceptable or not."""
    try:
        params = _filters(body)
    except ValueError:
        params = {}
    listed = list_request(params)
    others = tuple(sorted((name, value) for name, value in params.items() if name not in _WINDOW))
    return ExportRequest(since=listed.since, until=listed.until, filters=others, job_ids=job_ids)


def _filters(body: bytes) -> dict[str, str]:
    """Return the filters of a body as a query string would hold them. Raises ValueError."""
    document: object = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the body must be an object of filters")  # noqa: TRY004 - of the client's, not of a type
    return {name: _text(document[name], name) for name in FILTERS if name in document}


def _text(value: object, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{name} must be text or a whole number")  # noqa: TRY004 - as above
    return str(value)


@dataclass(slots=True)
class _Job:
    """One job. It holds its recordings, or (late binding) what it will look for."""

    ready_at: datetime
    query: Query
    recordings: tuple[SimRecording, ...] | None
    polls: int = 0  # retrievals answered "not yet"

    def state(self, exports: Exports, now: datetime) -> JobState:
        if self.polls < exports.polls or now < self.ready_at:
            return JobState.WAITING
        expired = exports.lives is not None and now >= self.ready_at + exports.lives
        return JobState.EXPIRED if expired else JobState.READY


class Exporter:
    """All jobs of an account, the expired ones too."""

    def __init__(self, shelf: Shelf) -> None:
        """Begin without a job."""
        self._shelf = shelf
        self._jobs: dict[str, _Job] = {}
        self._made = 0

    def forget(self) -> None:
        """Lose every job. Ids are never given twice."""
        self._jobs.clear()

    def states(self, exports: Exports, now: datetime) -> dict[str, JobState]:
        """Tell how far each job is, oldest first."""
        return {number: job.state(exports, now) for number, job in self._jobs.items()}

    def create(self, call: Call, behaviour: Behaviour, now: datetime, left: Shrunken) -> Reply:
        """Answer a POST; the jobs hold what is `left`."""
        try:
            query = replace(read_query(_filters(call.body), behaviour), descending=False)
        except ValueError as problem:
            return fault_reply(400, description=str(problem))
        exports, found = behaviour.exports, self._found(query)
        found = found[: left.of(len(found))]
        size = max(len(found), 1) if exports.late_binding else exports.per_job
        parts = [tuple(found[first : first + size]) for first in range(0, len(found), size)]
        ready_at = now + exports.delay
        made = tuple(self._file(_Job(ready_at, query, None if exports.late_binding else part)) for part in parts)
        return replace(json_reply({"job_ids": made}, exports.created), job_ids=made)

    def _file(self, job: _Job) -> str:
        self._made += 1
        digest = hashlib.blake2b(b"job %d" % self._made, digest_size=16).digest()
        number = str(UUID(bytes=digest, version=4))
        self._jobs[number] = job
        return number

    def _found(self, query: Query) -> Sequence[SimRecording]:
        _, found = self._shelf.page(replace(query, index=0, page_size=max(len(self._shelf), 1)))
        return [recording for recording in found if not recording.hidden]

    def retrieve(self, call: Call, exports: Exports, now: datetime, tricks: tuple[Trick, ...] = ()) -> Reply:
        """Answer a GET of a job, at the API or (signed) elsewhere."""
        signed = call.operation is Operation.SIGNED
        job = self._jobs.get(call.job)
        refusal = None if signed else _refusal(call, exports)
        if refusal is not None or job is None:
            return refusal or fault_reply(404, description="There is no such job")
        state = job.state(exports, now)
        if state is JobState.EXPIRED:
            return fault_reply(exports.gone, description="The export has expired")
        if state is JobState.WAITING:
            job.polls += 1
            return _NOT_YET[exports.not_yet]
        if exports.redirect is None or signed:
            return self._zip(job, exports, tricks)
        return Reply(status=302, content_type="text/plain", headers=(("Location", exports.redirect + call.job),))

    def _zip(self, job: _Job, exports: Exports, tricks: tuple[Trick, ...]) -> Reply:
        recordings = self._found(job.query) if job.recordings is None else job.recordings
        return Reply(content_type="application/zip", chunks=packed(recordings, exports, tricks), chunked=True)


def _refusal(call: Call, exports: Exports) -> Reply | None:
    user = call.params.get("userName")
    if not call.job or not user:
        return fault_reply(400, description="jobId and userName are needed")
    return None if user == exports.user else fault_reply(403)
