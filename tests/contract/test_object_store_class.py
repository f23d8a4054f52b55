"""The storage class of a copy: asked for as it is created, in one piece or in parts, and of nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from archiver.adapters.object_store import PART_SIZE, Bucket
from archiver.errors import SkipItem, Transient
from archiver.policies_fields import STORAGE_CLASSES
from tests.support.stores import StoreServer

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef


@pytest_asyncio.fixture
async def opened(moto_store: StoreServer) -> AsyncIterator[tuple[Bucket, str]]:
    name = moto_store.new_bucket()
    async with moto_store.open(name) as bucket:
        yield bucket, name


async def upload(bucket: Bucket, key: str, storage_class: str | None) -> None:
    async with bucket.upload(key, content_type="audio/mpeg", storage_class=storage_class) as sending:
        await sending.write(bytes(PART_SIZE))
        await sending.write(b"the rest")
        await sending.complete()


@pytest.mark.parametrize("storage_class", [None, *STORAGE_CLASSES])
async def test_a_copy_gets_the_class_that_was_asked_for(
    moto_store: StoreServer, opened: tuple[Bucket, str], storage_class: str | None
) -> None:
    bucket, name = opened

    def head(key: str) -> HeadObjectOutputTypeDef:
        return moto_store.client.head_object(Bucket=name, Key=key)

    await bucket.create("short.mp3", b"one", content_type="audio/mpeg", storage_class=storage_class)
    await bucket.create("short.json", b"{}", content_type="application/json")
    await upload(bucket, "long.mp3", storage_class)
    for key in ("short.mp3", "long.mp3"):
        assert head(key).get("StorageClass", "STANDARD") == (storage_class or "STANDARD")
        assert head(key)["ContentType"] == "audio/mpeg"
    assert "StorageClass" not in head("short.json")
    await bucket.replace("short.json", b"{1}", content_type="application/json")
    assert "StorageClass" not in head("short.json")


async def test_every_store_keeps_the_bytes_whatever_it_makes_of_the_class(any_store: StoreServer) -> None:
    async with any_store.open(any_store.new_bucket()) as bucket:
        await bucket.create("short.mp3", b"one", content_type="audio/mpeg", storage_class="REDUCED_REDUNDANCY")
        await upload(bucket, "long.mp3", "REDUCED_REDUNDANCY")
        assert await bucket.read("short.mp3", limit=9) == b"one"
        assert await bucket.size("long.mp3") == PART_SIZE + len(b"the rest")


async def test_a_store_that_does_not_know_the_class_takes_nothing(juicefs_store: StoreServer) -> None:
    async with juicefs_store.open(juicefs_store.new_bucket()) as bucket:
        with pytest.raises(Transient):  # obstore hides the code of the answer
            await bucket.create("short.mp3", b"one", content_type="audio/mpeg", storage_class="GLACIER_IR")
        with pytest.raises(SkipItem, match="InvalidStorageClass"):
            await upload(bucket, "long.mp3", "GLACIER_IR")
        assert [await bucket.size(key) for key in ("short.mp3", "long.mp3")] == [None, None]
