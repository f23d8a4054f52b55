"""What is said of a pass beside its numbers: only what a person should know."""

from __future__ import annotations

import pytest

from archiver.cli.summary import notes
from archiver.core.report import PassReport


def said(**facts: object) -> list[str]:
    """Notes of a report that holds these facts."""
    report = PassReport("acme")
    for name, value in facts.items():
        setattr(report, name, value)
    return list(notes(report))


def test_of_a_pass_without_trouble_nothing_more_is_said() -> None:
    assert said(listed=100, new=3, late=1, clock_seconds=300) == []


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({"endangered": 7}, "[red]endangered[/]: 7 that the source deletes soon were not archived at first"),
        ({"recounts_due": 40}, "40 older days left to ask about again, as the quota allows"),
        ({"clock_seconds": 7200}, "[red]clocks differ[/]: the source's is 2h ahead of this host's."),
        ({"clock_seconds": -301}, "[red]clocks differ[/]: the source's is 5m behind this host's."),
    ],
)
def test_what_needs_a_person_is_said(facts: dict[str, object], note: str) -> None:
    [told] = said(**facts)
    assert told.startswith(note)
