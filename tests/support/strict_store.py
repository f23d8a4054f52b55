"""An S3 subset that really checks x-amz-checksum-sha256 and If-None-Match, as AWS does, and fails on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal
from xml.sax.saxutils import escape

from aiohttp import web

PAGE = 1000  # objects
MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)  # of every object


@dataclass
class Stored:
    """One object, or one part of an upload."""

    body: bytes
    content_type: str = ""
    checksum: str = ""
    checksum_type: str = "FULL_OBJECT"

    @property
    def etag(self) -> str:
        return '"' + hashlib.md5(self.body, usedforsecurity=False).hexdigest() + '"'


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What to do with requests of these methods: answer a status, never answer, or cut a body in half."""

    kind: Literal["status", "hang", "cut"]
    methods: frozenset[str]
    status: int = 500
    code: str = "InternalError"
    times: int | None = None  # how many requests it hits; None: all


@dataclass
class StrictStore:
    """The server. Its state may be read and set from the test's thread between requests."""

    access_key_id: str
    buckets: set[str] = field(default_factory=set)
    objects: dict[tuple[str, str], Stored] = field(default_factory=dict)
    uploads: dict[str, dict[int, Stored]] = field(default_factory=dict)
    targets: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()  # methods that the key has no right to
    checks: bool = True  # off: keeps whatever checksum it is told
    returns: bool = True  # off: checks, but does not tell later
    fault: Fault | None = None
    requests: list[str] = field(default_factory=list)
    port: int = 0

    def start(self) -> None:
        """Serve in a thread until `stop`."""
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def stop(self) -> None:
        """Close every connection and end the thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def heal_faults(self) -> None:
        """Forget faults and denials, keep what is stored."""
        self.fault, self.denied = None, frozenset()

    def heal(self, kept: frozenset[str]) -> None:
        """Forget all that a test has left: faults, and buckets but for those that are kept."""
        self.heal_faults()
        self.checks = self.returns = True
        self.requests.clear()
        self.buckets &= kept
        self.objects = {where: stored for where, stored in self.objects.items() if where[0] in kept}
        self.targets = {number: target for number, target in self.targets.items() if target[0] in kept}
        self.uploads = {number: parts for number, parts in self.uploads.items() if number in self.targets}

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{bucket}", self._bucket)
        app.router.add_route("*", "/{bucket}/{key:.*}", self._object)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = self.fault
        if fault is not None and request.method in fault.methods:
            if fault.times is not None:
                self.fault = replace(fault, times=fault.times - 1) if fault.times > 1 else None
            if fault.kind == "hang":
                await asyncio.Event().wait()
            if fault.kind == "status":
                return _error(fault.status, fault.code)
        if f"Credential={self.access_key_id}/" not in request.headers.get("Authorization", ""):
            return _error(403, "InvalidAccessKeyId")
        if request.method in self.denied:
            return _error(403, "AccessDenied")
        if request.method != "PUT" and request.match_info["bucket"] not in self.buckets:
            return _error(404, "NoSuchBucket")
        return None

    async def _bucket(self, request: web.Request) -> web.StreamResponse:
        bucket = request.match_info["bucket"]
        if request.method == "PUT":
            self.buckets.add(bucket)
            return web.Response()
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        if request.method == "HEAD":
            return web.Response()
        if "list-type" in request.query:
            return self._page(bucket, request)
        prefix = request.query.get("prefix", "")
        for query, root, rows in (
            ("uploads", "ListMultipartUploadsResult", self._pending),
            ("versions", "ListVersionsResult", self._versions),
            ("versioning", "VersioningConfiguration", lambda *_: []),
        ):
            if query in request.query:
                return _xml(root, "".join(rows(bucket, prefix)))
        return _error(404, "ObjectLockConfigurationNotFoundError")

    def _pending(self, bucket: str, prefix: str) -> list[str]:
        return [
            f"<Upload><Key>{escape(key)}</Key><UploadId>{number}</UploadId></Upload>"
            for number, (where, key, _) in self.targets.items()
            if where == bucket and key.startswith(prefix)
        ]

    def _versions(self, bucket: str, prefix: str) -> list[str]:
        """One for each object: it keeps no older ones."""
        return [
            f"<Version><Key>{escape(key)}</Key><VersionId>null</VersionId></Version>"
            for where, key in sorted(self.objects)
            if where == bucket and key.startswith(prefix)
        ]

    def _page(self, bucket: str, request: web.Request) -> web.Response:
        """List in the order of keys, a page at a time; a page ends where its token says."""
        query = request.query
        most, prefix, after = int(query.get("max-keys", PAGE)), query.get("prefix", ""), query.get("continuation-token")
        keys = sorted(key for where, key in self.objects if where == bucket and key.startswith(prefix))
        keys = [key for key in keys if after is None or key > after]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[bucket, key].body)}</Size>"
            f"<LastModified>{MODIFIED:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for key in keys[:most]
        )
        more = len(keys) > most
        rows += f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        rows += f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>" if more else ""
        return _xml("ListBucketResult", rows)

    async def _object(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        where = (request.match_info["bucket"], request.match_info["key"])
        if where[0] not in self.buckets:
            return _error(404, "NoSuchBucket")
        if "uploads" in request.query or "uploadId" in request.query:
            return await self._multipart(request, where)
        if request.method == "PUT":
            return self._put(request, where, await request.read())
        if request.method == "DELETE":
            self.objects.pop(where, None)
            return web.Response(status=204)
        return await self._get(request, where)

    def _put(self, request: web.Request, where: tuple[str, str], body: bytes) -> web.Response:
        if not {"retention", "legal-hold"}.isdisjoint(request.query):
            return _error(400, "InvalidRequest")  # as AWS answers where the bucket has no Object Lock
        claimed = request.headers.get("x-amz-checksum-sha256", "")
        if self.checks and claimed and claimed != _sha256(body):
            return _error(400, "BadDigest")
        if request.headers.get("If-None-Match") == "*" and where in self.objects:
            return _error(412, "PreconditionFailed")
        stored = Stored(body, request.headers.get("Content-Type", ""), claimed)
        self.objects[where] = stored
        return web.Response(headers={"ETag": stored.etag})

    async def _get(self, request: web.Request, where: tuple[str, str]) -> web.StreamResponse:
        stored = self.objects.get(where)
        if stored is None:
            return _error(404, "NoSuchKey")
        headers = {"ETag": stored.etag, "Last-Modified": f"{MODIFIED:%a, %d %b %Y %H:%M:%S GMT}"}
        if self.returns and stored.checksum and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= {"x-amz-checksum-sha256": stored.checksum, "x-amz-checksum-type": stored.checksum_type}
        response = web.StreamResponse(headers=headers)
        response.content_type = stored.content_type or "application/octet-stream"
        response.content_length = len(stored.body)
        await response.prepare(request)
        if request.method == "GET":
            await self._send(request, response, stored.body)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, body: bytes) -> None:
        if self.fault is not None and self.fault.kind == "cut":
            await response.write(body[: len(body) // 2])
            if request.transport is not None:
                request.transport.close()
            return
        await response.write(body)

    async def _multipart(self, request: web.Request, where: tuple[str, str]) -> web.StreamResponse:
        if "uploads" in request.query:
            number = uuid.uuid4().hex
            self.uploads[number], self.targets[number] = {}, (*where, request.headers.get("Content-Type", ""))
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
        number = request.query["uploadId"]
        if number not in self.uploads:
            return _error(404, "NoSuchUpload")
        if request.method == "PUT":
            return self._part(request, number, await request.read())
        if request.method == "DELETE":
            del self.uploads[number], self.targets[number]
            return web.Response(status=204)
        return self._complete(request, where, number)

    def _part(self, request: web.Request, number: str, body: bytes) -> web.Response:
        claimed = request.headers.get("x-amz-checksum-sha256", "")
        if claimed and claimed != _sha256(body):
            return _error(400, "BadDigest")
        part = Stored(body, checksum=claimed)
        self.uploads[number][int(request.query["partNumber"])] = part
        return web.Response(headers={"ETag": part.etag})

    def _complete(self, request: web.Request, where: tuple[str, str], number: str) -> web.Response:
        if request.headers.get("If-None-Match") == "*" and where in self.objects:
            return _error(412, "PreconditionFailed")
        parts = [part for _, part in sorted(self.uploads.pop(number).items())]
        digests = b"".join(base64.b64decode(part.checksum) for part in parts)
        self.objects[where] = Stored(
            b"".join(part.body for part in parts),
            self.targets.pop(number)[2],
            f"{_sha256(digests)}-{len(parts)}" if digests else "",
            "COMPOSITE",
        )
        return _xml("CompleteMultipartUploadResult", f"<Bucket>{where[0]}</Bucket>")


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _xml(root: str, inner: str, status: int = 200) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inner}</{root}>'
    return web.Response(text=text, status=status, content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    return _xml("Error", f"<Code>{code}</Code><Message>{code}</Message>", status)
