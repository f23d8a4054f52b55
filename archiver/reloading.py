"""New secrets without a restart: looks for them while passes run, and opens the application anew between two passes.

What is under way goes on with the old ones. Nothing else of the configuration is ever taken over.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from archiver.app import App, bring_up, open_app
from archiver.errors import ArchiverError, ConfigError
from archiver.logs import Redactor
from archiver.scheduler import Interrupt
from archiver.settings import Settings, fill, mapping, renew

log = structlog.get_logger()

LOOK_EVERY = 2.0  # seconds

_Outcome = Settings | tuple[tuple[str, str], ...]  # what a look has found: settings, or the problems in them


@dataclass(slots=True, kw_only=True)
class Current:
    """The application as it is open now. A context: a task in it looks for secrets; it closes what is open."""

    path: Path  # of the configuration
    environ: Mapping[str, str]
    settings: Settings  # as they are wanted: those of the start, with the newest secrets
    redactor: Redactor
    interrupt: Interrupt
    follow: Callable[[App], Awaitable[None]]  # told of each application that is opened, before the earlier one closes
    document: dict[str, object] = field(default_factory=dict)  # the file as it was written at the start, or at SIGHUP
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # by SIGHUP
    paths: tuple[str, ...] = ()  # of secrets that are wanted, and not in force yet
    _app: App | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _task: asyncio.Task[None] | None = None
    _told: tuple[object, ...] = ()  # what was last said to be wrong or to wait: once is enough

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self.document = mapping(self.path)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.asked.set)
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking, and close the application."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._open.__aexit__(kind, error, trace)

    async def start(self) -> App:
        """Upgrade the catalogue where that is wanted, and open the application. Raises like `open_app`."""
        self.interrupt.again.clear()
        await bring_up(self.settings)
        return await self._opened(self.settings)

    async def app(self) -> App:
        """Return the application for the next pass: with the newest secrets, if it can be opened with them."""
        self.interrupt.again.clear()
        if self._app is None:
            return await self._opened(self.settings)
        if self._app.settings == self.settings:
            return self._app
        paths = self.paths
        try:
            app = await self._opened(self.settings)
        except ArchiverError as error:
            log.error("secrets_not_usable", paths=paths, reason=str(error), hint=error.hint)
            return self._app
        log.info("secrets_reloaded", paths=paths)
        return app

    async def _opened(self, settings: Settings) -> App:
        """Open with these settings, then close what was open before."""
        stack = AsyncExitStack()
        self._app = await stack.enter_async_context(open_app(settings, before=self._app))
        earlier, self._open = self._open, stack
        await self.follow(self._app)  # whoever looks through the earlier one must have let go of it
        await earlier.aclose()
        return self._app

    async def _look(self) -> None:
        """For ever: now and again at the files of secrets, after SIGHUP at the configuration itself, too.

        A file may be caught while it is being written, so it counts when two looks in a row have found the same.
        """
        last: _Outcome | None = None
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.asked.wait(), LOOK_EVERY)
            by_signal = self.asked.is_set()
            self.asked.clear()
            try:
                found = await asyncio.to_thread(self._read, anew=by_signal)
                if by_signal or found == last:
                    self._take(found, by_signal=by_signal)
                last = found
            except Exception:
                log.exception("bug")

    def _read(self, *, anew: bool) -> _Outcome:
        try:
            document = mapping(self.path) if anew else self.document
            found = fill(document, self.path, self.environ)
        except ConfigError as error:
            return error.problems or ((str(self.path), str(error)),)
        self.document = document
        return found

    def _take(self, found: _Outcome, *, by_signal: bool) -> None:
        """Say what is wrong or has to wait, once; where secrets have changed, end the pass that is under way."""
        if not isinstance(found, Settings):
            if self._is_news(found, by_signal=by_signal):
                log.error("configuration_refused", problems=[f"{place}: {why}" for place, why in found])
            return
        self.redactor.learn(found.secrets())
        renewal = renew(self.settings, found)
        if self._is_news(renewal.restart, by_signal=by_signal):
            log.warning("restart_needed", paths=renewal.restart)
        if renewal.secrets:
            behind = self.paths if self._app is not None and self._app.settings != self.settings else ()
            self.paths = tuple(dict.fromkeys((*behind, *renewal.secrets)))
            self.settings = renewal.settings
            self.interrupt.again.set()

    def _is_news(self, words: tuple[object, ...], *, by_signal: bool) -> bool:
        said, self._told = self._told, words
        return bool(words) and (by_signal or words != said)
