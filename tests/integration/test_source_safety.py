"""Where the token may go, and what never reaches a message."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from archiver import errors
from archiver.adapters import http_client
from archiver.adapters.token import StaticToken
from archiver.core.model import Slice
from tests.support.source import Recorder, always, open_source, replying, serving

DAY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
AUDIO = b"\xff\xfb" + bytes(5000)
SECRET = "canary-3141592653"


async def fetch(base_url: str, *, read_timeout: float = 5.0) -> bytes:
    async with (
        open_source(base_url, tokens=StaticToken(SECRET), read_timeout=read_timeout) as source,
        source.api.download("7") as stream,
    ):
        return b"".join([chunk async for chunk in stream.chunks])


async def test_a_redirect_elsewhere_is_followed_without_the_token() -> None:
    elsewhere = replying(200, AUDIO)
    async with serving(elsewhere) as other:
        source = replying(302, Location=f"{other}/signed?X-Signature=a%2Fb%3D&q=1")
        async with serving(source) as origin:
            assert await fetch(f"{origin}/base") == AUDIO
    assert source.authorized() == [True]
    assert elsewhere.authorized() == [False]
    assert SECRET not in str(elsewhere.seen[0].headers)
    assert elsewhere.seen[0].query["X-Signature"] == "a/b="


async def test_a_redirect_within_the_origin_keeps_the_token() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        moved = request.path.endswith("/moved")
        return web.Response(body=AUDIO) if moved else web.Response(status=307, headers={"Location": "/moved"})

    source = Recorder(answer)
    async with serving(source) as origin:
        assert await fetch(origin) == AUDIO
    assert source.authorized() == [True, True]


async def test_a_way_back_to_the_origin_does_not_bring_the_token_back() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/back":
            return web.Response(body=AUDIO)
        return web.Response(status=302, headers={"Location": f"{other}/"})

    source = Recorder(answer)
    async with serving(source) as origin:
        elsewhere = replying(302, Location=f"{origin}/back")
        async with serving(elsewhere) as other:
            assert await fetch(origin) == AUDIO
    assert source.authorized() == [True, False]
    assert elsewhere.authorized() == [False]


async def test_refusals_of_another_origin_are_not_the_sources() -> None:
    """A 404 or 401 behind a redirect says nothing about the recording or the token."""
    for status in (401, 404, 429, 500):
        async with serving(replying(status)) as other, serving(replying(302, Location=other)) as origin:
            with pytest.raises(errors.Transient) as caught:
                await fetch(origin)
            assert type(caught.value) is errors.Transient


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/audio",
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "https://user:pw@127.0.0.1/",
        "//",
        "",
        "http://[::1",
        "https:///",
        "http://169.254.169.254/latest/meta-data",
        "javascript:alert(1)",
    ],
)
async def test_redirects_that_are_not_trusted_cost_one_recording(location: str) -> None:
    source = replying(302, Location=location)
    async with serving(source) as origin:
        with pytest.raises(errors.SkipItem):
            await fetch(origin)
    assert 1 <= len(source.seen) <= 4


async def test_a_listing_and_a_deletion_never_leave_the_origin() -> None:
    elsewhere = replying(200, b'{"_embedded": {"recordings": []}}')
    async with serving(elsewhere) as other:
        source = replying(307, Location=other)
        async with serving(source) as origin, open_source(origin) as client:
            with pytest.raises(errors.StopStage):
                await client.api.list_page(DAY, page=1, page_size=1)
            with pytest.raises(errors.SkipItem):
                await client.api.get("7")
            with pytest.raises(errors.SkipItem):
                await client.api.delete("7", still=always)
    assert elsewhere.seen == []
    assert len(source.seen) == 3


async def test_a_deletion_is_not_redirected_even_at_home() -> None:
    source = replying(307, Location="/api/accounts/self/company_call_recordings/8")
    async with serving(source) as origin, open_source(origin) as client:
        with pytest.raises(errors.SkipItem):
            await client.api.delete("7", still=always)
    assert [request.path.rsplit("/", 1)[1] for request in source.seen] == ["7"]


async def test_whether_a_deletion_may_go_out_is_asked_before_each_request() -> None:
    """The source was in trouble, and something was decided while the archiver waited to try again."""
    source, asked = replying(503), 0

    async def still() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise errors.Withheld("a case was opened")

    async with serving(source) as origin, open_source(origin) as client:
        with pytest.raises(errors.Withheld):
            await client.api.delete("7", still=still)
        assert (len(source.seen), asked) == (1, 2)
        with pytest.raises(errors.Withheld):
            await client.api.delete("7", still=still)
    assert (len(source.seen), asked) == (1, 3)


async def test_redirects_in_a_circle_end() -> None:
    source = replying(302, Location="/again")
    async with serving(source) as origin:
        with pytest.raises(errors.SkipItem):
            await fetch(origin)
    assert len(source.seen) == 4


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "7?x=1", "7#", "%2e%2e", "é", "x" * 65])
async def test_an_id_that_names_something_else_is_never_sent(bad: str) -> None:
    source = replying(204)
    async with serving(source) as origin, open_source(origin) as client:
        for refused in (client.api.delete(bad, still=always), client.api.get(bad)):
            with pytest.raises(errors.SkipItem):
                await refused
    assert source.seen == []


async def test_the_account_id_is_quoted() -> None:
    source = replying(204)
    async with serving(source) as origin, open_source(f"{origin}/t/", account_id="a/b c?") as client:
        assert await client.api.delete("7", still=always) is True
    assert source.seen[0].raw_path == "/t/api/accounts/a%2Fb%20c%3F/company_call_recordings/7"


@pytest.mark.parametrize(
    "base", ["ftp://h/", "api.example", "https://", "https://u:p@h/", "https://h/?a=1", "http://[::1"]
)
async def test_a_base_url_that_is_none_is_a_configuration_error(base: str) -> None:
    with pytest.raises(errors.ConfigError):
        async with open_source(base):
            pass


async def test_cookies_are_not_kept() -> None:
    source = replying(204, b"", **{"Set-Cookie": "session=1; Path=/"})
    async with serving(source) as origin, open_source(origin) as client:
        assert await client.api.delete("7", still=always)
        assert await client.api.delete("7", still=always)
    assert all("Cookie" not in request.headers for request in source.seen)


@pytest.mark.parametrize("status", [200, 204, 206, 302, 400, 401, 403, 404, 418, 429, 500, 503])
async def test_no_error_and_no_event_holds_the_token_or_the_answer(status: int) -> None:
    source = replying(status, SECRET.encode(), **{"X-Echo": SECRET, "Retry-After": "5"})
    async with serving(source) as origin, open_source(origin, tokens=StaticToken(SECRET)) as client:
        with capture_logs() as logs, pytest.raises(errors.ArchiverError) as caught:
            await client.api.list_page(DAY, page=1, page_size=1)
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint + repr(caught.value) + str(logs)
    assert SECRET not in shown
    assert SECRET not in repr(client.api) + repr(StaticToken(SECRET))
    assert caught.value.__cause__ is None


def test_the_proxy_of_the_environment_is_for_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert http_client.environment_proxy("https://api.example/x") == "http://proxy.example:3128"
    assert http_client.environment_proxy("https://inside.example/x") is None
    assert http_client.environment_proxy("http://api.example/x") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://A.example/x", "https://a.example:443/y", True),
        ("http://a.example", "http://a.example:80", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://a.example.evil.example", False),
    ],
)
def test_origins(one: str, other: str, *, same: bool) -> None:
    assert http_client.same_origin(httpx.URL(one), httpx.URL(other)) is same
