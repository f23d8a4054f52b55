"""Logging in tests: put back as it was after a test that configured it, or left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if type(one).__module__ == "archiver.logs"]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="module")
def no_logs() -> Iterator[None]:
    """Drop all events."""
    before = structlog.get_config()
    structlog.configure(processors=[_dropped])
    yield
    structlog.configure(**before)


def _dropped(*_: object) -> str:
    raise structlog.DropEvent
