"""The lifecycle: which ways there are, and which there are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.lifecycle import ARCHIVED, AT_SOURCE, MOVES, PENDING, require_move
from archiver.core.model import State
from archiver.errors import Conflict


def reachable(start: State, *, without: frozenset[State] = frozenset()) -> set[State]:
    """Every state that can be come to, avoiding some; the start itself only where a way leads back."""
    found: set[State] = set()
    pending = [start]
    while pending:
        onward = MOVES[pending.pop()] - without - found
        found |= onward
        pending += onward
    return found


@given(st.lists(st.sampled_from(State), max_size=50))
def test_a_walk_of_tries_stays_inside_the_moves(tries: list[State]) -> None:
    state = State.DISCOVERED
    for after in tries:
        if after in MOVES[state]:
            require_move(state, after)
            state = after
        else:
            with pytest.raises(Conflict, match=f"from {state} to {after}"):
                require_move(state, after)


def test_every_state_is_described_and_can_be_come_to() -> None:
    assert set(MOVES) == set(State)
    assert reachable(State.DISCOVERED) == set(State)


@pytest.mark.parametrize("state", State)
def test_no_move_leads_nowhere(state: State) -> None:
    with pytest.raises(Conflict):
        require_move(state, state)


def test_what_has_expired_stays_so() -> None:
    assert reachable(State.EXPIRED) == set()
    assert [state for state in State if not MOVES[state]] == [State.EXPIRED]


def test_only_what_was_stored_or_quarantined_can_be_verified() -> None:
    """Or what was verified before, and was handed back by the purge or the expiry."""
    into = {state for state in State if State.VERIFIED in MOVES[state]}
    assert into == {State.STORED, State.QUARANTINED, State.PURGING, State.EXPIRING}
    assert State.VERIFIED not in reachable(State.DISCOVERED, without=frozenset({State.STORED, State.QUARANTINED}))


def test_nothing_is_deleted_at_the_source_that_was_not_verified() -> None:
    assert {state for state in State if State.PURGING in MOVES[state]} == {State.VERIFIED}
    into = {state for state in State if State.PURGED in MOVES[state]}
    # expiring hands it back; stored: it was deleted before the catalogue was rebuilt
    assert into == {State.PURGING, State.QUARANTINED, State.EXPIRING, State.STORED}
    assert State.PURGING not in reachable(State.DISCOVERED, without=frozenset({State.VERIFIED}))


def test_nothing_goes_from_the_archive_that_was_not_about_to_go_and_proved_before() -> None:
    assert {state for state in State if State.EXPIRED in MOVES[state]} == {State.EXPIRING}
    assert {state for state in State if State.EXPIRING in MOVES[state]} == {State.VERIFIED, State.PURGED}
    proved = frozenset({State.VERIFIED, State.PURGED})
    assert State.EXPIRED not in reachable(State.DISCOVERED, without=proved)


def test_a_deletion_that_has_begun_in_the_archive_ends_where_it_came_from_or_with_nothing_left() -> None:
    assert MOVES[State.EXPIRING] == {State.VERIFIED, State.PURGED, State.EXPIRED}


def test_the_groups_cover_what_their_names_say() -> None:
    assert not ARCHIVED & PENDING
    assert {State.PURGED, State.EXPIRING, State.EXPIRED} == set(State) - AT_SOURCE
    assert PENDING <= AT_SOURCE
    assert set(State) - ARCHIVED - PENDING == {State.QUARANTINED, State.EXPIRING, State.EXPIRED, State.EXCLUDED}
