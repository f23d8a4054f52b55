"""What the bucket itself holds objects by (Object Lock, legal holds), and removing them for good. boto3 in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from archiver.adapters.object_store_errors import LIBRARY_ERRORS, Action, Errand, status_of, translate
from archiver.core.model import Lock, LockMode, Protection
from archiver.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import ObjectLockRetentionModeType
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

P = ParamSpec("P")
T = TypeVar("T")

_NOT_OFFERED = (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.BAD_REQUEST)
_MODES: dict[LockMode, ObjectLockRetentionModeType] = {
    LockMode.GOVERNANCE: "GOVERNANCE",
    LockMode.COMPLIANCE: "COMPLIANCE",
}


class ObjectLocks:
    """Implements `stages.retention_ports.ObjectLocks`. Asks for no lock to be ignored or shortened."""

    def __init__(self, client: S3Client, threads: Executor, *, bucket: str) -> None:
        """Take what the bucket has opened."""
        self._client, self._threads, self._bucket = client, threads, bucket

    async def protection(self, key: str) -> Protection:
        """See `ObjectLocks`."""
        async with self._edge("head", key):
            found = await self._in_thread(self._client.head_object, Bucket=self._bucket, Key=key)
        return _protection(found)

    async def protections(self, key: str) -> list[Protection]:
        """See `ObjectLocks`."""
        async with self._edge("versions", key):
            return await self._in_thread(self._all_protections, key)

    async def lock(self, key: str, lock: Lock) -> None:
        """See `ObjectLocks`."""
        async with self._edge("lock", key):
            await self._in_thread(
                self._client.put_object_retention,
                Bucket=self._bucket,
                Key=key,
                Retention={"Mode": _MODES[lock.mode], "RetainUntilDate": lock.until},
            )

    async def hold(self, key: str, *, on: bool) -> None:
        """See `ObjectLocks`."""
        async with self._edge("hold", key):
            await self._in_thread(
                self._client.put_object_legal_hold,
                Bucket=self._bucket,
                Key=key,
                LegalHold={"Status": "ON" if on else "OFF"},
            )

    async def remove(self, key: str) -> None:
        """See `ObjectLocks`."""
        async with self._edge("delete", key):
            left = await self._in_thread(self._remove, key)
        if left:
            raise Transient(f"delete {key} in bucket {self._bucket}: {left} versions are still there")

    def _all_protections(self, key: str) -> list[Protection]:
        return [self._protection_of(key, version) for version, marker in self._versions(key) if not marker]

    def _protection_of(self, key: str, version: str) -> Protection:
        try:
            return _protection(self._client.head_object(Bucket=self._bucket, Key=key, VersionId=version))
        except ClientError as error:  # some stores list versions where they have none, and cannot be asked for one
            if version != "null" or status_of(error) not in _NOT_OFFERED:
                raise
            return _protection(self._client.head_object(Bucket=self._bucket, Key=key))

    def _remove(self, key: str) -> int:
        """Delete every delete marker and every version, the present one last. Returns how many are left."""
        found = list(self._versions(key))
        markers = [version for version, marker in found if marker]
        versions = [version for version, marker in found if not marker]  # newest first
        for version in (*markers, *reversed(versions)):
            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
        return len(list(self._versions(key)))

    def _versions(self, key: str) -> Iterator[tuple[str, bool]]:
        """List the versions of an object, and which of them are delete markers; one named null where there are none."""
        try:
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key):
                yield from ((one["VersionId"], False) for one in page.get("Versions", ()) if one["Key"] == key)
                yield from ((one["VersionId"], True) for one in page.get("DeleteMarkers", ()) if one["Key"] == key)
        except ClientError as error:
            if status_of(error) not in _NOT_OFFERED:
                raise
            yield from self._only_one(key)

    def _only_one(self, key: str) -> Iterator[tuple[str, bool]]:
        """For a store that knows no versions."""
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if status_of(error) != HTTPStatus.NOT_FOUND:
                raise
        else:
            yield "null", False

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

    @asynccontextmanager
    async def _edge(self, action: Action, key: str) -> AsyncIterator[None]:
        try:
            yield
        except LIBRARY_ERRORS as error:
            raise translate(error, Errand(bucket=self._bucket, action=action, key=key)) from None


def _protection(found: HeadObjectOutputTypeDef) -> Protection:
    mode, until = found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
    lock = None if mode is None or until is None else Lock(LockMode(mode.lower()), until)
    return Protection(lock=lock, on_hold=found.get("ObjectLockLegalHoldStatus") == "ON")
