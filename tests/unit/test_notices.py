"""What a channel is told, and when: examples, and laws that hold whatever comes and goes, arrives or is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.health import Level
from archiver.core.notice_text import body, title
from archiver.core.notices import (
    WINDOW,
    Happening,
    Memory,
    Notice,
    Rules,
    Seen,
    Trouble,
    delivered,
    draft,
    joined,
    observe,
    undelivered,
)
from tests.support.rows import NOW

MINUTE = timedelta(minutes=1)
RULES = Rules(level=Level.WARNING, settle=2 * MINUTE, quiet_for=timedelta(hours=4), per_hour=10)


def trouble(key: str = "pending/acme", level: Level = Level.WARNING) -> Trouble:
    return Trouble(key=key, level=level, text=f"{key} is wrong")


@dataclass
class Talk:
    """A channel over time; a step of it is a minute."""

    rules: Rules = RULES
    memory: Memory = field(default_factory=Memory)
    minute: int = 0
    said: list[tuple[int, Notice]] = field(default_factory=list)  # delivered or not
    arrived: list[tuple[int, Notice]] = field(default_factory=list)

    def look(self, *troubles: Trouble, happened: Sequence[Happening] = (), works: bool = True, blind: bool = False,
             minutes: int = 1, parting: bool = False) -> Notice | None:  # fmt: skip
        """See the same for some minutes; returns the last message of them."""
        found = None
        for index in range(minutes):
            now = NOW + self.minute * MINUTE
            seen = Seen(troubles=troubles, happened=happened if index == 0 else (), hidden=lambda _: blind)
            self.memory = observe(self.memory, seen, self.rules, now)
            notice = draft(self.memory, seen, self.rules, now, parting=parting)
            if notice is not None:
                found = notice
                self.said.append((self.minute, notice))
                if works:
                    self.arrived.append((self.minute, notice))
                self.memory = delivered(self.memory, notice, now) if works else undelivered(self.memory, now)
            self.minute += 1
        return found


def test_a_trouble_is_told_when_it_lasts_and_again_when_it_is_over() -> None:
    talk = Talk()
    talk.look(trouble(), minutes=60)
    talk.look(minutes=60)
    (begin, begun), (end, over) = talk.said
    assert (begin, list(begun.begun), list(begun.over)) == (2, ["pending/acme"], [])
    assert (end, list(over.begun), list(over.over)) == (62, [], ["pending/acme"])
    assert title(begun, "calls") == "calls: warning: pending/acme is wrong"
    assert "warning [pending] pending/acme is wrong (seen for 2 min)" in body(begun, NOW + 2 * MINUTE)
    assert "seen for" not in body(begun, NOW)
    assert title(over, "calls") == "calls: resolved: pending/acme is wrong"
    assert "[pending] pending/acme is wrong (lasted 60 min)" in body(over, NOW)


def test_what_comes_and_goes_in_between_is_not_told() -> None:
    talk = Talk()
    for _ in range(20):
        talk.look(trouble(), minutes=1)
        talk.look(minutes=2)
    assert talk.said == []
    for _ in range(20):
        talk.look(trouble(), minutes=4)  # long enough, but it is never gone for long
        talk.look(minutes=2)
    assert len(talk.said) == 1


def test_several_troubles_are_one_message() -> None:
    talk = Talk()
    many = [trouble(f"gap/{number}") for number in range(50)]
    talk.look(*many, trouble("stopped/acme", Level.CRITICAL), minutes=30)
    ((_, notice),) = talk.said
    assert title(notice, "calls") == "calls: critical: stopped/acme is wrong (and 50 more)"
    assert "- and 31 more" in body(notice, NOW)
    assert len(body(notice, NOW).splitlines()) < 30


def test_it_is_told_when_it_gets_worse_and_not_when_it_wavers() -> None:
    talk = Talk()
    talk.look(trouble(), minutes=10)
    for _ in range(10):
        talk.look(trouble(level=Level.CRITICAL), minutes=3)
        talk.look(trouble(), minutes=3)
    assert [bool(notice.worse) for _, notice in talk.said] == [False, True]


def test_what_lasts_is_recalled_now_and_again_and_all_at_once() -> None:
    talk = Talk()
    talk.look(trouble("gap/acme"), minutes=60)
    talk.look(trouble("gap/acme"), trouble("clock/acme"), minutes=12 * 60)
    assert [minute for minute, _ in talk.said] == [2, 62, 62 + 240, 62 + 480]
    last = talk.said[-1][1]
    assert sorted(last.still) == ["clock/acme", "gap/acme"]
    assert title(last, "calls").startswith("calls: still warning: ")


def test_what_cannot_be_seen_is_neither_over_nor_recalled() -> None:
    talk = Talk()
    talk.look(trouble("gap/acme"), minutes=5)
    hidden = [talk.look(blind=True), talk.look(trouble("catalogue", Level.CRITICAL), blind=True, minutes=600)]
    assert [list(one.begun) + list(one.still) for one in hidden if one] == [["catalogue"]]
    back = talk.look(trouble("gap/acme"), minutes=10)
    assert back is not None
    assert (list(back.over), list(back.still)) == (["catalogue"], ["gap/acme"])


def test_a_channel_hears_nothing_below_its_level() -> None:
    talk = Talk(Rules(level=Level.CRITICAL, settle=MINUTE, quiet_for=timedelta(hours=1), per_hour=10))
    talk.look(trouble(), happened=[Happening(what="x")], minutes=100)
    assert talk.said == []
    talk.look(trouble(level=Level.CRITICAL), minutes=10)
    talk.look(trouble(), minutes=10)
    assert [bool(notice.over) for _, notice in talk.said] == [False, True]


def test_happenings_are_summed_up_between_messages() -> None:
    talk = Talk(Rules(level=Level.OK, settle=2 * MINUTE, quiet_for=timedelta(hours=4), per_hour=10))
    for _ in range(16):
        deleted = Happening(what="{count} recordings were deleted", account="acme", count=5)
        talk.look(happened=[deleted], minutes=15)
    assert [title(notice, "calls") for _, notice in talk.said] == ["calls: acme: 5 recordings were deleted"]
    talk.look(minutes=15)
    assert title(talk.said[-1][1], "calls") == "calls: acme: 75 recordings were deleted (15 times)"


def test_a_crash_loop_is_not_a_message_for_each_restart() -> None:
    """Every minute a process begins, and dies before it looks again; what it was is in the memory."""
    talk = Talk(Rules(level=Level.OK, settle=2 * MINUTE, quiet_for=timedelta(hours=4), per_hour=10))
    for _ in range(8 * 60):
        talk.look(trouble("last_pass/acme"), happened=[Happening(what="the daemon has started")])
    assert len(talk.said) <= 3
    assert "240 times" in body(talk.said[-1][1], NOW)


def test_the_last_message_does_not_wait() -> None:
    talk = Talk(Rules(level=Level.OK, settle=5 * MINUTE, quiet_for=timedelta(hours=4), per_hour=10))
    stopped = Happening(what="the daemon has stopped")
    assert talk.look(happened=[stopped], parting=True) is not None
    assert talk.look(happened=[stopped], parting=True) is not None  # told again, however quiet it is to be


def test_what_was_not_delivered_is_sent_again_with_growing_pauses() -> None:
    talk = Talk()
    talk.look(trouble(), works=False, minutes=60)
    pauses = [minute for minute, _ in talk.said]
    assert pauses == [2, 3, 4, 6, 10, 18, 33, 48]
    talk.look(trouble(), minutes=60)
    assert [list(notice.begun) for _, notice in talk.arrived] == [["pending/acme"]]


def test_a_clock_that_was_wrong_does_not_silence_it() -> None:
    talk = Talk(minute=100_000)
    talk.look(trouble(), minutes=3)
    talk.minute = 0
    talk.look(trouble("gap/acme", Level.CRITICAL), minutes=10)
    assert "gap/acme" in talk.said[-1][1].begun


KEYS = ("a", "b", "c")
LEVELS = st.sampled_from([None, Level.WARNING, Level.CRITICAL])
MOMENTS = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(KEYS, LEVELS)),  # what is wrong
    st.integers(1, 40),  # for so many minutes
    st.integers(0, 3),  # happenings at its beginning
    st.booleans(),  # whether messages arrive
    st.sampled_from([False, False, False, True]),  # nobody can see anything
)
ANY_RULES = st.builds(
    Rules,
    level=st.sampled_from([Level.OK, Level.WARNING, Level.CRITICAL]),
    settle=st.sampled_from([timedelta(0), 2 * MINUTE, 10 * MINUTE]),
    quiet_for=st.sampled_from([timedelta(minutes=5), timedelta(hours=4)]),
    per_hour=st.integers(1, 6),
)
Moment = tuple[dict[str, Level | None], int, int, bool, bool]


def live(rules: Rules, moments: Sequence[Moment]) -> Talk:
    """Go through it all."""
    talk = Talk(rules)
    for wrong, minutes, done, works, blind in moments:
        troubles = [] if blind else [trouble(key, level) for key, level in wrong.items() if level]
        happened = [Happening(what="{count} done", level=Level.WARNING)] * done
        talk.look(*troubles, happened=happened, works=works, blind=blind, minutes=minutes)
    return talk


@given(ANY_RULES, st.lists(MOMENTS, max_size=12))
def test_never_more_than_the_limit_in_any_hour(rules: Rules, moments: list[Moment]) -> None:
    times = [minute for minute, _ in live(rules, moments).said]
    hour = WINDOW // MINUTE
    assert all(sum(start <= at < start + hour for at in times) <= rules.per_hour for start in times)


@given(ANY_RULES, st.lists(MOMENTS, max_size=12))
def test_over_is_told_only_of_what_was_told_and_once(rules: Rules, moments: list[Moment]) -> None:
    """And nothing begins twice before it is over."""
    known: set[str] = set()
    for _, notice in live(rules, moments).arrived:
        assert notice.over.keys() <= known
        assert not notice.begun.keys() & known
        assert (notice.still.keys() | notice.worse.keys()) <= known
        assert not notice.passed.keys() & known
        known = (known | notice.begun.keys()) - notice.over.keys()


@given(ANY_RULES, st.lists(MOMENTS, max_size=12))
def test_whatever_was_before_a_critical_trouble_that_lasts_is_told(rules: Rules, moments: list[Moment]) -> None:
    """Within the time that it must last, and an hour for which the limit may hold it back."""
    talk = live(rules, moments)
    talk.look(trouble("a", Level.CRITICAL), minutes=(rules.settle + WINDOW) // MINUTE + 1)
    known = Level.OK
    for _, notice in talk.arrived:
        for part in (notice.begun, notice.worse, notice.still):
            known = part["a"].level if "a" in part else known
        known = Level.OK if "a" in notice.over else known
    assert known is Level.CRITICAL


@given(ANY_RULES, st.lists(MOMENTS, max_size=12))
def test_nothing_is_lost(rules: Rules, moments: list[Moment]) -> None:
    """When all is well and messages arrive, everything that lasted long enough, and every happening, was told."""
    talk = live(rules, moments)
    talk.look(minutes=(rules.settle + WINDOW + timedelta(hours=4)) // MINUTE + 1)
    assert talk.memory.episodes == {}
    assert talk.memory.happened == {}
    told = sum(one.happening.count for _, notice in talk.arrived for one in notice.happened)
    assert told == (0 if rules.level > Level.WARNING else sum(done for _, _, done, _, _ in moments))
    lasted = {key for wrong, minutes, *_, blind in moments if not blind and minutes * MINUTE > rules.settle
              for key, level in wrong.items() if level and level >= rules.level}  # fmt: skip
    told_of = {key for _, notice in talk.arrived for part in (notice.begun, notice.passed) for key in part}
    assert lasted <= told_of


@given(ANY_RULES, st.lists(MOMENTS, max_size=6), st.lists(MOMENTS, max_size=6))
def test_what_was_kept_and_what_came_since_is_put_together(
    rules: Rules, before: list[Moment], after: list[Moment]
) -> None:
    """The limit holds over both, and nothing of either is forgotten."""
    kept, newer = live(rules, before).memory, live(rules, after).memory
    both = joined(kept, newer)
    assert both.episodes.keys() == kept.episodes.keys() | newer.episodes.keys()
    assert set(both.sent) == {*kept.sent, *newer.sent}
    assert both.failures == max(kept.failures, newer.failures)
    count = [sum(one.happening.count for one in memory.happened.values()) for memory in (kept, newer, both)]
    assert count[2] == count[0] + count[1]
    for key in kept.episodes.keys() & newer.episodes.keys():
        assert both.episodes[key].since == min(kept.episodes[key].since, newer.episodes[key].since)


@pytest.mark.parametrize(("per_hour", "lesser"), [(1, 1), (2, 2), (4, 3), (10, 8)])
def test_the_last_messages_of_an_hour_are_for_what_is_critical(per_hour: int, lesser: int) -> None:
    talk = Talk(Rules(level=Level.OK, settle=timedelta(0), quiet_for=MINUTE, per_hour=per_hour))
    for _ in range(30):
        talk.look(happened=[Happening(what="x")])
    assert len(talk.said) == lesser
    talk.look(trouble("stopped/acme", Level.CRITICAL), minutes=5)
    told = "stopped/acme" in talk.said[-1][1].begun
    assert told is (per_hour > lesser)
