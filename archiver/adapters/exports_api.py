"""The export side of the recordings API of one account. Implements `export_ports.ExportSource`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final
from urllib.parse import urlencode

import httpx

from archiver.adapters.http_client import close, same_origin
from archiver.adapters.limiter import Clock
from archiver.adapters.source_bodies import chunks_of, read_json
from archiver.adapters.source_http import Call, SourceHttp
from archiver.core.listing import format_time
from archiver.core.model import Slice
from archiver.errors import BodyRejected, ConfigError, Transient
from archiver.stages.export_ports import Answer, Retrieved, nothing

_JOBS_LIMIT = 1024 * 1024  # bytes of the answer that names the jobs
_MOST_JOBS = 1000
_LONGEST_ID = 200  # characters
_ZIP_BEGINS = b"PK"
# What the status of a request for a ZIP means; the documents name none but 200. Other 4xx: refused, other: not yet.
_STATUS: Final[Mapping[int, Answer]] = {
    404: Answer.UNKNOWN,
    408: Answer.NOT_YET,
    409: Answer.NOT_YET,
    410: Answer.GONE,
    412: Answer.NOT_YET,
    423: Answer.NOT_YET,
    425: Answer.NOT_YET,
}
_JUDGED = frozenset({*range(200, 300), *range(400, 600)} - {401, 407, 429})  # those are told apart for all requests


class ExportsApi:
    """Exports of one account."""

    def __init__(self, http: SourceHttp, *, base: str, collection: str, user: str | None, clock: Clock) -> None:
        """`collection` is the address of the recordings; `user` the login name that ZIPs are fetched under."""
        self._http, self._user, self._clock = http, user, clock
        self._create, self._retrieve = f"{collection}/export", f"{base}/api/bulkDownload/retrieve"

    @property
    def usable(self) -> bool:
        """Whether a ZIP could be asked for."""
        return self._user is not None

    async def create(self, window: Slice) -> tuple[str, ...]:
        """Ask for an export; give its job ids. Raises Transient where it may have arrived, SkipItem where refused."""
        filters = {"start:gte": format_time(window.since), "start:lte": format_time(window.until)}
        call = Call(operation="export", method="POST", url=httpx.URL(self._create), body=filters)
        call.accept, call.attempts = frozenset({200, 201, 202}), 1  # sent twice it would make two
        return await read_json(self._http, call, _JOBS_LIMIT, _job_ids)

    def retrieve(self, job_id: str) -> AbstractAsyncContextManager[Retrieved]:
        """Ask for a job's ZIP. Raises ConfigError without a login name."""
        return self._retrieved(job_id)

    @asynccontextmanager
    async def _retrieved(self, job_id: str) -> AsyncIterator[Retrieved]:
        if self._user is None:
            raise ConfigError("an export cannot be fetched without a login name", hint="give export_user")
        query = urlencode({"jobId": job_id, "userName": self._user})
        call = Call(operation="retrieve", method="GET", url=httpx.URL(f"{self._retrieve}?{query}"))
        call.may_leave, call.accept = True, _JUDGED
        response = await self._http.run(call, self._http.open)
        try:
            yield await self._judged(call, response)
        finally:
            await close(response)

    async def _judged(self, call: Call, response: httpx.Response) -> Retrieved:
        """Tell a ZIP by its first bytes: whatever is something else, with a success's status, is not there yet."""
        status, why = response.status_code, f"status_{response.status_code}"
        chunks = chunks_of(call, response, self._clock)
        if status != httpx.codes.OK and not same_origin(response.url, call.url):
            return Retrieved(Answer.NOT_YET, f"redirect_{why}", nothing())  # of a link that has expired, say
        if status != httpx.codes.OK:
            refused = httpx.codes.is_client_error(status)
            return Retrieved(_STATUS.get(status, Answer.REFUSED if refused else Answer.NOT_YET), why, nothing())
        head = await _head(chunks)
        if not head.startswith(_ZIP_BEGINS):
            return Retrieved(Answer.NOT_YET, "the answer is no ZIP", nothing())
        return Retrieved(Answer.ZIP, why, _chained(head, chunks))


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """Read enough to know a ZIP by. What breaks before that is not there yet."""
    head = b""
    try:
        while len(head) < len(_ZIP_BEGINS) and (chunk := await anext(chunks, None)) is not None:
            head += chunk
    except Transient:
        return b""
    return head


async def _chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def _job_ids(payload: object) -> tuple[str, ...]:
    """Read the answer to a new export. Raises BodyRejected for anything but a list of usable ids."""
    listed = payload.get("job_ids") if isinstance(payload, Mapping) else None
    if not isinstance(listed, list) or len(listed) > _MOST_JOBS:
        raise BodyRejected("export: the answer has no list of job ids")
    ids = [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in listed]
    if not all(isinstance(one, str) and one.isprintable() and 0 < len(one) <= _LONGEST_ID for one in ids):
        raise BodyRejected("export: a job id is not usable")
    return tuple(dict.fromkeys(ids))
