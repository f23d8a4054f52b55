"""Reads the policies file into `core.policy.PolicySet`, or says everything that is wrong with it at once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from archiver.core.contradictions import contradictions
from archiver.core.policy import PolicySet
from archiver.errors import ConfigError
from archiver.policies_fields import zone_of
from archiver.policies_model import PoliciesFile
from archiver.validation import closest, problems_of
from archiver.yaml_file import parse_yaml, read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path


def load_policies(path: Path, *, accounts: Collection[str] | None = None) -> PolicySet:
    """Read the file. Raises ConfigError with all problems; with `accounts`, unknown account names are among them."""
    return parse_policies(read_text(path), str(path), accounts=accounts)


def parse_policies(text: str, name: str = "policies", *, accounts: Collection[str] | None = None) -> PolicySet:
    """Read the file's text, as `load_policies` does; `name` stands for the file in errors. Raises ConfigError."""
    return _read(parse_yaml(text, name), name, accounts, text)


def schema_text() -> str:
    """Return the JSON Schema of the file, as `config/policies.schema.json` holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **PoliciesFile.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def _read(data: object, name: str, accounts: Collection[str] | None, text: str) -> PolicySet:
    data = {} if data is None else data
    problems = [*_repeated(data), *(_unknown_accounts(data, accounts) if accounts is not None else ())]
    try:
        file = PoliciesFile.model_validate(data)
    except ValidationError as error:
        problems = [*problems_of(error, PoliciesFile), *problems]
    if problems:
        raise _refused(name, problems, data)
    zone = zone_of(file.zone)
    policies = tuple(one.policy(zone) for one in file.policies)
    if found := [(f"policies[{place}]", problem) for place, problem in contradictions(policies)]:
        raise _refused(name, found, data)
    return PolicySet(policies=policies, deletion=file.deletion.deletion(), zone=zone, text=text)


def _refused(name: str, problems: list[tuple[str, str]], data: object) -> ConfigError:
    return ConfigError(f"{name}: {len(problems)} problem(s)", problems=tuple(_with_names(problems, data)))


def _listed(data: object) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the policies with their positions, as far as an unchecked file has them."""
    policies = data.get("policies") if isinstance(data, dict) else None
    for number, policy in enumerate(policies if isinstance(policies, list) else []):
        if isinstance(policy, dict):
            yield number, policy


def _names(data: object) -> dict[int, str]:
    named = ((number, policy.get("name")) for number, policy in _listed(data))
    return {number: name for number, name in named if isinstance(name, str)}


def _repeated(data: object) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, name in _names(data).items():
        if name in seen:
            yield f"policies[{number}].name", "another policy above has the same name"
        seen.add(name)


def _unknown_accounts(data: object, accounts: Collection[str]) -> Iterator[tuple[str, str]]:
    for number, policy in _listed(data):
        match = policy.get("match")
        asked = match.get("accounts") if isinstance(match, dict) else None
        for position, account in enumerate(asked if isinstance(asked, list) else []):
            if isinstance(account, str) and account not in accounts:
                message = f"no account has the name {account!r}{closest(account, accounts)}"
                yield f"policies[{number}].match.accounts[{position}]", message


def _with_names(problems: list[tuple[str, str]], data: object) -> Iterator[tuple[str, str]]:
    """Name the policy in each message: people know it by its name, not by its position."""
    names = _names(data)
    for path, message in problems:
        found = re.match(r"policies\[(\d+)\]", path)
        name = names.get(int(found[1])) if found else None
        yield path, f"policy {name!r}: {message}" if name else message
