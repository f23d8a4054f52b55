from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from archiver.core.duration import add, parse
from archiver.core.policy import NEVER, Deletion, Match, Mode, Policy, PolicySet
from archiver.core.retention import Reason
from archiver.errors import ConfigError
from archiver.policies import load_policies, parse_policies, schema_text
from archiver.policies_model import ArchiveFile, DeletionFile, MatchFile, PoliciesFile, PolicyFile, SourceFile
from archiver.yaml_file import load_yaml

ROOT = Path(__file__).parents[2]
GUIDE = ROOT.joinpath("docs", "policies.md").read_text(encoding="utf-8")
FULL = """
deletion: {mode: automatic, max_per_run: 20, max_percent: 2.5}
policies:
  - name: desk
    match: {accounts: [acme], extensions: ["21*"], directions: [INBOUND, OUTBOUND], min_duration: 5s, max_duration: 2h}
    source: {delete_after: 30d}
    archive: {keep_at_least: 5y, delete_after: 8y}
  - {name: complaints, source: {delete_after: never}, archive: true}
  - {name: internal, match: {directions: [INTRA_PBX]}, archive: false}
"""


def problems(text: str, accounts: tuple[str, ...] | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        parse_policies(text, "policies.yaml", accounts=accounts)
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith("policies.yaml")
    return dict(refused.value.problems)


def one(policy: str) -> str:
    return f"policies: [{{name: desk, {policy}}}]"


def test_reads_every_key() -> None:
    assert parse_policies(FULL) == PolicySet(
        deletion=Deletion(mode=Mode.AUTOMATIC, max_per_run=20, max_percent=Decimal("2.5")),
        policies=(
            Policy(
                name="desk",
                match=Match(
                    accounts=("acme",),
                    extensions=("21*",),
                    directions=("INBOUND", "OUTBOUND"),
                    min_duration=parse("5s"),
                    max_duration=parse("2h"),
                ),
                source_delete_after=parse("30d"),
                archive=True,
                keep_at_least=parse("5y"),
                delete_after=parse("8y"),
            ),
            Policy(name="complaints", source_delete_after=NEVER, archive=True),
            Policy(name="internal", match=Match(directions=("INTRA_PBX",)), archive=False),
        ),
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "policies: []", "deletion: {}"])
def test_an_empty_file_is_valid_and_permits_nothing(text: str) -> None:
    assert parse_policies(text) == PolicySet()
    assert PolicySet().deletion.mode is Mode.DISABLED


def test_the_sample_file_loads_with_deletion_off(tmp_path: Path) -> None:
    sample = load_policies(ROOT / "config" / "policies.yaml")
    assert sample.deletion.mode is Mode.DISABLED
    assert {policy.name for policy in sample.policies} >= {"broking-desk"}
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read"):
        load_policies(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("polices: []", "polices", r"unknown key; did you mean 'policies'\?"),
        ("zzz: 1", "zzz", r"unknown key \(known here: deletion, policies\)"),
        ("[]", "(file)", "must hold keys and values"),
        ("policies:", "policies", "must be a list"),
        ("deletion: {mode: approve}", "deletion.mode", "approve is not available in this version"),
        ("deletion: {mode: automatc}", "deletion.mode", "must be disabled or automatic; did you mean 'automatic'"),
        ("deletion: {mode: off}", "deletion.mode", "must be disabled or automatic"),
        ("deletion: {max_percent: 101}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: -0.1}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: .nan}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: true}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: '5'}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_per_run: -1}", "deletion.max_per_run", "must be greater than or equal to 0"),
        ("deletion: {max_per_run: 5.0}", "deletion.max_per_run", "must be a whole number"),
        ("deletion: {max_per_run: true}", "deletion.max_per_run", "must be a whole number"),
        ("policies: [{}]", "policies[0].name", "is required"),
        ("policies: [{name: a b}]", "policies[0].name", "letters, digits"),
        ("policies: [{name: 12}]", "policies[0].name", "must be text: put it in quotes"),
        ("policies: [{name: a}, {name: a}]", "policies[1].name", "another policy above has the same name"),
        (one("match:"), "policies[0].match", "policy 'desk': must hold keys and values"),
        (one("match: {extension: ['1']}"), "policies[0].match.extension", "did you mean 'extensions'"),
        (one("match: {extensions: [123]}"), "policies[0].match.extensions[0]", "must be text: put it in quotes"),
        (one("match: {extensions: '21*'}"), "policies[0].match.extensions", "must be a list"),
        (one("match: {extensions: []}"), "policies[0].match.extensions", "must not be empty"),
        (one("match: {extensions: ['2 1']}"), "policies[0].match.extensions[0]", "without spaces"),
        (one("match: {directions: [IN]}"), "policies[0].match.directions[0]", "must be 'INBOUND', 'OUTBOUND' or"),
        (one("match: {min_duration: 1mo}"), "policies[0].match.min_duration", "has no fixed length"),
        (
            one("match: {min_duration: 5m, max_duration: 60s}"),
            "policies[0].match",
            "1m is shorter than min_duration 5m",
        ),
        (one("source: {}"), "policies[0].source.delete_after", "is required"),
        (one("source: {delete_after: 30}"), "policies[0].source.delete_after", "not a duration"),
        (one("source: {delete_after: -1d}"), "policies[0].source.delete_after", "not a duration"),
        (one("source: {delete_after: 101y}"), "policies[0].source.delete_after", "longer than 100 years"),
        (one("source: {delete_after: 36526d}"), "policies[0].source.delete_after", "longer than 100 years"),
        (one("archive: {delete_after: 0d}"), "policies[0].archive.delete_after", "0 would delete every copy at once"),
        (one("archive: {keep_at_least: 1201mo}"), "policies[0].archive.keep_at_least", "longer than 100 years"),
        (one("archive: {keep_at_leest: 5y}"), "policies[0].archive.keep_at_leest", "did you mean 'keep_at_least'"),
        (
            one("archive: {keep_at_least: 8y, delete_after: 5y}"),
            "policies[0].archive",
            "policy 'desk': delete_after 5y is",
        ),
        (one("archive: {keep_at_least: 1y, delete_after: 365d}"), "policies[0].archive", "can be, shorter than"),
        (one("archive: maybe"), "policies[0].archive", "must hold keys and values"),
        (one("archive: false, source: {delete_after: 1d}"), "policies[0]", "exclude each other"),
    ],
)
def test_refuses_with_path_and_reason(text: str, path: str, message: str) -> None:
    found = problems(text)
    assert list(found) == [path]
    assert re.search(message, found[path])


def test_all_problems_come_at_once() -> None:
    text = """
deletion: {mode: approve, max_percent: 200}
policies:
  - {name: a, match: {accounts: [acem]}, source: {delete_after: soon}}
  - {name: a, archive: {keep_at_least: 8y, delete_after: 5y}}
"""
    assert set(problems(text, accounts=("acme",))) == {
        "deletion.mode",
        "deletion.max_percent",
        "policies[0].source.delete_after",
        "policies[0].match.accounts[0]",
        "policies[1].archive",
        "policies[1].name",
    }


def test_an_account_that_does_not_exist_is_refused_where_accounts_are_known() -> None:
    text = one("match: {accounts: [acem]}")
    assert parse_policies(text).policies[0].match.accounts == ("acem",)
    expected = "policy 'desk': no account has the name 'acem'; did you mean 'acme'?"
    assert problems(text, accounts=("acme", "zenith")) == {"policies[0].match.accounts[0]": expected}


@pytest.mark.parametrize(
    "text",
    [
        one("source: {delete_after: 0d}"),
        one("source: {delete_after: 100y}"),
        one("archive: {keep_at_least: 1y, delete_after: 12mo}"),
        one("archive: {keep_at_least: 1y, delete_after: 366d}"),
        one("archive: {}"),
        one("archive: false, source: {delete_after: never}"),
        "deletion: {max_per_run: 0, max_percent: 0}",
        "deletion: {max_percent: 100}",
    ],
)
def test_accepts_the_edges(text: str) -> None:
    assert isinstance(parse_policies(text), PolicySet)


@pytest.mark.parametrize(
    "other",
    [
        FULL.replace("5y", "60mo").replace("2h", "120m").replace("30d", "720h"),
        FULL.replace("[INBOUND, OUTBOUND]", "[OUTBOUND, INBOUND, OUTBOUND]") + "# a remark\n",
        FULL.replace("automatic", "disabled").replace("max_per_run: 20", "max_per_run: 21"),
    ],
)
def test_the_digest_is_of_the_meaning(other: str) -> None:
    assert parse_policies(other).digest == parse_policies(FULL).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: desk", "name: desk2"),
        ("30d", "31d"),
        ("5y", "6y"),
        ("8y", "9y"),
        ('"21*"', '"22*"'),
        ("[INBOUND, OUTBOUND]", "[INBOUND]"),
        ("[acme]", "[zenith]"),
        ("5s", "6s"),
        ("2h", "3h"),
        ("never", "9y"),
        ("archive: true", "match: {}"),
        ("archive: false", "archive: true"),
    ],
)
def test_every_change_of_meaning_changes_the_digest(old: str, new: str) -> None:
    assert old in FULL
    assert parse_policies(FULL.replace(old, new, 1)).digest != parse_policies(FULL).digest


def test_the_json_schema_is_current_and_agrees_with_the_samples() -> None:
    text = (ROOT / "config" / "policies.schema.json").read_text(encoding="utf-8")
    assert text == schema_text()
    schema = Draft202012Validator(json.loads(text))
    schema.validate(load_yaml(ROOT / "config" / "policies.yaml"))
    assert not schema.is_valid({"policies": [{"name": "a", "source": {"delete_after": "soon"}}]})
    assert not schema.is_valid({"polices": []})


def test_the_guide_explains_every_key_and_every_reason() -> None:
    models = (PoliciesFile, DeletionFile, PolicyFile, MatchFile, SourceFile, ArchiveFile)
    keys = {key for model in models for key in model.model_fields}
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
