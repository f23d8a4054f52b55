"""Fixtures that all tests share: real servers, on localhost only."""

from __future__ import annotations

pytest_plugins = ["tests.support.postgres", "tests.support.simulator", "tests.support.stores", "tests.support.world"]
