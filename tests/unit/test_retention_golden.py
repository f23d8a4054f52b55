"""Every file of tests/golden/retention: terms, recordings and a moment, and what must be decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.core.decision import Action, Reason
from archiver.core.explanation import explain
from archiver.core.lifecycle import MOVES
from archiver.core.retention import decide, decide_archive, decide_erasure, excluded_by
from tests.support.retention_golden import FILES, Expected, Row, read


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_decides_as_the_golden_file_says(path: Path) -> None:
    golden = read(path)
    terms, now, rows = golden.terms(), golden.moment(), golden.recordings
    at_source = {row.id: decide(row.candidate(), terms, now) for row in rows}
    assert at_source == {row.id: row.source.decision() for row in rows}
    in_archive = {row.id: decide_archive(row.candidate(), terms, now) for row in rows}
    assert in_archive == {row.id: row.archive.decision() for row in rows}
    asked = {row.id: row.erasure.decision() for row in rows if row.erasure is not None}
    assert {row.id: decide_erasure(row.candidate(), terms, now) for row in rows if row.id in asked} == asked
    excluded = {row.id: excluded_by(row.candidate(), terms.rules) for row in rows}
    assert excluded == {row.id: row.excluded_by for row in rows}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_policies_say_what_the_golden_file_says(path: Path) -> None:
    golden = read(path)
    terms, now = golden.terms(), golden.moment()
    for row in golden.recordings:
        if row.says is not None:
            candidate, says = row.candidate(), row.says
            told = explain(candidate, terms, now, paused=False)
            assert told.floor == (says.floor and says.floor.bound()), row.id
            assert told.ceiling == (says.ceiling and says.ceiling.bound()), row.id
            assert told.lock_wanted == (says.lock and says.lock.lock()), row.id
            assert terms.rules.regime(candidate).storage_class == says.storage_class, row.id


def rows() -> Iterator[Row]:
    for path in FILES:
        yield from read(path).recordings


def expected() -> Iterator[Expected]:
    for row in rows():
        yield from (one for one in (row.source, row.archive, row.erasure) if one is not None)


def test_there_are_golden_files_enough_and_they_reach_everything() -> None:
    assert len(FILES) >= 40
    assert {one.reason for one in expected()} == set(Reason)
    assert {one.action for one in expected()} == set(Action)
    assert {row.candidate().state for row in rows()} == set(MOVES)


def test_every_golden_file_says_something_of_its_own() -> None:
    titles = [read(path).title for path in FILES]
    assert len(titles) == len(set(titles))
    assert [path.stem.split("-")[0] for path in FILES] == [f"{number:02}" for number in range(1, len(FILES) + 1)]
