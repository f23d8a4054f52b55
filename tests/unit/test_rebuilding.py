"""What a rebuild believes of the bucket: whatever the archive writes comes back, and nothing else is taken on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core import notes, sidecar
from archiver.core.documents import Unreadable, document
from archiver.core.listing import parse_recording
from archiver.core.model import Entry, Fixity, Lock, LockMode, Mark, Protection, Recording, State
from archiver.core.naming import Kind, address_of, audio_key, note_key, sidecar_key
from archiver.core.notes import Line
from archiver.core.rebuilding import (
    Found,
    Known,
    Listed,
    RebuildReport,
    Rebuilt,
    Refusal,
    Trouble,
    contradiction,
    rebuild,
    to_read,
)
from tests.support.rows import NOW, SHA256

PREFIX = "calls/"
MARK = Mark("run-9", NOW, "rebuilt")
MODIFIED = NOW - timedelta(hours=1)
FIXITY = Fixity(sha256=SHA256, size=100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2198, 1, 1), timezones=st.just(UTC))
FIELDS = (
    "duration",
    "file_size_in_bytes",
    "call_id",
    "call_direction",
    "caller_id",
    "cnam",
    "extensions",
    "end",
    "odd",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Whatever the source lists that has an id and a start."""
    said = draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8))
    identity = draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
    item = parse_recording("acme", {**said, "id": identity, "start": draw(MOMENTS).isoformat()})
    assert isinstance(item, Recording)
    return item


def listed(recording_id: str = "1", *, account: str = "acme") -> Recording:
    """A recording as it was listed, that can be read out of its raw item again."""
    item = parse_recording(account, {"id": recording_id, "start": "2024-03-01T09:00:00Z", "cnam": "MEHTA"})
    assert isinstance(item, Recording)
    return item


def written(item: Recording, **changes: object) -> bytes:
    """The sidecar of a recording, with other facts where a test says so."""
    facts = {"key": audio_key(PREFIX, item), "fixity": FIXITY, "size_disagrees": False, "listed_at": NOW} | changes
    return sidecar.render(item, **facts)  # type: ignore[arg-type]


def found(item: Recording, *kinds: Kind, audio: int = 100) -> Found:
    """What the bucket lists of a recording; without kinds: audio and sidecar."""
    key = audio_key(PREFIX, item)
    keys = {Kind.AUDIO: key, Kind.SIDECAR: sidecar_key(key)}
    read = address_of(PREFIX, key)
    assert read is not None
    return Found(
        read[0],
        {
            kind: Listed(keys.get(kind) or note_key(key, kind), audio if kind is Kind.AUDIO else 900, MODIFIED)
            for kind in kinds or (Kind.AUDIO, Kind.SIDECAR)
        },
    )


def entry_of(item: Recording, **changes: object) -> Entry:
    """A row whose copy is gone on both sides."""
    entry = Entry(
        recording=item,
        state=State.EXPIRING,
        listed_at=NOW,
        key=audio_key(PREFIX, item),
        fixity=FIXITY,
        size_disagrees=False,
        stored_at=NOW,
        verified_at=NOW,
        purged_at=NOW,
        attempts=1,
        next_attempt_at=NOW,
        problem=None,
        expired_at=NOW,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


LINES = st.lists(
    st.builds(
        Line,
        at=MOMENTS,
        before=st.none() | st.sampled_from(State),
        after=st.sampled_from(State),
        reason=TEXTS,
        run=TEXTS,
        detail=st.none() | st.dictionaries(st.text(max_size=9), JSON, max_size=3),
    ),
    max_size=4,
)


@given(recordings(), st.booleans(), MOMENTS, st.integers(1, 2**63 - 1))
def test_what_is_written_comes_back(item: Recording, disagrees: bool, listed_at: datetime, size: int) -> None:  # noqa: FBT001
    fixity = Fixity(sha256=SHA256, size=size)
    body = written(item, fixity=fixity, size_disagrees=disagrees, listed_at=listed_at)
    protection = Protection(lock=Lock(LockMode.GOVERNANCE, NOW), on_hold=True)
    made, refused = rebuild(found(item, audio=size), {Kind.SIDECAR: body}, protection, MARK)
    assert (refused, made is not None) == ([], True)
    assert made is not None
    entry = made.entry
    assert (entry.recording, entry.fixity, entry.key) == (item, fixity, audio_key(PREFIX, item))
    assert (entry.size_disagrees, entry.listed_at, entry.stored_at) == (disagrees, listed_at, MODIFIED)
    assert (entry.state, entry.verified_at, entry.purged_at) == (State.STORED, None, None)
    assert entry.protection == protection
    assert [(line.before, line.after) for line in made.history] == [(None, State.STORED)]


@given(recordings(), LINES)
def test_a_tombstone_comes_back_without_the_people(item: Recording, lines: list[Line]) -> None:
    body = notes.render(notes.of_entry(entry_of(item), State.EXPIRED, lines))
    made, refused = rebuild(found(item, Kind.EXPIRED), {Kind.EXPIRED: body}, Protection(), MARK)
    assert refused == []
    assert made is not None
    forgotten: dict[str, object] = {"caller_id": None, "dnis": None, "cnam": None, "file_name": None, "raw": {}}
    assert made.entry.recording == replace(item, **forgotten)  # type: ignore[arg-type]
    times = ("listed_at", "stored_at", "verified_at", "purged_at", "expired_at")
    assert [getattr(made.entry, name) for name in times] == [NOW] * 5
    assert list(made.history[:-1]) == lines
    assert made.history[-1].before == (lines[-1].after if lines else None)


def test_a_note_says_that_the_source_has_it_no_more() -> None:
    item = listed()
    bodies = {Kind.SIDECAR: written(item)}
    bodies[Kind.PURGED] = notes.render(notes.of_entry(entry_of(item, expired_at=None), State.PURGED, []))
    both = found(item, Kind.AUDIO, Kind.SIDECAR, Kind.PURGED)
    assert to_read(both, ["acme"]) == (Kind.SIDECAR, Kind.PURGED)
    made, _ = rebuild(both, bodies, Protection(), MARK)
    assert made is not None
    assert (made.entry.state, made.entry.purged_at, made.entry.at_source) == (State.STORED, NOW, False)

    for spoilt, trouble in (
        (notes.render(notes.of_entry(entry_of(item), State.EXPIRED, [])), Trouble.UNREADABLE),
        (notes.render(notes.of_entry(entry_of(item, purged_at=None), State.PURGED, [])), Trouble.UNREADABLE),
        (bodies[Kind.PURGED].replace(SHA256.encode(), b"cd" * 32), Trouble.CONTRADICTION),
        (notes.render(notes.of_entry(entry_of(listed("2")), State.PURGED, [])), Trouble.MISPLACED),
        (b"", Trouble.UNREADABLE),
    ):
        made, refused = rebuild(both, bodies | {Kind.PURGED: spoilt}, Protection(), MARK)
        assert [one.trouble for one in refused] == [trouble]
        assert made is not None  # the audio is there and known: only the note is not believed
        assert made.entry.purged_at is None


def test_the_listing_alone_tells_what_there_is_no_use_in_reading() -> None:
    item = listed()
    large = Found(found(item).address, {kind: Listed("k", 2**40, MODIFIED) for kind in (Kind.AUDIO, Kind.SIDECAR)})
    cases: tuple[tuple[Found, Trouble], ...] = (
        (found(item, Kind.AUDIO), Trouble.NO_SIDECAR),
        (found(item, Kind.SIDECAR), Trouble.NO_AUDIO),
        (found(item, Kind.PURGED), Trouble.NO_AUDIO),
        (found(item, Kind.AUDIO, Kind.EXPIRED), Trouble.CONTRADICTION),
        (found(listed(account="other")), Trouble.UNKNOWN_ACCOUNT),
        (large, Trouble.UNREADABLE),
    )
    for one, trouble in cases:
        told = to_read(one, ["acme"])
        assert isinstance(told, Refusal)
        assert told.trouble is trouble
    assert to_read(found(item, Kind.SIDECAR, Kind.EXPIRED), ["acme"]) == (Kind.EXPIRED, Kind.SIDECAR)
    assert to_read(found(item, Kind.AUDIO, Kind.SIDECAR, Kind.EXPIRED), ["acme"]) == (Kind.SIDECAR,)


def test_a_sidecar_beside_its_tombstone_is_a_deletion_to_be_finished() -> None:
    """With the people in it, for a case may hold it by them. A sidecar that does not fit is named and left."""
    item = listed()
    both = found(item, Kind.EXPIRED, Kind.SIDECAR)
    lines = [Line(at=NOW, before=State.EXPIRING, after=State.EXPIRED, reason="due", run="run-8")]
    tombstone = notes.render(notes.of_entry(entry_of(item), State.EXPIRED, lines))
    held = Protection(lock=None, on_hold=True)
    made, refused = rebuild(both, {Kind.EXPIRED: tombstone, Kind.SIDECAR: written(item)}, held, MARK)
    assert refused == []
    assert made is not None
    assert (made.entry.state, made.entry.expired_at, made.entry.recording) == (State.EXPIRING, None, item)
    assert [(line.before, line.after) for line in made.history[1:]] == [(State.EXPIRED, State.EXPIRING)]
    assert not made.entry.on_hold  # no row may be on hold and half deleted: the bucket is asked before the rest goes

    for spoilt, trouble in (
        (b"{", Trouble.UNREADABLE),
        (written(listed("2")), Trouble.MISPLACED),
        (written(item, fixity=replace(FIXITY, size=99)), Trouble.CONTRADICTION),
    ):
        made, refused = rebuild(both, {Kind.EXPIRED: tombstone, Kind.SIDECAR: spoilt}, Protection(), MARK)
        assert [(one.key, one.trouble) for one in refused] == [(both.objects[Kind.SIDECAR].key, trouble)]
        assert made is not None
        assert (made.entry.state, made.entry.recording.cnam) == (State.EXPIRED, None)


def test_a_whole_copy_beside_a_tombstone_is_taken_on() -> None:
    item = listed()
    three = found(item, Kind.AUDIO, Kind.SIDECAR, Kind.EXPIRED)
    made, refused = rebuild(three, {Kind.SIDECAR: written(item)}, Protection(), MARK)
    assert made is not None
    assert made.entry.state is State.STORED
    assert [(one.key, one.trouble) for one in refused] == [
        (three.objects[Kind.EXPIRED].key, Trouble.CONTRADICTION),
    ]


def test_what_the_bucket_has_against_a_row() -> None:
    item = listed()
    key = audio_key(PREFIX, item)
    for kinds, row, spoken in (
        ((), Known(key, State.VERIFIED), False),
        ((), Known(None, State.DISCOVERED), False),
        ((), Known("calls/acme/2024/03/01/100000Z-1.mp3", State.VERIFIED), True),
        ((Kind.EXPIRED,), Known(key, State.EXPIRED), False),
        ((Kind.EXPIRED, Kind.SIDECAR), Known(key, State.EXPIRING), False),
        ((Kind.EXPIRED,), Known(key, State.PURGED), True),
        ((Kind.EXPIRED, Kind.AUDIO), Known(key, State.VERIFIED), False),
    ):
        assert (contradiction(found(item, *kinds), row) is not None) == spoken, (kinds, row)


def test_a_note_is_never_larger_than_what_a_rebuild_reads() -> None:
    """The oldest lines of a very long history are left out."""
    item = listed()
    lines = [
        Line(at=NOW, before=State.VERIFIED, after=State.VERIFIED, reason=f"{number} " + "\n" * 400, run="r" * 26)
        for number in range(notes.MOST_LINES)
    ]
    body = notes.render(notes.of_entry(entry_of(item), State.EXPIRED, lines))
    assert sidecar.LIMIT // 2 < len(body) <= sidecar.LIMIT
    told = notes.parse(body).history
    assert told == tuple(lines[-len(told) :])


def content() -> dict[str, object]:
    """A sidecar that is right, as JSON."""
    read: dict[str, object] = json.loads(written(listed()))
    return read


AUDIO: Mapping[str, object] = {"key": audio_key(PREFIX, listed()), "sha256": SHA256, "size": 100}
HOSTILE: list[dict[str, object]] = [
    {"format": "call-recording-sidecar/2"},
    {"format": None},
    {"account": None},
    {"account": "other"},
    {"account": "acme\0"},
    {"recording_id": "2"},
    {"recording_id": 1},
    {"audio": []},
    {"audio": {}},
    {"audio": {**AUDIO, "sha256": SHA256.upper()}},
    {"audio": {**AUDIO, "sha256": SHA256[1:]}},
    {"audio": {**AUDIO, "size": 0}},
    {"audio": {**AUDIO, "size": -1}},
    {"audio": {**AUDIO, "size": True}},
    {"audio": {**AUDIO, "size": 1.0}},
    {"audio": {**AUDIO, "size": 2**63}},
    {"audio": {**AUDIO, "size": 99}},
    {"audio": {**AUDIO, "key": "calls/acme/../1.mp3"}},
    {"audio": {**AUDIO, "key": "x" * 2000}},
    {"call": {"start": "2024-03-01T09:00:01+00:00"}},
    {"call": {"start": "2024-03-01T09:00:00"}},
    {"call": {"start": "9999-12-31T23:59:59-23:59"}},
    {"call": None},
    {"listed_at": "yesterday"},
    {"listed_at": 0},
    {"source": None},
    {"source": {"id": 1}},
    {"source": {"id": "../1", "start": "2024-03-01T09:00:00Z"}},
    {"source": {"id": 2, "start": "2024-03-01T09:00:00Z"}},
    {"source": {"id": 1, "start": "2024-03-02T09:00:00Z"}},
]


@pytest.mark.parametrize("change", HOSTILE, ids=repr)
def test_what_is_not_a_sidecar_of_its_key_is_refused(change: dict[str, object]) -> None:
    body = json.dumps(content() | change).encode()
    made, refused = rebuild(found(listed()), {Kind.SIDECAR: body}, Protection(), MARK)
    assert made is None
    assert len(refused) == 1


def test_the_sidecar_that_these_are_made_of_is_right() -> None:
    body = json.dumps(content()).encode()
    made, refused = rebuild(found(listed()), {Kind.SIDECAR: body}, Protection(), MARK)
    assert (isinstance(made, Rebuilt), refused) == (True, [])
    doubtful = json.dumps(content() | {"audio": AUDIO}).encode()  # it does not say whether the sizes agree
    made, _ = rebuild(found(listed()), {Kind.SIDECAR: doubtful}, Protection(), MARK)
    assert made is not None
    assert made.entry.size_disagrees


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"format": "f", "x": NaN}',
        b'{"format": "f", "x": 1e999}',
        b'{"format": "f", "x": ' + b"9" * 5000 + b"}",
        b'{"format": "f", "x": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"format": "f", "x": ' + b"[" * 200_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_json_that_could_not_be_written_again_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        document(body, "f")
    assert document(b'{"format": "f", "x": [[[]]]}', "f") == {"format": "f", "x": [[[]]]}


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_anybody_writes_is_more_than_refused(body: bytes) -> None:
    item = listed()
    for kinds in ((Kind.AUDIO, Kind.SIDECAR), (Kind.EXPIRED,)):
        made, refused = rebuild(found(item, *kinds), {kinds[-1]: body}, Protection(), MARK)
        assert (made, [one.trouble for one in refused]) == (None, [Trouble.UNREADABLE])


def test_keys() -> None:
    key = "calls/acme/2024/03/01/090000Z-1_a-B.mp3"
    read = address_of("calls/", key)
    assert read is not None
    assert (read[0].account, read[0].recording_id, read[0].start.hour, read[1]) == ("acme", "1_a-B", 9, Kind.AUDIO)
    ends = {".json": Kind.SIDECAR, ".purged.json": Kind.PURGED, ".expired.json": Kind.EXPIRED}
    for end, kind in ends.items():
        assert address_of("calls/", key.replace(".mp3", end)) == (read[0], kind)
    for bad in (
        key.replace("2024/03", "2024/13"),
        key.replace("calls/", ""),
        key.replace("-1_a-B", "-1.x"),
        key.replace(".mp3", ".wav"),
        key.replace("2024", "\uff12024"),
        f"{key}\n",
        "",
    ):
        assert address_of("calls/", bad) is None


def test_a_report_names_the_first_and_counts_all() -> None:
    report = RebuildReport(most_named=2)
    assert report.exit_code == 0
    for number in range(5):
        report.refuse(Refusal(str(number), Trouble.FOREIGN, "no"))
    assert [one.key for one in report.named] == ["0", "1"]
    assert (report.troubles, report.exit_code) == ({"foreign": 5}, 3)
    assert RebuildReport(uncased=1).exit_code == RebuildReport(cases=["rebuilt-acme"]).exit_code == 3
