"""The parts that the demo starts by itself: a folder, an S3 server, and a look into its bucket."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from archiver.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK = ".archiver-demo"  # only a folder with this file in it is ever emptied
BUCKET, KEY_ID, SECRET = "call-archive", "demo-key", "demo-secret"
REGION: Final = "ap-south-1"

S3_PROGRAM = """
from moto.server import ThreadedMotoServer
import threading
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
threading.Event().wait()
"""


def prepare(folder: Path) -> None:
    """Empty the folder of an earlier demo. Raises ConfigError rather than touch anything else."""
    hint = "choose another: archiver demo --folder FOLDER"
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
            msg = f"{folder} holds something that no demo wrote"
            raise ConfigError(msg, hint=hint)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / MARK).write_text("archiver demo may empty this folder\n")
    except OSError as error:
        msg = f"{folder} cannot be the demo's folder: {error.strerror}"
        raise ConfigError(msg, hint=hint) from None


@contextmanager
def local_s3(folder: Path) -> Iterator[str]:
    """Run moto's S3 server on a free port, with the bucket made; yields its address."""
    command = [sys.executable, "-c", S3_PROGRAM]
    with (folder / "s3.log").open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("http"):
            msg = f"the local S3 server did not start: see {folder / 's3.log'}"
            raise Unreachable(msg, hint="it needs the extra 'demo': pip install 'call-recording-archiver[demo]'")
        yield line.strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def client(endpoint: str) -> S3Client:
    """Make a client of the local S3 server."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name=REGION,
        config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
    )


def make_bucket(endpoint: str) -> None:
    """Make the bucket. Raises Unreachable."""
    try:
        client(endpoint).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    except (BotoCoreError, ClientError) as error:
        msg = f"the local S3 server refuses the bucket: {type(error).__name__}"
        raise Unreachable(msg) from None


def mirror(endpoint: str, folder: Path) -> int:
    """Copy the bucket into a folder, for looking at: the server keeps it in memory only. Returns the objects."""
    s3, count = client(endpoint), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            path = folder / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(BUCKET, item["Key"], str(path))
            count += 1
    return count
