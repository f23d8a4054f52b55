"""Make the trial's bucket unless it is there: make_bucket.py ENDPOINT BUCKET. Only docker-compose.yml runs this."""  # noqa: INP001

from __future__ import annotations

import os
import sys

import boto3
from botocore.config import Config

endpoint, bucket = sys.argv[1:]
client = boto3.client(
    "s3",
    region_name="us-east-1",
    endpoint_url=endpoint,
    aws_access_key_id=os.environ["STORE_KEY_ID"],
    aws_secret_access_key=os.environ["STORE_SECRET"],
    config=Config(retries={"mode": "standard", "total_max_attempts": 12}),  # a store that starts: over a minute
)
if bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
    client.create_bucket(Bucket=bucket)
