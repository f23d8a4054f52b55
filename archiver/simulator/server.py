"""The simulated service on a socket, and the strings by which a test or a demonstration pulls it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from archiver.simulator.account import Account, SimRecording
from archiver.simulator.behaviour import CREDENTIALS, KIND, Behaviour, Credentials
from archiver.simulator.call import Call
from archiver.simulator.exporting import export_request
from archiver.simulator.exports import JobState
from archiver.simulator.faults import Fault, Hang, Operation
from archiver.simulator.journal import Journal, Seen
from archiver.simulator.listing import BASE_PATH
from archiver.simulator.query import list_request
from archiver.simulator.replies import Reply, http_date
from archiver.simulator.sending import send
from archiver.simulator.service import Service
from archiver.simulator.shelf import Progress

_COLLECTION = BASE_PATH + "/api/accounts/{account}/company_call_recordings"
_MOST_DIGITS = 18  # as far as 64 bits go
_ROUTES = (
    ("GET", _COLLECTION, Operation.LIST),
    ("GET", _COLLECTION + "/{recording}", Operation.GET),
    ("DELETE", _COLLECTION + "/{recording}", Operation.DELETE),
    ("GET", BASE_PATH + "/api/audio/recording/{recording}", Operation.AUDIO),
    ("POST", _COLLECTION + "/export", Operation.EXPORT),
    ("GET", BASE_PATH + "/api/bulkDownload/retrieve", Operation.RETRIEVE),
    ("GET", "/signed/{job}", Operation.SIGNED),
    ("POST", "/token", Operation.TOKEN),
    ("*", "/{rest:.*}", Operation.OTHER),
)


def utc_now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)  # noqa: TID251 - a world of its own: its clock is not the archiver's


class Simulator:
    """The VBC Call Recording API of one account, listening on a real socket while its context is open.

    `requests` tells what was asked. `clock` decides about publication, retention, quotas and the lives of tokens,
    and stands in the Date header; it returns an aware datetime.
    """

    def __init__(
        self,
        account: Account,
        *,
        behaviour: Behaviour = KIND,
        credentials: Credentials = CREDENTIALS,
        clock: Callable[[], datetime] = utc_now,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Port 0 takes a free one."""
        self.account = account
        self.credentials = credentials
        self.requests = Journal()
        self._service = Service(account, credentials, behaviour)
        self._clock = clock
        self._host, self._port = host, port
        self._released = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        application = web.Application()
        application.on_response_prepare.append(self._date)
        for method, path, operation in _ROUTES:
            application.router.add_route(method, path, partial(self._handle, operation))
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; whoever still waits for an answer gets none. `start` listens on the same port again."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """What a configuration gives as `base_url`."""
        return self.origin + BASE_PATH

    @property
    def token_url(self) -> str:
        """What a configuration gives as `token_url`."""
        return self.origin + "/token"

    @property
    def behaviour(self) -> Behaviour:
        """The choices of the service; set it to change them while it runs."""
        return self._service.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._service.behaviour = behaviour

    def visible(self) -> int:
        """Count what a listing without filters would show now."""
        self._publish()
        return len(self._service.shelf)

    def holds(self, recording_id: int) -> bool:
        """Whether the source still has (and shows) the recording."""
        self._publish()
        return self._service.shelf.get(recording_id) is not None

    def put(self, recording: SimRecording) -> None:
        """Add a recording, or change the one with the same id."""
        self._service.shelf.add(recording)

    def remove(self, recording_id: int) -> None:
        """Take a recording away, as another administrator would."""
        self._service.shelf.remove(recording_id)

    @property
    def signed_url(self) -> str:
        """Where a retrieval may be redirected to: what `Exports.redirect` may name."""
        return self.origin + "/signed/"

    @property
    def jobs(self) -> dict[str, JobState]:
        """The export jobs by id, oldest first, and how far each is."""
        return self._service.exporter.states(self.behaviour.exports, self._clock())

    def forget_jobs(self) -> None:
        """Lose every export job, as a restart of the source does."""
        self._service.exporter.forget()

    def script(self, *faults: Fault) -> None:
        """Let more go wrong."""
        for fault in faults:
            self._service.faults.add(fault)

    def heal(self) -> None:
        """Forget every scripted fault, and let hanging requests go on."""
        self._service.faults.clear()
        self.release()

    def release(self) -> None:
        """Let the requests that hang now go on to their ordinary answer."""
        self._released.set()
        self._released = asyncio.Event()

    def revoke_tokens(self, *, static: bool = False) -> None:
        """End every access token issued so far; with `static` the static token too."""
        self._service.tokens.revoke_access(static=static)

    def revoke_refresh_tokens(self) -> None:
        """End every refresh token."""
        self._service.tokens.revoke_refresh()

    async def arrived(self, operation: Operation, count: int = 1) -> None:
        """Wait until so many requests of the operation have arrived, since the start. Same event loop only."""
        while self.requests.counts[operation] < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Write the simulator's own time into the answer, or none."""
        if self.behaviour.date_absent:
            response.headers.popall("Date", None)
        else:
            response.headers["Date"] = http_date(self._clock() + self.behaviour.date_ahead)

    def _publish(self) -> None:
        seen = self.requests
        now = self._clock()
        self._service.shelf.publish(Progress(now=now, downloads=seen.downloads, listings=seen.listed))
        if self.behaviour.retention is not None:
            self._service.shelf.purge(now - self.behaviour.retention)

    async def _handle(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        self._note(operation, request)
        try:
            call = await _read(operation, request)
            reply = await self._reply(call)
            if operation is Operation.EXPORT:
                self.requests.exports.append(export_request(call.body, reply.job_ids))
            response = await send(request, reply)
            self.requests.answered(operation, reply)
        finally:
            self.requests.in_flight -= 1
        return response

    def _note(self, operation: Operation, request: web.Request) -> None:
        self.requests.arrived(
            Seen(
                method=request.method,
                operation=operation,
                recording=_recording_id(request),
                path=request.raw_path,
                authorized="Authorization" in request.headers,
                listing=list_request(request.query) if operation is Operation.LIST else None,
            ),
        )
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _reply(self, call: Call) -> Reply:
        if self.behaviour.latency:
            await asyncio.sleep(self.behaviour.latency)
        refusal = self._service.refusal(call, self._clock())
        if refusal is not None:
            return refusal
        due = self._service.faults.due(call.operation, call.recording)
        if due is not None and isinstance(due.do, Hang):
            await self._released.wait()
            due = None
        self._publish()
        now = self._clock()
        return self._service.answer(call, now) if due is None else self._service.spoilt(due, call, now)


async def _read(operation: Operation, request: web.Request) -> Call:
    form = await request.post() if operation is Operation.TOKEN else {}
    return Call(
        operation=operation,
        origin=f"{request.scheme}://{request.host}",
        account=request.match_info.get("account", "self"),
        recording=_recording_id(request),
        job=request.match_info.get("job", request.query.get("jobId", "")),
        authorization=request.headers.get("Authorization"),
        params=request.query,
        body=await request.read() if operation is Operation.EXPORT else b"",
        form={name: str(value) for name, value in form.items()},
    )


def _recording_id(request: web.Request) -> int | None:
    text = request.match_info.get("recording", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
