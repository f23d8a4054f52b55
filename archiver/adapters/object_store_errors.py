"""From what obstore, botocore and the store say to what the archiver must do about it: one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from obstore import exceptions as obs

from archiver.errors import (
    AccessDenied,
    ArchiverError,
    ConfigError,
    NotFound,
    ObjectExists,
    SkipItem,
    Transient,
    Unreachable,
)

Action = Literal["write", "read", "head", "upload", "probe", "delete", "list", "open", "versions", "lock", "hold"]
LIBRARY_ERRORS = (obs.BaseError, FileNotFoundError, boto.BotoCoreError, boto.ClientError, ResponseParserError)

_RIGHTS: dict[Action, str] = {
    "write": "s3:PutObject",
    "read": "s3:GetObject, and s3:ListBucket (without it a missing object looks forbidden)",
    "head": "s3:GetObject, and s3:ListBucket (without it a missing object looks forbidden)",
    "upload": "s3:PutObject, s3:AbortMultipartUpload, s3:GetObject, s3:ListBucket, s3:ListBucketMultipartUploads",
    "probe": "s3:PutObject, s3:GetObject and s3:ListBucket",
    "delete": "s3:DeleteObject, and s3:DeleteObjectVersion in a versioned bucket",
    "versions": "s3:ListBucketVersions, s3:GetObjectVersion, s3:GetObjectRetention and s3:GetObjectLegalHold",
    "lock": "s3:PutObjectRetention and s3:GetObjectRetention",
    "hold": "s3:PutObjectLegalHold and s3:GetObjectLegalHold",
    "list": "s3:ListBucket",
    "open": "access",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What was being done when it failed, for the message."""

    bucket: str
    action: Action
    key: str = ""

    def __str__(self) -> str:
        """Read as the beginning of a sentence."""
        return f"{self.action} {self.key or '(bucket)'} in bucket {self.bucket}"


Outcome = Callable[[str, Errand], ArchiverError]


def _not_found(what: str, errand: Errand) -> ArchiverError:
    return NotFound(f"{errand}: no such object ({what})")


def _exists(what: str, errand: Errand) -> ArchiverError:
    return ObjectExists(f"{errand}: an object already stands there ({what})")


def _right_missing(what: str, errand: Errand) -> ArchiverError:
    hint = f"allow {_RIGHTS[errand.action]} on bucket {errand.bucket}, or check vault's credentials"
    return AccessDenied(f"{errand}: refused ({what})", hint=hint)


def _credentials(what: str, errand: Errand) -> ArchiverError:
    hint = "check vault.access_key_id and vault.secret_access_key, or the AWS credential chain, and this host's clock"
    return AccessDenied(f"{errand}: credentials not accepted ({what})", hint=hint)


def _unreachable(what: str, errand: Errand) -> ArchiverError:
    return Unreachable(
        f"{errand}: no connection ({what})", hint="check vault.endpoint_url, vault.region and the network"
    )


def _transient(what: str, errand: Errand) -> ArchiverError:
    return Transient(f"{errand}: failed for now ({what})")


def _no_bucket(what: str, errand: Errand) -> ArchiverError:
    return ConfigError(f"{errand}: no such bucket ({what})", hint="create the bucket, or correct vault.bucket")


def _wrong_region(what: str, errand: Errand) -> ArchiverError:
    hint = "set vault.region to the bucket's region, and vault.endpoint_url to its endpoint"
    return ConfigError(f"{errand}: the bucket is elsewhere ({what})", hint=hint)


def _settings(what: str, errand: Errand) -> ArchiverError:
    return ConfigError(
        f"{errand}: cannot work as configured ({what})", hint="check vault's settings and AWS_* variables"
    )


def _unfit(what: str, errand: Errand) -> ArchiverError:
    return SkipItem(f"{errand}: the store does not take this request ({what})")


# Where one row's class is the base of another's, the narrower one stands first.
_CLASSES: tuple[tuple[tuple[type[Exception], ...], Outcome], ...] = (
    ((FileNotFoundError, obs.NotFoundError), _not_found),
    ((obs.AlreadyExistsError, obs.PreconditionError), _exists),
    ((obs.PermissionDeniedError,), _right_missing),
    ((obs.UnauthenticatedError,), _credentials),
    ((obs.InvalidPathError,), _unfit),
    ((obs.NotSupportedError, obs.UnknownConfigurationKeyError), _settings),
    ((obs.BaseError, ResponseParserError), _transient),
    ((boto.ConnectionError, boto.EndpointResolutionError), _unreachable),
    ((boto.CredentialRetrievalError, boto.TokenRetrievalError, boto.MetadataRetrievalError), _unreachable),
    ((boto.HTTPClientError, boto.IncompleteReadError, boto.CapacityNotAvailableError), _transient),
    ((boto.ChecksumError, boto.FlexibleChecksumError, boto.AwsChunkedWrapperError), _transient),
    ((boto.NoCredentialsError, boto.PartialCredentialsError, boto.UnknownCredentialError), _credentials),
    ((boto.NoAuthTokenError, boto.UnknownTokenProviderError, boto.RefreshWithMFAUnsupportedError), _credentials),
    ((boto.SSOError, boto.LoginError), _credentials),
    ((boto.BotoCoreError,), _settings),
)

_CODES: dict[str, Outcome] = {
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "NotFound"), _not_found),
    **dict.fromkeys(("PreconditionFailed",), _exists),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "MethodNotAllowed"), _right_missing),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"), _credentials),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "NotSignedUp"), _credentials),
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), _no_bucket),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed", "IncorrectEndpoint"), _wrong_region),
    **dict.fromkeys(("IllegalLocationConstraintException",), _wrong_region),
    # A lost answer or a clean-up elsewhere took the upload away: beginning again is right.
    **dict.fromkeys(("NoSuchUpload", "InvalidPart", "InvalidPartOrder"), _transient),
    # Bytes were damaged or cut on the way.
    **dict.fromkeys(("BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"), _transient),
    **dict.fromkeys(("IncompleteBody", "RequestTimeout", "RequestTimeoutException"), _transient),
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "InternalError", "Throttling", "TooManyRequests"), _transient),
    **dict.fromkeys(("OperationAborted", "ConditionalRequestConflict"), _transient),
}

_STATUSES: dict[int, Outcome] = {
    **dict.fromkeys((401, 403), _right_missing),
    404: _not_found,
    412: _exists,
    **dict.fromkeys((307, 408, 409, 425, 429), _transient),
    **dict.fromkeys((301, 302, 308), _wrong_region),
    501: _unfit,
}


def code_of(error: boto.ClientError) -> str:
    """Return the code that the store gave; for an answer without body, as to a HEAD, the HTTP status as text."""
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: boto.ClientError) -> int:
    """Return the HTTP status, or 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _of_answer(error: boto.ClientError) -> Outcome:
    status = status_of(error)
    fallback = _transient if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == 0 else _unfit
    return _CODES.get(code_of(error)) or _STATUSES.get(status, fallback)


def translate(error: Exception, errand: Errand) -> ArchiverError:
    """Return what to raise instead of a library's error. Takes no text over from it: that may quote headers."""
    if isinstance(error, boto.ClientError):
        return _of_answer(error)(f"{code_of(error)}, HTTP {status_of(error)}", errand)
    for classes, outcome in _CLASSES:
        if isinstance(error, classes):
            return outcome(type(error).__name__, errand)
    raise error
