"""Fills the file in: `${NAME}` from the environment, `<key>_file` from a file. Collects problems, never stops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")
_SUFFIX = "_file"
_UNREADABLE = "-"  # stands in for a secret whose file cannot be read, so that nothing else calls it missing


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME}`, `${NAME:-default}` (unset or empty: the default) and `$$` (a dollar) in `text`.

    What comes from the environment is taken as it is, dollars included. Raises ValueError naming every variable
    that is not set, or for a `${` that names nothing.
    """
    missing = [name for _, name, default, _ in _parts(text) if name and default is None and name not in environ]
    if missing:
        names = " and ".join(dict.fromkeys(missing))
        msg = f"{names} must be set in the environment, or have a default: ${{NAME:-default}}"
        raise ValueError(msg)
    if any(broken for *_, broken in _parts(text)):
        msg = "has a ${ that is no ${NAME} or ${NAME:-default}; a dollar itself is written $$"
        raise ValueError(msg)
    return _REFERENCE.sub(lambda found: _value(found, environ), text)


def mentions_environment(value: object) -> bool:
    """Whether a value, as the file has it, is taken (in part) from the environment."""
    return isinstance(value, str) and any(name for _, name, *_ in _parts(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """Fills one document in. `problems` and `broken` (paths whose value is only a stand-in) grow while it does."""

    environ: Mapping[str, str]
    base: Path  # where relative paths of `<key>_file` begin
    secrets: frozenset[str]  # paths of secret keys, with [] for the items of a list
    problems: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def fill(self, value: object, path: str = "") -> object:
        """Return a filled copy of `value`, which stands at `path`."""
        if isinstance(value, dict):
            filled = {key: self.fill(inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
            return self._with_files(filled, path)
        if isinstance(value, list):
            return [self.fill(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return self._expanded(value, path) if isinstance(value, str) else value

    def _expanded(self, text: str, path: str) -> str:
        try:
            return expand(text, self.environ)
        except ValueError as error:
            self._refuse(path, str(error))
            return text

    def _with_files(self, section: dict[str, object], path: str) -> dict[str, object]:
        files = {key for key in section if self._is_secret_file(key, path)}
        kept = {key: value for key, value in section.items() if key not in files}
        for key in sorted(files):
            place = f"{path}.{key}".lstrip(".")
            secret = key.removesuffix(_SUFFIX)
            if section.get(secret) is not None:
                self._refuse(place, f"is given beside {secret}: keep one of them")
            else:
                kept[secret] = self._read(section[key], place)
        return kept

    def _is_secret_file(self, key: str, path: str) -> bool:
        place = re.sub(r"\[\d+\]", "[]", f"{path}.{key.removesuffix(_SUFFIX)}".lstrip("."))
        return key.endswith(_SUFFIX) and place in self.secrets

    def _read(self, name: object, place: str) -> str:
        problem = "must be the path of a file"
        if place in self.broken:
            problem = ""
        elif isinstance(name, str) and name:
            content, problem = _content(self.base / name)
            if not problem:
                return content
        self.broken.add(place.removesuffix(_SUFFIX))
        if problem:
            self._refuse(place, problem)
        return _UNREADABLE

    def _refuse(self, path: str, problem: str) -> None:
        self.problems.append((path, problem))
        self.broken.add(path)


def _content(path: Path) -> tuple[str, str]:
    """Return (content without its last line break, "") or ("", problem)."""
    try:
        text = path.read_bytes().decode()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        return "", f"cannot be read: {path} ({reason})"
    text = re.sub(r"\r?\n\Z", "", text)
    return text, "" if text else f"is empty: {path}"


def _parts(text: str) -> list[tuple[str | None, str | None, str | None, str | None]]:
    return [(found[1], found[2], found[3], found[4]) for found in _REFERENCE.finditer(text)]


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    value = environ.get(found[2], "")
    return value if value or found[3] is None else found[3]
