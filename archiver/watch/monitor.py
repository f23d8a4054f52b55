"""What the daemon tells those who watch it: which neighbours it waits for, and what its passes do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from archiver.adapters.recordings_api import RecordingsApi
from archiver.app import App
from archiver.core.report import PassReport
from archiver.errors import ArchiverError
from archiver.settings import Settings
from archiver.watch.look import Watch, limits_of, look
from archiver.watch.metrics import Seen
from archiver.watch.tally import Tally

BUG = 1  # the exit code of a pass that did not come to any end that was foreseen


class Monitor:
    """Follows one daemon."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        """`clock` gives the present moment."""
        self._settings, self._clock = settings, clock
        self._sources: Mapping[str, RecordingsApi] = {}
        self.watch, self.tally = Watch(clock=clock), Tally()

    def awaits(self, error: ArchiverError) -> None:
        """The daemon cannot begin yet."""
        self.watch.awaited = f"waiting for a neighbour: {error}"

    def opened(self, app: App) -> None:
        """The daemon can begin."""
        self._sources = app.sources
        self.watch.take = lambda: look(self._settings, app.engine, app.quotas, self._clock())

    async def closing(self) -> None:
        """The daemon will soon have ended: what `opened` was given goes."""
        await self.watch.close()

    @contextmanager
    def watching(self, reports: Mapping[str, PassReport]) -> Iterator[Callable[[int], int]]:
        """Follow a pass. The function that is given notes its exit code, and gives it back."""
        self.tally.begin(reports)
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
        finally:
            self.tally.end(code, time.monotonic() - began)
            self.watch.forget()

    async def see(self) -> Seen:
        """Look at everything."""
        found = await self.watch.now()
        return Seen(look=found, tally=self.tally, sources=self._sources, limits=limits_of(self._settings))
