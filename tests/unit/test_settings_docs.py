"""docs/configuration.md says what the models say: every key, its default, an example that loads."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from archiver.errors import ConfigError
from archiver.settings import Settings, load
from archiver.settings.fields import fields, secret_paths
from archiver.settings.types import length_text
from tests.support.settings import FERNET, changed, load_document

DOCS = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


class Row(NamedTuple):
    """One line of a table in the documentation."""

    key: str
    type: str
    default: str
    meaning: str
    example: str


def rows() -> list[Row]:
    lines = re.findall(r"^\| (`.*)\|$", DOCS, re.MULTILINE)
    return [
        Row(*(cell.strip(" `") if n in (0, 4) else cell.strip() for n, cell in enumerate(line.split(" | "))))
        for line in lines
    ]


ROWS = rows()
FIELDS = list(fields(Settings))
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def test_every_key_is_documented_once_and_no_other() -> None:
    assert sorted(row.key for row in ROWS) == sorted({path for path, _ in FIELDS})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_the_documented_default_is_the_real_one(row: Row) -> None:
    real = {as_documented(field) for path, field in FIELDS if path == row.key}

    assert real == {row.default}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_what_is_secret_is_marked(row: Row) -> None:
    assert ("secret" in row.type) == (row.key in secret_paths(Settings))


@pytest.mark.parametrize("row", [row for row in ROWS if row.example], ids=lambda row: row.key)
def test_the_example_is_accepted(row: Row, tmp_path: Path) -> None:
    value = yaml.safe_load(row.example)
    document = changed(row.key.replace("[]", "[0]"), value)
    beside = {"vault.access_key_id": "secret_access_key", "vault.secret_access_key": "access_key_id"}
    if row.key in beside:
        document = changed("vault", {"bucket": "calls", row.key.removeprefix("vault."): value, beside[row.key]: "x"})
    if row.key == "database.embedded":
        document["database"] = {"embedded": value}
    if found := re.match(r"notifications\.(channels|pings)\[]\.", row.key):
        smallest = {"name": "one", "url": "https://h/x" if found[1] == "pings" else "jsons://h/x"}
        document = changed(f"notifications.{found[1]}", [{**smallest, row.key.rpartition(".")[2]: value}])
    if row.key in {"accounts[].auth.token_url", "accounts[].auth.scope"}:
        document = changed("accounts[0].auth", {**password_grant(), row.key.rpartition(".")[2]: value})

    assert load_document(tmp_path, document).accounts


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_every_yaml_block_loads(block: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    names = re.findall(r"\$\{(\w+)\}", block)
    given = yaml.safe_load(block)
    document = given if "vault" in given else {**changed("accounts[0].auth", given["auth"]), "encryption_key": FERNET}

    assert load_document(tmp_path, document, dict.fromkeys(names, "x")).accounts


def test_the_error_that_is_shown_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {**changed("accounts[0].auth.token", "${VBC_TOKEN}"), "sync": {"concurrency": 100}}
    document["vault"] = {"bucket": "calls", "regoin": "x"}
    (tmp_path / "config").mkdir()
    (tmp_path / "config/archiver.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        load(Path("config/archiver.yaml"), {})

    shown = "".join(
        f"{line}\n" for line in [str(caught.value), *(f"  {path}: {why}" for path, why in caught.value.problems)]
    )
    assert f"```\n{shown}```" in DOCS


def as_documented(field: FieldInfo) -> str:
    default = field.default
    if field.is_required():
        return "*required*"
    if isinstance(default, BaseModel):
        return "*all defaults*"
    if default is None or default in ("", ()):
        return "*none*" if default is None else "*empty*"
    if isinstance(default, timedelta):
        return f"`{'72h' if length_text(default) == '3d' else length_text(default)}`"
    return f"`{str(default).lower()}`"


def password_grant() -> dict[str, str]:
    grant = {"token_url": "https://h/t", "username": "u", "password": "p"}
    return {**grant, "client_id": "c", "client_secret": "s"}
