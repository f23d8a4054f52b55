"""JSON Schema of a configuration for editors: as written, before `${NAME}` and `<key>_file` are filled in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

_Node: TypeAlias = dict[str, "_Json"]
_Json: TypeAlias = "str | int | float | bool | list[_Json] | _Node | None"

_FROM_ENVIRONMENT: _Node = {"type": "string", "pattern": r"\$\{"}
_CONSTRAINTS = frozenset({"pattern", "enum", "const", "minLength", "maxLength"})


def write_schema(path: Path, model: type[BaseModel]) -> None:
    """Write the schema of `model` to `path`, the same bytes each time."""
    path.write_text(schema_text(model), encoding="utf-8")


def schema_text(model: type[BaseModel]) -> str:
    """Return the schema as JSON text. Typed values may also be `${…}`, secrets may also be `<key>_file`."""
    schema: _Node = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for section in (schema, *(definitions.values() if isinstance(definitions, dict) else ())):
        if isinstance(section, dict):
            _loosen_section(section)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(_untitled(whole), indent=2, ensure_ascii=False) + "\n"


def _loosen_section(section: _Node) -> None:
    properties, required = section.get("properties"), section.get("required")
    if not isinstance(properties, dict):
        return
    for name, value in list(properties.items()):
        if not isinstance(value, dict):
            continue
        if _is_secret(value):
            properties[f"{name}_file"] = {"type": "string", "description": f"A file that holds {name}."}
            _require_either(section, name, required if isinstance(required, list) else [])
        else:
            properties[name] = _loosened(value)


def _require_either(section: _Node, name: str, required: list[_Json]) -> None:
    file = f"{name}_file"
    either: list[_Json] = [{"required": [name]}, {"required": [file]}]
    rule: _Node = {"oneOf": either}
    if name in required:
        required.remove(name)
    else:
        rule = {"not": {"required": [name, file]}}
    rules = section.setdefault("allOf", [])
    if isinstance(rules, list):
        rules.append(rule)


def _loosened(value: _Node) -> _Node:
    """Let `${…}` stand where text alone would not do."""
    if not _is_typed(value):
        return value
    kept: _Node = {key: value[key] for key in ("description", "default") if key in value}
    typed = {key: inner for key, inner in value.items() if key not in kept}
    return {**kept, "anyOf": [typed, dict(_FROM_ENVIRONMENT)]}


def _is_typed(value: _Node) -> bool:
    options = value.get("anyOf")
    if isinstance(options, list):
        return any(isinstance(option, dict) and _is_typed(option) for option in options)
    limited = bool(_CONSTRAINTS & value.keys()) or value.get("format") == "date-time"
    return limited or value.get("type") in ("integer", "number", "boolean")


def _is_secret(value: _Node) -> bool:
    options = value.get("anyOf")
    if isinstance(options, list):
        return any(isinstance(option, dict) and _is_secret(option) for option in options)
    return value.get("format") == "password"


def _untitled(value: _Json) -> _Json:
    """Drop the titles that pydantic makes of names: they tell an editor nothing."""
    if isinstance(value, dict):
        return {key: _untitled(inner) for key, inner in value.items() if key != "title" or not isinstance(inner, str)}
    return [_untitled(inner) for inner in value] if isinstance(value, list) else value
