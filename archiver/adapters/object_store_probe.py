"""What a bucket enforces, and what we may do in it: tried on one scratch object. Blocking; runs in a thread."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from archiver.adapters.object_store_errors import Action, Errand, code_of, status_of, translate
from archiver.core.model import StoreFacts
from archiver.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BODY = b"Scratch object of the call-recording archiver. It may be deleted.\n"
_TRIES = 3  # another process may probe at the same time, and clear away between two of our steps
_log = structlog.get_logger()


def checksum(body: bytes) -> str:
    """SHA-256 as S3 writes it in its headers: base64."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _refused(attempt: Callable[[], object], *statuses: int) -> bool:
    """Whether the store answers `attempt` with one of the statuses. Any other error is the caller's."""
    try:
        attempt()
    except ClientError as error:
        if status_of(error) in statuses:
            return True
        raise
    return False


class Probe:
    """One scratch key of one bucket."""

    def __init__(self, client: S3Client, *, bucket: str, key: str) -> None:
        """`key` is the scratch object's; whatever stands there is overwritten."""
        self._client, self._bucket, self._key = client, bucket, key
        self._versions: set[str] = set()

    def facts(self) -> StoreFacts:
        """Try everything, then clear away. Raises botocore's errors."""
        wrong_refused = _refused(lambda: self._put(ChecksumSHA256=checksum(b"other bytes")), 400, 422, 501)
        create_refused = any(
            _refused(lambda: self._put(IfNoneMatch="*", ChecksumSHA256=checksum(_BODY)), 409, 412)
            for _ in range(_TRIES)
        )
        facts = StoreFacts(
            checks_sha256=wrong_refused and self._returns_checksum(),
            conditional_create=create_refused,
            versioned=self._versioned(),
            object_lock=self._locked(),
        )
        self._clear_away()
        return facts

    def rights(self) -> dict[str, str | None]:
        """Write, read and delete the scratch object. None: it went well; else what was wrong and what to do."""
        return {
            # with a checksum: a bucket with a default lock refuses what has none
            "write": self._attempt("write", lambda: self._put(ChecksumSHA256=checksum(_BODY))),
            "read": self._attempt("read", lambda: self._client.get_object(Bucket=self._bucket, Key=self._key)),
            "delete": self._attempt("delete", self._remove),
        }

    def check_region(self, region: str) -> None:
        """Raise ConfigError where the bucket says that it lives elsewhere; boto3 would follow, obstore not."""
        try:
            headers = self._client.head_bucket(Bucket=self._bucket)["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:  # a refusal names the region, too
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
        actual = headers.get("x-amz-bucket-region", region)
        if actual != region:
            message = f"bucket {self._bucket} is in region {actual}, but vault.region is {region}"
            raise ConfigError(message, hint=f"set vault.region: {actual}")

    def _attempt(self, action: Action, attempt: Callable[[], object]) -> str | None:
        try:
            attempt()
        except (ClientError, BotoCoreError) as error:
            found = translate(error, Errand(bucket=self._bucket, action=action, key=self._key))
            return f"{found}; {found.hint}" if found.hint else str(found)
        return None

    def _put(self, **conditions: str) -> None:
        put = cast("Callable[..., dict[str, str]]", self._client.put_object)
        answer = put(Bucket=self._bucket, Key=self._key, Body=_BODY, ContentType="text/plain", **conditions)
        self._versions.add(answer.get("VersionId", ""))

    def _returns_checksum(self) -> bool:
        for _ in range(_TRIES):
            self._put(ChecksumSHA256=checksum(_BODY))
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key, ChecksumMode="ENABLED")
            except ClientError as error:
                if status_of(error) != HTTPStatus.NOT_FOUND:
                    raise
            else:
                return answer.get("ChecksumSHA256") == checksum(_BODY)
        return False

    def _versioned(self) -> bool:
        try:
            return self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled"
        except ClientError as error:
            return _not_offered(error)

    def _locked(self) -> bool:
        try:
            answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError as error:
            return _not_offered(error)
        return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"

    def _remove(self) -> None:
        """Remove what this probe wrote; in a versioned bucket the versions, so that no delete marker stays."""
        for version in self._versions or {""}:
            if version:
                self._client.delete_object(Bucket=self._bucket, Key=self._key, VersionId=version)
            else:
                self._client.delete_object(Bucket=self._bucket, Key=self._key)

    def _clear_away(self) -> None:
        try:
            self._remove()
        except ClientError as error:  # no right to delete, or locked: one small object stays, always the same
            _log.info("probe_object_left", bucket=self._bucket, key=self._key, code=code_of(error))


def _not_offered(error: ClientError) -> bool:
    """Return False for a store that has no such feature, or no right for us to ask. Raises its failures."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        raise error
    return False
