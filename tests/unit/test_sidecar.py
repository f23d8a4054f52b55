"""The sidecar: the same bytes for the same facts, and every fact can be read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.listing import parse_recording
from archiver.core.model import Fixity, Recording
from archiver.core.sidecar import FORMAT, LIMIT, fixity_in, render
from archiver.errors import IntegrityError
from tests.support.rows import NOW, SHA256, START, recording

FIXITY = Fixity(sha256=SHA256, size=100)
TEXT = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def written(item: Recording, *, size_disagrees: bool = False) -> bytes:
    """The sidecar of a recording."""
    return render(item, key="acme/1.mp3", fixity=FIXITY, size_disagrees=size_disagrees, listed_at=NOW)


def test_everything_that_the_catalogue_knows_is_in_it() -> None:
    raw = {"id": 1, "start": "2024-03-01T09:00:00+0000", "cnam": "\u0000\ud800", "odd": [1.5, None]}
    body = written(recording("1", raw=raw), size_disagrees=True)
    assert json.loads(body) == {
        "format": FORMAT,
        "account": "acme",
        "recording_id": "1",
        "audio": {"key": "acme/1.mp3", "sha256": SHA256, "size": 100, "size_disagrees": True},
        "call": {"start": "2024-03-01T09:00:00+00:00", "end": "2024-03-01T09:01:00+00:00"},
        "listed_at": "2024-03-01T12:00:00+00:00",
        "source": raw,
    }
    assert json.loads(written(recording("1", end=None)))["call"]["end"] is None


@given(st.dictionaries(st.text(st.characters()), JSON, max_size=6))
def test_what_the_source_said_can_be_read_back_as_it_came(raw: dict[str, object]) -> None:
    body = written(recording("1", raw=raw))
    assert json.loads(body)["source"] == raw
    assert fixity_in(body) == FIXITY
    assert body.isascii()


@given(st.dictionaries(st.text(st.characters()), JSON, max_size=6))
def test_the_same_facts_are_the_same_bytes(raw: dict[str, object]) -> None:
    turned = dict(reversed(list(raw.items())))
    assert written(recording("1", raw=turned)) == written(recording("1", raw=raw))


def test_the_recording_itself_can_be_rebuilt_from_it() -> None:
    said = {"id": "1", "start": "2024-03-01T14:30:00+05:30", "duration": "60000", "extensions": [101, "0417"]}
    item = parse_recording("acme", said)
    assert isinstance(item, Recording)
    content = json.loads(written(item))
    assert parse_recording(content["account"], content["source"]) == item
    assert datetime.fromisoformat(content["call"]["start"]) == START.astimezone(UTC)


def test_a_long_listed_item_fits() -> None:
    item = parse_recording("acme", {"id": 1, "start": "2024-03-01T09:00:00Z", "cnam": "\U0001f4de" * 10_000})
    assert isinstance(item, Recording)
    assert len(written(item)) < LIMIT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"audio"',
        b"{}",
        b'{"audio": null}',
        b'{"audio": {}}',
        b'{"audio": {"sha256": "a"}}',
        b'{"audio": {"sha256": "a", "size": null}}',
        b'{"audio": {"sha256": "a", "size": "many"}}',
        b'{"audio": {"sha256": "a", "size": 1e999}}',
        b'{"audio": {"sha256": "a", "size": NaN}}',
        b"<html>",
        b"\xff\xfb\x90\x00",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        written(recording("1"))[:-3],
    ],
)
def test_what_is_no_sidecar_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(IntegrityError, match="not readable"):
        fixity_in(body)
