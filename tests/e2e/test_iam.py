"""Least privilege in the bucket: the policies of packaging/iam, enforced by the store, and what is really asked for.

moto decides by action and resource, but takes some actions for others (a lock for a put). So all requests are written
down too, and compared with the policies by what AWS says that each needs.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest

from archiver.simulator import Account, SimRecording
from archiver.simulator.server import utc_now
from tests.support.commands import ROOT, Workshop
from tests.support.desk import Backstage, Desk, desks
from tests.support.postgres import Databases
from tests.support.stores import KEY_ID, REGION, SECRET, StoreServer, running
from tests.support.world import calls

NAMES = ("writer", "expiry", "auditor")
#: What the documentation of S3 asks for, by method, and by the parameter that makes it another request.
ACTIONS = {
    ("GET", "BUCKET"): {"": "ListBucket", "uploads": "ListBucketMultipartUploads", "versions": "ListBucketVersions",
                        "versioning": "GetBucketVersioning", "object-lock": "GetBucketObjectLockConfiguration"},
    ("GET", "OBJECT"): {"": "GetObject", "versionId": "GetObjectVersion"},
    ("HEAD", "OBJECT"): {"": "GetObject", "versionId": "GetObjectVersion"},
    ("PUT", "OBJECT"): {"": "PutObject", "retention": "PutObjectRetention", "legal-hold": "PutObjectLegalHold"},
    ("POST", "OBJECT"): {"": "PutObject"},
    ("DELETE", "OBJECT"): {"": "DeleteObject", "versionId": "DeleteObjectVersion", "uploadId": "AbortMultipartUpload"},
}  # fmt: skip
#: Asked for by nobody: without them S3 leaves the headers out of an answer that is given anyway.
SILENT = {"s3:GetObjectRetention", "s3:GetObjectLegalHold"}


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A store with people in it, who have the policies as their only rights."""

    store: StoreServer
    record: Path
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def asked(self) -> Mapping[str, set[tuple[str, str]]]:
        """What each key has asked for until now: (action, resource)."""
        found = defaultdict(set)
        for line in self.record.read_text().splitlines():
            entry = json.loads(line)
            headers = {str(name).lower(): str(value) for name, value in entry["headers"].items()}
            key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
            parts = urlsplit(entry["url"])
            bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
            if bucket in {"moto-api", ""} or key == KEY_ID:  # the test itself
                continue
            kinds = ACTIONS[entry["method"], "OBJECT" if name else "BUCKET"]
            asked = [kinds[one] for one in parse_qs(parts.query, keep_blank_values=True) if one in kinds]
            resource = f"arn:aws:s3:::{bucket}" + (f"/{name}" if name else "")
            found[key].add((f"s3:{asked[0] if asked else kinds['']}", resource))
        return found


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    record = tmp_path / "requests"
    env = {"MOTO_ENABLE_RECORDING": "true", "MOTO_RECORDER_FILEPATH": str(record)}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with running(command, ready="Running on", env=env) as line:
        yield Cloud(store=StoreServer("moto", line.split("Running on ")[1].split()[0]), record=record)


def statements(name: str, bucket: str) -> list[dict[str, object]]:
    """The statements of a policy, for a bucket."""
    text = (ROOT / f"packaging/iam/{name}.json").read_text().replace(":::call-archive", f":::{bucket}")
    return cast("list[dict[str, object]]", json.loads(text)["Statement"])


def listed(value: object) -> list[str]:
    return [value] if isinstance(value, str) else cast("list[str]", value)


def allows(policy: list[dict[str, object]], action: str, resource: str) -> bool:
    """Decide as IAM does: a denial beats all."""
    effects = {
        one["Effect"]
        for one in policy
        if action in listed(one["Action"]) and any(fnmatchcase(resource, each) for each in listed(one["Resource"]))
    }
    return effects == {"Allow"}


def with_people(cloud: Cloud, bucket: str) -> Cloud:
    """Make a user for each role, and give it its policies."""
    iam = boto3.client("iam", endpoint_url=cloud.store.url, region_name=REGION, aws_access_key_id=KEY_ID,
                       aws_secret_access_key=SECRET)  # fmt: skip
    keys = {}
    for user, policies in (("writer", ["writer"]), ("expiry", ["writer", "expiry"]), ("auditor", ["auditor"])):
        iam.create_user(UserName=user)
        for name in policies:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements(name, bucket)})
            iam.put_user_policy(UserName=user, PolicyName=name, PolicyDocument=document)
        made = iam.create_access_key(UserName=user)["AccessKey"]
        keys[user] = made["AccessKeyId"], made["SecretAccessKey"]
    return replace(cloud, keys=keys)


def log_in(desk: Desk, cloud: Cloud, user: str) -> None:
    vault = desk.world.section("vault")
    vault["access_key_id"], vault["secret_access_key"] = cloud.keys[user]


def recordings() -> tuple[SimRecording, ...]:
    """Old ones, one of them longer than a part, and one of an hour ago."""
    old = calls(3)
    hour_ago = utc_now().replace(microsecond=0) - timedelta(hours=1)
    return replace(old[0], size=6 * 1024 * 1024), *old[1:], replace(old[2], id=4, start=hour_ago)


def test_each_role_does_its_work_with_its_policy_and_no_more(
    backstage: Backstage, workshop: Workshop, databases: Databases, cloud: Cloud
) -> None:
    with desks(backstage, workshop, databases, cloud.store, cloud.store) as make:
        here = make(Account(recordings=recordings()), locks=True)
        bucket = here.world.bucket
        cloud = with_people(cloud, bucket)
        source = {"source": {"delete_after": "6d"}}
        kept = {"name": "kept", "archive": {"keep_at_least": "5d", "delete_after": "10d", "lock": "governance"}}
        both = {"mode": "automatic", "max_percent": 100, "archive": {"mode": "automatic", "max_percent": 100}}

        with cloud.store.checking_credentials():
            log_in(here, cloud, "writer")
            here.policies({**kept, **source})
            here.does("doctor")
            here.does("sync")
            here.does("verify", "--all")
            here.does("hold", "add", "case-1", "--reason", "a dispute", "--id", "3", "--by", "Asha Rao")
            here.does("hold", "check")
            here.policies({**kept, **source}, **both)
            here.does("sync")  # first at the source
            refused = here.run("sync")
            assert refused.code == 5
            [stopped] = refused.of("stage_stopped")
            assert (stopped["stage"], stopped["kind"]) == ("expire", "AccessDenied")
            assert "s3:ListBucketVersions" in str(stopped["hint"])
            assert here.states() == {"1": "purged", "2": "purged", "3": "verified", "4": "verified"}

            log_in(here, cloud, "auditor")
            here.does("fetch", "4", "--output", str(here.folder / "4.mp3"))
            assert "s3:PutObject" in here.run("verify", "--all").err

            log_in(here, cloud, "expiry")
            here.does("sync")
            assert here.states() == {"1": "expired", "2": "expired", "3": "verified", "4": "verified"}

        left = {key.rpartition("-")[2] for key in here.objects()}
        assert left == {"3.mp3", "3.json", "4.mp3", "4.json"}  # the scratch object, too, is gone

    asked = cloud.asked()
    policies = {name: statements(name, bucket) for name in NAMES}
    writer, expiry = policies["writer"], [*policies["writer"], *policies["expiry"]]
    used = {name: asked[cloud.keys[name][0]] for name in NAMES}
    refusals = {one for one in used["writer"] if not allows(writer, *one)}
    assert {action for action, _ in refusals} == {"s3:ListBucketVersions"}  # and then it stopped
    assert {one for one in used["expiry"] if not allows(expiry, *one)} == set()
    assert {one[0] for one in used["auditor"] if not allows(policies["auditor"], *one)} == {"s3:PutObject"}

    given = {action for one in writer if one["Effect"] == "Allow" for action in listed(one["Action"])}
    unused = given - {action for action, _ in used["writer"]} - SILENT
    # for a bucket without versions; for an upload that fails
    assert unused == {"s3:DeleteObject", "s3:AbortMultipartUpload"}
    more = {action for one in policies["expiry"] for action in listed(one["Action"])}
    assert more <= {action for action, resource in used["expiry"] if not resource.endswith(".archiver-probe")}


def test_no_policy_of_the_writer_or_the_auditor_lets_a_recording_go() -> None:
    """Neither by deleting nor by anything that makes a deletion possible."""
    for name in ("writer", "auditor"):
        policy = statements(name, "calls")
        for action in ("DeleteObject", "DeleteObjectVersion", "BypassGovernanceRetention", "PutLifecycleConfiguration",
                       "PutBucketVersioning", "DeleteBucket", "PutBucketPolicy"):  # fmt: skip
            for resource in ("arn:aws:s3:::calls", "arn:aws:s3:::calls/acme/2026/01/01/000000Z-1.mp3"):
                assert not allows(policy, f"s3:{action}", resource)
    assert allows(statements("expiry", "calls"), "s3:DeleteObjectVersion", "arn:aws:s3:::calls/acme/1.mp3")
    everything = [action for name in NAMES for one in statements(name, "calls") for action in listed(one["Action"])]
    assert not [action for action in everything if "*" in action]
