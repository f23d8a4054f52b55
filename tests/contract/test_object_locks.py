"""Locks, legal holds and removal for good, asked of a bucket with Object Lock, and of stores that have none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from archiver.adapters.object_store import PART_SIZE, Bucket
from archiver.core.model import Lock, LockMode, Protection, StoreFacts
from archiver.errors import AccessDenied, ConfigError, NotFound, SkipItem
from tests.support.stores import StoreServer

AUDIO = "audio/mpeg"
KEY = "acme/2024/01/31/090000Z-1.mp3"
UNTIL = datetime(2034, 2, 1, 9, tzinfo=UTC)  # moto goes by the real clock
OVER = datetime(2024, 2, 1, tzinfo=UTC)
GOVERNED, COMPLIANT = Lock(LockMode.GOVERNANCE, UNTIL), Lock(LockMode.COMPLIANCE, UNTIL)


class Vault:
    """One bucket: through the archiver's eyes, and from outside."""

    def __init__(self, server: StoreServer, name: str, bucket: Bucket) -> None:
        self.server, self.name, self.bucket, self.locks = server, name, bucket, bucket.locks

    async def put(self, key: str = KEY, body: bytes = b"one") -> str:
        """Place one more version from outside; returns its id."""
        answer = await asyncio.to_thread(self.server.client.put_object, Bucket=self.name, Key=key, Body=body)
        return answer.get("VersionId", "null")

    async def mark_deleted(self, key: str = KEY) -> None:
        """Place a delete marker, as whoever deletes without naming a version does."""
        await asyncio.to_thread(self.server.client.delete_object, Bucket=self.name, Key=key)

    def small_pages(self) -> None:
        """Have the archiver's own client ask for two versions at a time: a thousand of them take too long here."""

        def two(params: dict[str, object], **_: object) -> None:
            params["MaxKeys"] = 2

        self.locks._client.meta.events.register("before-parameter-build.s3.ListObjectVersions", two)

    def versions(self) -> dict[str, int]:
        """How many versions and delete markers stand under each key."""
        found: dict[str, int] = {}
        for page in self.server.client.get_paginator("list_object_versions").paginate(Bucket=self.name):
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                found[one["Key"]] = found.get(one["Key"], 0) + 1
        return found


@pytest_asyncio.fixture
async def locked(moto_store: StoreServer) -> AsyncIterator[Vault]:
    """A bucket with Object Lock."""
    name = moto_store.new_bucket(locks=True)
    async with moto_store.open(name) as bucket:
        yield Vault(moto_store, name, bucket)


@pytest_asyncio.fixture
async def plain(any_store: StoreServer) -> AsyncIterator[Vault]:
    """A bucket without versions and locks, of each store."""
    name = any_store.new_bucket()
    async with any_store.open(name) as bucket:
        yield Vault(any_store, name, bucket)


async def test_the_probe_sees_locks_and_leaves_no_version(locked: Vault) -> None:
    lacking = StoreFacts(checks_sha256=False, conditional_create=True, versioned=True, object_lock=True)
    assert await locked.bucket.probe() == lacking
    assert locked.versions() == {}


async def test_an_object_is_free_until_it_is_locked_or_held(locked: Vault) -> None:
    await locked.bucket.create(KEY, b"one", content_type=AUDIO)
    assert await locked.locks.protection(KEY) == Protection()
    assert await locked.locks.protections(KEY) == [Protection()]


async def test_a_lock_is_set_to_the_second_and_extended(locked: Vault) -> None:
    for mode in LockMode:
        key = f"{mode}.mp3"
        await locked.put(key)
        for until in (UNTIL, UNTIL + timedelta(days=366, seconds=1)):
            await locked.locks.lock(key, Lock(mode, until))
            assert await locked.locks.protection(key) == Protection(lock=Lock(mode, until))
        with pytest.raises(AccessDenied):
            await locked.locks.remove(key)
    assert locked.versions() == {"governance.mp3": 1, "compliance.mp3": 1}


async def test_governance_becomes_compliance(locked: Vault) -> None:
    await locked.put()
    for lock in (GOVERNED, COMPLIANT):
        await locked.locks.lock(KEY, lock)
        assert await locked.locks.protection(KEY) == Protection(lock=lock)


async def test_a_legal_hold_comes_and_goes_beside_the_lock(locked: Vault) -> None:
    await locked.put()
    await locked.locks.lock(KEY, GOVERNED)
    for on in (True, True, False):
        await locked.locks.hold(KEY, on=on)
        assert await locked.locks.protection(KEY) == Protection(lock=GOVERNED, on_hold=on)


async def test_locks_are_the_objects_own(locked: Vault) -> None:
    """Not of others that begin with the same key."""
    for key in (KEY, f"{KEY}.bak", KEY.removesuffix(".mp3")):
        await locked.put(key)
    await locked.locks.lock(KEY, GOVERNED)
    await locked.locks.hold(KEY, on=True)
    assert await locked.locks.protection(f"{KEY}.bak") == Protection()
    assert await locked.locks.protections(KEY.removesuffix(".mp3")) == [Protection()]


async def test_every_version_is_asked(locked: Vault) -> None:
    """A lock belongs to the version that it was set on: a newer one, or a delete marker, hides it."""
    for number in range(3):
        await locked.put(body=bytes([number]))
        if number < 2:
            await locked.locks.lock(KEY, Lock(LockMode.GOVERNANCE, UNTIL + timedelta(days=number)))
    await locked.locks.hold(KEY, on=True)
    assert await locked.locks.protection(KEY) == Protection(on_hold=True)
    await locked.mark_deleted()
    found = await locked.locks.protections(KEY)
    assert len(found) == 3
    assert {one.lock and one.lock.until for one in found} == {None, UNTIL, UNTIL + timedelta(days=1)}
    assert [one.on_hold for one in found].count(True) == 1


async def test_removal_takes_all_versions_and_markers_of_exactly_that_key(locked: Vault) -> None:
    others = (f"{KEY}.bak", f"{KEY}/under", KEY.removesuffix("3"), KEY.upper())
    for key in (KEY, KEY, *others):
        await locked.put(key)
    await locked.mark_deleted()
    await locked.put()
    await locked.mark_deleted(others[0])
    await locked.locks.remove(KEY)
    assert locked.versions() == {others[0]: 2, **dict.fromkeys(others[1:], 1)}
    assert await locked.locks.protections(KEY) == []
    await locked.locks.remove(KEY)  # none there: done
    assert locked.versions() == {others[0]: 2, **dict.fromkeys(others[1:], 1)}


async def test_removal_and_the_look_at_locks_go_beyond_one_page_of_versions(locked: Vault) -> None:
    for number in range(3):
        await locked.put(body=bytes([number]))
        await locked.mark_deleted()
    await locked.put(f"{KEY}.bak")
    locked.small_pages()
    assert await locked.locks.protections(KEY) == [Protection()] * 3
    await locked.locks.remove(KEY)
    assert locked.versions() == {f"{KEY}.bak": 1}


async def test_what_is_locked_stays_and_says_so(locked: Vault) -> None:
    for held in ("governance", "compliance", "legal hold"):
        await locked.put(held)
        if held == "legal hold":
            await locked.locks.hold(held, on=True)
        else:
            await locked.locks.lock(held, Lock(LockMode(held), UNTIL))
        before = await locked.locks.protection(held)
        with pytest.raises(AccessDenied, match=held) as refused:
            await locked.locks.remove(held)
        assert "s3:DeleteObjectVersion" in refused.value.hint
        assert await locked.locks.protection(held) == before
        assert await locked.bucket.read(held, limit=9) == b"one"


async def test_a_lock_that_is_over_holds_nothing(locked: Vault) -> None:
    await locked.put()
    await locked.locks.lock(KEY, Lock(LockMode.COMPLIANCE, OVER))
    await locked.locks.remove(KEY)
    assert locked.versions() == {}


async def test_what_was_created_or_uploaded_can_be_locked_and_removed(locked: Vault) -> None:
    await locked.bucket.create("short.mp3", b"one", content_type=AUDIO)
    async with locked.bucket.upload("long.mp3", content_type=AUDIO) as upload:
        await upload.write(bytes(PART_SIZE))
        await upload.write(b"the rest")
        await upload.complete()
    for key in ("short.mp3", "long.mp3"):
        await locked.locks.lock(key, Lock(LockMode.GOVERNANCE, OVER))
        await locked.locks.remove(key)
    assert locked.versions() == {}


async def test_a_missing_object(locked: Vault) -> None:
    with pytest.raises(NotFound):
        await locked.locks.protection(KEY)
    assert await locked.locks.protections(KEY) == []
    await locked.locks.remove(KEY)


async def test_what_was_deleted_in_a_versioned_bucket_is_missing(locked: Vault) -> None:
    await locked.put()
    await locked.mark_deleted()
    with pytest.raises(NotFound):
        await locked.locks.protection(KEY)
    assert await locked.locks.protections(KEY) == [Protection()]


async def test_a_store_without_locks_holds_nothing_and_removes(plain: Vault) -> None:
    """moto, the JuiceFS gateway, which knows no versions at all, and the strict store."""
    assert not (await plain.bucket.facts()).object_lock
    for key in (KEY, f"{KEY}.bak"):
        await plain.bucket.create(key, b"one", content_type=AUDIO)
    assert await plain.locks.protection(KEY) == Protection()
    assert await plain.locks.protections(KEY) == [Protection()]
    await plain.locks.remove(KEY)
    assert await plain.bucket.size(KEY) is None
    assert await plain.bucket.size(f"{KEY}.bak") == 3
    assert await plain.locks.protections(KEY) == []
    await plain.locks.remove(KEY)
    with pytest.raises(NotFound):
        await plain.locks.protection(KEY)


async def test_a_bucket_without_locks_takes_none(plain: Vault) -> None:
    await plain.bucket.create(KEY, b"one", content_type=AUDIO)
    for attempt in (plain.locks.lock(KEY, GOVERNED), plain.locks.hold(KEY, on=True)):
        with pytest.raises(SkipItem, match=plain.name):
            await attempt
    assert await plain.locks.protection(KEY) == Protection()


async def test_a_bucket_that_is_not_there_is_a_matter_of_configuration(any_store: StoreServer) -> None:
    async with any_store.open("no-such-bucket") as bucket:
        for attempt in (bucket.locks.protections(KEY), bucket.locks.remove(KEY), bucket.locks.lock(KEY, GOVERNED)):
            with pytest.raises(ConfigError, match="no-such-bucket"):
                await attempt
