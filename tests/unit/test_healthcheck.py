"""The container's health check: what it makes of the daemon's answer, and how little it needs."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from archiver import healthcheck
from tests.support.commands import ROOT, environment

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/healthz": (200, b'{"healthy": true}\n'),
    "/stale": (503, b'{"healthy": false, "reasons": ["acme: no pass for 3h"]}\n'),
    "/silent": (500, b""),
    "/moved": (302, b"elsewhere"),
    "/long": (503, b"x" * 100_000),
}


class Handler(BaseHTTPRequestHandler):
    """A daemon that says what the path asks for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.asked.append(self.path)
        self.send_response(status)
        self.send_header("Location", "/healthz")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Address of that daemon."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "healthy", "words"),
    [
        ("/healthz", True, '{"healthy": true}'),
        ("/stale", False, "acme: no pass for 3h"),
        ("/silent", False, "HTTP 500"),
        ("/moved", False, "elsewhere"),
    ],
)
def test_only_200_is_healthy(base: str, path: str, *, healthy: bool, words: str) -> None:
    """And the daemon's own words are passed on: the engine keeps them beside the verdict."""
    found, told = healthcheck.ask(base + path)
    assert found is healthy
    assert words in told


def test_no_more_is_read_than_an_engine_keeps(base: str) -> None:
    assert healthcheck.ask(base + "/long") == (False, "x" * 4096)


def greet(listener: socket.socket) -> None:
    """Answer one caller as a mail server would."""
    with listener.accept()[0] as caller:
        caller.sendall(b"220 mail\r\n")


def test_a_daemon_that_does_not_answer_is_not_healthy() -> None:
    """Nobody listens; or who listens speaks another language."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/healthz"
        assert healthcheck.ask(url) == (
            False,
            f"nothing answers at {url} (ConnectionRefusedError): is the daemon up, and is http.listen this?",
        )
        taken.listen()
        other = threading.Thread(target=greet, args=[taken])
        other.start()
        assert healthcheck.ask(url)[0] is False
        other.join()


@pytest.mark.parametrize(("path", "code"), [("/healthz", 0), ("/stale", 1)])
def test_the_command_ends_with_0_or_1(base: str, path: str, code: int) -> None:
    """2 is reserved by Docker."""
    command = [sys.executable, "-m", "archiver.healthcheck", base + path]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, ANSWERS[path][1].decode(), "")


def test_it_imports_nothing_of_the_archiver() -> None:
    """That would cost two CPU seconds each time; the package itself holds no more than its version."""
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for file in ("healthcheck.py", "__init__.py")
        for node in ast.walk(ast.parse((Path(healthcheck.__file__).parent / file).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert modules == {"__future__", "http.client", "sys", "urllib.parse"}
