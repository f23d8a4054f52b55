"""Who is told: the configuration, what there is to tell of a process, and the words of a message."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from archiver.adapters.messenger import GIVEN_UP, Messenger, messenger
from archiver.core.health import Cause, Level, Limits, Reason
from archiver.core.notice_text import span
from archiver.core.report import PassReport
from archiver.errors import ArchiverError, SafetyLimit, Transient
from archiver.logs import Redactor
from archiver.settings.notifying import LOCAL
from archiver.watch import metrics
from archiver.watch.look import Look
from archiver.watch.metrics import render
from archiver.watch.news import News
from archiver.watch.tally import Tally
from tests.support.rows import NOW
from tests.support.settings import changed, load_document, problems

if TYPE_CHECKING:
    from apprise import NotifyBase

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


def channel(**values: object) -> dict[str, object]:
    """A document with one channel."""
    return changed("notifications.channels", [{"name": "on-call", "url": SLACK, **values}])


def ping(**values: object) -> dict[str, object]:
    """A document with one dead-man switch."""
    return changed("notifications.pings", [{"name": "switch", "url": "https://hc.example.com/u", **values}])


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        (channel(url="hooks.slack.com/x"), "notifications.channels[0].url", "one address like jsons://"),
        (channel(url="jsons://h/a jsons://h/b"), "notifications.channels[0].url", "one address"),
        (channel(level="error"), "notifications.channels[0].level", "'critical', 'warning' or 'info'"),
        (channel(quiet_for="0s"), "notifications.channels[0].quiet_for", "greater than or equal to 1 minute"),
        (channel(per_hour=0), "notifications.channels[0].per_hour", "greater than or equal to 1"),
        (channel(name="On Call"), "notifications.channels[0].name", "a-z"),
        (ping(url="http://hc.example.com/u"), "notifications.pings[0].url", "allow_http: true"),
        (ping(url="https://user:pw@hc.example.com/u"), "notifications.pings[0].url", "no user, password"),
        (ping(url="https://hc.example.com/u?a=b c"), "notifications.pings[0].url", "no space"),
        (ping(style="snitch"), "notifications.pings[0].style", "'healthchecks' or 'heartbeat'"),
        (changed("notifications.settle", "2h"), "notifications.settle", "less than or equal to"),
        (changed("notifications.every", "0s"), "notifications.every", "greater than or equal to"),
        *((channel(url=f"{name}://x"), "notifications.channels[0].url", "nobody but this machine") for name in LOCAL),
    ],
)
def test_a_wrong_one_is_refused_by_its_path(tmp_path: Path, document: dict[str, object], path: str, says: str) -> None:
    (found,) = problems(tmp_path, document).items()
    assert found[0] == path
    assert says in found[1]
    assert "user:pw" not in found[1]


def test_names_differ(tmp_path: Path) -> None:
    """They are labels of one metric."""
    document = channel()
    section = document["notifications"]
    assert isinstance(section, dict)
    section["pings"] = [{"name": "on-call", "url": "http://localhost:80/x?create=1"}]
    assert "on-call is given twice" in problems(tmp_path, document)["notifications.pings"]


def test_no_part_of_an_address_reaches_a_log(tmp_path: Path) -> None:
    """A library may quote the half of it."""
    document = channel(url="mailtos://bot:p%40ss-w0rd@example.com")
    section = document["notifications"]
    assert isinstance(section, dict)
    section["channels"] += [{"name": "chat", "url": SLACK}]
    (tmp_path / "ping").write_text("https://hc.example.com/3f0c8a52-77aa-4e5b-9c0d-0123456789ab\n")
    section["pings"] = [{"name": "switch", "url_file": "ping"}]
    settings = load_document(tmp_path, document)
    said = Redactor(settings.secrets()).text(
        "bot, p%40ss-w0rd, p@ss-w0rd; path /T1JJ3T3L2/x/TIiajkdnlazkcOXrIdevi7FQ and "
        "/3f0c8a52-77aa-4e5b-9c0d-0123456789ab/fail at hc.example.com"
    )
    assert said == "bot, [redacted], [redacted]; path /T1JJ3T3L2/x/[redacted] and /[redacted]/fail at hc.example.com"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        (SLACK, ""),
        ("mailtos://u:p@mail.example.com", ""),
        ("mailto://u:p@gmail.com", ""),  # apprise knows that this one is encrypted
        ("json://localhost:1/x", ""),
        ("json://[::1]:1/x", ""),
        ("mailto://u:p@mail.example.com", "is not encrypted"),
        ("json://10.0.0.1/x", "is not encrypted"),
        ("slack://x", "no address that apprise understands"),
        ("https://example.com/x", "no address that apprise understands"),
        ("file:///etc/passwd", "no address that apprise understands"),
    ],
)
def test_apprise_must_understand_it_and_it_must_be_encrypted(url: str, wrong: str) -> None:
    """Whatever is wrong, the address is not quoted; `allow_http` permits the rest."""
    said = ""
    try:
        messenger(url, allow_http=False)
    except ValueError as error:
        said = str(error)
    assert wrong in said if wrong else said == ""
    assert url.partition("://")[2] not in said
    if wrong == "is not encrypted":
        messenger(url, allow_http=True)


class Dripping:
    """A service that answers when it is let go."""

    def __init__(self) -> None:
        self.calls, self.let_go = 0, threading.Event()

    def notify(self, **_: object) -> bool:
        self.calls += 1
        return self.let_go.wait(60)


async def test_a_message_that_never_ends_does_not_silence_its_channel() -> None:
    """After ten minutes another one may try; with two under way it takes twice as long, so threads do not pile up."""
    service, now = Dripping(), 0.0
    to = Messenger(cast("NotifyBase", service), seconds=lambda: now)

    async def said(patience: float = 0.01) -> str:
        try:
            await to.send("title", "body", "info", patience)
        except Transient as error:
            return str(error)
        return "sent"

    late, busy = "no answer in time", "the message before is still on its way"
    assert [await said(), await said()] == [late, busy]
    now += GIVEN_UP
    assert [await said(), await said()] == [late, busy]
    now += GIVEN_UP
    assert await said() == busy
    service.let_go.set()
    now += GIVEN_UP
    assert await said(30) == "sent"
    assert service.calls == 3


@dataclass
class Done:
    """A pass that has ended."""

    reports: dict[str, PassReport] = field(default_factory=dict)
    refusal: ArchiverError | None = None


def reason(cause: Cause, account: str | None = "acme", level: Level = Level.CRITICAL) -> Reason:
    return Reason(level=level, cause=cause, account=account, message=f"{cause} it is")


def look(*reasons: Reason) -> Look:
    return Look(at=NOW, reasons=reasons)


def keys(news: News, *reasons: Reason) -> list[str]:
    return [trouble.key for trouble in news.seen(look(*reasons)).troubles]


def test_what_follows_from_a_stop_is_no_trouble_of_its_own() -> None:
    """A refused token is why there is no good pass; whether that is over cannot be said meanwhile."""
    news = News(Redactor().text)
    reasons = [reason(Cause.LAST_PASS), reason(Cause.STOPPED), reason(Cause.LAST_PASS, "other")]
    assert keys(news, *reasons) == ["stopped/acme", "last_pass/other"]
    seen = news.seen(look(*reasons))
    assert [seen.hidden(key) for key in ("last_pass/acme", "last_pass/other", "gap/acme")] == [True, False, False]


def test_while_nothing_can_be_seen_nothing_is_over() -> None:
    """Neither without a database, nor before there is one, nor when nobody looks."""
    news = News(Redactor().text)
    news.started()
    asked = ["gap/acme", "catalogue", "starting", "ended", "deletion"]

    def hidden(found: Look | None) -> list[bool]:
        seen = news.seen(found)
        return [seen.hidden(key) for key in asked]

    assert hidden(look(reason(Cause.CATALOGUE, None))) == [True, False, False, False, True]
    assert hidden(look(reason(Cause.STARTING, None))) == [True, True, False, False, True]
    assert hidden(None) == [True, True, True, False, True]
    news.pass_ended(Done(), whole=True)
    assert hidden(look()) == [False] * 5


def test_what_others_have_said_is_cleaned_and_names_of_ours_are_not() -> None:
    news = News(Redactor().text)
    news.pass_ended(Done(refusal=SafetyLimit("call 919812345678 first")), whole=True)
    news.ended("no answer from 919812345678")
    found = look(Reason(level=Level.WARNING, cause=Cause.STOPPED, account="acme-1234567", message="at 919812345678"))
    assert [one.text for one in news.seen(found).troubles] == [
        "acme-1234567: at [phone]",
        "nothing was deleted by itself: call [phone] first",
        "the archiver has ended by itself: no answer from [phone]",
    ]


def test_a_start_is_no_trouble_before_a_neighbour_is_waited_for() -> None:
    news = News(Redactor().text)
    assert keys(news, reason(Cause.STARTING, None)) == []
    news.awaits = True
    assert keys(news, reason(Cause.STARTING, None)) == ["starting"]


def test_what_a_pass_did_is_told_once_and_a_refusal_until_a_pass_without_one() -> None:
    news = News(Redactor().text)
    report = PassReport("acme", deleted=3, expired=2, quarantined=1)
    news.pass_ended(Done({"acme": report}, SafetyLimit("more than 5 percent")), whole=True)
    first, second = news.seen(look()), news.seen(look())
    told = [(one.what.format(count=one.count), one.account, one.level) for one in first.happened]
    assert told == [
        ("recordings deleted at the source: 3", "acme", Level.OK),
        ("recordings deleted in the archive: 2", "acme", Level.OK),
        ("recordings quarantined, because bytes and record disagree: 1", "acme", Level.WARNING),
    ]
    assert list(second.happened) == []
    assert [one.text for one in second.troubles] == ["nothing was deleted by itself: more than 5 percent"]
    news.pass_ended(Done(), whole=False)
    assert keys(news) == ["deletion"]
    news.pass_ended(Done(), whole=True)
    assert keys(news) == []


def test_an_end_is_told_unless_the_look_says_why() -> None:
    """A daemon that never was at work does not stop either."""
    news = News(Redactor().text)
    news.stopped()
    news.ended("the bucket is gone")
    assert keys(news, reason(Cause.CATALOGUE, None)) == ["catalogue"]
    seen = news.seen(None)
    assert [one.text for one in seen.troubles] == ["the archiver has ended by itself: the bucket is gone"]
    assert list(seen.happened) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_lengths_are_told_roughly(seconds: int, told: str) -> None:
    assert span(timedelta(seconds=seconds)) == told


def test_what_was_sent_and_what_failed_is_counted() -> None:
    tally = Tally()
    tally.notifications.update({("on-call", "sent"): 3, ("on-call", "failed"): 1})
    limits = Limits(last_pass=timedelta(1), pending=timedelta(1), gap=timedelta(1))
    text = render(metrics.Seen(look=look(), tally=tally, sources={}, limits=limits)).decode()
    assert 'archiver_notifications_total{channel="on-call",outcome="sent"} 3.0' in text
    assert 'archiver_notifications_total{channel="on-call",outcome="failed"} 1.0' in text
