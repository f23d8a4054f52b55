"""Configuration documents for tests, and the way from a document to settings or problems."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from archiver.errors import ConfigError
from archiver.settings import Settings, load

FERNET = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

MINIMAL: dict[str, object] = {
    "database": {"url": "postgresql://archiver@db/archiver"},
    "vault": {"bucket": "call-archive"},
    "accounts": [
        {
            "name": "acme",
            "base_url": "https://api.example.com/recordings",
            "auth": {"token": "t0ken"},
            "start_from": "2024-01-01T00:00:00Z",
        }
    ],
}


def changed(path: str, value: object) -> dict[str, object]:
    """MINIMAL with another value at a path like `accounts[0].auth`; sections on the way are made."""
    document = copy.deepcopy(MINIMAL)
    here: object = document
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)]
    for step in steps[:-1]:
        here = here[step] if isinstance(here, list) and isinstance(step, int) else _section(here, str(step))
    if isinstance(here, list):
        here[int(steps[-1])] = value
    elif isinstance(here, dict):
        here[steps[-1]] = value
    return document


def load_document(folder: Path, document: object, environ: Mapping[str, str] | None = None) -> Settings:
    path = folder / "archiver.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load(path, environ or {})


def problems(folder: Path, document: object, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Problems of a document by path; one that loads is a failure."""
    with pytest.raises(ConfigError) as caught:
        load_document(folder, document, environ)
    found = caught.value.problems
    assert len({path for path, _ in found}) == len(found), "one place, one problem"
    return dict(found)


def _section(here: object, key: str) -> object:
    assert isinstance(here, dict)
    return here.setdefault(key, {})
