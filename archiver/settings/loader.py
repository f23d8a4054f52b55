"""Reads the configuration file: every problem at once, each with its path, no secret in any of them."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from pydantic import ValidationError

from archiver.errors import ConfigError
from archiver.settings.fields import fields, secret_paths
from archiver.settings.interpolation import Filler, mentions_environment
from archiver.settings.models import Settings
from archiver.settings.types import FERNET_HINT
from archiver.validation import closest, problems_of
from archiver.yaml_file import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

_SHOWN = 60  # characters of an offending value
_PLAIN = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
_NEVER_SHOWN = frozenset(  # a secret may stand in the wrong place
    {"missing", "extra_forbidden", "placed", "auth_kind", "model_type", "model_attributes_type", "tuple_type"}
)


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read and check the file. Relative paths in it begin at its own folder.

    Raises ConfigError: `problems` holds all of them as (dotted path, what is wrong and what to do).
    """
    return fill(mapping(path), path, environ)


def fill(document: Mapping[str, object], path: Path, environ: Mapping[str, str]) -> Settings:
    """Fill a document of the file in, secrets' files included, and check it. Raises like `load`."""
    base = path.absolute().parent
    filler = Filler(environ=environ, base=base, secrets=secret_paths(Settings))
    filled = filler.fill(document)
    settings, refused = _validated(filled, document, base)
    others = [*refused, *_across(filled)]
    problems = [*filler.problems, *((place, why) for place, why in others if not _within(place, filler.broken))]
    if settings is None or problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{path}: {count} in the configuration", problems=tuple(problems))
    return settings


def mapping(path: Path) -> dict[str, object]:
    """Read the file as it is written: keys and values, nothing filled in. Raises ConfigError."""
    document = load_yaml(path)
    if document is None:
        raise ConfigError(f"{path}: is empty", hint="begin with a copy of config/archiver.yaml")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must hold keys and values, like `database: {{url: …}}`")
    return document


def _validated(filled: object, document: object, base: Path) -> tuple[Settings | None, list[tuple[str, str]]]:
    try:
        return Settings.model_validate(filled, context={"base": base}), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        named = zip(details, problems_of(error, Settings), strict=True)
        return None, [
            _explained(detail, path, message, document)
            for detail, (path, message) in named
            if not (detail["type"] == "too_short" and detail["input"])  # only its bad items make that list short
        ]


def _explained(detail: ErrorDetails, path: str, message: str, document: object) -> tuple[str, str]:
    """Add what the file says there, unless it is or may be a secret, and correct the path where the check asks."""
    kind, given = detail["type"], detail["input"]
    message = _PLAIN.get(kind, message)
    if kind == "placed":
        path = _moved(path, detail["ctx"]["step"])
    if kind == "auth_kind" and isinstance(given, dict):
        message += _unknown_among(given)
    if kind in _NEVER_SHOWN or re.sub(r"\[\d+\]", "[]", path) in secret_paths(Settings):
        return path, message
    return path, message + _shown(given, _written(document, detail["loc"]))


def _moved(path: str, step: str) -> str:
    return path.rpartition(".")[0] if step == ".." else f"{path}.{step}"


def _unknown_among(given: Mapping[str, object]) -> str:
    known = [path.rpartition(".")[2] for path, _ in fields(Settings) if path.startswith("accounts[].auth.")]
    unknown = (key for key in given if key not in known)
    return "".join(f"; unknown key {key!r}{closest(key, known)}" for key in unknown)


def _written(document: object, location: tuple[int | str, ...]) -> object:
    """Return what the file itself has at a location; its steps may name members of a union, which are no keys."""
    for step in location:
        if isinstance(document, list) and isinstance(step, int):
            document = document[step]
        elif isinstance(document, dict):
            document = document.get(str(step), document)
    return document


def _shown(given: object, written: object) -> str:
    """Quote a plain value. One from the environment is not quoted: the wrong variable may have been named."""
    if mentions_environment(written):
        return f" (it comes from {str(written)[:_SHOWN]!r})"
    if isinstance(given, str):
        plain = re.sub(r"://.*@", "://…@", given).partition("?")[0]
        return f" (not {plain[:_SHOWN]!r}{'…' if len(plain) > _SHOWN else ''})"
    return (
        f" (not {str(given).lower() if isinstance(given, bool) else given})"
        if isinstance(given, bool | int | float | date)
        else ""
    )


def _across(filled: object) -> Iterator[tuple[str, str]]:
    """Check between sections, on the plain document: a mistake elsewhere does not hide these."""
    accounts = _get(filled, "accounts")
    listed = accounts if isinstance(accounts, list) else []
    yield from _taken_names([_get(account, "name") for account in listed])
    refreshing = [index for index, one in enumerate(listed) if _get(_get(one, "auth"), "refresh_token")]
    if refreshing and not _get(filled, "encryption_key"):
        yield (
            "encryption_key",
            f"is required by accounts[{refreshing[0]}].auth.refresh_token; make one with: {FERNET_HINT}",
        )


def _taken_names(names: list[object]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names):
        first = names.index(name)
        if first != index and isinstance(name, str) and not mentions_environment(name):
            yield f"accounts[{index}].name", f"is the name of accounts[{first}] too: give it another (not {name!r})"


def _get(section: object, key: str) -> object:
    return section.get(key) if isinstance(section, dict) else None


def _within(place: str, broken: set[str]) -> bool:
    return any(place == one or place.startswith((f"{one}.", f"{one}[")) for one in broken)
