"""Fixtures that all tests share: real servers, on localhost only."""

from __future__ import annotations

# in this order: a plugin must be registered before another one imports it
pytest_plugins = [
    "tests.support.logs",
    "tests.support.postgres",
    "tests.support.simulator",
    "tests.support.exporting",
    "tests.support.stores",
    "tests.support.world",
    "tests.support.desk",
    "tests.support.crash_lab",
]
