"""What the archiver relies on, asked of every store: moto, the JuiceFS gateway, and one that checks checksums."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from archiver.adapters.object_store import PART_SIZE, Bucket
from archiver.core.model import Fixity, StoreFacts
from archiver.errors import AccessDenied, ConfigError, IntegrityError, NotFound, ObjectExists, SkipItem
from tests.support.stores import StoreServer

AUDIO = "audio/mpeg"
MIB = 1024 * 1024


class Vault:
    """One fresh bucket: through the archiver's eyes, and from outside."""

    def __init__(self, server: StoreServer, name: str, bucket: Bucket) -> None:
        self.server, self.name, self.bucket = server, name, bucket

    def body(self, key: str) -> bytes:
        return self.server.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def content_type(self, key: str) -> str:
        return self.server.client.head_object(Bucket=self.name, Key=key)["ContentType"]

    def keys(self) -> list[str]:
        if self.server.strict:
            return sorted(key for bucket, key in self.server.strict.objects if bucket == self.name)
        return [found["Key"] for found in self.server.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def pending(self) -> list[str]:
        found = self.server.client.list_multipart_uploads(Bucket=self.name)
        return [upload["Key"] for upload in found.get("Uploads", [])]


@pytest_asyncio.fixture
async def vault(any_store: StoreServer) -> AsyncIterator[Vault]:
    name = any_store.new_bucket()
    async with any_store.open(name) as bucket:
        yield Vault(any_store, name, bucket)


def fixity(body: bytes) -> Fixity:
    return Fixity(sha256=hashlib.sha256(body).hexdigest(), size=len(body))


def parts(size: int) -> Iterator[bytes]:
    """Parts made as they are needed, so that nobody holds them all."""
    for start in range(0, size, PART_SIZE):
        yield bytes([start // PART_SIZE % 251]) * min(PART_SIZE, size - start)


async def send(bucket: Bucket, key: str, size: int) -> Fixity:
    digest = hashlib.sha256()
    async with bucket.upload(key, content_type=AUDIO) as upload:
        for part in parts(size):
            digest.update(part)
            await upload.write(part)
        await upload.complete()
    return Fixity(sha256=digest.hexdigest(), size=size)


async def collect(bucket: Bucket, key: str) -> bytes:
    return b"".join([chunk async for chunk in bucket.stream(key)])


FACTS = {
    "moto": StoreFacts(checks_sha256=False, conditional_create=True, versioned=False, object_lock=False),
    "juicefs": StoreFacts(checks_sha256=False, conditional_create=False, versioned=False, object_lock=False),
    "strict": StoreFacts(checks_sha256=True, conditional_create=True, versioned=False, object_lock=False),
}


async def test_probe_sees_what_the_store_enforces_and_leaves_nothing(vault: Vault) -> None:
    assert await vault.bucket.probe() == FACTS[vault.server.name]
    assert vault.keys() == []


async def test_rights_are_tried_one_by_one(vault: Vault) -> None:
    assert await vault.bucket.try_rights() == {"write": None, "read": None, "delete": None}
    assert vault.keys() == []


@pytest.mark.parametrize("size", [0, 1, 400_000, PART_SIZE])
async def test_what_was_created_is_read_back(vault: Vault, size: int) -> None:
    body = (b"\xff\xfb\x90\x00" * (size // 4 + 1))[:size]
    await vault.bucket.create("acme/2026/one.mp3", body, content_type=AUDIO)
    assert vault.body("acme/2026/one.mp3") == body
    assert vault.content_type("acme/2026/one.mp3") == AUDIO
    assert await vault.bucket.size("acme/2026/one.mp3") == size
    assert await vault.bucket.read("acme/2026/one.mp3", limit=PART_SIZE) == body
    assert await collect(vault.bucket, "acme/2026/one.mp3") == body
    assert await vault.bucket.stored_fixity("acme/2026/one.mp3") == fixity(body)
    assert await vault.bucket.readback_fixity("acme/2026/one.mp3") == fixity(body)


@pytest.mark.parametrize("size", [PART_SIZE, 12 * MIB])
async def test_what_was_uploaded_in_parts_is_whole(vault: Vault, size: int) -> None:
    sent = await send(vault.bucket, "long.mp3", size)
    assert fixity(vault.body("long.mp3")) == sent
    assert vault.content_type("long.mp3") == AUDIO
    assert await vault.bucket.stored_fixity("long.mp3") == sent
    assert await vault.bucket.size("long.mp3") == size
    assert vault.pending() == []


async def test_upload_without_parts_is_an_empty_object(vault: Vault) -> None:
    assert await send(vault.bucket, "empty.mp3", 0) == fixity(vault.body("empty.mp3"))


async def test_create_never_overwrites(vault: Vault) -> None:
    await vault.bucket.create("one.mp3", b"first", content_type=AUDIO)
    with pytest.raises(ObjectExists):
        await vault.bucket.create("one.mp3", b"second", content_type=AUDIO)
    assert vault.body("one.mp3") == b"first"


async def test_upload_never_overwrites(vault: Vault) -> None:
    await vault.bucket.create("one.mp3", b"first", content_type=AUDIO)
    with pytest.raises(ObjectExists):
        await send(vault.bucket, "one.mp3", PART_SIZE + 1)
    assert vault.body("one.mp3") == b"first"
    assert vault.pending() == []


async def test_upload_does_not_overwrite_what_came_meanwhile(vault: Vault) -> None:
    async with vault.bucket.upload("one.mp3", content_type=AUDIO) as upload:
        await upload.write(b"second")
        await vault.bucket.create("one.mp3", b"first", content_type=AUDIO)
        with pytest.raises(ObjectExists):
            await upload.complete()
    assert vault.body("one.mp3") == b"first"
    assert vault.pending() == []


async def test_replace_overwrites(vault: Vault) -> None:
    for body in (b"{}", b'{"a": 1}'):
        await vault.bucket.replace("one.json", body, content_type="application/json")
        assert await vault.bucket.read("one.json", limit=100) == body
    assert vault.content_type("one.json") == "application/json"


async def test_leaving_without_complete_leaves_nothing(vault: Vault) -> None:
    async with vault.bucket.upload("one.mp3", content_type=AUDIO) as upload:
        await upload.write(bytes(PART_SIZE))
        assert vault.pending() == ["one.mp3"]
    assert vault.pending() == []
    assert vault.keys() == []


async def test_failure_inside_leaves_nothing_and_is_passed_on(vault: Vault) -> None:
    async def work() -> None:
        async with vault.bucket.upload("one.mp3", content_type=AUDIO) as upload:
            await upload.write(bytes(PART_SIZE))
            raise IntegrityError("cut")

    with pytest.raises(IntegrityError, match="cut"):
        await work()
    assert vault.pending() == []
    assert vault.keys() == []


async def test_cancellation_in_a_part_leaves_nothing(vault: Vault) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with vault.bucket.upload("one.mp3", content_type=AUDIO) as upload:
            asyncio.get_running_loop().call_soon(begun.set)
            while True:
                await upload.write(bytes(PART_SIZE))

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert vault.pending() == []
    assert vault.keys() == []


async def test_cancellation_while_opening_leaves_nothing(vault: Vault) -> None:
    await vault.bucket.probe()
    for turns in range(1, 6):
        task = asyncio.create_task(send(vault.bucket, "one.mp3", PART_SIZE * 2))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert vault.pending() == []
    assert vault.keys() == []


async def test_upload_clears_what_a_killed_one_left_open(vault: Vault) -> None:
    for key in ("one.mp3", "one.mp3.other"):
        vault.server.client.create_multipart_upload(Bucket=vault.name, Key=key)
    await send(vault.bucket, "one.mp3", 100)
    assert vault.pending() == ["one.mp3.other"]


async def test_missing_object(vault: Vault) -> None:
    assert await vault.bucket.size("none.mp3") is None
    for question in (vault.bucket.stored_fixity, vault.bucket.readback_fixity):
        with pytest.raises(NotFound):
            await question("none.mp3")
    with pytest.raises(NotFound):
        await vault.bucket.read("none.mp3", limit=10)
    with pytest.raises(NotFound):
        await collect(vault.bucket, "none.mp3")


async def test_read_refuses_what_is_larger_than_expected(vault: Vault) -> None:
    await vault.bucket.create("one.json", b"12345", content_type="application/json")
    assert await vault.bucket.read("one.json", limit=5) == b"12345"
    with pytest.raises(IntegrityError):
        await vault.bucket.read("one.json", limit=4)


async def test_keys_mean_the_same_to_both_clients(vault: Vault) -> None:
    for key in ("a b/c d.mp3", "ü/नमस्ते.mp3", "x%20y+z.mp3", "a*b?c#d[e]{f}~&;=@,!$'().mp3"):
        await vault.bucket.create(key, b"one", content_type=AUDIO)
        assert vault.body(key) == b"one"
        with pytest.raises(ObjectExists):
            await send(vault.bucket, key, 1)
        assert await vault.bucket.stored_fixity(key) == fixity(b"one")


async def test_keys_that_the_clients_read_differently_are_refused(vault: Vault) -> None:
    for key in ("/one", "one/", "a//b", "a/../b", "./a", "a\tb", ""):
        with pytest.raises(SkipItem):
            await vault.bucket.create(key, b"one", content_type=AUDIO)
        with pytest.raises(SkipItem):
            await send(vault.bucket, key, 1)
    assert vault.keys() == []


async def test_missing_bucket_is_a_matter_of_configuration(any_store: StoreServer) -> None:
    async with any_store.open("no-such-bucket") as bucket:
        for attempt in (
            bucket.probe(),
            bucket.create("one", b"1", content_type=AUDIO),
            bucket.replace("one", b"1", content_type=AUDIO),
            bucket.size("one"),
            bucket.read("one", limit=10),
            bucket.readback_fixity("one"),
            send(bucket, "one", 1),
        ):
            with pytest.raises(ConfigError, match="no-such-bucket") as caught:
                await attempt
            assert "vault.bucket" in caught.value.hint


async def test_bucket_that_vanishes_is_a_matter_of_configuration(vault: Vault) -> None:
    await vault.bucket.probe()
    vault.server.remove_bucket(vault.name)
    with pytest.raises(ConfigError):
        await vault.bucket.create("one", b"1", content_type=AUDIO)
    with pytest.raises(ConfigError):
        await send(vault.bucket, "one", 1)
    with pytest.raises(ConfigError):
        await vault.bucket.size("one")


async def test_wrong_credentials_are_refused(any_store: StoreServer) -> None:
    name = any_store.new_bucket()
    with any_store.checking_credentials():
        async with any_store.with_keys("somebodyelse", "somebody-elses-secret").open(name) as bucket:
            for attempt in (
                bucket.probe(),
                bucket.replace("one", b"1", content_type=AUDIO),
                bucket.size("one"),
                bucket.readback_fixity("one"),
            ):
                with pytest.raises(AccessDenied) as caught:
                    await attempt
                assert "vault.access_key_id" in caught.value.hint
            assert all((await bucket.try_rights()).values())


async def test_sixteen_at_once(vault: Vault) -> None:
    bodies = {f"{n}.mp3": bytes([n]) * 50_000 for n in range(16)}
    await asyncio.gather(*(vault.bucket.create(k, b, content_type=AUDIO) for k, b in bodies.items()))
    found = await asyncio.gather(*(vault.bucket.stored_fixity(key) for key in bodies))
    assert found == [fixity(body) for body in bodies.values()]
