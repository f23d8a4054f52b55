"""Read documents of the bucket, which anybody may have written: each value is what it should be, or is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, cast

from archiver.core.listing import parse_time

T = TypeVar("T")
LONGEST = 500  # characters of a text: an index entry has to hold it
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # what no database can hold
_LARGEST = 2**63 - 1
_DEEPEST = 200  # levels of nesting: what is read has to be written again, with less of the stack left


class Unreadable(ValueError):
    """A document, or a value in it, is not what it should be. The message says which, and quotes nothing of it."""


def document(body: bytes, expected: str) -> Mapping[str, object]:
    """Read a JSON object of a format. Raises Unreadable."""
    try:
        content = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is not readable JSON") from error
    if not isinstance(content, dict) or _is_deep(content):
        raise Unreadable("it is no JSON object")
    if content.get("format") != expected:
        raise Unreadable(f"its format is not {expected}")
    return content


def _no_number(found: str) -> float:
    raise ValueError(found)


def _finite(found: str) -> float:
    number = float(found)
    return number if math.isfinite(number) else _no_number(found)


def _is_deep(content: object) -> bool:
    level = [content]
    for _ in range(_DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [each for some in inside for each in some]
        if not level:
            return False
    return True


def part(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Read an object inside. Raises Unreadable."""
    found = content.get(name)
    if not isinstance(found, Mapping):
        raise Unreadable(f"{name} is no JSON object")
    return cast("Mapping[str, object]", found)


def items(content: Mapping[str, object], name: str) -> list[object]:
    """Read a list inside. Raises Unreadable."""
    found = content.get(name)
    if not isinstance(found, list):
        raise Unreadable(f"{name} is no list")
    return found


def text(content: Mapping[str, object], name: str, *, longest: int = LONGEST) -> str:
    """Read a text. Raises Unreadable, also where no database can hold it."""
    return texts({name: [content.get(name)]}, name, longest=longest)[0]


def texts(content: Mapping[str, object], name: str, *, longest: int = LONGEST) -> tuple[str, ...]:
    """Read a list of texts. Raises Unreadable like `text`."""
    found = tuple(one for one in items(content, name) if isinstance(one, str))
    if len(found) < len(items(content, name)) or any(len(one) > longest or _UNSTORABLE.search(one) for one in found):
        raise Unreadable(f"{name} is no text, or too long")
    return found


def whole(content: Mapping[str, object], name: str) -> int:
    """Read a whole number, zero or more. Raises Unreadable."""
    found = content.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _LARGEST:
        raise Unreadable(f"{name} is no whole number")
    return found


def moment(content: Mapping[str, object], name: str) -> datetime:
    """Read a time with a zone, as UTC. Raises Unreadable."""
    try:
        return parse_time(text(content, name))
    except ValueError as error:
        raise Unreadable(f"{name} is no time with a zone") from error


def maybe(read: Callable[[Mapping[str, object], str], T], content: Mapping[str, object], name: str) -> T | None:
    """Read what may be left out, or null. Raises what `read` raises."""
    return None if content.get(name) is None else read(content, name)
