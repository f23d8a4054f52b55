"""Reads one YAML file strictly: no key twice, keys are text, no custom tags. Values are never quoted: secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from archiver.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE_TAG = "tag:yaml.org,2002:merge"


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Refused(yaml.MarkedYAMLError):
    """YAML that is well formed, but not what a configuration may say; its problem is safe to show."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with two rules more, checked before merge keys (`<<`) are resolved, and plainer numbers."""

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:  # the stubs' type
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE_TAG:
                continue
            if key.tag != _TEXT_TAG:
                problem = "a key must be text: put it in quotes"
                raise _Refused(None, None, problem, key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} stands twice in the same place: keep one of them"
                raise _Refused(None, None, problem, key.start_mark)
            seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 - as inherited
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError):  # 2024-02-31 looks like a date and is none
            problem = "this looks like a date or a number, but is none: put it in quotes if it is meant as text"
            raise _Refused(None, None, problem, node.start_mark) from None


# YAML 1.1 reads 0123 as octal and 15:30 as sixty-based; an account id or a time must stay what was written
_StrictLoader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in _NUMBERS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(_NUMBERS[0], re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(_NUMBERS[1], re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+$"), list("-+0123456789"))


def load_yaml(path: Path) -> object:
    """Return what the file says as plain dicts, lists and scalars; None when it is empty.

    Raises ConfigError with file, line and column (counted from 1).
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a file of UTF-8 text. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start + 1})") from None


def parse_yaml(text: str, name: str) -> object:
    """Return what the text says, as `load_yaml` does; `name` stands for the file in errors. Raises ConfigError."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{name}{_place(error)}: {_problem(error)}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{name}: holds a character that YAML does not allow") from None
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deeply") from None


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Say what is wrong in words of our own: the library's may quote part of a value."""
    if isinstance(error, _Refused):
        return str(error.problem)
    if isinstance(error, (yaml.composer.ComposerError, yaml.constructor.ConstructorError)):
        return "a text that begins with * & or ! must be put in quotes (and a file holds one document)"
    return "not valid YAML here: look at the indentation, the colons and the quotes on this line and the one above"
