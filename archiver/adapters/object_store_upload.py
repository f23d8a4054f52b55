"""One multipart upload: parts go one at a time, and nothing stays behind unless it was completed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from archiver.adapters.object_store_errors import LIBRARY_ERRORS, Errand, code_of, status_of, translate
from archiver.adapters.object_store_probe import checksum
from archiver.core.model import StoreFacts
from archiver.errors import ObjectExists

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import StorageClassType
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        CreateMultipartUploadRequestTypeDef,
        UploadPartRequestTypeDef,
    )

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where an upload goes, and what its store was seen to enforce."""

    client: S3Client
    threads: Executor
    bucket: str
    key: str
    content_type: str
    storage_class: str | None
    facts: StoreFacts

    @property
    def errand(self) -> Errand:
        """For messages."""
        return Errand(bucket=self.bucket, action="upload", key=self.key)


class MultipartUpload:
    """Implements `stages.ports.Upload`. Who makes it calls `begin`, and `abandon` whatever happens."""

    def __init__(self, to: Destination) -> None:
        """Touch nothing yet."""
        self._to = to
        self._id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    async def begin(self) -> None:
        """Open the upload at the store. Raises ObjectExists when the key is taken."""
        await self._to_the_end(self._open)

    async def write(self, part: bytes) -> None:
        """Send one part; at most this one is in memory."""
        await self._to_the_end(lambda: self._send(part))

    async def complete(self) -> None:
        """Make the object visible; without parts, an empty one. Raises ObjectExists when the key is taken."""
        if not self._parts:
            await self.write(b"")
        await self._to_the_end(self._finish)

    async def abandon(self) -> None:
        """Abort the upload, unless it was completed. Never raises: the reason for leaving matters more."""
        if self._id is not None:
            await self._to_the_end(lambda: self._abort(self._require_id()))

    async def _to_the_end(self, step: Callable[[], None]) -> None:
        """Run a step in a thread, and see it end even when cancelled: an abort must not overtake a part."""
        running = asyncio.get_running_loop().run_in_executor(self._to.threads, step)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.gather(running, return_exceptions=True)
            raise
        except LIBRARY_ERRORS as error:
            raise translate(error, self._to.errand) from None

    def _open(self) -> None:
        self._refuse_taken()
        self._abort_leftovers()
        to = self._to
        request: CreateMultipartUploadRequestTypeDef = {
            "Bucket": to.bucket,
            "Key": to.key,
            "ContentType": to.content_type,
        }
        if to.storage_class is not None:
            request["StorageClass"] = cast("StorageClassType", to.storage_class)
        if to.facts.checks_sha256:
            request["ChecksumAlgorithm"] = "SHA256"
        self._id = to.client.create_multipart_upload(**request)["UploadId"]

    def _send(self, body: bytes) -> None:
        """Send a part with a digest that this store checks: every store tried checks Content-MD5."""
        to, number = self._to, len(self._parts) + 1
        part: CompletedPartTypeDef = {"PartNumber": number}
        request: UploadPartRequestTypeDef = {
            "Bucket": to.bucket,
            "Key": to.key,
            "UploadId": self._require_id(),
            "PartNumber": number,
            "Body": body,
        }
        if to.facts.checks_sha256:
            part["ChecksumSHA256"] = request["ChecksumSHA256"] = checksum(body)
        else:
            request["ContentMD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        part["ETag"] = to.client.upload_part(**request)["ETag"]
        self._parts.append(part)

    def _finish(self) -> None:
        to = self._to
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": to.bucket,
            "Key": to.key,
            "UploadId": self._require_id(),
            "MultipartUpload": {"Parts": self._parts},
        }
        if to.facts.conditional_create:
            request["IfNoneMatch"] = "*"
        else:
            self._refuse_taken()
        to.client.complete_multipart_upload(**request)
        self._id = None

    def _refuse_taken(self) -> None:
        try:
            self._to.client.head_object(Bucket=self._to.bucket, Key=self._to.key)
        except ClientError as error:
            if status_of(error) == HTTPStatus.NOT_FOUND:
                return
            raise
        raise ObjectExists(f"{self._to.errand}: an object already stands there")

    def _abort_leftovers(self) -> None:
        """Abort what a killed process left open under this key. Who uploads it still begins again, too."""
        try:
            found = self._to.client.list_multipart_uploads(Bucket=self._to.bucket, Prefix=self._to.key)
        except ClientError as error:  # no right to list, or not offered: the bucket's lifecycle rule must do it
            _log.info("upload_leftovers_unknown", bucket=self._to.bucket, code=code_of(error))
            return
        for upload in found.get("Uploads", ()):
            if upload["Key"] == self._to.key:
                self._abort(upload["UploadId"])

    def _abort(self, upload_id: str) -> None:
        to = self._to
        try:
            to.client.abort_multipart_upload(Bucket=to.bucket, Key=to.key, UploadId=upload_id)
        except (ClientError, BotoCoreError) as error:
            if not isinstance(error, ClientError) or status_of(error) != HTTPStatus.NOT_FOUND:
                _log.warning("upload_abort_failed", bucket=to.bucket, key=to.key, reason=type(error).__name__)

    def _require_id(self) -> str:
        if self._id is None:
            raise ValueError("the upload is not open: begin it, and do not use it after complete")
        return self._id
