"""The policies file: what it means, its digest, its schema, the samples and the guide."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator

from archiver.core.decision import Reason
from archiver.core.duration import add, parse
from archiver.core.match import Dates, Hours, Match
from archiver.core.model import LockMode
from archiver.core.policy import NEVER, Caps, Deletion, Mode, Policy, PolicySet
from archiver.errors import ConfigError
from archiver.policies import load_policies, parse_policies, schema_text
from archiver.policies_model import (
    ArchiveDeletionFile,
    ArchiveFile,
    DatesFile,
    DeletionFile,
    MatchFile,
    PoliciesFile,
    PolicyFile,
    SourceFile,
)
from archiver.yaml_file import load_yaml, parse_yaml

ROOT = Path(__file__).parents[2]
GUIDE = ROOT.joinpath("docs", "policies.md").read_text(encoding="utf-8")
PRESETS = sorted(ROOT.joinpath("config", "presets").glob("*.yaml"))
FULL = """
zone: Asia/Kolkata
deletion:
  mode: automatic
  max_per_run: 20
  max_percent: 2.5
  cooling_off: 14d
  plan_valid: 36h
  archive: {mode: automatic, max_per_run: 10, max_percent: 0.1}
policies:
  - name: desk
    match:
      accounts: [acme]
      extensions: ["21*"]
      directions: [INBOUND, OUTBOUND]
      callers: ["+91 22*"]
      dnis: ["1800*"]
      cnam: ["ANNA*"]
      rule_ids: ["7"]
      min_duration: 5s
      max_duration: 2h
      hours: "22:00-06:00"
      dates: {from: 2025-01-01, until: "2025-12-31"}
    source: {delete_after: 30d}
    archive: {keep_at_least: 5y, delete_after: 8y, storage_class: STANDARD_IA, lock: compliance}
  - {name: complaints, source: {delete_after: never}, archive: true}
  - {name: internal, match: {directions: [INTRA_PBX]}, archive: false}
"""
KOLKATA = ZoneInfo("Asia/Kolkata")


def test_reads_every_key() -> None:
    match = Match(
        accounts=("acme",),
        extensions=("21*",),
        directions=("INBOUND", "OUTBOUND"),
        callers=("+91 22*",),
        dnis=("1800*",),
        cnam=("ANNA*",),
        rule_ids=("7",),
        min_duration=parse("5s"),
        max_duration=parse("2h"),
        hours=Hours(time(22), time(6)),
        dates=Dates(date(2025, 1, 1), date(2025, 12, 31)),
        zone=KOLKATA,
    )
    desk = Policy(
        name="desk",
        match=match,
        source_delete_after=parse("30d"),
        archive=True,
        keep_at_least=parse("5y"),
        delete_after=parse("8y"),
        storage_class="STANDARD_IA",
        lock=LockMode.COMPLIANCE,
    )
    everyone, internal = Match(zone=KOLKATA), Match(directions=("INTRA_PBX",), zone=KOLKATA)
    read = parse_policies(FULL)
    assert read.policies == (
        desk,
        Policy(name="complaints", match=everyone, source_delete_after=NEVER, archive=True),
        Policy(name="internal", match=internal, archive=False),
    )
    assert read.deletion == Deletion(
        mode=Mode.AUTOMATIC,
        source=Caps(max_per_run=20, max_percent=Decimal("2.5")),
        archive=Caps(max_per_run=10, max_percent=Decimal("0.1")),
        archive_mode=Mode.AUTOMATIC,
        cooling_off=timedelta(days=14),
        plan_valid=timedelta(hours=36),
    )
    assert (read.zone, read.text, read.wants_locks) == (KOLKATA, FULL, True)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "policies: []", "deletion: {}", "zone: UTC"])
def test_an_empty_file_is_valid_and_permits_nothing(text: str) -> None:
    assert parse_policies(text) == PolicySet()
    assert PolicySet().deletion == Deletion()
    assert (Deletion().mode, Deletion().archive_mode) == (Mode.DISABLED, Mode.APPROVE)
    assert Deletion().cooling_off == Deletion().plan_valid == timedelta(days=7)
    assert not PolicySet().wants_locks


def test_the_sample_file_loads_with_deletion_off(tmp_path: Path) -> None:
    sample = load_policies(ROOT / "config" / "policies.yaml")
    assert sample.deletion.mode is Mode.DISABLED
    assert {policy.name for policy in sample.policies} >= {"broking-desk"}
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read"):
        load_policies(tmp_path / "missing.yaml")


def test_the_presets_load_delete_nothing_as_they_are_and_say_that_they_are_no_legal_advice() -> None:
    assert len(PRESETS) >= 5
    for path in PRESETS:
        assert load_policies(path).deletion.mode is Mode.DISABLED, path
        assert "not legal advice" in path.read_text(encoding="utf-8").lower(), path


@pytest.mark.parametrize(
    "other",
    [
        FULL.replace("5y", "60mo").replace("2h", "120m").replace("30d", "4w2d"),
        FULL.replace("[INBOUND, OUTBOUND]", "[OUTBOUND, INBOUND, OUTBOUND]") + "# a remark\n",
        FULL.replace("automatic", "disabled").replace("run: 20", "run: 21").replace("14d", "1d").replace("36h", "1h"),
    ],
)
def test_the_digest_is_of_the_meaning(other: str) -> None:
    assert other != FULL
    assert parse_policies(other).digest == parse_policies(FULL).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("zone: Asia/Kolkata", "zone: Asia/Colombo"),
        ("zone: Asia/Kolkata", ""),
        ("name: desk", "name: desk2"),
        ("delete_after: 30d", "delete_after: 31d"),
        ("delete_after: 30d", "delete_after: 720h"),  # not the same where clocks change
        ("5y", "6y"),
        ("8y", "9y"),
        ('"21*"', '"22*"'),
        ("[INBOUND, OUTBOUND]", "[INBOUND]"),
        ("[acme]", "[zenith]"),
        ('"+91 22*"', '"+91 23*"'),
        ('"1800*"', '"1801*"'),
        ('callers: ["+91 22*"]', 'dnis: ["+91 22*"]'),
        ('"ANNA*"', '"BOB*"'),
        ('"7"', '"8"'),
        ("5s", "6s"),
        ("2h", "3h"),
        ("22:00", "21:00"),
        ("06:00", "07:00"),
        ("from: 2025-01-01, ", ""),
        ("2025-12-31", "2025-12-30"),
        ("STANDARD_IA", "GLACIER_IR"),
        ("compliance", "governance"),
        (", lock: compliance", ""),
        ("never", "9y"),
        ("archive: true", "match: {}"),
        ("archive: false", "archive: true"),
    ],
)
def test_every_change_of_meaning_changes_the_digest(old: str, new: str) -> None:
    assert old in FULL
    changed = FULL.replace('      dnis: ["1800*"]\n', "") if new.startswith("dnis") else FULL
    assert parse_policies(changed.replace(old, new, 1)).digest != parse_policies(FULL).digest


def test_the_json_schema_is_current_and_agrees_with_the_samples() -> None:
    text = (ROOT / "config" / "policies.schema.json").read_text(encoding="utf-8")
    assert text == schema_text()
    schema = Draft202012Validator(json.loads(text))
    for path in (ROOT / "config" / "policies.yaml", *PRESETS):
        schema.validate(json.loads(json.dumps(load_yaml(path), default=str)))
    schema.validate(json.loads(json.dumps(parse_yaml(FULL, "full"), default=str)))
    assert not schema.is_valid({"policies": [{"name": "a", "source": {"delete_after": "soon"}}]})
    assert not schema.is_valid({"polices": []})
    assert not schema.is_valid({"policies": [{"name": "a", "archive": {"storage_class": "GLACIER"}}]})
    assert not schema.is_valid({"policies": [{"name": "a", "match": {"extensions": []}}]})


def test_the_guide_explains_every_key_and_every_reason() -> None:
    models = (
        PoliciesFile, DeletionFile, ArchiveDeletionFile, PolicyFile, MatchFile, DatesFile, SourceFile, ArchiveFile,
    )  # fmt: skip
    keys = {field.alias or key for model in models for key, field in model.model_fields.items()}
    explained = set(re.findall(r"^\| `([a-z_.]+)` \|", GUIDE, re.MULTILINE))
    assert keys <= {path.split(".")[-1] for path in explained}
    assert {reason.value for reason in Reason} <= explained


def test_the_guide_s_dates_are_what_the_program_computes() -> None:
    rows = re.findall(r"^\| (\d{4}-[\d-]+ [\d:]+) \| `(\w+)` \| (\d{4}-[\d-]+ [\d:]+) \|", GUIDE, re.MULTILINE)
    assert len(rows) >= 5
    for ended, wait, earliest in rows:
        assert f"{add(datetime.fromisoformat(f'{ended}Z'), parse(wait)):%Y-%m-%d %H:%M}" == earliest


def test_the_guide_s_examples_load() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        assert isinstance(parse_policies(example), PolicySet)
