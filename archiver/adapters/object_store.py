"""The archive's bucket: obstore moves the bytes, boto3 in threads does the rest."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from archiver.adapters.object_store_clients import Connection, Patience
from archiver.adapters.object_store_errors import LIBRARY_ERRORS, Action, Errand, code_of, translate
from archiver.adapters.object_store_listing import ObjectListing
from archiver.adapters.object_store_locks import ObjectLocks
from archiver.adapters.object_store_probe import Probe
from archiver.adapters.object_store_upload import Destination, MultipartUpload
from archiver.core.model import Fixity, StoreFacts
from archiver.errors import (
    ArchiverError,
    ConfigError,
    IntegrityError,
    NotFound,
    ObjectExists,
    SkipItem,
    StopDaemon,
    StopStage,
    Transient,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

P = ParamSpec("P")
T = TypeVar("T")
VerifyMode = Literal["auto", "checksum", "readback"]
_Mode = Literal["create", "overwrite"]

MIB = 1024 * 1024
PART_SIZE = 5 * MIB  # the least that S3 allows, for memory's sake
_WHOLE = MIB  # read back in one piece up to here: for most recordings a fifth less CPU
_CHUNK = MIB // 4  # of longer ones; every read-back holds a few of them, sixteen go on at once


class Bucket:
    """Implements `stages.ports.ObjectStore`. Made by `open_bucket`."""

    part_size = PART_SIZE

    def __init__(
        self,
        bytes_store: S3Store,
        client: S3Client,
        threads: ThreadPoolExecutor,
        *,
        bucket: str,
        scratch_key: str,
        aws_region: str | None,
        verify: VerifyMode,
    ) -> None:
        """`aws_region` is compared with the bucket's own when it is probed; None for a store without regions."""
        self._bytes, self._client, self._threads = bytes_store, client, threads
        self._bucket, self._scratch_key, self._aws_region, self._verify = bucket, scratch_key, aws_region, verify
        self.locks = ObjectLocks(client, threads, bucket=bucket)
        self.listing = ObjectListing(client, threads, bucket=bucket)
        self._facts: StoreFacts | None = None
        self._probing = asyncio.Lock()

    async def probe(self) -> StoreFacts:
        """See `ObjectStore`. Raises ConfigError when `verify: checksum` asks for what the store does not do."""
        async with self._edge("probe", self._scratch_key):
            facts = await self._in_thread(self._probe_now)
        if self._verify == "checksum" and not facts.checks_sha256:
            hint = "set vault.verify to auto or readback"
            raise ConfigError(f"bucket {self._bucket} does not check x-amz-checksum-sha256", hint=hint)
        self._facts = facts
        return facts

    async def try_rights(self) -> dict[str, str | None]:
        """Try write, read and delete on the scratch object: None where it went well, else the reason and a hint."""
        return await self._in_thread(self._scratch().rights)

    async def create(self, key: str, body: bytes, *, content_type: str, storage_class: str | None = None) -> None:
        """See `ObjectStore`."""
        facts = await self.facts()
        try:
            async with self._edge("write", key):
                if not facts.conditional_create:
                    await self._refuse_taken(key)
                mode: _Mode = "create" if facts.conditional_create else "overwrite"
                await self._put(key, body, content_type, mode, storage_class)
        except ObjectExists:
            # obstore says so of every 409, too: a conflict that leaves no object is not one.
            if await self.size(key) is None:
                raise Transient(f"write {key} in bucket {self._bucket}: conflict with another request") from None
            raise

    async def replace(self, key: str, body: bytes, *, content_type: str) -> None:
        """See `ObjectStore`."""
        async with self._edge("write", key):
            await self._put(key, body, content_type, "overwrite")

    @asynccontextmanager
    async def upload(
        self, key: str, *, content_type: str, storage_class: str | None = None
    ) -> AsyncIterator[MultipartUpload]:
        """See `ObjectStore`. Parts go one at a time; leftovers of a killed upload of the same key are aborted."""
        facts = await self.facts()
        _require_plain(key)
        to = Destination(
            client=self._client,
            threads=self._threads,
            bucket=self._bucket,
            key=key,
            content_type=content_type,
            storage_class=storage_class,
            facts=facts,
        )
        upload = MultipartUpload(to)
        try:
            await upload.begin()
            yield upload
        finally:
            await upload.abandon()

    async def stored_fixity(self, key: str) -> Fixity:
        """See `ObjectStore`."""
        if self._verify != "readback" and (await self.facts()).checks_sha256:
            vouched = await self._vouched_fixity(key)
            if vouched is not None:
                return vouched
        return await self.readback_fixity(key)

    async def readback_fixity(self, key: str) -> Fixity:
        """See `ObjectStore`."""
        digest, size = hashlib.sha256(), 0
        async with self._edge("read", key):
            found = await obstore.get_async(self._bytes, key)
            if found.meta["size"] <= _WHOLE:
                return _fixity_of(await found.bytes_async())
            async for chunk in found.stream(min_chunk_size=_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return Fixity(sha256=digest.hexdigest(), size=size)

    async def size(self, key: str) -> int | None:
        """See `ObjectStore`."""
        try:
            async with self._edge("head", key):
                found = await obstore.head_async(self._bytes, key)
        except NotFound:
            return None
        return found["size"]

    async def read(self, key: str, *, limit: int) -> bytes:
        """See `ObjectStore`."""
        async with self._edge("read", key):
            found = await obstore.get_async(self._bytes, key)
            if found.meta["size"] > limit:
                raise IntegrityError(f"{key} holds {found.meta['size']} bytes, more than {limit}")
            return (await found.bytes_async()).to_bytes()

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """See `ObjectStore`."""
        async with self._edge("read", key):
            found = await obstore.get_async(self._bytes, key)
            async for chunk in found.stream(min_chunk_size=_CHUNK):
                yield chunk

    async def facts(self) -> StoreFacts:
        """See `ObjectStore`."""
        if self._facts is None:
            async with self._probing:
                return self._facts or await self.probe()
        return self._facts

    def _scratch(self) -> Probe:
        return Probe(self._client, bucket=self._bucket, key=self._scratch_key)

    def _probe_now(self) -> StoreFacts:
        probe = self._scratch()
        if self._aws_region is not None:
            probe.check_region(self._aws_region)
        return probe.facts()

    async def _put(
        self, key: str, body: bytes, content_type: str, mode: _Mode, storage_class: str | None = None
    ) -> None:
        attributes = {"Content-Type": content_type}
        if storage_class is not None:
            attributes["Storage-Class"] = storage_class
        await obstore.put_async(self._bytes, key, body, attributes=attributes, mode=mode, use_multipart=False)

    async def _refuse_taken(self, key: str) -> None:
        try:
            await obstore.head_async(self._bytes, key)
        except FileNotFoundError:
            return
        raise ObjectExists(f"write {key} in bucket {self._bucket}: an object already stands there")

    async def _vouched_fixity(self, key: str) -> Fixity | None:
        """Return the checksum that the store holds of the whole object; None where it holds none, or only of parts."""
        async with self._edge("head", key):
            found = await self._in_thread(
                self._client.head_object, Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"
            )
        stored = found.get("ChecksumSHA256", "")
        if not stored or "-" in stored or found.get("ChecksumType") == "COMPOSITE":
            return None
        return Fixity(sha256=base64.b64decode(stored).hex(), size=found["ContentLength"])

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    @asynccontextmanager
    async def _edge(self, action: Action, key: str) -> AsyncIterator[None]:
        """Turn what the libraries raise inside into our errors."""
        _require_plain(key)
        try:
            yield
        except LIBRARY_ERRORS as error:
            first = translate(error, Errand(bucket=self._bucket, action=action, key=key))
            raise await self._second_opinion(first) from None

    async def _second_opinion(self, first: ArchiverError) -> ArchiverError:
        """Ask again by a listing, whose answer has a code: obstore tells neither a missing bucket nor a dead host."""
        if isinstance(first, ObjectExists | ConfigError):
            return first
        try:
            await self._in_thread(
                self._client.list_objects_v2, Bucket=self._bucket, Prefix=self._scratch_key, MaxKeys=1
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) == "AccessDenied":
                return first  # no right to list says nothing about the first request
            second = translate(error, Errand(bucket=self._bucket, action="list"))
            return second if isinstance(second, StopDaemon | StopStage) else first
        return first


def _fixity_of(body: obstore.Bytes) -> Fixity:
    return Fixity(sha256=hashlib.sha256(body).hexdigest(), size=len(body))


def _require_plain(key: str) -> None:
    """Refuse keys that the two libraries would read differently. Raises SkipItem."""
    if any(part in {"", ".", ".."} for part in key.split("/")) or not key.isprintable():
        raise SkipItem(f"{key!r} cannot be an object's key")


@asynccontextmanager
async def open_bucket(
    *,
    bucket: str,
    region: str | None,
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    verify: VerifyMode,
    prefix: str = "",
    patience: Patience | None = None,
    threads: int = 16,
) -> AsyncIterator[Bucket]:
    """Open one bucket for as long as the context lasts. Nothing is sent yet, except to find credentials.

    `prefix` stands literally before the scratch key of the probe. `threads` bounds how many uploads and heads
    go on at once. Raises ConfigError and AccessDenied.
    """
    connection = Connection(
        bucket=bucket,
        region=region,
        endpoint_url=endpoint_url,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        threads=threads,
        patience=patience or Patience(),
    )
    bytes_store, client = await asyncio.to_thread(connection.open)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bucket")
    try:
        yield Bucket(
            bytes_store,
            client,
            pool,
            bucket=bucket,
            scratch_key=f"{prefix}.archiver-probe",
            aws_region=client.meta.region_name if endpoint_url is None else None,
            verify=verify,
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        client.close()
