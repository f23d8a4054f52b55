"""The image, as far as its files can be judged without building it. docs/container.md tells how it was tried."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from archiver import healthcheck
from tests.support.requirements import PIN

ROOT: Final = Path(__file__).parent.parent.parent


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, without comments, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def last(name: str) -> str:
    """What the final stage says with an instruction that stands once in it."""
    begin = max(place for place, (word, _) in enumerate(instructions()) if word == "FROM")
    found = [value for word, value in instructions()[begin:] if word == name]
    assert len(found) == 1
    return found[0]


def pip_installs() -> Iterator[list[str]]:
    """Every `pip install` and `pip wheel` of the Dockerfile."""
    for _, value in instructions():
        for part in value.split("&&"):
            words = shlex.split(part)
            if words[:1] == ["/build/bin/pip"]:
                yield words


def test_what_is_installed_is_locked_or_local() -> None:
    """From the index only with hashes; everything else without the index."""
    installs = list(pip_installs())
    assert [words[words.index("-r") + 1] for words in installs if "--require-hashes" in words] == [
        "requirements-build.txt",
        "requirements.txt",
    ]
    assert [words for words in installs if ("--require-hashes" in words) == ("--no-index" in words)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_every_requirement_has_a_version_and_hashes(name: str) -> None:
    """And the file names no index."""
    text = (ROOT / name).read_text()
    assert PIN.findall(text)
    assert PIN.sub("", text).strip() == ""


def test_the_build_backend_is_the_one_of_the_checkout() -> None:
    """requirements-build.txt is a part of requirements-dev.txt, so tests and image build alike."""
    build, dev = ({name: (version, hashes.split()) for name, version, hashes in PIN.findall((ROOT / path).read_text())}
                  for path in ("requirements-build.txt", "requirements-dev.txt"))  # fmt: skip
    assert "hatchling" in build
    assert {name: dev.get(name) for name in build} == build


def test_it_imports_nothing_that_the_image_lacks() -> None:
    """What the package imports everywhere comes from requirements.txt, or is asked for where it is used."""
    locked = {name.replace("-", "_") for name, _, _ in PIN.findall((ROOT / "requirements.txt").read_text())}
    known = locked | {"yaml", "dateutil"} | set(sys.stdlib_module_names) | {"archiver"}
    assert [found for found in imported() if found[1] not in known] == []


def imported() -> Iterator[tuple[str, str]]:
    """File and top-level module of every import that stands at the top of a file."""
    for path in sorted((ROOT / "archiver").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for module in modules:
                yield path.name, module.split(".")[0]


def test_both_stages_start_from_the_same_python() -> None:
    """The virtual environment holds a link to the interpreter of its base."""
    bases = [value.split()[0] for word, value in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert set(bases) == {"python:3.11-slim-bookworm"}


def test_it_runs_as_nobody_in_particular() -> None:
    """A numeric user that is not root, who owns nothing in the image."""
    user, group = map(int, last("USER").split(":"))
    assert user >= 10000
    assert group >= 10000
    assert last("COPY") == "--from=builder /opt/archiver /opt/archiver"  # no --chown


def test_it_starts_the_daemon_and_stops_as_it_expects() -> None:
    """Without a shell between the signal and the program."""
    assert last("ENTRYPOINT") == '["archiver"]'
    assert last("CMD") == '["run"]'
    assert last("STOPSIGNAL") == "SIGTERM"


def test_it_writes_to_tmp_only() -> None:
    """Home and working folder are there; no bytecode is written."""
    variables = dict(part.split("=", 1) for part in shlex.split(last("ENV")))
    assert variables["PYTHONDONTWRITEBYTECODE"] == variables["PYTHONUNBUFFERED"] == "1"
    assert last("WORKDIR") == variables["HOME"] == "/tmp"


def test_the_build_sees_only_what_it_copies() -> None:
    """.dockerignore shuts out everything else: secrets, data, the history."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {name for word, value in instructions() if word == "COPY" and "--from" not in value
              for name in value.split()[:-1]}  # fmt: skip
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_its_health_check_asks_the_daemon_often_and_cheaply() -> None:
    """A whole archiver, started every half minute, would cost more than the archiving."""
    options, command = last("HEALTHCHECK").split(" CMD ")
    assert json.loads(command) == ["python", "-m", "archiver.healthcheck"]
    assert "--interval=30s" in options
    patience = re.search(r"--timeout=(\d+)s", options)
    assert patience
    assert int(patience[1]) > healthcheck.PATIENCE


def test_nothing_is_exposed() -> None:
    """Health and metrics are for this container alone, until http.listen and a port say otherwise."""
    assert [word for word, _ in instructions() if word == "EXPOSE"] == []
    assert urlsplit(healthcheck.HEALTH).hostname == "127.0.0.1"
