"""Listing a bucket, a page at a time. boto3 in threads: obstore takes a prefix for a folder, and ours is any text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from archiver.adapters.object_store_errors import LIBRARY_ERRORS, Errand, translate
from archiver.core.rebuilding import Listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef


class ObjectListing:
    """Implements `stages.rebuild_ports.ObjectListing`."""

    def __init__(self, client: S3Client, threads: Executor, *, bucket: str) -> None:
        """Take what the bucket has opened."""
        self._client, self._threads, self._bucket = client, threads, bucket

    async def objects(self, prefix: str) -> AsyncIterator[Listed]:
        """See `ObjectListing`."""
        token = ""
        while True:
            page = await self._page(prefix, token)
            for one in page.get("Contents", ()):
                yield Listed(one["Key"], one["Size"], one["LastModified"])
            token = page.get("NextContinuationToken", "")
            if not page.get("IsTruncated") or not token:
                return

    async def _page(self, prefix: str, token: str) -> ListObjectsV2OutputTypeDef:
        def ask() -> ListObjectsV2OutputTypeDef:
            if token:
                return self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, ContinuationToken=token)
            return self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except LIBRARY_ERRORS as error:
            raise translate(error, Errand(bucket=self._bucket, action="list", key=prefix)) from None
