"""Every error that the two libraries know has a meaning here, and the meanings agree with their families."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, cast

import botocore.exceptions
import obstore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from archiver.adapters.object_store_errors import LIBRARY_ERRORS, Errand, translate
from archiver.errors import (
    AccessDenied,
    ArchiverError,
    ConfigError,
    NotFound,
    ObjectExists,
    SkipItem,
    StopDaemon,
    StopStage,
    Transient,
    Unreachable,
)

if TYPE_CHECKING:
    from botocore.exceptions import _ClientErrorResponseTypeDef

ERRAND = Errand(bucket="archive", action="write", key="a/b.mp3")
OBSTORE = {
    "BaseError": Transient,
    "GenericError": Transient,
    "JoinError": Transient,
    "NotModifiedError": Transient,
    "NotFoundError": NotFound,
    "AlreadyExistsError": ObjectExists,
    "PreconditionError": ObjectExists,
    "InvalidPathError": SkipItem,
    "NotSupportedError": ConfigError,
    "UnknownConfigurationKeyError": ConfigError,
    "PermissionDeniedError": AccessDenied,
    "UnauthenticatedError": AccessDenied,
}


def classes(module: object) -> list[type[Exception]]:
    found = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
    return [cls for cls in found if issubclass(cls, Exception) and not issubclass(cls, Warning)]


def bare(cls: type[Exception]) -> Exception:
    """An instance without the arguments that each class wants for its text."""
    return cls.__new__(cls)


def answer(code: str, status: int) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}, "HostId": "", "RequestId": "", "RetryAttempts": 0}
    response = {"Error": {"Code": code}, "ResponseMetadata": metadata}
    return ClientError(cast("_ClientErrorResponseTypeDef", response), "PutObject")


def test_every_obstore_error_is_in_the_table() -> None:
    found = [cls for cls in classes(obstore.exceptions) if cls.__module__.startswith("obstore")]
    assert {cls.__name__: type(translate(bare(cls), ERRAND)) for cls in found} == OBSTORE


def test_missing_file_is_how_obstore_says_not_found() -> None:
    assert isinstance(translate(FileNotFoundError(), ERRAND), NotFound)


BOTO = [cls for cls in classes(botocore.exceptions) if issubclass(cls, BotoCoreError)]


def test_every_boto_error_is_caught_and_translated() -> None:
    assert len(BOTO) > 80
    for cls in BOTO:
        assert issubclass(cls, LIBRARY_ERRORS), cls
        assert type(translate(bare(cls), ERRAND)) in {Transient, Unreachable, AccessDenied, ConfigError}, cls


def test_trouble_on_the_way_never_stops_the_daemon() -> None:
    network = re.compile(
        "Connect|Timeout|ProxyConnection|SSLError|Streaming|Incomplete|Checksum(?!Config)|Metadata|HTTPClient"
    )
    found = [cls for cls in BOTO if network.search(cls.__name__)]
    assert len(found) >= 10
    for cls in found:
        assert isinstance(translate(bare(cls), ERRAND), (Transient, StopStage)), cls


def test_missing_credentials_are_never_tried_again_and_again() -> None:
    found = [cls for cls in BOTO if re.search("NoCredential|PartialCred|SSO|Login|NoAuth", cls.__name__)]
    assert len(found) >= 8
    for cls in found:
        assert isinstance(translate(bare(cls), ERRAND), AccessDenied), cls


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("404", 404, NotFound),
        ("NoSuchKey", 404, NotFound),
        ("NoSuchBucket", 404, ConfigError),
        ("NoSuchUpload", 404, Transient),
        ("403", 403, AccessDenied),
        ("AccessDenied", 403, AccessDenied),
        ("SignatureDoesNotMatch", 403, AccessDenied),
        ("RequestTimeTooSkewed", 403, AccessDenied),
        ("ExpiredToken", 400, AccessDenied),
        ("PreconditionFailed", 412, ObjectExists),
        ("412", 412, ObjectExists),
        ("ConditionalRequestConflict", 409, Transient),
        ("SlowDown", 503, Transient),
        ("NeverHeardOf", 503, Transient),
        ("NeverHeardOf", 507, Transient),
        ("NeverHeardOf", 429, Transient),
        ("BadDigest", 400, Transient),
        ("AuthorizationHeaderMalformed", 400, ConfigError),
        ("301", 301, ConfigError),
        ("KeyTooLongError", 400, SkipItem),
        ("NeverHeardOf", 418, SkipItem),
        ("", 0, Transient),
    ],
)
def test_answers_by_code_and_else_by_status(code: str, status: int, expected: type[ArchiverError]) -> None:
    assert type(translate(answer(code, status), ERRAND)) is expected


def test_what_a_person_must_mend_says_how() -> None:
    errors = [bare(cls) for cls in BOTO] + [answer("AccessDenied", 403), answer("NoSuchBucket", 404)]
    for found in (translate(error, ERRAND) for error in errors):
        assert "archive" in str(found)
        if isinstance(found, StopDaemon | StopStage):
            assert found.hint, found


def test_nothing_is_quoted_from_the_library() -> None:
    quoted = obstore.exceptions.PermissionDeniedError("x-amz-security-token: canary")
    found = translate(quoted, ERRAND)
    assert "canary" not in f"{found} {found.hint} {found.__cause__}"


def test_what_is_not_the_libraries_passes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        translate(ZeroDivisionError(), ERRAND)
