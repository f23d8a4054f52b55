"""Exceptions as text for a log: type, message and frames. No locals, no source lines, no values of parameters.

Libraries put what they were given into their messages: pydantic the input, SQLAlchemy the parameters, Postgres
the failing row. For those families the message is rebuilt from the parts that cannot hold people's data.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from traceback import extract_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_CHAIN_LIMIT = 20  # links and members of groups
_FRAME_LIMIT = 60
_QUOTED_AT_END = re.compile(r"""(?s): b?(?:'.*'|".*")$""")
_NAME = re.compile(r"'[a-z_][\w.-]{0,60}'")
_DATA_EXCEPTION = "22"  # SQLSTATE class whose primary message quotes the value


def describe(error: BaseException) -> str:
    """Return `Type: message` on one or more lines, without what a person said or did. Not yet redacted."""
    message = _message(error)
    return f"{_type_name(type(error))}: {message}" if message else _type_name(type(error))


def render(error: BaseException, redact: Callable[[str], str]) -> str:
    """Return the exception, its frames and everything that it came from, each text redacted by itself."""
    return "\n".join(_lines(error, redact, set()))


def _lines(error: BaseException, redact: Callable[[str], str], seen: set[int]) -> Iterator[str]:
    if id(error) in seen or len(seen) >= _CHAIN_LIMIT:
        return
    seen.add(id(error))
    yield redact(describe(error))
    yield from (redact(note) for note in getattr(error, "__notes__", ()) if isinstance(note, str))
    yield from _frames(error.__traceback__)
    for index, member in enumerate(error.exceptions if isinstance(error, BaseExceptionGroup) else ()):
        yield f"member {index + 1}:"
        yield from _lines(member, redact, seen)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield "caused by:" if error.__cause__ else "while handling:"
        yield from _lines(before, redact, seen)


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    for frame in extract_tb(traceback, limit=-_FRAME_LIMIT) if traceback else ():
        yield f"  {'/'.join(PurePath(frame.filename).parts[-3:])}:{frame.lineno} in {frame.name}"


def _type_name(kind: type[BaseException]) -> str:
    own = kind.__module__ in {"builtins", "archiver.errors"}
    return kind.__qualname__ if own else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    families = [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
    rebuilt = next((_LIBRARIES[family] for family in families if family in _LIBRARIES), _python)
    return rebuilt(error)


def _python(error: BaseException) -> str:
    """Return the message of one of Python's own exceptions, or of ours; some of Python's quote what they were given."""
    if isinstance(error, UnicodeError):
        return str(getattr(error, "reason", ""))
    if isinstance(error, KeyError):
        return str(error) if _NAME.fullmatch(str(error)) else "…"
    if type(error) is ValueError:
        return _without_quoted_end(error)
    if isinstance(error, BaseExceptionGroup):
        return f"{error.message} ({len(error.exceptions)} members)"
    return str(error)


def _without_quoted_end(error: BaseException) -> str:
    """Drop what is quoted last: `invalid literal for int() with base 10: 'Jane'`, `Invalid port: '…'`."""
    return _QUOTED_AT_END.sub(": …", str(error))


def _pydantic(error: BaseException) -> str:
    listing = getattr(error, "errors", None)
    if not callable(listing):
        return ""
    try:
        details = listing(include_input=False, include_url=False, include_context=False)
    except TypeError:
        return ""
    return "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['type']}" for detail in details)


def _postgres(error: BaseException) -> str:
    diag = getattr(error, "diag", None)
    state = getattr(error, "sqlstate", None) or getattr(diag, "sqlstate", None)
    if not state:
        return str(error)  # raised by the driver itself: there is no row yet that it could quote
    names = (("constraint", "constraint_name"), ("table", "table_name"), ("column", "column_name"))
    found = [f"{label} {value}" for label, name in names if (value := getattr(diag, name, None))]
    primary = getattr(diag, "message_primary", None)
    quoted = state.startswith(_DATA_EXCEPTION) or not primary
    return ", ".join([f"SQLSTATE {state}", *found, *(() if quoted else (str(primary),))])


def _botocore(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = response.get("Error", {}).get("Code")
        return f"{getattr(error, 'operation_name', '?')}: {code} (HTTP {status})"
    if "report" in getattr(error, "kwargs", {}):  # parameters were refused: the report quotes them
        return "a parameter was refused before the request"
    return str(error)


def _sqlalchemy(error: BaseException) -> str:
    original, statement = getattr(error, "orig", None), getattr(error, "statement", None)
    if isinstance(original, BaseException):
        return describe(original) + (f" [SQL: {statement}]" if statement else "")
    return str(error.args[0]) if error.args else ""


_LIBRARIES: dict[str, Callable[[BaseException], str]] = {
    "botocore": _botocore,
    "httpx": _without_quoted_end,
    "psycopg": _postgres,
    "pydantic": _pydantic,
    "pydantic_core": _pydantic,
    "sqlalchemy": _sqlalchemy,
}
