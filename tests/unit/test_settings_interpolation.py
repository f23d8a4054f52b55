"""`${NAME}`, `${NAME:-default}` and `$$`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.settings.interpolation import expand, mentions_environment
from tests.support.settings import MINIMAL, changed, load_document

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${SET}", "value"),
        ("a${SET}b${SET}c", "avaluebvaluec"),
        ("${SET:-other}", "value"),
        ("${EMPTY:-other}", "other"),
        ("${NOT_SET:-other}", "other"),
        ("${NOT_SET:-}", ""),
        ("${NOT_SET:-a:-b $ c}", "a:-b $ c"),
        ("${EMPTY}", ""),
        ("$$", "$"),
        ("$${SET}", "${SET}"),
        ("$$${SET}", "$value"),
        ("$SET", "$SET"),
        ("a$", "a$"),
        ("pa$word", "pa$word"),
        ("${NESTED}", "${SET} $$"),
    ],
)
def test_references_are_replaced(text: str, expanded: str) -> None:
    assert expand(text, {"SET": "value", "EMPTY": "", "NESTED": "${SET} $$"}) == expanded


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${A", "${A:default}", "${A-b}", "x ${A?} y"])
def test_a_reference_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a dollar itself is written"):
        expand(text, {"A": "x"})


def test_every_variable_that_is_not_set_is_named_once() -> None:
    with pytest.raises(ValueError, match=r"^A and B must be set in the environment"):
        expand("${A}${B}${A}${C:-}", {})


@given(TEXTS)
def test_doubling_the_dollars_keeps_any_text(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text


@given(NAMES, TEXTS, TEXTS, TEXTS)
def test_a_value_is_taken_as_it_is(name: str, before: str, value: str, after: str) -> None:
    def escape(text: str) -> str:
        return text.replace("$", "$$")

    expanded = expand(f"{escape(before)}${{{name}}}{escape(after)}", {name: value})

    assert expanded == before + value + after


@given(NAMES, TEXTS.filter(lambda text: "}" not in text), st.one_of(st.none(), TEXTS))
def test_the_default_stands_in_for_nothing_and_for_empty(name: str, default: str, value: str | None) -> None:
    environ = {} if value is None else {name: value}

    assert expand(f"${{{name}:-{default}}}", environ) == (value or default)


@given(TEXTS)
def test_text_without_a_dollar_needs_no_environment(text: str) -> None:
    plain = text.replace("$", "")

    assert expand(plain, {}) == plain
    assert not mentions_environment(plain)


def test_numbers_times_and_durations_may_come_from_the_environment(tmp_path: Path) -> None:
    environ = {"N": "20", "EVERY": "5m", "FROM": "2024-06-01T00:00:00Z", "HTTP": "true"}
    document = {**changed("accounts[0].start_from", "${FROM}"), "sync": {"concurrency": "${N}", "every": "${EVERY}"}}
    document["vault"] = {"bucket": "calls", "endpoint_url": "http://store:9000", "allow_http": "${HTTP}"}

    settings = load_document(tmp_path, document, environ)

    assert (settings.sync.concurrency, settings.sync.every.total_seconds()) == (20, 300)
    assert settings.accounts[0].start_from.month == 6
    assert settings.vault.allow_http is True


def test_keys_are_not_expanded_and_secret_files_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("${HOME}$$")
    document = changed("accounts[0].auth", {"token_file": "${DIR}/token"})

    settings = load_document(tmp_path, document, {"DIR": str(tmp_path)})

    assert "${HOME}$$" in settings.secrets()
    assert MINIMAL["vault"] == {"bucket": "call-archive"}
