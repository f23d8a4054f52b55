"""Whose word is taken for what the bucket holds, and which settings are refused."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from archiver.adapters.object_store import PART_SIZE, open_bucket
from archiver.core.model import Fixity
from archiver.errors import AccessDenied, ConfigError
from tests.support.stores import SECRET, SOME_BODY, StoreServer, StrictVault
from tests.support.strict_store import Stored

SHA256 = hashlib.sha256(SOME_BODY).hexdigest()
AUDIO = "audio/mpeg"


@pytest.fixture
def vault(strict_vault: StrictVault) -> StrictVault:
    return strict_vault


async def test_vouched_checksum_is_taken_without_reading(vault: StrictVault) -> None:
    vault.state.requests.clear()
    assert await vault.bucket.stored_fixity("one.mp3") == Fixity(sha256=SHA256, size=len(SOME_BODY))
    assert [line.split()[0] for line in vault.state.requests] == ["HEAD"]


@pytest.mark.parametrize("lack", ["checks", "returns"])
async def test_a_store_vouches_only_if_it_both_checks_and_tells(vault: StrictVault, lack: str) -> None:
    assert (await vault.bucket.probe()).checks_sha256
    setattr(vault.state, lack, False)
    assert not (await vault.bucket.probe()).checks_sha256
    vault.state.objects[vault.name, "one.mp3"].body = SOME_BODY[::-1]
    found = hashlib.sha256(SOME_BODY[::-1]).hexdigest()
    assert (await vault.bucket.stored_fixity("one.mp3")).sha256 == found


async def test_checksum_of_parts_is_not_compared_but_read_back(vault: StrictVault) -> None:
    await vault.upload("new.mp3", bytes(PART_SIZE))
    assert vault.state.objects[vault.name, "new.mp3"].checksum.endswith("-1")
    whole = hashlib.sha256(bytes(PART_SIZE)).hexdigest()
    assert await vault.bucket.stored_fixity("new.mp3") == Fixity(sha256=whole, size=PART_SIZE)


async def test_object_without_checksum_is_read_back(vault: StrictVault) -> None:
    vault.state.objects[vault.name, "old.mp3"] = Stored(SOME_BODY)
    assert await vault.bucket.stored_fixity("old.mp3") == Fixity(sha256=SHA256, size=len(SOME_BODY))


async def test_damage_behind_the_checksum_is_seen_by_reading_back_only(
    strict_store: StoreServer, vault: StrictVault
) -> None:
    damaged = b"\x00" + SOME_BODY[1:]
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
        await bucket.create("one.mp3", SOME_BODY, content_type=AUDIO)
        assert (await bucket.stored_fixity("one.mp3")).sha256 == SHA256


async def test_given_keys_are_not_mixed_with_the_environment(
    juicefs_store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    async with juicefs_store.open(juicefs_store.new_bucket()) as bucket:
        await bucket.create("one.mp3", SOME_BODY, content_type=AUDIO)
        assert await bucket.size("one.mp3") == len(SOME_BODY)


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
        await asyncio.gather(*(bucket.create(f"{n}.mp3", SOME_BODY, content_type=AUDIO) for n in range(8)))
    probes = [line for line in strict_store.strict_state.requests if line.startswith("DELETE")]
    assert len(probes) == 1
