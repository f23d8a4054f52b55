"""What goes wrong while locks are asked about, set, or objects removed: each named for what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from archiver.adapters.object_store_errors import Action, Errand, translate
from archiver.adapters.object_store_locks import ObjectLocks
from archiver.core.model import Protection
from archiver.errors import AccessDenied, NotFound, Transient, Unreachable
from tests.contract.test_object_locks import GOVERNED
from tests.contract.test_object_store_errors import answer
from tests.support.stores import HASTY, StoreServer, StrictVault, free_port

if TYPE_CHECKING:
    from archiver.errors import ArchiverError

Ask = Callable[[ObjectLocks], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "head": lambda locks: locks.protection("one.mp3"),
    "versions": lambda locks: locks.protections("one.mp3"),
    "lock": lambda locks: locks.lock("one.mp3", GOVERNED),
    "hold": lambda locks: locks.hold("one.mp3", on=True),
    "delete": lambda locks: locks.remove("one.mp3"),
}
RIGHTS = {
    "head": "s3:GetObject",
    "versions": "s3:ListBucketVersions",
    "lock": "s3:PutObjectRetention",
    "hold": "s3:PutObjectLegalHold",
    "delete": "s3:DeleteObjectVersion",
}
METHODS = {"head": "HEAD", "versions": "GET", "lock": "PUT", "hold": "PUT", "delete": "DELETE"}


async def test_a_right_that_is_missing_is_named(strict_vault: StrictVault) -> None:
    for action, ask in ASKED.items():
        strict_vault.state.denied = frozenset({METHODS[action]})
        with pytest.raises(AccessDenied, match=f"{action} one.mp3") as refused:
            await ask(strict_vault.bucket.locks)
        assert RIGHTS[action] in refused.value.hint
        strict_vault.state.heal_faults()
    assert await strict_vault.bucket.locks.protections("one.mp3") == [Protection()]


async def test_a_store_in_trouble_is_asked_again_another_time(strict_vault: StrictVault) -> None:
    for action, ask in ASKED.items():
        for status, code in ((500, "InternalError"), (503, "SlowDown"), (409, "OperationAborted")):
            strict_vault.fail(METHODS[action], status=status, code=code)
            with pytest.raises(Transient, match=f"{action} one.mp3"):
                await ask(strict_vault.bucket.locks)
    strict_vault.state.heal_faults()
    assert await strict_vault.bucket.size("one.mp3") is not None


async def test_a_store_that_is_down_is_out_of_reach() -> None:
    server = StoreServer("none", f"http://127.0.0.1:{free_port()}")
    async with server.open("archive", patience=HASTY) as bucket:
        for ask in ASKED.values():
            with pytest.raises(Unreachable):
                await ask(bucket.locks)


@pytest.mark.parametrize(
    ("action", "code", "status", "expected"),
    [
        ("lock", "NoSuchKey", 404, NotFound),
        ("hold", "NoSuchKey", 404, NotFound),
        ("lock", "MethodNotAllowed", 405, AccessDenied),  # a delete marker stands on top
        ("lock", "AccessDenied", 403, AccessDenied),  # shorter, or weaker, than what is there
        ("delete", "NoSuchVersion", 404, NotFound),
        ("versions", "AccessDenied", 403, AccessDenied),
    ],
)
def test_answers_of_a_store_with_locks(action: Action, code: str, status: int, expected: type[ArchiverError]) -> None:
    found = translate(answer(code, status), Errand(bucket="archive", action=action, key="a/b.mp3"))
    assert type(found) is expected
    assert str(found).startswith(f"{action} a/b.mp3 in bucket archive")
    assert bool(found.hint) == (expected is AccessDenied)
