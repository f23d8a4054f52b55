"""What every client, in this process or in a forked child, would read anew: read once, before.

It is half of what a short command costs, and a tenth of what a test of a whole pass does.
"""

from __future__ import annotations

import atexit
import os
import tempfile

import boto3
import botocore.loaders
import botocore.session
import certifi
import psycopg  # noqa: F401 - the engine imports it late

_END = "-----END CERTIFICATE-----\n"


def warm() -> None:
    """Read the description of S3 once for all clients; have them trust one certificate instead of a hundred."""
    loader = botocore.loaders.create_loader()
    botocore.session.create_loader = lambda *_: loader
    boto3.Session("key", "secret", region_name="ap-south-1").client("s3")
    number, name = tempfile.mkstemp(suffix=".pem")
    os.write(number, (certifi.contents().partition(_END)[0] + _END).encode())
    os.close(number)
    atexit.register(os.unlink, name)
    os.environ["SSL_CERT_FILE"] = name
