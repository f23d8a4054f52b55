from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from archiver.errors import ConfigError
from archiver.validation import DurationText, problems_of
from archiver.yaml_file import load_yaml, parse_yaml

SECRET = "hunter2-s3cr3t"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: {c: 1,\n  c: 2}\n", r"f\.yaml:3:3: the key 'c' stands twice"),
        ("a: 1\na: 2\n", r"f\.yaml:2:1: the key 'a' stands twice"),
        ("a: 1\n'a': 2\n", r"f\.yaml:2:1: the key 'a' stands twice"),
        ("on: 1\n", r"f\.yaml:1:1: a key must be text"),
        ("5: 1\n", r"f\.yaml:1:1: a key must be text"),
        ("? [a]\n: 1\n", r"f\.yaml:1:3: a key must be text"),
        ("a: [1,\n", r"f\.yaml:2:1: not valid YAML here"),
        ("a:\n\t- 1\n", r"f\.yaml:2:1: not valid YAML here"),
        ("a: *b\n", r"f\.yaml:1:4: a text that begins with \* & or !"),
        ("a: !b c\n", r"f\.yaml:1:4: a text that begins with \* & or !"),
        ("a: 2024-02-31\n", r"f\.yaml:1:4: this looks like a date or a number"),
        ("a: 1\n---\nb: 2\n", r"f\.yaml:2:1: .*one document"),
        ("a: \x00\n", r"f\.yaml: holds a character"),
        ("[" * 10_000, r"f\.yaml: is nested too deeply"),
    ],
)
def test_names_file_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=f"^{place}"):
        parse_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    "text",
    [
        f"token: *{SECRET}",
        f"token: !{SECRET} x",
        f"token: '{SECRET}",
        f"token: {SECRET}: {SECRET}",
        f"token: &a {SECRET}\n  b: &a {SECRET}",
        f"token: !{SECRET}!{SECRET} x",
        f"token: @{SECRET}",
        f"%YAML {SECRET}\n---\na: b",
        f"token: [{SECRET}\nb: }}",
    ],
)
def test_no_value_is_ever_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_yaml(text, "f.yaml")
    shown = f"{refused.value} {refused.value.__cause__} {refused.value.hint}"
    assert SECRET not in shown
    assert refused.value.__suppress_context__


def test_merge_keys_and_anchors_work() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {<<: *x, b: 3}\nz: {<<: *y, a: 4}\n"
    data = {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 4, "b": 3}}
    assert parse_yaml(text, "f.yaml") == data


def test_reads_files(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert load_yaml(file) == {"a": 1}
    file.write_bytes(b"")
    assert load_yaml(file) is None
    file.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"f\.yaml: is not UTF-8 text \(byte 4\)"):
        load_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = 0
    wait: DurationText | None = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rows: list[Inner] = []
    named: dict[str, Inner] = {}
    either: Inner | bool = False


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"row": []}, {"row": "unknown key; did you mean 'rows'?"}),
        ({"rows": [{}, {"nummer": 1}]}, {"rows[1].nummer": "unknown key; did you mean 'number'?"}),
        ({"named": {"x": {"q": 1}}}, {"named.x.q": "unknown key (known here: number, wait)"}),
        ({"named": {"x": {"number": "secret"}}}, {"named.x.number": None}),
        ({"rows": [{"wait": "secret"}]}, {"rows[0].wait": None}),
        (
            {"either": {"numbr": 1}},
            {"either.numbr": "unknown key; did you mean 'number'?", "either": "must be true or false"},
        ),
        ("secret", {"(file)": "must hold keys and values"}),
    ],
)
def test_pydantic_s_errors_become_paths_of_the_file(data: object, expected: dict[str, str | None]) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(data)
    found = dict(problems_of(refused.value, Outer))
    assert list(found) == list(expected)
    assert all(message in (None, found[path]) for path, message in expected.items())
    assert "secret" not in str(found)


def test_numbers_are_read_as_they_are_written() -> None:
    """Leading zeros, times and underscores stay text: YAML 1.1 would make 83 of 0123 and 930 of 15:30."""
    read = parse_yaml("[0123, 15:30, 1_000, 12, -3, 2.5, 0]", "here")

    assert read == ["0123", "15:30", "1_000", 12, -3, 2.5, 0]
