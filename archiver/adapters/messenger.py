"""Messages by apprise: mail, chats, webhooks. It is imported only where a channel is configured: that takes a second.

Apprise is synchronous, and some of its services wait as long as the other side likes. So each message is sent in a
thread of its own that nothing waits for longer than it wants to, not even the end of the process. What apprise says
about a failure may quote the address, a secret: of that only the number of an HTTP status is kept.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from archiver.errors import Transient

if TYPE_CHECKING:
    from apprise import NotifyBase

GIVEN_UP = 600.0  # seconds after which a message that is still on its way holds no other up
Tone = Literal["failure", "warning", "success", "info"]
_STATUS = re.compile(r"\berror=([1-5]\d\d)\b")
_LOG = logging.getLogger("apprise")
_LOG.propagate = False
_LOG.setLevel(logging.WARNING)
_LOG.addHandler(logging.NullHandler())


def messenger(url: str, *, allow_http: bool) -> Messenger:
    """Make a messenger for an address. Raises ValueError with what is wrong with it; it never quotes the address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries that apprise looks for, about each other
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - see above

        asset = AppriseAsset(app_id="archiver", app_desc="call-recording archiver", app_url="")
        service = Apprise.instantiate(url, asset=asset)
    if service is None:
        msg = "is no address that apprise understands, or its service is not supported here"
        raise ValueError(msg)
    if not allow_http and _is_open(service, url.partition("://")[0].lower()):
        msg = "is not encrypted: use its encrypted form (jsons://, mailtos://), or allow_http: true beside it"
        raise ValueError(msg)
    return Messenger(service)


class Messenger:
    """One address."""

    def __init__(self, service: NotifyBase, seconds: Callable[[], float] = time.monotonic) -> None:
        """`service` is one of apprise's; `seconds` is a clock."""
        self._service, self._seconds = service, seconds
        self._under_way = set[asyncio.Future[str]]()  # each has a thread: the more, the longer the next one waits
        self._began = 0.0  # the last of them

    async def send(self, title: str, body: str, tone: Tone, patience: float) -> None:
        """Send one message within `patience` seconds. Raises Transient when it is not known to have arrived."""
        if self._seconds() - self._began < GIVEN_UP * len(self._under_way):
            msg = "the message before is still on its way"
            raise Transient(msg)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str] = loop.create_future()

        def work() -> None:
            problem = self._sent(title, body, tone)
            with suppress(RuntimeError):  # the loop has ended: nobody wants to know any more
                loop.call_soon_threadsafe(self._settle, outcome, problem)

        self._under_way.add(outcome)
        self._began = self._seconds()
        threading.Thread(target=work, name="notification", daemon=True).start()
        try:
            problem = await asyncio.wait_for(outcome, patience)
        except TimeoutError:
            problem = "no answer in time"
        if problem:
            raise Transient(problem)

    def _settle(self, outcome: asyncio.Future[str], problem: str) -> None:
        self._under_way.remove(outcome)
        if not outcome.done():  # nobody waits any more
            outcome.set_result(problem)

    def _sent(self, title: str, body: str, tone: Tone) -> str:
        """Send it here and now; returns what went wrong, or nothing."""
        overheard = _Statuses()
        _LOG.addHandler(overheard)
        try:
            if self._service.notify(body=body, title=title, notify_type=tone):
                return ""
        except Exception as error:  # noqa: BLE001 - whatever a service raises, the message has not arrived
            return type(error).__name__
        finally:
            _LOG.removeHandler(overheard)
        return overheard.found or "the service refused it, or was out of reach"


class _Statuses(logging.Handler):
    """Keeps the HTTP status of what apprise says in this thread, and nothing else of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and (status := _STATUS.search(record.getMessage())):
            self.found = f"HTTP {status[1]}"


def _is_open(service: NotifyBase, scheme: str) -> bool:
    """Whether it goes over a network in the clear."""
    plain = service.protocol or ()
    names = (plain,) if isinstance(plain, str) else plain
    if scheme not in names or service.secure:
        return False
    host = getattr(service, "smtp_host", None) or service.host or ""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return bool(host != "localhost")
