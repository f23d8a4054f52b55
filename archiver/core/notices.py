"""What one channel is told, and when: one message for what has changed, not one for each thing that is wrong.

A channel is told of a trouble when it has lasted a while, when it gets worse, now and again while it lasts, and when
it is over. Nothing is queued: a message is the difference between what is and what was told, so what is held back by
the limit of messages in an hour, or was not delivered, is in the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from archiver.core.health import Level

WINDOW = timedelta(hours=1)
FIRST_PAUSE = timedelta(seconds=30)  # after a message that was not delivered; doubling
LONGEST_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong and will be, until it is not."""

    key: str  # cause, or cause/account: what makes it the same trouble the next time
    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that was done, and is over."""

    what: str  # with {count}
    level: Level = Level.OK
    account: str = ""
    count: int = 1


def _nothing(_key: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is at one moment."""

    troubles: Sequence[Trouble] = ()
    happened: Sequence[Happening] = ()  # since the last moment
    hidden: Callable[[str], bool] = _nothing  # whether nobody can say now if there is a trouble of this key


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a channel wants."""

    level: Level  # the least severe; OK: everything
    settle: timedelta
    quiet_for: timedelta
    per_hour: int

    @property
    def for_lesser(self) -> int:
        """Messages in an hour about what is not critical: the last quarter is kept for what is."""
        return (3 * self.per_hour + 3) // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One trouble from its beginning to its end, as a channel knows it."""

    since: datetime
    level: Level
    text: str
    told: Level | None = None  # as what it was told last; None: not yet
    told_at: datetime | None = None
    gone: datetime | None = None  # since when it is not there any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Happenings of one kind that a channel was not told of yet, summed up."""

    happening: Happening
    times: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a channel was told, and what it must still be told."""

    episodes: Mapping[str, Episode] = field(default_factory=dict)
    happened: Mapping[str, Happened] = field(default_factory=dict)
    told: Mapping[str, datetime] = field(default_factory=dict)  # when it was last told of a kind of happening
    sent: tuple[datetime, ...] = ()  # messages of the last hour, delivered or not
    failures: int = 0  # since the last one that was delivered


Episodes = Mapping[str, Episode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message."""

    begun: Episodes = field(default_factory=dict)
    worse: Episodes = field(default_factory=dict)
    passed: Episodes = field(default_factory=dict)  # came and went while nothing could be told
    over: Episodes = field(default_factory=dict)
    still: Episodes = field(default_factory=dict)
    happened: Sequence[Happened] = ()

    @property
    def level(self) -> Level:
        """Level of what is there now, and of what has happened."""
        there = (episode.level for part in (self.begun, self.worse, self.still) for episode in part.values())
        return max((*there, *(one.happening.level for one in self.happened)), default=Level.OK)

    @property
    def changes(self) -> bool:
        """Whether a trouble has begun, become worse or come to its end."""
        return any((self.begun, self.worse, self.passed, self.over))

    @property
    def urgent(self) -> bool:
        """Whether it tells of something critical for the first time."""
        new = (*self.begun.values(), *self.worse.values())
        return any(episode.level >= Level.CRITICAL for episode in new)


def observe(memory: Memory, seen: Seen, rules: Rules, now: datetime) -> Memory:
    """Take in what there is; nothing is told by this."""
    wanted = {trouble.key: trouble for trouble in seen.troubles if trouble.level >= rules.level}
    episodes = {key: _followed(memory.episodes.get(key), trouble, now) for key, trouble in wanted.items()}
    for key, episode in memory.episodes.items():
        if key not in wanted:
            hidden = seen.hidden(key)
            episodes[key] = episode if hidden else replace(episode, gone=episode.gone or now)
    lasting = {key: one for key, one in episodes.items() if not _was_a_blink(one, rules)}
    happened = dict(memory.happened)
    for one in seen.happened:
        if one.level >= rules.level:
            kind = _kind(one)
            happened[kind] = _added(happened.get(kind), one, now)
    return replace(memory, episodes=lasting, happened=happened, sent=_recent(memory.sent, now))


def draft(memory: Memory, seen: Seen, rules: Rules, now: datetime, *, parting: bool = False) -> Notice | None:
    """Write the message that is due; None: there is none, or it must wait.

    `parting`: nobody will look again soon, so that nothing waits for company, or for whether it lasts.
    """
    settle = timedelta(0) if parting else rules.settle
    there = {trouble.key for trouble in seen.troubles}
    notice = _everything(memory, there, settle, now)
    lasts = any(now - (one.told_at or now) >= rules.quiet_for for one in notice.still.values())
    done = any(parting or _is_due(memory, one, rules, now) for one in notice.happened)
    due = notice.changes or lasts or done
    return notice if due and _has_room(memory, notice, rules, now) else None


def delivered(memory: Memory, notice: Notice, now: datetime) -> Memory:
    """Remember that a message has arrived."""
    ended = notice.over.keys() | notice.passed.keys()
    told = notice.begun.keys() | notice.worse.keys() | notice.still.keys()
    episodes = {
        key: replace(one, told=one.level, told_at=now) if key in told else one
        for key, one in memory.episodes.items()
        if key not in ended
    }
    kinds = {_kind(one.happening): now for one in notice.happened}
    happened = {kind: one for kind, one in memory.happened.items() if kind not in kinds}
    return Memory(episodes=episodes, happened=happened, told={**memory.told, **kinds}, sent=(*memory.sent, now))


def undelivered(memory: Memory, now: datetime) -> Memory:
    """Remember that a message was sent and, as far as is known, has not arrived."""
    return replace(memory, sent=(*memory.sent, now), failures=memory.failures + 1)


def joined(kept: Memory, newer: Memory) -> Memory:
    """Put together what was kept and what this process went through while it could not be read."""
    happened = dict(kept.happened)
    for kind, one in newer.happened.items():
        before = happened.get(kind)
        happened[kind] = _summed(before, one) if before else one
    return Memory(
        episodes={
            **kept.episodes,
            **{key: _sooner(kept.episodes.get(key), one) for key, one in newer.episodes.items()},
        },
        happened=happened,
        told={**kept.told, **newer.told},
        sent=tuple(sorted({*kept.sent, *newer.sent})),
        failures=max(kept.failures, newer.failures),
    )


def _followed(episode: Episode | None, trouble: Trouble, now: datetime) -> Episode:
    if episode is None:
        return Episode(since=now, level=trouble.level, text=trouble.text)
    return replace(episode, level=trouble.level, text=trouble.text, gone=None)


def _was_a_blink(episode: Episode, rules: Rules) -> bool:
    """Whether it came and went before it was worth a message."""
    return episode.told is None and episode.gone is not None and episode.gone - episode.since < rules.settle


def _everything(memory: Memory, there: set[str], settle: timedelta, now: datetime) -> Notice:
    """All that there is to tell. What cannot be seen now is left for later."""
    present = {key: one for key, one in memory.episodes.items() if key in there and one.gone is None}
    ended = {key: one for key, one in memory.episodes.items() if one.gone is not None and now - one.gone >= settle}
    return Notice(
        begun={key: one for key, one in present.items() if one.told is None and now - one.since >= settle},
        worse={key: one for key, one in present.items() if one.told is not None and one.level > one.told},
        passed={key: one for key, one in ended.items() if one.told is None},
        over={key: one for key, one in ended.items() if one.told is not None},
        still={key: one for key, one in present.items() if one.told is not None and one.level <= one.told},
        happened=tuple(memory.happened.values()),
    )


def _is_due(memory: Memory, one: Happened, rules: Rules, now: datetime) -> bool:
    before = memory.told.get(_kind(one.happening))
    return now - one.since >= rules.settle and (before is None or now - before >= rules.quiet_for)


def _has_room(memory: Memory, notice: Notice, rules: Rules, now: datetime) -> bool:
    recent = _recent(memory.sent, now)
    pause = min(FIRST_PAUSE * 2 ** min(memory.failures - 1, 10), LONGEST_PAUSE) if memory.failures else timedelta(0)
    rested = not recent or now - recent[-1] >= pause
    return rested and len(recent) < (rules.per_hour if notice.urgent else rules.for_lesser)


def _recent(sent: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """Messages of the last hour; none from a future that a clock has taken back."""
    return tuple(at for at in sent if now - WINDOW < at <= now)


def _kind(one: Happening) -> str:
    return f"{one.what}/{one.account}"


def _added(before: Happened | None, one: Happening, now: datetime) -> Happened:
    new = Happened(happening=one, times=1, since=now)
    return _summed(before, new) if before else new


def _summed(before: Happened, after: Happened) -> Happened:
    count = before.happening.count + after.happening.count
    return Happened(
        happening=replace(after.happening, count=count), times=before.times + after.times, since=before.since
    )


def _sooner(kept: Episode | None, newer: Episode) -> Episode:
    """The same trouble, known from before: it began then, and what was told then was told."""
    if kept is None:
        return newer
    told = (newer.told, newer.told_at) if newer.told is not None else (kept.told, kept.told_at)
    return replace(newer, since=min(kept.since, newer.since), told=told[0], told_at=told[1])
