"""The script to beat: what the vendor's tutorial does, but with all pages and in 16 threads. It only copies.

No digest, no catalogue, no look at what came, no second try, nothing that the next run could build upon.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import requests
from botocore.config import Config

TOKEN = "sim-token"
PAGE_SIZE = 100
_local = threading.local()


def session() -> requests.Session:
    """Give each thread its own connection to the source."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        _local.session.headers["Authorization"] = f"Bearer {TOKEN}"
    held: requests.Session = _local.session
    return held


def listed(base_url: str) -> Iterator[str]:
    """Yield the ids of all recordings, page after page."""
    page, pages = 1, 1
    while page <= pages:
        answer = session().get(
            f"{base_url}/api/accounts/self/company_call_recordings",
            params={"order": "start:ASC", "page": str(page), "page_size": str(PAGE_SIZE)},
            timeout=60,
        )
        answer.raise_for_status()
        body = answer.json()
        yield from (str(item["id"]) for item in body["_embedded"]["recordings"])
        page, pages = page + 1, body["total_pages"]


def main() -> None:
    """Copy everything, and say how many that were."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base-url", "endpoint", "bucket", "key-id", "secret"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--threads", type=int, default=16)
    given = parser.parse_args()
    s3 = boto3.client(
        "s3",
        endpoint_url=given.endpoint,
        aws_access_key_id=given.key_id,
        aws_secret_access_key=given.secret,
        region_name="ap-south-1",
        config=Config(
            max_pool_connections=given.threads,
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"},
        ),
    )

    def copy(recording: str) -> None:
        answer = session().get(f"{given.base_url}/api/audio/recording/{recording}", timeout=60)
        answer.raise_for_status()
        s3.put_object(Bucket=given.bucket, Key=f"{recording}.mp3", Body=answer.content, ContentType="audio/mpeg")

    with ThreadPoolExecutor(given.threads) as pool:
        copied = sum(1 for _ in pool.map(copy, listed(given.base_url)))
    print(copied)


if __name__ == "__main__":
    main()
