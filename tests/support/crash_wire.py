"""A tripwire in the ports: it writes down every call of a pass, and at one of them kills its own process."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, cast

from structlog.contextvars import get_contextvars

from archiver.adapters.backfill_rows import BackfillRows
from archiver.adapters.candidate_reads import CandidateReads
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.controls import Controls
from archiver.adapters.export_record import ExportRecord
from archiver.adapters.exports_api import ExportsApi
from archiver.adapters.ledger import Ledger
from archiver.adapters.object_store import Bucket
from archiver.adapters.object_store_listing import ObjectListing
from archiver.adapters.object_store_locks import ObjectLocks
from archiver.adapters.recordings_api import RecordingsApi
from archiver.app import App
from archiver.core.model import State
from archiver.stages.export_ports import Retrieved
from archiver.stages.ports import AudioStream
from archiver.terms import LiveTerms

T = TypeVar("T")
Moment = Literal["before", "after"]
ANY = "any step"
KINDS = {".mp3": "audio", ".purged.json": "note", ".expired.json": "tombstone", ".decision.json": "decision",
         ".json": "sidecar"}  # fmt: skip
WITHIN = ("s3 ", "sql ")  # such a step is one of several requests of a call that is a step itself


@dataclass(frozen=True, slots=True)
class Point:
    """The `count`-th time that a pass is just before, or just after, a step. ANY: whatever step it is."""

    step: str
    moment: Moment
    count: int = 1

    def __str__(self) -> str:
        """For the names of tests."""
        return f"{self.moment} {self.step}" + (f" #{self.count}" if self.count > 1 else "")


class Tripwire:
    """Writes what is reached to a file descriptor, at once, and dies at `point`."""

    def __init__(self, point: Point | None, journal: int) -> None:
        """Without a point it only writes."""
        self._point, self._journal, self._seen = point, journal, 0

    def reach(self, step: str, moment: Moment) -> None:
        """Note a call that begins or has ended; maybe never return."""
        os.write(self._journal, f"{moment} {step}\n".encode())
        point = self._point
        if point is None or moment != point.moment or point.step not in {ANY, step}:
            return
        self._seen += 1
        if self._seen == point.count:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, step: str, work: Awaitable[T]) -> T:
        """Await something that counts as one step. An error is an answer, too."""
        self.reach(step, "before")
        try:
            return await work
        finally:
            self.reach(step, "after")

    async def through(self, port: str, method: str, source: AsyncIterator[T]) -> AsyncIterator[T]:
        """Pass an iterator on; asking for the next item is a step."""
        while True:
            try:
                item = await self.around(step_of(port, method), anext(source))
            except StopAsyncIteration:
                return
            yield item

    @asynccontextmanager
    async def within(self, step: str, context: AbstractAsyncContextManager[object]) -> AsyncIterator[object]:
        """Pass a context on; entering and leaving are steps."""
        self.reach(step, "before")
        try:
            async with context as inside:
                self.reach(step, "after")
                yield self._inside(inside)
                self.reach(f"{step}, leaving", "before")
        finally:
            self.reach(f"{step}, leaving", "after")

    def _inside(self, thing: object) -> object:
        if isinstance(thing, AudioStream):
            return replace(thing, chunks=self.through("body", "next", thing.chunks))
        if isinstance(thing, Retrieved):
            return replace(thing, chunks=self.through("zip", "next", thing.chunks))
        return Watched(self, "upload", thing)

    def watch(self, app: App) -> App:
        """Put the wire into every port of an application, and inside: between the requests that one call makes."""
        events = app.store._client.meta.events
        events.register("before-call.s3", lambda model, **_: self.reach(f"s3 {model.name}", "before"))
        events.register("after-call.s3", lambda model, **_: self.reach(f"s3 {model.name}", "after"))
        app.terms._controls = cast("Controls", Watched(self, "controls", app.controls, inside=True))
        return replace(
            app,
            terms=cast("LiveTerms", Watched(self, "controls", app.terms)),
            locks=cast("ObjectLocks", Watched(self, "locks", app.locks)),
            listing=cast("ObjectListing", Watched(self, "listing", app.listing)),
            candidates=cast("CandidateReads", Watched(self, "candidates", app.candidates)),
            catalogue=cast("Catalogue", Watched(self, "catalogue", app.catalogue)),
            ledger=cast("Ledger", Watched(self, "ledger", app.ledger)),
            reads=cast("Reads", Watched(self, "reads", app.reads)),
            store=cast("Bucket", Watched(self, "store", app.store)),
            exports=cast("ExportRecord", Watched(self, "exports", app.exports)),
            backfills=cast("BackfillRows", Watched(self, "backfills", app.backfills)),
            sources={
                name: cast("RecordingsApi", Watched(self, "source", source)) for name, source in app.sources.items()
            },
        )


class Watched:
    """One port, transparent: whatever is called goes to the real one, past the wire."""

    def __init__(self, wire: Tripwire, port: str, inner: object, *, inside: bool = False) -> None:
        """`port` is its name in steps; `inside` another one, whose call is the step."""
        self._wire, self._port, self._inner, self._inside = wire, port, inner, inside

    def __getattr__(self, method: str) -> object:
        """Hand out the real attribute, methods wrapped."""
        target = getattr(self._inner, method)
        if isinstance(target, ExportsApi):
            return Watched(self._wire, self._port, target)
        if not callable(target):
            return target

        def call(*args: object, **kwargs: object) -> object:
            result, step = target(*args, **kwargs), step_of(self._port, method, *args)
            step = WITHIN[1] + step.partition(" ")[2] if self._inside else step
            if inspect.iscoroutine(result):
                return self._wire.around(step, result)
            if isinstance(result, AbstractAsyncContextManager):
                return self._wire.within(step, result)
            return self._wire.through(self._port, method, cast("AsyncIterator[object]", result))

        return call


def step_of(port: str, method: str, *args: object) -> str:
    """Name a step: the stage that runs, the call, and which of several uses of that call it is."""
    stage = get_contextvars().get("stage", "pass")
    uses = [str(arg) for arg in args if isinstance(arg, State)]
    uses += [kind for arg in args if isinstance(arg, str) for end, kind in KINDS.items() if arg.endswith(end)]
    return " ".join([str(stage), f"{port}.{method}", *uses[:1]])
