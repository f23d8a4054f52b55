"""The JSON Schema for editors: current, and as tolerant as the file itself."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from archiver.settings import Settings, schema_text, write_schema
from archiver.yaml_file import load_yaml
from tests.support.settings import MINIMAL, changed

CONFIG = Path(__file__).parents[2] / "config"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text(Settings)))


def test_the_committed_schema_is_current() -> None:
    committed = (CONFIG / "archiver.schema.json").read_text()

    assert committed == schema_text(Settings), "run: python -m archiver.settings config/archiver.schema.json"


def test_the_schema_is_written_as_it_is_told(tmp_path: Path) -> None:
    write_schema(tmp_path / "s.json", Settings)

    assert (tmp_path / "s.json").read_text() == schema_text(Settings)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(Settings)))


def test_the_sample_fits() -> None:
    document = json.loads(json.dumps(load_yaml(CONFIG / "archiver.yaml"), default=lambda moment: moment.isoformat()))

    assert list(VALIDATOR.iter_errors(document)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sync.concurrency", "${N}"),
        ("sync.every", "${EVERY:-15m}"),
        ("sync.every", "1h30m"),
        ("vault.allow_http", "${HTTP}"),
        ("vault.verify", "${VERIFY}"),
        ("vault.region", None),
        ("accounts[0].start_from", "${FROM}"),
        ("accounts[0].account_id", 5),
        ("accounts[0].auth", {"token_file": "x"}),
        ("database", {"url_file": "x", "password_file": "y"}),
        ("database", {"embedded": "./x"}),
        ("encryption_key_file", "x"),
        ("logging.level", "debug"),
    ],
)
def test_what_loads_fits(path: str, value: object) -> None:
    assert list(VALIDATOR.iter_errors(changed(path, value))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sync.concurrency", "many"),
        ("sync.concurrency", 65),
        ("sync.every", "soon"),
        ("vault.verify", "always"),
        ("vault.bukcet", "x"),
        ("vault.bucket_file", "x"),
        ("accounts[0].auth", {}),
        ("accounts[0].auth", {"token": "x", "token_file": "y"}),
        ("accounts[0].auth", {"token_url": "https://h", "username": "u"}),
        ("accounts", []),
        ("database", {}),
        ("encryption_key", 5),
    ],
)
def test_what_does_not_load_does_not_fit(path: str, value: object) -> None:
    assert list(VALIDATOR.iter_errors(changed(path, value))) != []


def test_the_smallest_document_fits() -> None:
    assert list(VALIDATOR.iter_errors(MINIMAL)) == []
