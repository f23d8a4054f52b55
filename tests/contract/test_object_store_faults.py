"""How the store's failures arrive: each as what the archiver must do about it, within a bounded time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from archiver.adapters.object_store import PART_SIZE, Bucket, open_bucket
from archiver.core.model import Fixity
from archiver.errors import (
    AccessDenied,
    ArchiverError,
    ConfigError,
    ObjectExists,
    Transient,
    Unreachable,
)
from tests.support.stores import HASTY, SECRET, StoreServer, free_port
from tests.support.strict_store import Fault, Stored, StrictStore

AUDIO = "audio/mpeg"
BODY = b"\xff\xfb\x90\x00" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass(frozen=True)
class Vault:
    """A bucket of the strict store, probed, with one object in it."""

    bucket: Bucket
    name: str
    state: StrictStore

    def fail(self, *methods: str, status: int = 500, code: str = "InternalError") -> None:
        self.state.fault = Fault(kind="status", methods=frozenset(methods), status=status, code=code)


@pytest_asyncio.fixture
async def vault(strict_store: StoreServer) -> AsyncIterator[Vault]:
    name = strict_store.new_bucket()
    async with strict_store.open(name, patience=HASTY) as bucket:
        await bucket.create("one.mp3", BODY, content_type=AUDIO)
        yield Vault(bucket, name, strict_store.strict_state)


async def upload(bucket: Bucket, key: str = "new.mp3") -> None:
    async with bucket.upload(key, content_type=AUDIO) as open_upload:
        await open_upload.write(bytes(PART_SIZE))
        await open_upload.complete()


async def test_server_that_is_down_is_unreachable() -> None:
    nowhere = StoreServer("nowhere", f"http://127.0.0.1:{free_port()}")
    async with nowhere.open("archive") as bucket:
        for attempt in (
            bucket.probe(),
            bucket.replace("one", b"1", content_type=AUDIO),
            bucket.size("one"),
            bucket.readback_fixity("one"),
            bucket.stored_fixity("one"),
            bucket.create("one", b"1", content_type=AUDIO),
        ):
            with pytest.raises(Unreachable, match="archive") as caught:
                await attempt
            assert "vault.endpoint_url" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, "InternalError", Transient),
        (503, "SlowDown", Transient),
        (429, "TooManyRequests", Transient),
        (400, "ExpiredToken", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (400, "AuthorizationHeaderMalformed", ConfigError),
        (404, "NoSuchBucket", ConfigError),
        (301, "PermanentRedirect", ConfigError),
    ],
)
async def test_answers_mean_the_same_through_both_clients(
    vault: Vault, status: int, code: str, expected: type[ArchiverError]
) -> None:
    vault.fail("GET", "PUT", "HEAD", "POST", status=status, code=code)
    for attempt in (
        vault.bucket.replace("two.mp3", BODY, content_type=AUDIO),
        vault.bucket.create("two.mp3", BODY, content_type=AUDIO),
        vault.bucket.readback_fixity("one.mp3"),
        vault.bucket.probe(),
    ):
        with pytest.raises(expected):
            await attempt


async def test_a_failure_of_one_request_is_retried(strict_store: StoreServer) -> None:
    name, state = strict_store.new_bucket(), strict_store.strict_state
    async with strict_store.open(name) as bucket:
        await bucket.probe()
        state.fault = Fault(kind="status", methods=frozenset({"PUT"}), status=503, code="SlowDown", times=1)
        await bucket.create("one.mp3", BODY, content_type=AUDIO)
        state.fault = Fault(kind="status", methods=frozenset({"PUT"}), status=500, times=1)
        await upload(bucket)
    assert state.objects[name, "one.mp3"].body == BODY
    assert state.objects[name, "new.mp3"].body == bytes(PART_SIZE)


async def test_conflict_without_an_object_may_be_tried_again(vault: Vault) -> None:
    vault.fail("PUT", status=409, code="ConditionalRequestConflict")
    with pytest.raises(Transient):
        await vault.bucket.create("two.mp3", BODY, content_type=AUDIO)
    with pytest.raises(ObjectExists):
        await vault.bucket.create("one.mp3", BODY, content_type=AUDIO)


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
async def test_silence_ends_in_bounded_time(vault: Vault, method: str) -> None:
    vault.state.fault = Fault(kind="hang", methods=frozenset({method}))
    with pytest.raises((Transient, Unreachable)):
        async with asyncio.timeout(30):
            await vault.bucket.create("two.mp3", BODY, content_type=AUDIO)
            await vault.bucket.readback_fixity("one.mp3")
            await vault.bucket.stored_fixity("one.mp3")


async def test_cut_body_is_never_taken_for_a_whole_one(vault: Vault) -> None:
    vault.state.fault = Fault(kind="cut", methods=frozenset({"GET"}))
    with pytest.raises((Transient, Unreachable)):
        await vault.bucket.readback_fixity("one.mp3")
    with pytest.raises((Transient, Unreachable)):
        await vault.bucket.read("one.mp3", limit=len(BODY))


async def test_missing_rights_are_named(vault: Vault) -> None:
    vault.state.denied = frozenset({"PUT"})
    with pytest.raises(AccessDenied) as caught:
        await vault.bucket.replace("two.mp3", BODY, content_type=AUDIO)
    assert "s3:PutObject" in caught.value.hint
    vault.state.denied = frozenset({"DELETE"})
    rights = await vault.bucket.try_rights()
    assert (rights["write"], rights["read"]) == (None, None)
    assert "s3:DeleteObject" in (rights["delete"] or "")


async def test_without_the_right_to_delete_the_scratch_object_stays(vault: Vault) -> None:
    vault.state.denied = frozenset({"DELETE"})
    for _ in range(2):
        facts = await vault.bucket.probe()
        assert facts.checks_sha256
        assert facts.conditional_create
    assert sorted(key for bucket, key in vault.state.objects if bucket == vault.name) == [".archiver-probe", "one.mp3"]


async def test_a_store_that_answers_listing_with_denial_still_fails_for_the_first_reason(vault: Vault) -> None:
    vault.fail("PUT", status=500)
    vault.state.denied = frozenset({"GET"})
    with pytest.raises(Transient):
        await vault.bucket.replace("two.mp3", BODY, content_type=AUDIO)


async def test_failing_part_leaves_nothing(vault: Vault) -> None:
    vault.fail("PUT", status=500)
    with pytest.raises(Transient):
        await upload(vault.bucket)
    assert vault.state.uploads == {}


async def test_failing_complete_leaves_nothing(vault: Vault) -> None:
    async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
        await open_upload.write(b"one")
        vault.fail("POST", status=503, code="SlowDown")
        with pytest.raises(Transient):
            await open_upload.complete()
    assert vault.state.uploads == {}
    assert (vault.name, "new.mp3") not in vault.state.objects


async def test_failing_abort_does_not_hide_why_the_upload_failed(vault: Vault) -> None:
    vault.state.denied = frozenset({"DELETE"})
    with pytest.raises(ZeroDivisionError):
        async with vault.bucket.upload("new.mp3", content_type=AUDIO):
            raise ZeroDivisionError
    vault.state.denied = frozenset()
    await upload(vault.bucket)
    assert vault.state.uploads == {}


async def test_upload_aborted_by_someone_else_may_be_tried_again(vault: Vault) -> None:
    with pytest.raises(Transient):
        async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
            vault.state.uploads.clear()
            await open_upload.write(b"one")


async def test_upload_is_of_no_use_after_complete(vault: Vault) -> None:
    async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
        await open_upload.write(b"one")
        await open_upload.complete()
        with pytest.raises(ValueError, match="not open"):
            await open_upload.write(b"two")
    assert vault.state.objects[vault.name, "new.mp3"].body == b"one"


async def test_vouched_checksum_is_taken_without_reading(vault: Vault) -> None:
    vault.state.requests.clear()
    assert await vault.bucket.stored_fixity("one.mp3") == Fixity(sha256=SHA256, size=len(BODY))
    assert [line.split()[0] for line in vault.state.requests] == ["HEAD"]


async def test_checksum_of_parts_is_not_compared_but_read_back(vault: Vault) -> None:
    await upload(vault.bucket)
    assert vault.state.objects[vault.name, "new.mp3"].checksum.endswith("-1")
    whole = hashlib.sha256(bytes(PART_SIZE)).hexdigest()
    assert await vault.bucket.stored_fixity("new.mp3") == Fixity(sha256=whole, size=PART_SIZE)


async def test_object_without_checksum_is_read_back(vault: Vault) -> None:
    vault.state.objects[vault.name, "old.mp3"] = Stored(BODY)
    assert await vault.bucket.stored_fixity("old.mp3") == Fixity(sha256=SHA256, size=len(BODY))


async def test_damage_behind_the_checksum_is_seen_by_reading_back_only(strict_store: StoreServer, vault: Vault) -> None:
    damaged = b"\x00" + BODY[1:]
    vault.state.objects[vault.name, "one.mp3"].body = damaged
    found = hashlib.sha256(damaged).hexdigest()
    assert (await vault.bucket.readback_fixity("one.mp3")).sha256 == found
    async with strict_store.open(vault.name, verify="readback") as careful:
        assert (await careful.stored_fixity("one.mp3")).sha256 == found
    async with strict_store.open(vault.name, verify="checksum") as trusting:
        assert (await trusting.stored_fixity("one.mp3")).sha256 == SHA256


@pytest.mark.parametrize("fixture", ["moto_store", "juicefs_store"])
async def test_checksum_mode_is_refused_where_the_store_does_not_check(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    server: StoreServer = request.getfixturevalue(fixture)
    name = server.new_bucket()
    async with server.open(name, verify="checksum") as bucket:
        for attempt in (bucket.probe(), bucket.stored_fixity("one"), bucket.create("one", b"1", content_type=AUDIO)):
            with pytest.raises(ConfigError) as caught:
                await attempt
            assert "readback" in caught.value.hint


async def test_wrong_secret_is_refused(juicefs_store: StoreServer) -> None:
    name = juicefs_store.new_bucket()
    async with juicefs_store.with_keys(juicefs_store.access_key_id, SECRET[::-1]).open(name) as bucket:
        with pytest.raises(AccessDenied):
            await bucket.probe()
        with pytest.raises(AccessDenied):
            await bucket.size("one")


async def test_versioned_and_locked_buckets_are_seen_and_left_clean(moto_store: StoreServer) -> None:
    client, name = moto_store.client, f"{moto_store.new_bucket()}-locked"
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-south-1"}, ObjectLockEnabledForBucket=True
    )
    async with moto_store.open(name, prefix="tenant/") as bucket:
        facts = await bucket.probe()
    assert facts.versioned
    assert facts.object_lock
    left = client.list_object_versions(Bucket=name)
    assert left.get("Versions", []) == []
    assert left.get("DeleteMarkers", []) == []


async def test_bucket_in_another_region_is_a_matter_of_configuration(
    moto_store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_store.url)
    async with open_bucket(
        bucket=moto_store.new_bucket(),
        region="eu-west-1",
        endpoint_url=None,
        access_key_id="key",
        secret_access_key="secret",
        verify="auto",
    ) as bucket:
        with pytest.raises(ConfigError, match="ap-south-1") as caught:
            await bucket.probe()
        assert "ap-south-1" in caught.value.hint


async def test_keys_come_from_the_chain_where_none_are_given(
    juicefs_store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", juicefs_store.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", juicefs_store.secret_access_key)
    async with open_bucket(
        bucket=juicefs_store.new_bucket(),
        region=None,
        endpoint_url=juicefs_store.url,
        access_key_id=None,
        secret_access_key=None,
        verify="auto",
    ) as bucket:
        await bucket.create("one.mp3", BODY, content_type=AUDIO)
        assert (await bucket.stored_fixity("one.mp3")).sha256 == SHA256


async def test_given_keys_are_not_mixed_with_the_environment(
    juicefs_store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    async with juicefs_store.open(juicefs_store.new_bucket()) as bucket:
        await bucket.create("one.mp3", BODY, content_type=AUDIO)
        assert await bucket.size("one.mp3") == len(BODY)


async def test_without_any_keys_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(AccessDenied, match="no credentials") as caught:
        async with open_bucket(
            bucket="archive",
            region=None,
            endpoint_url=None,
            access_key_id=None,
            secret_access_key=None,
            verify="auto",
        ):
            pass
    assert "vault.access_key_id" in caught.value.hint


async def test_names_that_no_bucket_can_have_are_a_matter_of_configuration(moto_store: StoreServer) -> None:
    async with moto_store.open("Not A Bucket!") as bucket:
        with pytest.raises(ConfigError):
            await bucket.probe()


async def test_probe_is_made_once_by_many(strict_store: StoreServer) -> None:
    name = strict_store.new_bucket()
    strict_store.strict_state.requests.clear()
    async with strict_store.open(name) as bucket:
        await asyncio.gather(*(bucket.create(f"{n}.mp3", BODY, content_type=AUDIO) for n in range(8)))
    probes = [line for line in strict_store.strict_state.requests if line.startswith("DELETE")]
    assert len(probes) == 1
