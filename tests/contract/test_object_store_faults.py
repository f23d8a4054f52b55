"""How the store's failures arrive: each as what the archiver must do about it, within a bounded time."""

from __future__ import annotations

import asyncio

import pytest

from archiver.adapters.object_store import PART_SIZE
from archiver.errors import AccessDenied, ArchiverError, ConfigError, ObjectExists, Transient, Unreachable
from tests.support.stores import SOME_BODY, StoreServer, StrictVault, free_port
from tests.support.strict_store import Fault

AUDIO = "audio/mpeg"


@pytest.fixture
def vault(strict_vault: StrictVault) -> StrictVault:
    return strict_vault


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
    vault: StrictVault, status: int, code: str, expected: type[ArchiverError]
) -> None:
    vault.fail("GET", "PUT", "HEAD", "POST", status=status, code=code)
    for attempt in (
        vault.bucket.replace("two.mp3", SOME_BODY, content_type=AUDIO),
        vault.bucket.create("two.mp3", SOME_BODY, content_type=AUDIO),
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
        await bucket.create("one.mp3", SOME_BODY, content_type=AUDIO)
        state.fault = Fault(kind="status", methods=frozenset({"PUT"}), status=500, times=1)
        await StrictVault(bucket, name, state).upload("new.mp3", bytes(PART_SIZE))
    assert state.objects[name, "one.mp3"].body == SOME_BODY
    assert state.objects[name, "new.mp3"].body == bytes(PART_SIZE)


async def test_conflict_without_an_object_may_be_tried_again(vault: StrictVault) -> None:
    vault.fail("PUT", status=409, code="ConditionalRequestConflict")
    with pytest.raises(Transient):
        await vault.bucket.create("two.mp3", SOME_BODY, content_type=AUDIO)
    with pytest.raises(ObjectExists):
        await vault.bucket.create("one.mp3", SOME_BODY, content_type=AUDIO)


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
async def test_silence_ends_in_bounded_time(vault: StrictVault, method: str) -> None:
    vault.state.fault = Fault(kind="hang", methods=frozenset({method}))

    async def everything() -> None:
        await vault.bucket.create("two.mp3", SOME_BODY, content_type=AUDIO)
        await vault.bucket.readback_fixity("one.mp3")
        await vault.bucket.stored_fixity("one.mp3")

    with pytest.raises((Transient, Unreachable)):
        await asyncio.wait_for(everything(), 30)


async def test_cut_body_is_never_taken_for_a_whole_one(vault: StrictVault) -> None:
    vault.state.fault = Fault(kind="cut", methods=frozenset({"GET"}))
    with pytest.raises((Transient, Unreachable)):
        await vault.bucket.readback_fixity("one.mp3")
    with pytest.raises((Transient, Unreachable)):
        await vault.bucket.read("one.mp3", limit=len(SOME_BODY))


async def test_missing_rights_are_named(vault: StrictVault) -> None:
    vault.state.denied = frozenset({"PUT"})
    with pytest.raises(AccessDenied) as caught:
        await vault.bucket.replace("two.mp3", SOME_BODY, content_type=AUDIO)
    assert "s3:PutObject" in caught.value.hint
    vault.state.denied = frozenset({"DELETE"})
    rights = await vault.bucket.try_rights()
    assert (rights["write"], rights["read"]) == (None, None)
    assert "s3:DeleteObject" in (rights["delete"] or "")


async def test_without_the_right_to_delete_the_scratch_object_stays(vault: StrictVault) -> None:
    vault.state.denied = frozenset({"DELETE"})
    for _ in range(2):
        facts = await vault.bucket.probe()
        assert facts.checks_sha256
        assert facts.conditional_create
    assert sorted(key for bucket, key in vault.state.objects if bucket == vault.name) == [".archiver-probe", "one.mp3"]


async def test_a_store_that_answers_listing_with_denial_still_fails_for_the_first_reason(vault: StrictVault) -> None:
    vault.fail("PUT", status=500)
    vault.state.denied = frozenset({"GET"})
    with pytest.raises(Transient):
        await vault.bucket.replace("two.mp3", SOME_BODY, content_type=AUDIO)


async def test_failing_part_leaves_nothing(vault: StrictVault) -> None:
    vault.fail("PUT", status=500)
    with pytest.raises(Transient):
        await vault.upload("new.mp3", bytes(PART_SIZE))
    assert vault.state.uploads == {}


async def test_failing_complete_leaves_nothing(vault: StrictVault) -> None:
    async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
        await open_upload.write(b"one")
        vault.fail("POST", status=503, code="SlowDown")
        with pytest.raises(Transient):
            await open_upload.complete()
    assert vault.state.uploads == {}
    assert (vault.name, "new.mp3") not in vault.state.objects


async def test_failing_abort_does_not_hide_why_the_upload_failed(vault: StrictVault) -> None:
    vault.state.denied = frozenset({"DELETE"})
    with pytest.raises(ZeroDivisionError):
        async with vault.bucket.upload("new.mp3", content_type=AUDIO):
            raise ZeroDivisionError
    vault.state.denied = frozenset()
    await vault.upload("new.mp3", bytes(PART_SIZE))
    assert vault.state.uploads == {}


async def test_upload_aborted_by_someone_else_may_be_tried_again(vault: StrictVault) -> None:
    async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
        vault.state.uploads.clear()
        with pytest.raises(Transient):
            await open_upload.write(b"one")


async def test_upload_is_of_no_use_after_complete(vault: StrictVault) -> None:
    async with vault.bucket.upload("new.mp3", content_type=AUDIO) as open_upload:
        await open_upload.write(b"one")
        await open_upload.complete()
        with pytest.raises(ValueError, match="not open"):
            await open_upload.write(b"two")
    assert vault.state.objects[vault.name, "new.mp3"].body == b"one"
