"""Turns pydantic's errors into (path, message) pairs for people. Never shows a value: it may be a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Union, get_args, get_origin

from pydantic import BaseModel, PlainValidator, WithJsonSchema

from archiver.core import duration
from archiver.core.duration import Duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_PLAIN = {
    "missing": "is required",
    "string_type": "must be text: put it in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list, like [a, b]",
    "model_type": "must hold keys and values",
    "model_attributes_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Return every problem as (dotted path, message), in the order of the file: `policies[0].match`, `unknown key`."""
    details = error.errors(include_url=False, include_input=False)
    return tuple(_problem(detail, model) for detail in details)


def closest(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing when no known text is like it."""
    match = get_close_matches(text, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""


def read_duration(value: object) -> Duration:
    """Read a duration from YAML, where a number without quotes is no text. Raises ValueError."""
    if isinstance(value, Duration):
        return value
    return duration.parse(value if isinstance(value, str) else "")


DurationText = Annotated[
    Duration, PlainValidator(read_duration), WithJsonSchema({"type": "string", "pattern": duration.PATTERN})
]


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    path, around = _walk(detail["loc"], model)
    return path or "(file)", _message(detail, around)


def _message(detail: ErrorDetails, around: tuple[object, ...]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted({name for one in around for name in _keys(one)})
        return "unknown key" + (closest(str(detail["loc"][-1]), known) or f" (known here: {', '.join(known)})")
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"])
    return _PLAIN.get(kind) or detail["msg"].replace("Input should be", "must be", 1)


def _walk(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, tuple[object, ...]]:
    """Return the path as the file has it, and the types around its last step.

    Pydantic's location also names the member of a union that it tried; that is no key of the file.
    """
    path, types, around = "", _members(model), _members(model)
    for step in location:
        if isinstance(step, int):
            path, around, types = f"{path}[{step}]", types, _inner(types, Sequence)
        elif inner := _fields(types, step) or _inner(types, Mapping):
            path, around, types = f"{path}.{step}", types, inner
        elif named := tuple(one for one in types if getattr(one, "__name__", "") == step):
            types = named
        elif step != "[key]":
            path, around, types = f"{path}.{step}", types, ()
    return path.lstrip("."), around


def _members(kind: object) -> tuple[object, ...]:
    """Take apart Annotated and unions: the types that may stand here."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return tuple(member for one in get_args(kind) for member in _members(one))
    return (kind,)


def _keys(kind: object) -> tuple[str, ...]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def _fields(types: tuple[object, ...], key: str) -> tuple[object, ...]:
    """Return the types of the field that models among `types` know as `key`."""
    models = (one for one in types if isinstance(one, type) and issubclass(one, BaseModel))
    fields = ((field.alias or name, field) for one in models for name, field in one.model_fields.items())
    return tuple(member for name, field in fields if name == key for member in _members(field.annotation))


def _inner(types: tuple[object, ...], container: type) -> tuple[object, ...]:
    """Return what lists or mappings among `types` hold."""
    origins = ((get_origin(one), one) for one in types)
    fitting = (one for origin, one in origins if isinstance(origin, type) and issubclass(origin, container))
    held = (get_args(one)[0 if container is Sequence else -1] for one in fitting)
    return tuple(member for one in held for member in _members(one))
