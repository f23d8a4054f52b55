"""What secrets, people's data and phone numbers look like inside text. Every pattern takes linear time."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"
PHONE = "[phone]"

_WORD_LIKE = 8  # characters: a shorter secret may be part of other words
_LONG = 16  # characters: no word is that long by chance
_MAX_DIGITS = 15  # of a phone number (E.164)

_PEOPLE = "caller_?id|cnam|dnis|extensions?|file_?name|user_?name|login_name|phone(?:_number)?|email"
_SECRETS = r"[\w-]{0,40}(?:token|passw(?:or)?d|secret|api_?key|signature|credential)"
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_POSSIBLE = re.compile(
    "[\\s:=,\x00-\x1f\x7f-\x9f\u2028\u2029]"
)  # without one of these no pattern can match: ids, digests

_PATTERNS = (
    # Library messages that quote what they were given, up to where the quotation ends.
    (re.compile(r"(?s)\bDETAIL: .*?(?=\n(?:HINT|CONTEXT|QUERY): |\n\[SQL|\Z)"), f"DETAIL: {REDACTED}"),
    (re.compile(r"\[parameters: .*"), f"[parameters: {REDACTED}]"),
    (re.compile(r"input_value=.*?(?=, input_type=|\n|$)"), f"input_value={REDACTED}"),
    (re.compile(r"\bexception=([\w.]+)\(.*"), r"exception=\1"),  # asyncio, of a task that nobody awaited
    # Credentials by their form: headers, URLs.
    (re.compile(r"(?i)\b(bearer|basic)\s+(?!\[redacted)[\w.~+/=:%-]+"), rf"\1 {REDACTED}"),
    (re.compile(r"""(?i)(authorization\b["']?\s*[:=,]\s*)[^\r\n,})]+"""), rf"\1{REDACTED}"),
    (re.compile(r"(://)[^\s/@]+(?:@[^\s/@]+)*@"), rf"\1{REDACTED}@"),
    # key='value', "key": "value", ?key=value&, key: value
    (
        re.compile(rf"""(?i)\b({_PEOPLE}|{_SECRETS})(["']?\s*[:=]\s*)(?:{_QUOTED}|[\[(][^\])]*[\])])"""),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(rf"""(?i)\b({_PEOPLE}|{_SECRETS})=(?!\[redacted)[^\s&,;)}}\]"']+"""), rf"\1={REDACTED}"),
    (
        re.compile(rf"""(?i)(?<![.\w])({_PEOPLE})(["']?:\s*)(?!\[redacted)[^\s"'&,;)}}\]][^&,;)}}\]\n]*"""),
        rf"\1\2{REDACTED}",
    ),
)

_DATE = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-[0-3]\d(?!\d)"
_KEPT = "|".join(
    (
        rf"(?<!\d){_DATE}(?:[T ]\d\d:?\d\d(?::?\d\d(?:[.,]\d{{1,9}})?)?)?(?:Z|[+-]\d\d:?\d\d)?",
        r"(?<!\d)(?:19|20)\d{6}T\d{6}Z?",
        r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
        r"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^\s?#\"'<>]+",
        r"(?<![\w.=+-])/?[A-Za-z_.][\w.=+-]*/(?:[\w.=%+-]+/)+[\w.=%+-]*",  # a bucket key or a path: two slashes or more
        r"(?<![A-Za-z0-9])[A-Za-z]*\d+[A-Za-z]+(?:\d+[A-Za-z]+)+\d*",  # digests and ids: letters and digits in turns
    )
)
_NUMBER = rf"(?:\+|%2[Bb])?(?<!\d)\(?\d(?:[ \u00a0()-]{{0,2}}(?!{_DATE})\d){{6,}}"
_TOKENS = re.compile(rf"(?P<kept>{_KEPT})|(?P<number>{_NUMBER})")
_INTERNATIONAL = re.compile(r"(?<![\w.+])(?:\+|%2[Bb])\d(?:[ \u00a0()-]{0,2}\d){6,14}(?!\d)")
_COUNTED = re.compile(
    r"(?i)(?<!caller )(?<!caller_)\b(?:recordings?|size|bytes?|job|part|page|line|pid|port|offset|length|row|status|"
    r"version|revision|attempt|range|account|sha256|etag|ids?)[\s:=#(\"'\[]{0,3}$"
)
_UNIT = re.compile(
    r"(?i)\.\d|(?: (?:of|and|or|to|not) \d{1,15})?\s?"
    r"(?:bytes?|[kmgt]i?b|b|ms|s|seconds?|items?|rows?|recordings?|requests?)\b"
)


def secret_pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for the secrets in every form in which they may appear; None without secrets."""
    known = [line for secret in secrets for line in _lines(secret) if line.strip()]
    forms = {form: _is_distinct(one) for one in known for form in _forms(one)}
    forms |= {core: True for one in known if len(one) >= _WORD_LIKE for core in _base64_cores(one.encode())}
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    parts = [re.escape(form) if forms[form] else rf"(?<!\w){re.escape(form)}(?!\w)" for form in ordered]
    return re.compile("|".join(parts)) if parts else None


def without_patterns(text: str) -> str:
    """Return `text` without credentials and people's data that show by their form; control characters escaped."""
    if not _POSSIBLE.search(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def without_phones(text: str, *, bare: bool) -> str:
    """Replace numbers written with a plus; with `bare` also runs of 7 to 15 digits that nothing calls a count or id."""
    if bare:
        text = _TOKENS.sub(_judged, text)
    return _INTERNATIONAL.sub(PHONE, text)


def _judged(found: re.Match[str]) -> str:
    number = found["number"]
    if number is None:
        return found[0]
    plain = number.isdigit()
    if plain and (len(number) > _MAX_DIGITS or _is_counted(found)):
        return number
    return PHONE


def _is_counted(found: re.Match[str]) -> bool:
    text, start, end = found.string, found.start(), found.end()
    return bool(_COUNTED.search(text[max(0, start - 40) : start]) or _UNIT.match(text, end))


def _is_distinct(secret: str) -> bool:
    """Whether a secret cannot be part of ordinary text. Another (`archiver`) goes only where it stands alone."""
    return len(secret) >= _LONG or (len(secret) >= _WORD_LIKE and not secret.isalpha())


def _forms(secret: str) -> Iterator[str]:
    """Yield the secret itself, and how a URL, JSON and a repr write it."""
    yield secret
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret), quote_plus(secret, safe="/")):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])


def _lines(secret: str) -> set[str]:
    return {secret, *(line for line in secret.splitlines() if len(line) >= _WORD_LIKE)}


def _base64_cores(secret: bytes) -> Iterator[str]:
    """Yield what base64 makes of the secret wherever it begins in a longer text (`Basic` of user:password)."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + secret).decode().rstrip("=")
        mixed = 1 if (before + len(secret)) % 3 else 0  # the last character holds bits of what follows
        core = encoded[(0, 2, 3)[before] : len(encoded) - mixed]
        yield core
        yield core.replace("+", "-").replace("/", "_")
