"""Who decided: names as people type them, and whether two of them are two people."""

from __future__ import annotations

import unicodedata

from archiver.errors import ConfigError

LONGEST = 100
#: Characters that print as nothing, though Unicode does not call them so: they would make one person two.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for low, high in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for code in range(low, high + 1)
}


def person(text: str, where: str = "--by") -> str:
    """Return a name with single blanks. Raises ConfigError for none, a too long one, or what cannot be read."""
    name = " ".join(text.split())
    if not name:
        raise ConfigError(f"{where} must name somebody")
    if len(name) > LONGEST or not name.isprintable() or _INVISIBLE & set(name):
        raise ConfigError(f"{where}: a name has at most {LONGEST} characters, all of them visible")
    if not any(char.isalpha() for char in name):
        raise ConfigError(f"{where}: a name has letters")
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
    """Whether two names mean one person: capitals, blanks, punctuation and signs tell nobody apart."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "ZPCS")
