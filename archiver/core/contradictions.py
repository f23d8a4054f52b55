"""Policies that ask for what cannot be done together, wherever both may be about the same call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, time
from itertools import permutations

from archiver.core.duration import Duration, never_shorter_anywhere
from archiver.core.match import Dates, Hours, Match, name, number
from archiver.core.policy import Policy


def contradictions(policies: Sequence[Policy]) -> Iterator[tuple[int, str]]:
    """Find pairs that contradict each other. Yields a policy's position, and what is wrong, the other one named."""
    for (place, one), (_, other) in permutations(enumerate(policies), 2):
        problem = _about_times(one, other) or _about_class(one, other)
        if problem and may_overlap(one.match, other.match):
            yield place, problem


def may_overlap(one: Match, other: Match) -> bool:
    """Whether some call could be meant by both. A call has several extensions and rules, so these never tell apart."""
    return (
        _share(one.accounts, other.accounts)
        and _share(one.directions, other.directions)
        and _patterns_share(one.callers, other.callers, number)
        and _patterns_share(one.dnis, other.dnis, number)
        and _patterns_share(one.cnam, other.cnam, name)
        and _lengths_meet(one, other)
        and _dates_meet(one.dates, other.dates)
        and _hours_meet(one.hours, other.hours)
    )


def _about_times(one: Policy, other: Policy) -> str | None:
    floor, ceiling = one.keep_at_least, other.delete_after
    if floor is None or one.delete_after is not None or not isinstance(ceiling, Duration):
        return None
    if never_shorter_anywhere(ceiling, floor):
        return None
    return (
        f"contradicts policy {other.name!r}: this one keeps for at least {floor}, that one lets the copy go after "
        f"{ceiling}, and both can be about the same call; give this one an archive.delete_after of its own, a time "
        "or never, or narrow one of both"
    )


def _about_class(one: Policy, other: Policy) -> str | None:
    if one.name < other.name or None in (one.storage_class, other.storage_class):  # said once
        return None
    if one.storage_class == other.storage_class:
        return None
    return (
        f"contradicts policy {other.name!r}: this one wants storage class {one.storage_class}, that one "
        f"{other.storage_class}, and both can be about the same call"
    )


def _share(one: Sequence[str], other: Sequence[str]) -> bool:
    return not one or not other or bool(set(one) & set(other))


def _patterns_share(one: Sequence[str], other: Sequence[str], plain: Callable[[str], str]) -> bool:
    if not one or not other:
        return True
    (exact, wild), (others_exact, others_wild) = _sorted_out(one, plain), _sorted_out(other, plain)
    if exact & others_exact:
        return True
    mixed = ((exact | wild, others_wild), (wild, others_exact))
    return any(patterns_meet(left, right) for some, others in mixed for left in some for right in others)


def _sorted_out(patterns: Sequence[str], plain: Callable[[str], str]) -> tuple[set[str], set[str]]:
    """Tell whole texts from those with * or ?: a file may hold hundreds, and the former are compared at once."""
    texts = {plain(pattern) for pattern in patterns}
    wild = {text for text in texts if "*" in text or "?" in text}
    return texts - wild, wild


def patterns_meet(one: str, other: str) -> bool:
    """Whether some text fits both patterns (* any text, ? one character)."""
    meet = [[False] * (len(other) + 1) for _ in range(len(one) + 1)]  # [i][j]: what is left from there on
    for i in range(len(one), -1, -1):
        for j in range(len(other), -1, -1):
            left, right = one[i : i + 1], other[j : j + 1]
            if not left and not right:
                meet[i][j] = True
            elif "*" in (left, right):  # it stands for nothing, or for one character more
                skips = left == "*" and (meet[i + 1][j] or (right != "" and meet[i][j + 1]))
                meet[i][j] = skips or (right == "*" and (meet[i][j + 1] or (left != "" and meet[i + 1][j])))
            elif left and right:
                meet[i][j] = (left == right or "?" in (left, right)) and meet[i + 1][j + 1]
    return meet[0][0]


def _lengths_meet(one: Match, other: Match) -> bool:
    def reach(match: Match) -> tuple[float, float]:
        return (
            match.min_duration.total_seconds if match.min_duration else 0,
            match.max_duration.total_seconds if match.max_duration else float("inf"),
        )

    (least, most), (others_least, others_most) = reach(one), reach(other)
    return least <= others_most and others_least <= most


def _dates_meet(one: Dates | None, other: Dates | None) -> bool:
    if one is None or other is None:
        return True
    first = max(one.since or date.min, other.since or date.min)
    return first <= min(one.until or date.max, other.until or date.max)


def _hours_meet(one: Hours | None, other: Hours | None) -> bool:
    """Two stretches of the day meet where one begins inside the other."""
    if one is None or other is None:
        return True
    beginnings: tuple[tuple[Hours, time], ...] = ((one, other.since), (other, one.since))
    return any(hours.covers(moment) for hours, moment in beginnings)
