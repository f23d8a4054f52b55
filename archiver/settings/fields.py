"""Walks the models: which keys there are, and which of them hold secrets."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, get_args, get_origin

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key as (path, field), sections before what they hold; a list's items are `accounts[].name`."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        for inner, many in _sections(field.annotation):
            yield from fields(inner, f"{prefix}{name}{'[]' if many else ''}.")


@cache
def secret_paths(model: type[BaseModel]) -> frozenset[str]:
    """Return the paths whose values are secret: they may be given as `<key>_file`, and are never shown."""
    return frozenset(path for path, field in fields(model) if SecretStr in _kinds(field.annotation))


def _kinds(annotation: object) -> Iterator[object]:
    yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _sections(annotation: object) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
        return
    for argument in get_args(annotation):
        yield from ((inner, many or get_origin(annotation) is tuple) for inner, many in _sections(argument))
