"""The shape of the program: what imports what, what the core may know of, and how long things may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "archiver").rglob("*.py"))
CORE = sorted((ROOT / "archiver" / "core").glob("*.py"))

#: All that the core may import besides itself and the errors: nothing that acts, nothing that knows the time.
PURE = {"__future__", "collections", "collections.abc", "dataclasses", "datetime", "decimal", "enum", "fnmatch"} | {
    "bisect", "functools", "hashlib", "itertools", "json", "math", "re", "struct", "types", "typing", "unicodedata",
    "zoneinfo",
}  # fmt: skip
ACTS = {"open", "print", "input", "exec", "eval", "__import__"}
CLOCKS = {"now", "utcnow", "today"}


def test_imports_point_inwards() -> None:
    # in a process of its own: it configures logging, and so silences the loggers of other tests
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.stem))
def test_the_core_knows_nothing_but_values(path: Path) -> None:
    tree = ast.parse(path.read_text())
    outside = {
        name for name in imported(tree) if name.split(".")[:2] not in (["archiver", "core"], ["archiver", "errors"])
    }
    assert outside <= PURE
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & ACTS
    asked = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not asked & CLOCKS
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function, decorators left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_and_functions_stay_small() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}
    sizes = [size for path in SOURCES for size in functions(path)]
    assert [(name, lines) for name, lines in sizes if lines > 50] == []
    assert median(lines for _, lines in sizes) < 10


def test_these_tests_look_at_the_whole_program() -> None:
    assert {"core", "stages", "adapters", "settings", "simulator", "cli", "logs"} <= {
        path.parent.name for path in SOURCES
    }
    assert len(CORE) > 10
