"""Real S3 servers for the tests, one of each per worker, and a fresh bucket for each test.

moto enforces conditional creates and ignores checksums; the JuiceFS gateway ignores both; the strict store
enforces both, as AWS does.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
import pytest
import pytest_asyncio
from botocore.config import Config

from archiver.adapters.object_store import PART_SIZE, Bucket, VerifyMode, open_bucket
from archiver.adapters.object_store_clients import Patience
from tests.support.strict_store import Fault, StrictStore
from tests.support.warm import warm

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION: Final = "ap-south-1"
KEY_ID = "archivertest"
SECRET = "archivertest-secret"
IMPATIENT = Patience(connect=2, idle=5, retries=1, retry_for=2)
HASTY = Patience(connect=1, idle=0.5, retries=0, retry_for=1)
_numbers = itertools.count(1)

warm()


@dataclass(frozen=True)
class StoreServer:
    """A running S3 server and the keys to it."""

    name: str
    url: str
    access_key_id: str = KEY_ID
    secret_access_key: str = SECRET
    strict: StrictStore | None = None

    @property
    def strict_state(self) -> StrictStore:
        """What the strict store holds and has been told to do."""
        assert self.strict is not None
        return self.strict

    @cached_property
    def client(self) -> S3Client:
        """A client for looking at the store from outside."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=REGION,
            config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
        )

    def new_bucket(self, *, locks: bool = False) -> str:
        """Make a bucket with a name of its own; with `locks` it has Object Lock, and so versions."""
        name = f"archive-{os.getpid()}-{next(_numbers)}"
        self.client.create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=locks,
        )
        return name

    def remove_bucket(self, name: str) -> None:
        """Remove an empty bucket."""
        if self.strict:
            self.strict.buckets.discard(name)
        else:
            self.client.delete_bucket(Bucket=name)

    @contextmanager
    def checking_credentials(self) -> Iterator[None]:
        """Make the server check credentials: the others always do, moto only when told."""
        if self.name != "moto":
            yield
            return
        self._check_after(b"0")
        try:
            yield
        finally:
            self._check_after(b"inf")

    def _check_after(self, actions: bytes) -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=actions, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def with_keys(self, access_key_id: str, secret_access_key: str) -> StoreServer:
        """The same server, seen with other keys."""
        return replace(self, access_key_id=access_key_id, secret_access_key=secret_access_key)

    def open(
        self, bucket: str, *, verify: VerifyMode = "auto", prefix: str = "", patience: Patience = IMPATIENT
    ) -> AbstractAsyncContextManager[Bucket]:
        """Open a bucket as the archiver does."""
        return open_bucket(
            bucket=bucket,
            region=REGION,
            endpoint_url=self.url,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            verify=verify,
            prefix=prefix,
            patience=patience,
        )


@contextmanager
def running(command: list[str], *, ready: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server until the context ends; yields the line that said that it is ready."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | (env or {})
    )
    assert process.stdout is not None
    try:
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            if ready in line:
                break
        else:
            raise RuntimeError(f"{command[0]} did not start: {''.join(seen)}")
        reader = threading.Thread(target=_drain, args=(process.stdout,), daemon=True)
        reader.start()
        yield seen[-1]
        process.kill()
        reader.join()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def moto_store() -> Iterator[StoreServer]:
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with running(command, ready="Running on") as line:
        yield StoreServer("moto", line.split("Running on ")[1].split()[0])


@pytest.fixture(scope="session")
def juicefs_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    home = tmp_path_factory.mktemp("juicefs")
    binary, meta = str(Path(sys.executable).parent / "juicefs"), f"sqlite3://{home}/meta.db"
    subprocess.run(
        [binary, "format", meta, "archive", "--storage", "file", "--bucket", f"{home}/data/", "--trash-days", "0"],
        check=True,
        capture_output=True,
    )
    address = f"127.0.0.1:{free_port()}"
    command = [binary, "gateway", meta, address, "--multi-buckets", "--keep-etag", "--object-meta", "--no-banner"]
    command += ["--no-usage-report", "--no-bgjob", "--backup-meta", "0", "--metrics", "127.0.0.1:0"]
    command += ["--log", f"{home}/gateway.log", "--cache-dir", f"{home}/cache"]
    keys = {"MINIO_ROOT_USER": KEY_ID, "MINIO_ROOT_PASSWORD": SECRET}
    with running(command, ready="IAM initialization complete", env=keys):
        yield StoreServer("juicefs", f"http://{address}")


@pytest.fixture(scope="session")
def strict_server() -> Iterator[StoreServer]:
    strict = StrictStore(access_key_id=KEY_ID)
    strict.start()
    yield StoreServer("strict", f"http://127.0.0.1:{strict.port}", strict=strict)
    strict.stop()


@pytest.fixture
def strict_store(strict_server: StoreServer) -> Iterator[StoreServer]:
    kept = frozenset(strict_server.strict_state.buckets)
    yield strict_server
    strict_server.strict_state.heal(kept)


@dataclass(frozen=True)
class StrictVault:
    """A probed bucket of the strict store, with one object in it, and the server's insides."""

    bucket: Bucket
    name: str
    state: StrictStore

    def fail(self, *methods: str, status: int = 500, code: str = "InternalError") -> None:
        """Answer these methods with an error from now on."""
        self.state.fault = Fault(kind="status", methods=frozenset(methods), status=status, code=code)

    async def upload(self, key: str, body: bytes) -> None:
        """Send a body in parts, as far as it goes."""
        async with self.bucket.upload(key, content_type="audio/mpeg") as upload:
            for start in range(0, len(body), PART_SIZE):
                await upload.write(body[start : start + PART_SIZE])
            await upload.complete()


SOME_BODY: Final = b"\xff\xfb\x90\x00" * 1000


@pytest_asyncio.fixture
async def strict_vault(strict_store: StoreServer) -> AsyncIterator[StrictVault]:
    name = strict_store.new_bucket()
    async with strict_store.open(name, patience=HASTY) as bucket:
        await bucket.create("one.mp3", SOME_BODY, content_type="audio/mpeg")
        yield StrictVault(bucket, name, strict_store.strict_state)


@pytest.fixture(params=["moto", "juicefs", "strict"])
def any_store(request: pytest.FixtureRequest) -> StoreServer:
    """Each of the stores in turn."""
    server: StoreServer = request.getfixturevalue(f"{request.param}_store")
    return server
