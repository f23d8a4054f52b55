"""What stands in the catalogue, in the bucket and at the source: looked at from outside, after a crash or at an end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, cast

from archiver.core import naming
from archiver.core.lifecycle import MOVES
from archiver.core.model import State
from archiver.simulator import Journal, Operation, SimRecording
from tests.support.simulator import NOON
from tests.support.world import LONG_AGO, World, is_for_rebuild

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DECISION = ".decision.json"
Row = Mapping[str, object]
Record = Mapping[str, list[Row]]

# attempts count crashes, and where one was the last the problem says so; the rest of a row may not differ
RECORD = """select json_build_object(
    'recordings', coalesce((select json_agg(
        to_jsonb(r) - 'attempts' - 'next_attempt_at' - case state when 'failed' then 'problem' else '' end
        order by recording_id) from recordings r), '[]'),
    'gaps', coalesce((select json_agg(
        to_jsonb(g) - 'id' - 'seen_run' - case kind when 'failed' then 'reason' else '' end
        order by kind, fingerprint) from gaps g), '[]'),
    'accounts', coalesce((select json_agg(
        to_jsonb(a) - 'ledger_position' - 'added_at' - 'good_pass_at' order by account) from accounts a), '[]'),
    'days', coalesce((select json_agg(d order by day) from (
        select day, said, doubt, proved_at is not null as proved, stale from days d) d), '[]'),
    'ledger', coalesce((select json_agg(l order by day) from (
        select distinct on (day) day, state, counts, missing from ledger order by day, id desc) l), '[]'),
    'controls', coalesce((select json_agg(
        to_jsonb(c) - 'id' - case when event in ('in_force', 'used') then 'by' else '' end
        order by id) from controls c), '[]'),
    'policies', coalesce((select json_agg(to_jsonb(p) order by digest) from policy_sets p), '[]'),
    'exports', coalesce((select json_agg(e order by id) from (
        select exports.*, coalesce((select json_agg(to_jsonb(j) order by number) from export_jobs as j
            where export_id = exports.id), '[]') as jobs from exports) e), '[]'),
    'backfills', coalesce((select json_agg(to_jsonb(b) - 'id' order by id) from backfills b), '[]'),
    'history', coalesce((select json_agg(h order by id) from history h), '[]'))"""


@dataclass(frozen=True)
class Held:
    """One version of an object, or a delete marker, and what the bucket holds it by."""

    key: str
    sha256: str | None  # None: a delete marker
    mode: str | None = None
    until: datetime | None = None
    on_hold: bool = False


@dataclass(frozen=True, kw_only=True)
class EndState:
    """Everything that must be the same whether there was a crash or not."""

    record: Record  # but for the history, which tells of the crash
    objects: Mapping[str, str]  # SHA-256 by key; of notes what `compared` says
    decisions: Mapping[str, str]  # their copies
    versions: list[Held]  # where the bucket has versions: all of them
    deleted: list[int]  # ids that were deleted at the source, as often as a DELETE came
    uploads: list[str]  # keys of multipart uploads that are neither complete nor aborted


async def end_state(world: World, record: Record, *, versioned: bool) -> EndState:
    """Look at everything."""
    check_history(record)
    objects, client = await world.everything(), world.store.client
    uploads = client.list_multipart_uploads(Bucket=world.bucket).get("Uploads", [])
    return EndState(
        record={name: rows for name, rows in record.items() if name != "history"},
        objects=dict(compared(key, body) for key, body in objects.items() if not key.endswith(DECISION)),
        decisions=dict(compared(key, body) for key, body in objects.items() if key.endswith(DECISION)),
        versions=versions_in(client, world.bucket) if versioned else [],
        deleted=sorted(world.simulator.requests.deletes),
        uploads=[upload["Key"] for upload in uploads],
    )


def compared(key: str, body: bytes) -> tuple[str, str]:
    """What of an object must be the same: of notes and decisions all but what names runs, and so tells of a crash."""
    if not is_for_rebuild(key):
        return key, hashlib.sha256(body).hexdigest()
    content = json.loads(body)
    run = content.get("event") in ("in_force", "used")
    told = {name: value for name, value in content.items() if name != "history" and not (run and name == "by")}
    return key.rpartition("-")[0] if run else key, json.dumps(told)


def versions_in(client: S3Client, bucket: str) -> list[Held]:
    """Read every version of every object, the newest of each key first."""
    listed = client.list_object_versions(Bucket=bucket)
    found = [Held(marker["Key"], None) for marker in listed.get("DeleteMarkers", [])]
    for version in listed.get("Versions", []):
        if is_for_rebuild(version["Key"]):  # written once: `compared` looks at it
            continue
        said = client.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        sha256 = hashlib.sha256(said["Body"].read()).hexdigest()
        mode, until = said.get("ObjectLockMode"), said.get("ObjectLockRetainUntilDate")
        on_hold = said.get("ObjectLockLegalHoldStatus") == "ON"
        found.append(Held(version["Key"], sha256, mode, until, on_hold))
    return sorted(found, key=lambda one: one.key)


def keys_in(client: S3Client, bucket: str) -> list[str]:
    """List the keys of a bucket, as they stand now."""
    return [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def item_of(gap: Row) -> Row | None:
    """The unreadable item that a gap is about, if it is about one."""
    raw = gap["raw"]
    return raw["item"] if isinstance(raw, dict) else None


def check_history(record: Record) -> None:
    """Check that every recording's history is a walk of the lifecycle, without a hole, up to its present state."""
    walks: dict[object, list[tuple[str | None, str]]] = {row["recording_id"]: [] for row in record["recordings"]}
    for row in record["history"]:
        walks[row["recording_id"]].append((cast("str | None", row["before"]), str(row["after"])))
    for row in record["recordings"]:
        walk = walks[row["recording_id"]]
        assert walk[0] == (None, "discovered")
        assert walk[-1][1] == row["state"]
        for (_, then), (before, after) in pairwise(walk):
            assert before == then, f"hole in the history of {row['recording_id']}: {walk}"
            assert after == before or State(after) in MOVES[State(before)]


def check_objects(record: Record, keys: Collection[str]) -> None:
    """Bytes before sidecar before row; the row says expiring before audio, and then sidecar, go; note before row."""
    leaving: set[str] = set()
    for row in record["recordings"]:
        state, key = State(str(row["state"])), row["key"]
        if key is None or state is State.QUARANTINED:
            continue
        audio, sidecar = str(key), naming.sidecar_key(str(key))
        present = {audio, sidecar} & set(keys)
        assert state is not State.PURGED or naming.note_key(audio, naming.Kind.PURGED) in keys
        if state is State.EXPIRING:
            leaving.add(sidecar)
            assert present != {audio}, f"{row['recording_id']} lost its sidecar before its audio"
            assert present or naming.note_key(audio, naming.Kind.EXPIRED) in keys
        elif state is State.EXPIRED:
            assert present == set(), f"{row['recording_id']} is {state}"
            assert naming.note_key(audio, naming.Kind.EXPIRED) in keys
        else:
            assert present == {audio, sidecar}, f"{row['recording_id']} is {state}"
    sidecars = {key for key in keys if key.endswith(".json") and not is_for_rebuild(key)} - leaving
    assert {key.replace(".json", ".mp3") for key in sidecars} <= set(keys)


def check_deletes(record: Record, deleted: Collection[int], *, locked: bool) -> None:
    """Row before DELETE; `locked`: and lock before both."""
    for row in record["recordings"]:
        if row["recording_id"] in {str(identity) for identity in deleted}:
            assert row["state"] == State.PURGING or row["purged_at"] is not None
            assert row["lock_until"] is not None or not locked


def check_held(record: Record, versions: Collection[Held], *, locked: bool) -> None:
    """Lock before the row that speaks of it; hold after it. `locked`: no copy was ever verified without a lock."""
    newest = {one.key: one for one in reversed(list(versions))}
    for row in record["recordings"]:
        if row["state"] not in (State.STORED, State.VERIFIED, State.PURGING, State.PURGED):
            continue
        audio = str(row["key"])
        both = [newest[key] for key in (audio, naming.sidecar_key(audio))]
        if row["lock_until"] is not None:
            until = datetime.fromisoformat(str(row["lock_until"]))
            assert all(one.until is not None and one.until >= until for one in both)
        assert row["lock_until"] is not None or row["state"] == State.STORED or not locked
        assert row["hold_set"] or not any(one.on_hold for one in both)


def check_exports(record: Record, requests: Journal) -> None:
    """The row before the request, the ids of jobs before their ZIPs, never two exports of one slice at a time."""
    rows = record["exports"]
    assert requests.counts[Operation.EXPORT] <= sum(cast("int", row["tries"]) for row in rows)
    for one, other in combinations([row for row in rows if row["closed_at"] is None], 2):
        assert str(one["until"]) < str(other["since"]) or str(other["until"]) < str(one["since"])
    if all(row["tries"] == 1 for row in rows):  # whose jobs are lost forgets them
        kept = {str(job["job_id"]) for row in rows for job in jobs_of(row)}
        assert {seen.path.partition("jobId=")[2].partition("&")[0] for seen in requests.of(Operation.RETRIEVE)} <= kept
    for row in rows:
        assert all(job["done_at"] for job in jobs_of(row)) or row["phase"] != "done"


def check_closed(record: Record) -> None:
    """Every export has ended, and nothing that it could have brought is left."""
    assert all(row["closed_at"] is not None for row in record["exports"]), record["exports"]


def jobs_of(export: Row) -> list[Row]:
    """The jobs of an export."""
    return cast("list[Row]", export["jobs"])


def by_the_hour(record: Record) -> Record:
    """A record in which it makes no difference how often anything was waited for, or which way a recording came."""
    exports: list[Row] = [
        {name: row[name] for name in ("account", "since", "until", "due")} | {"refused": row["phase"] == "refused"}
        for row in record["exports"]
    ]
    cut: dict[str, list[Row]] = {
        name: [{key: _hour(value) for key, value in row.items() if key != "single_only"} for row in rows]
        for name, rows in record.items()
    }
    return {**cut, "exports": exports}


def _hour(value: object) -> object:
    """Cut a moment of a pass to its hour; calls began before."""
    if not (isinstance(value, str) and value[:10] >= f"{NOON:%Y-%m-%d}" and value[10:11] == "T"):
        return value
    moment = datetime.fromisoformat(value)
    return value if moment < NOON else moment.replace(minute=0, second=0).isoformat()


def check_watermark(record: Record, recordings: Collection[SimRecording]) -> None:
    """Rows before watermark."""
    known = {str(row["recording_id"]) for row in record["recordings"]}
    known |= {str(item["id"]) for gap in record["gaps"] if (item := item_of(gap)) is not None}
    for account in record["accounts"]:
        passed = datetime.fromisoformat(str(account["watermark"] or LONG_AGO))
        behind = [one for one in recordings if LONG_AGO <= one.start < passed]
        assert {str(one.overlay.get("id", one.id)) for one in behind} <= known
