"""Who decided: names as people type them, and whether two of them are two people."""

from __future__ import annotations

import unicodedata

from archiver.errors import ConfigError

LONGEST = 100


def person(text: str, where: str = "--by") -> str:
    """Return a name with single blanks. Raises ConfigError for none, a too long one, or what cannot be read."""
    name = " ".join(text.split())
    if not name:
        raise ConfigError(f"{where} must name somebody")
    if len(name) > LONGEST or not name.isprintable():
        raise ConfigError(f"{where}: a name has at most {LONGEST} characters, all of them printable")
    return name


def reason(text: str, where: str = "--reason") -> str:
    """Return a reason on one line. Raises ConfigError for none, and for what cannot be read."""
    said = " ".join(text.split())
    if not said:
        raise ConfigError(f"{where} must say something: it is the evidence for the decision")
    if not said.isprintable():
        raise ConfigError(f"{where} holds characters that cannot be printed")
    return said


def same_person(one: str, other: str) -> bool:
    """Whether two names mean one person: capitals, blanks and punctuation tell nobody apart."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "ZPC")
