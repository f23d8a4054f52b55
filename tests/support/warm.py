"""What every child of a forking process would read anew, half of what a short command costs: read once, before."""

from __future__ import annotations

import os
import tempfile

import boto3
import botocore.loaders
import botocore.session
import certifi
import psycopg  # noqa: F401 - the engine imports it late

_END = "-----END CERTIFICATE-----\n"
_OPEN: list[object] = []


def warm() -> None:
    """Read the description of S3 once for all children; have them trust one certificate instead of a hundred."""
    loader = botocore.loaders.create_loader()
    botocore.session.create_loader = lambda *_: loader
    boto3.Session("key", "secret", region_name="ap-south-1").client("s3")
    file = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115 - it is gone when this process ends
    file.write(certifi.contents().partition(_END)[0] + _END)
    file.flush()
    _OPEN.append(file)
    os.environ["SSL_CERT_FILE"] = file.name
