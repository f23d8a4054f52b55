"""The bucket of a world as others see and change it: versions, locks, legal holds; and requests that it refuses."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from archiver.app import App
from archiver.core.model import Lock, LockMode, Protection
from tests.support.world import World, is_for_rebuild

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import ObjectLockRetentionModeType

_MODES: dict[LockMode, ObjectLockRetentionModeType] = {
    LockMode.GOVERNANCE: "GOVERNANCE",
    LockMode.COMPLIANCE: "COMPLIANCE",
}


def keeping(
    *, source: str | None = "30d", mode: str = "automatic", archive_mode: str = "automatic", **archive: str
) -> dict[str, object]:
    """A policies file: one policy about everything, deletion automatic on both sides, without cooling-off and caps."""
    rule: dict[str, object] = {"name": "everything", "archive": archive or True}
    if source is not None:
        rule["source"] = {"delete_after": source}
    here = {"mode": archive_mode, "max_percent": 100}
    return {
        "deletion": {"mode": mode, "max_percent": 100, "cooling_off": "0s", "archive": here},
        "policies": [rule],
    }


async def protections(here: World, key: str) -> list[Protection]:
    """What holds each version of an object, the newest first."""
    return await asyncio.to_thread(lambda: list(_protections(here, key)))


async def protection(here: World, key: str) -> Protection:
    """What holds an object as it stands."""
    return (await protections(here, key))[0]


def _protections(here: World, key: str) -> Iterator[Protection]:
    client = here.store.client
    for one in client.list_object_versions(Bucket=here.bucket, Prefix=key).get("Versions", ()):
        found = client.head_object(Bucket=here.bucket, Key=key, VersionId=one["VersionId"])
        mode, until = found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
        lock = None if mode is None or until is None else Lock(LockMode(mode.lower()), until)
        yield Protection(lock=lock, on_hold=found.get("ObjectLockLegalHoldStatus") == "ON")


async def versions(here: World) -> dict[str, int]:
    """How many versions and delete markers the bucket has of each key of audio and sidecars."""

    def count() -> dict[str, int]:
        found: dict[str, int] = {}
        for page in here.store.client.get_paginator("list_object_versions").paginate(Bucket=here.bucket):
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                found[one["Key"]] = found.get(one["Key"], 0) + 1
        return {key: number for key, number in found.items() if not is_for_rebuild(key)}

    return await asyncio.to_thread(count)


async def lock(here: World, key: str, until: datetime, mode: LockMode = LockMode.GOVERNANCE) -> None:
    """Lock the newest version from outside, or make its lock shorter with the special right for that."""
    ask = partial(here.store.client.put_object_retention, BypassGovernanceRetention=True)
    retention = {"Mode": _MODES[mode], "RetainUntilDate": until}
    await asyncio.to_thread(ask, Bucket=here.bucket, Key=key, Retention=retention)


async def hold(here: World, key: str, *, on: bool) -> None:
    """Set a legal hold on the newest version from outside, or take it off."""
    ask = partial(here.store.client.put_object_legal_hold, LegalHold={"Status": "ON" if on else "OFF"})
    await asyncio.to_thread(ask, Bucket=here.bucket, Key=key)


class EventHooks(Protocol):
    """What botocore offers, and its stubs do not tell: an answer in the place of a request."""

    def register(self, event_name: str, handler: Callable[..., AWSResponse | None]) -> None:
        """Have the handler asked before each request of the kind is sent."""
        ...


class _Body(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def refuse(app: App, operation: str, *, key: str = "", status: int = 409, code: str = "OperationAborted") -> None:
    """Have requests of one kind, about keys that hold a text, answered with an error instead of being sent."""

    def answer(request: object, **_: object) -> AWSResponse | None:
        url = str(getattr(request, "url", ""))
        body = _Body(f"<Error><Code>{code}</Code><Message/></Error>".encode())
        return AWSResponse(url, status, HTTPHeaders(), body) if key in url else None

    events = cast("EventHooks", app.store.locks._client.meta.events)
    events.register(f"before-send.s3.{operation}", answer)
