"""Every status and every exception of the HTTP libraries has an outcome."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from types import ModuleType

import aiohttp
import httpx
import pytest
from aiohttp import client_exceptions, http_exceptions

from archiver import errors
from archiver.adapters.http_outcomes import (
    EXCEPTIONS,
    LIBRARY_ERRORS,
    Outcome,
    error_of,
    outcome_of_exception,
    outcome_of_status,
)


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, BaseException)]


@pytest.mark.parametrize("kind", exceptions_of(httpx) + exceptions_of(client_exceptions))
def test_every_exception_of_the_client_libraries_is_in_the_table(kind: type[BaseException]) -> None:
    assert kind in EXCEPTIONS


@pytest.mark.parametrize("kind", exceptions_of(http_exceptions))
def test_an_answer_that_is_not_http_is_tried_again(kind: type[BaseException]) -> None:
    assert next(EXCEPTIONS[base] for base in kind.__mro__ if base in EXCEPTIONS) is Outcome.RETRY


@pytest.mark.parametrize("kind", [kind for kind, outcome in EXCEPTIONS.items() if outcome is not Outcome.BUG])
def test_what_has_an_outcome_is_also_caught(kind: type[BaseException]) -> None:
    assert issubclass(kind, LIBRARY_ERRORS)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), Outcome.RETRY),
        (ConnectionResetError(), Outcome.RETRY),
        (BrokenPipeError(), Outcome.RETRY),
        (ConnectionRefusedError(), Outcome.UNREACHABLE),
        (OSError(28, "no space"), Outcome.RETRY),
        (ssl.SSLCertVerificationError(), Outcome.STOP_STAGE),
        (ssl.SSLEOFError(), Outcome.UNREACHABLE),
        (asyncio.CancelledError(), Outcome.BUG),
        (KeyError("ours"), Outcome.BUG),
        (RuntimeError("session is closed"), Outcome.BUG),
    ],
)
def test_exceptions_of_the_platform(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of_exception(error) is outcome


def test_the_original_counts_where_the_transport_renames_it() -> None:
    """httpx-aiohttp calls a closed keep-alive connection, and a bad certificate, a connect timeout."""
    renamed = httpx.ConnectTimeout("")
    assert outcome_of_exception(renamed) is Outcome.UNREACHABLE
    renamed.__cause__ = aiohttp.ServerDisconnectedError()
    assert outcome_of_exception(renamed) is Outcome.RETRY


def test_every_status_has_an_outcome_that_has_an_error() -> None:
    for status in [*range(-1, 1100), 10**9]:
        for item in (True, False):
            outcome = outcome_of_status(status, item=item)
            assert outcome is not Outcome.BUG
            assert (outcome is Outcome.DONE) == (200 <= status <= 299)
            if outcome not in (Outcome.DONE, Outcome.THROTTLED):
                assert isinstance(error_of(outcome, "list: status"), errors.ArchiverError)


@pytest.mark.parametrize(
    ("status", "item", "listing"),
    [
        (302, errors.StopStage, errors.StopStage),
        (304, errors.Transient, errors.Unreachable),
        (400, errors.SkipItem, errors.StopStage),
        (401, errors.AccessDenied, errors.AccessDenied),
        (403, errors.SkipItem, errors.AccessDenied),
        (404, errors.NotFound, errors.StopStage),
        (408, errors.Transient, errors.Transient),
        (410, errors.NotFound, errors.StopStage),
        (418, errors.SkipItem, errors.StopStage),
        (500, errors.Transient, errors.Unreachable),
        (502, errors.Transient, errors.Unreachable),
        (503, errors.Transient, errors.Unreachable),
        (511, errors.StopStage, errors.StopStage),
        (599, errors.Transient, errors.Unreachable),
    ],
)
def test_what_a_status_does(status: int, item: type[Exception], listing: type[Exception]) -> None:
    assert type(error_of(outcome_of_status(status, item=True), "x")) is item
    assert type(error_of(outcome_of_status(status, item=False), "x")) is listing


def test_throttling_in_its_two_forms() -> None:
    for item in (True, False):
        assert outcome_of_status(429, item=item) is Outcome.THROTTLED
        assert outcome_of_status(503, item=item, retry_after=True) is Outcome.THROTTLED
        assert outcome_of_status(500, item=item, retry_after=True) is not Outcome.THROTTLED
