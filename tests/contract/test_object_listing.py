"""Listing a bucket: in the order of keys, a page at a time, under a prefix that need not be a folder."""

from __future__ import annotations

import asyncio

from archiver.adapters.object_store import Bucket
from archiver.core.rebuilding import Listed
from tests.support.stores import StoreServer
from tests.support.strict_store import MODIFIED, PAGE, Stored

KEYS = ("a-1/x.json", "a-1/x.mp3", "a-10/x.mp3", "a-2.mp3", "b/x.mp3")


async def listed(bucket: Bucket, prefix: str) -> list[Listed]:
    return [one async for one in bucket.listing.objects(prefix)]


async def test_objects_come_in_the_order_of_their_keys(any_store: StoreServer) -> None:
    name = await asyncio.to_thread(any_store.new_bucket)
    async with any_store.open(name) as bucket:
        assert await listed(bucket, "") == []
        for key in reversed(KEYS):
            await bucket.create(key, key.encode(), content_type="text/plain")
        assert [(one.key, one.size) for one in await listed(bucket, "")] == [(key, len(key)) for key in KEYS]
        assert [one.key for one in await listed(bucket, "a-1")] == list(KEYS[:3])
        assert all(one.modified.tzinfo is not None for one in await listed(bucket, "a"))


async def test_a_listing_goes_on_behind_its_first_page(strict_store: StoreServer) -> None:
    name, count = await asyncio.to_thread(strict_store.new_bucket), 2 * PAGE + 1
    state = strict_store.strict_state
    for number in range(count):
        state.objects[name, f"{number:05}"] = Stored(b"x")
    state.requests.clear()
    async with strict_store.open(name) as bucket:
        found = await listed(bucket, "")
    assert found == [Listed(f"{number:05}", 1, MODIFIED) for number in range(count)]
    assert len(state.requests) == 3
