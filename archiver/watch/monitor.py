"""What the daemon tells those who watch it: which neighbours it waits for, and what its passes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime, timedelta

from archiver.adapters.recordings_api import RecordingsApi
from archiver.app import App
from archiver.errors import ArchiverError
from archiver.scheduler import INTERRUPTED
from archiver.settings import Settings
from archiver.watch.look import Watch, limits_of, look
from archiver.watch.metrics import Seen
from archiver.watch.news import Work
from archiver.watch.notifier import PATIENCE, Notifier
from archiver.watch.tally import Tally

BUG = 1  # the exit code of a pass that did not come to any end that was foreseen


class Monitor:
    """Follows one daemon."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime], patience: timedelta = PATIENCE) -> None:
        """`clock` gives the present moment; `patience` is for one message."""
        self._settings, self._clock = settings, clock
        self._sources: Mapping[str, RecordingsApi] = {}
        self.watch, self.tally = Watch(clock=clock), Tally()
        self._notifier = Notifier(settings, clock, self.watch, self.tally.notifications, patience)

    def awaits(self, error: ArchiverError) -> None:
        """The daemon cannot begin yet."""
        self.watch.awaited = f"waiting for a neighbour: {error}"
        self._notifier.awaits()

    def started(self) -> None:
        """The daemon can begin."""
        self._notifier.started()

    async def follows(self, app: App) -> None:
        """Look through what is open now; the daemon opens it anew when secrets have changed."""
        self._sources = app.sources
        self.watch.take = lambda: look(self._settings, app.engine, app.quotas, self._clock())
        await self._notifier.renew(app.settings)

    def telling(self, *, once: bool = False, asked: asyncio.Event | None = None) -> AbstractAsyncContextManager[None]:
        """Tell channels and dead-man switches how it goes, and how it ends.

        `once`: it is a single pass, no daemon; `asked` is set when it is asked to stop.
        """
        return self._notifier.at_work(once=once, asked=asked or asyncio.Event())

    async def aclose(self) -> None:
        """The daemon will soon have ended: what `follows` was given goes."""
        await self.watch.close()

    @contextmanager
    def watching(self, work: Work) -> Iterator[Callable[[int], int]]:
        """Follow a pass. The function that is given notes its exit code, and gives it back."""
        self.tally.begin(work.reports)
        self._notifier.pass_begins()
        began, code = time.monotonic(), BUG

        def ended(exit_code: int) -> int:
            nonlocal code
            code = exit_code
            return exit_code

        try:
            yield ended
        except ArchiverError as error:
            code = error.exit_code
            raise
        except asyncio.CancelledError:
            code = INTERRUPTED
            raise
        finally:
            self.tally.end(code, time.monotonic() - began)
            self.watch.forget()
            self._notifier.pass_ended(code, work)

    async def see(self) -> Seen:
        """Look at everything."""
        found = await self.watch.now()
        return Seen(look=found, tally=self.tally, sources=self._sources, limits=limits_of(self._settings))
