"""Names and reasons as people type them, and when two names are one person."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.people import LONGEST, person, reason, same_person
from archiver.errors import ConfigError
from tests.support.retention_drawn import tried

ZERO_WIDTH, JOINER, RIGHT_TO_LEFT, SOFT_HYPHEN = "\u200b", "\u200d", "\u202e", "\u00ad"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Anna", "Anna"),
        ("  Anna \t B.\n", "Anna B."),
        ("Anna\u00a0B\u2003C", "Anna B C"),
        ("O'Neil-Smith, Jr.", "O'Neil-Smith, Jr."),
        ("प्रिया शर्मा", "प्रिया शर्मा"),
        ("李小龍", "李小龍"),
        ("Ægir Þór", "Ægir Þór"),
        ("anna+audit@example.org", "anna+audit@example.org"),
        ("Anna\u2028B", "Anna B"),
    ],
)
def test_a_name_stays_as_it_is_typed_but_for_its_blanks(typed: str, name: str) -> None:
    assert person(typed) == name
    assert person(name) == name


@pytest.mark.parametrize(
    "typed",
    [
        f"An{ZERO_WIDTH}na", f"Anna{RIGHT_TO_LEFT}", f"An{SOFT_HYPHEN}na", f"क{JOINER}ष", "An\x00na", "An\x1b[31mna",
        "An\x7fna", "\ufeffAnna", "Anna\ud800", "Anna\ue000", "Anna\U000e0041",
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_refused_in_a_name_and_in_a_reason(typed: str) -> None:
    with pytest.raises(ConfigError, match="--by: a name has at most 100 characters, all of them visible"):
        person(typed)
    with pytest.raises(ConfigError, match="--reason holds characters that cannot be printed"):
        reason(typed)


@pytest.mark.parametrize("typed", ["", " ", "\t\n", "\u3000"])
def test_nobody_and_nothing_are_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="author must name somebody"):
        person(typed, "author")
    with pytest.raises(ConfigError, match="it is the evidence for the decision"):
        reason(typed)


@pytest.mark.parametrize(
    "typed", ["Anna\u3164", "\u2800Anna", "An\ufe0fna", "Anna\u034f", "An\u115fna", "Anna\U000e0100"]
)
def test_what_prints_as_nothing_is_refused_in_a_name_though_it_can_be_printed(typed: str) -> None:
    with pytest.raises(ConfigError, match="all of them visible"):
        person(typed)


@pytest.mark.parametrize("typed", ["...", "1234", "-", "+", "12 34"])
def test_a_name_has_letters(typed: str) -> None:
    with pytest.raises(ConfigError, match="--by: a name has letters"):
        person(typed)


def test_a_name_has_an_end_and_a_reason_has_none() -> None:
    assert person("a" * LONGEST) == "a" * LONGEST
    assert person(f" {'a' * LONGEST} ") == "a" * LONGEST
    with pytest.raises(ConfigError, match="at most 100"):
        person("a" * (LONGEST + 1))
    assert reason("because " * 1000) == ("because " * 1000).strip()


def test_a_reason_comes_on_one_line() -> None:
    assert reason(" a court\n  order,\tno. 7 — “urgent” ") == "a court order, no. 7 — “urgent”"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna B", "anna b"),
        ("Anna B", "AnnaB"),
        ("Anna B.", "anna, b"),
        ("Anna-Lena", "Anna Lena"),
        ("anna_b", "anna.b"),
        ("Straße", "STRASSE"),
        ("\ufb01ona", "FIONA"),
        ("\uff21\uff4e\uff4e\uff41", "anna"),
        ("Jose\u0301", "JOSÉ"),
        ("प्रिया शर्मा", "प्रियाशर्मा"),
        (f"An{ZERO_WIDTH}na", "Anna"),
        (f"{RIGHT_TO_LEFT}Anna", "Anna"),
        (f"क{JOINER}ष", "कष"),
        ("...", "--"),
    ],
)
def test_spelling_makes_no_second_person(one: str, other: str) -> None:
    assert same_person(one, other)
    assert same_person(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Anna", "Hanna"), ("Anna 1", "Anna 2"), ("Jose", "José"), ("प्रिया", "प्रीया"), ("Anna B", "B Anna"), ("Anna", "")],
)
def test_other_letters_do(one: str, other: str) -> None:
    assert not same_person(one, other)


@tried()
@given(st.text(st.characters(categories=["Z", "P", "C"]), max_size=5))
def test_no_blank_mark_or_unseen_character_ever_makes_two_of_one(odd: str) -> None:
    assert same_person(f"{odd}An{odd}na{odd}", "Anna")


@pytest.mark.parametrize("mark", string.punctuation)
def test_no_mark_on_the_keyboard_makes_a_second_person(mark: str) -> None:
    assert same_person(f"Anna{mark}", "Anna")
    assert same_person(f"An{mark}na", "Anna")


@tried()
@given(st.text(max_size=150))
def test_a_name_that_is_taken_is_printable_short_and_stays_the_same(typed: str) -> None:
    try:
        name = person(typed)
    except ConfigError:
        return
    assert name == person(name)
    assert name.isprintable()
    assert 0 < len(name) <= LONGEST
    assert same_person(name, typed)
