"""The trial of docker-compose.yml, as far as it can be judged without a container engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from archiver.cli import cli
from archiver.policies import load_policies
from archiver.settings import Settings, TokenAuth, load
from archiver.simulator.behaviour import CREDENTIALS

ROOT: Final = Path(__file__).parent.parent.parent
TRIAL: Final = ROOT / "config/compose"
OURS: Final = ("archiver", "migrate", "bucket", "simulator")

Document = dict[str, object]
WORDS: Document = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SPAN: Document = {"type": "string", "pattern": "^([0-9]+[hms])+$"}


def strict(properties: Mapping[str, object], *required: str) -> Document:
    """A JSON Schema of an object that has these keys and no other."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def named(value: object) -> Document:
    """A JSON Schema of an object with free keys."""
    return {"type": "object", "additionalProperties": value}


CHECK = {"oneOf": [strict({"disable": {"const": True}}, "disable"), strict(
    {"test": {**WORDS, "prefixItems": [{"const": "CMD"}]}, "interval": SPAN, "timeout": SPAN, "start_period": SPAN,
     "retries": {"type": "integer", "minimum": 1}},
    "test", "interval", "timeout",
)]}  # fmt: skip
WAITED_FOR = strict(
    {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}}, "condition"
)
SERVICE = strict(
    {
        "build": {"const": "."},
        "image": {"type": "string", "pattern": "^[a-z0-9/.-]+:[A-Za-z0-9.-]+$"},
        "read_only": {"type": "boolean"},
        "tmpfs": WORDS,
        "cap_drop": WORDS,
        "security_opt": WORDS,
        "volumes": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:/[^:]+(:ro)?$"}},
        "environment": named({"type": "string"}),
        "entrypoint": WORDS,
        "command": WORDS,
        "restart": {"enum": ["no", "unless-stopped"]},
        "stop_grace_period": SPAN,
        "healthcheck": CHECK,
        "depends_on": named(WAITED_FOR),
    },
    "image",
    "restart",
    "healthcheck",
    "security_opt",
)
COMPOSE: Document = strict(
    {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "x-archiver": {"type": "object"},
        "services": named(SERVICE),
        "volumes": named({"type": "null"}),
    },
    "name",
    "services",
)


@pytest.fixture(scope="module")
def compose() -> Document:
    """docker-compose.yml with its anchors resolved."""
    return cast("Document", yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


@pytest.fixture(scope="module")
def services(compose: Document) -> dict[str, Document]:
    """Its services."""
    return cast("dict[str, Document]", compose["services"])


@pytest.fixture(scope="module")
def trial(services: dict[str, Document]) -> Settings:
    """The trial's configuration, as the container reads it without any .env file."""
    found = cast("dict[str, str]", services["archiver"]["environment"])
    defaults = {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value) for name, value in found.items()}
    return load(TRIAL / "archiver.yaml", defaults)


def test_the_compose_file_has_the_shape_that_it_should(compose: Document) -> None:
    """Every key is known and every value of its kind: a misspelt `read_only` would be nobody's error."""
    found = [(list(error.path), error.message) for error in Draft202012Validator(COMPOSE).iter_errors(compose)]
    assert found == []


def test_a_misspelt_key_is_seen(compose: Document) -> None:
    """The schema is strict."""
    wrong: Document = {**compose, "services": {"archiver": {"image": "archiver:trial", "readonly": True}}}
    assert not Draft202012Validator(COMPOSE).is_valid(wrong)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_little(services: dict[str, Document], name: str) -> None:
    """Nothing can be written but /tmp, and no privilege can be had."""
    service = services[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount for mount in cast("list[str]", service["volumes"]) if not mount.endswith(":ro")] == []


def test_nothing_listens_outside_of_the_trial(services: dict[str, Document]) -> None:
    """Its passwords are public."""
    assert [name for name, service in services.items() if "ports" in service or "network_mode" in service] == []


def test_images_of_others_are_pinned(services: dict[str, Document]) -> None:
    """To a release."""
    images = [cast("str", service["image"]) for name, service in services.items() if name not in OURS]
    assert len(images) == 2
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


def test_the_archiver_starts_when_tables_and_bucket_are_there(services: dict[str, Document]) -> None:
    """And whatever is waited for exists, and can reach the state that is waited for."""
    needed = cast("dict[str, dict[str, str]]", services["archiver"]["depends_on"])
    ended = {name for name, how in needed.items() if how["condition"] == "service_completed_successfully"}
    assert ended == {"migrate", "bucket"}
    for service in services.values():
        for name, how in cast("dict[str, dict[str, str]]", service.get("depends_on", {})).items():
            check = cast("Document", services[name]["healthcheck"])
            assert (how["condition"] != "service_healthy") or "test" in check
            assert (how["condition"] != "service_completed_successfully") or services[name]["restart"] == "no"


def ours_to_run() -> Iterator[list[str]]:
    """Every command line of the archiver in the compose file."""
    found = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for service in (found[name] for name in OURS if "entrypoint" not in found[name]):
        yield service.get("command", ["run"])


@pytest.mark.parametrize("words", list(ours_to_run()), ids=" ".join)
def test_their_commands_exist(words: list[str]) -> None:
    """With every option that they are given."""
    command: object = typer.main.get_command(cli)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    assert hasattr(command, "make_context")
    assert command.make_context("archiver", rest).args == []


def test_its_health_check_is_the_image_s(services: dict[str, Document]) -> None:
    """Only its start is shorter: the first pass takes seconds here."""
    check = cast("dict[str, list[str]]", services["archiver"]["healthcheck"])
    assert f"CMD {json.dumps(check['test'][1:])}" in (ROOT / "Dockerfile").read_text()


# the trial's configuration ------------------------------------------------------------------------------------


def test_the_trial_deletes_nothing() -> None:
    """Until somebody writes `automatic`."""
    assert load_policies(TRIAL / "policies.yaml", accounts=["trial"]).deletion.mode == "disabled"


def test_the_trial_points_at_its_own_services(services: dict[str, Document], trial: Settings) -> None:
    """Database, bucket and source are services of the file, under the ports that they listen on."""
    database, source = str(trial.database.url), trial.accounts[0].base_url
    assert trial.policies == TRIAL / "policies.yaml"
    assert trial.vault.endpoint_url == "http://store:7070"
    assert ":7070" in cast("list[str]", services["store"]["command"])
    assert services["bucket"]["command"] == [trial.vault.endpoint_url, trial.vault.bucket]
    assert source.startswith("http://simulator:8080/")
    assert "8080" in cast("list[str]", services["simulator"]["command"])
    assert database == "**********"
    assert trial.database.url is not None
    assert "@db:5432/" in trial.database.url.get_secret_value()


def test_the_trial_has_the_right_credentials(services: dict[str, Document], trial: Settings) -> None:
    """Those that the other services were given; none is a word that the logs need."""
    auth = trial.accounts[0].auth
    assert isinstance(auth, TokenAuth)
    assert auth.token.get_secret_value() == CREDENTIALS.token
    ours = cast("dict[str, str]", services["archiver"]["environment"])
    store, db = (cast("dict[str, str]", services[name]["environment"]) for name in ("store", "db"))
    assert (store["ROOT_ACCESS_KEY"], store["ROOT_SECRET_KEY"]) == (ours["STORE_KEY_ID"], ours["STORE_SECRET"])
    assert db["POSTGRES_PASSWORD"] == ours["DB_PASSWORD"]
    assert trial.accounts[0].name not in trial.secrets()
