"""The documents say what the program does: events, commands, errors, links. What is undocumented fails here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from archiver import errors
from archiver.cli import cli

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
LEVELS = {"debug", "info", "warning", "error", "exception"}


def logged() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Every event that the source logs: name, level, fields."""
    for path in sorted((ROOT / "archiver").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                level = "error" if node.func.attr == "exception" else node.func.attr
                yield node.args[0].value, level, frozenset(str(each.arg) for each in node.keywords)


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Every event of docs/events.md: level and fields."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", (DOCS / "events.md").read_text(), flags=re.MULTILINE)
    return {name: (level, frozenset(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows}


def test_every_event_is_documented_with_its_fields() -> None:
    """docs/events.md and the source agree, in both directions."""
    told = documented()
    source: dict[str, tuple[str, frozenset[str]]] = {}
    for name, level, fields in logged():
        before = source.get(name, (level, frozenset[str]()))
        source[name] = (level, before[1] | fields)

    assert source == told


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command with its full name, and its long options."""

    def walk(name: str, command: object) -> Iterator[tuple[str, list[str]]]:
        nested = getattr(command, "commands", None)
        if nested is None:
            options = [each for option in getattr(command, "params", []) for each in option.opts]
            yield name, [each for each in options if each.startswith("--") and each != "--help"]
            return
        for part, below in nested.items():
            yield from walk(f"{name} {part}".strip(), below)

    yield from walk("", typer.main.get_command(cli))


def test_the_commands_are_seen() -> None:
    """The test below would pass on an empty list."""
    assert dict(commands())["search"]


@pytest.mark.parametrize(("name", "options"), list(commands()))
def test_every_command_and_option_is_documented(name: str, options: list[str]) -> None:
    """docs/commands.md has a section for each command that names each of its options."""
    section = re.search(
        rf"^## archiver {re.escape(name)}$(.*?)(?=^## |\Z)",
        (DOCS / "commands.md").read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    assert section, f"docs/commands.md has no section 'archiver {name}'"
    assert [option for option in options if f"`{option}" not in section[1]] == []


def test_every_error_is_documented() -> None:
    """docs/operations.md has a row for each kind of error."""
    text = (DOCS / "operations.md").read_text()
    kinds = [name for name, value in vars(errors).items() if isinstance(value, type) and name != "annotations"]
    assert kinds
    assert [name for name in kinds if f"`{name}`" not in text] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))], ids=str)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """No relative link is broken."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
