"""Keys of objects: the same for the same recording, never shared, and nothing in them but safe characters."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.listing import ID_PATTERN
from archiver.core.model import Recording
from archiver.core.naming import audio_key, sidecar_key
from tests.support.rows import recording

IDS = st.from_regex(ID_PATTERN, fullmatch=True)
STARTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
ACCOUNTS = st.sampled_from(["acme", "acme-2", "a"])
PREFIXES = st.sampled_from(["", "calls/"])
RECORDINGS = st.builds(
    lambda account, identity, start: recording(identity, account=account, start=start), ACCOUNTS, IDS, STARTS
)


def test_a_key_is_made_of_account_start_and_id() -> None:
    item = recording("193228", start=datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC))
    key = audio_key("calls/", item)
    assert key == "calls/acme/2019/01/02/030405Z-193228.mp3"
    assert sidecar_key(key) == "calls/acme/2019/01/02/030405Z-193228.json"


@given(PREFIXES, RECORDINGS, st.text(st.characters()))
def test_what_the_source_calls_the_file_and_the_people_is_no_part_of_a_key(
    prefix: str, item: Recording, text: str
) -> None:
    other = recording(
        item.id, account=item.account, start=item.start, file_name=text, cnam=text, caller_id=text, size=None, end=None
    )
    assert audio_key(prefix, other) == audio_key(prefix, item)


@given(PREFIXES, RECORDINGS)
def test_a_key_holds_only_characters_that_every_store_and_file_system_takes(prefix: str, item: Recording) -> None:
    for key in (audio_key(prefix, item), sidecar_key(audio_key(prefix, item))):
        assert re.fullmatch(r"[A-Za-z0-9_.\-/]{1,1000}", key)
        assert all(part not in {"", ".", ".."} for part in key.split("/"))


@given(PREFIXES, RECORDINGS, RECORDINGS)
def test_two_recordings_never_share_a_key(prefix: str, one: Recording, other: Recording) -> None:
    keys = [audio_key(prefix, item) for item in (one, other)]
    same = (one.account, one.id, one.start) == (other.account, other.id, other.start)
    assert (keys[0] == keys[1]) is same
    assert (sidecar_key(keys[0]) == sidecar_key(keys[1])) is same


@pytest.mark.parametrize("pair", [("1", "01"), ("a", "A"), ("1-2", "1_2"), ("1", "1-"), ("mp3", "json")])
def test_ids_that_look_alike_have_keys_of_their_own(pair: tuple[str, str]) -> None:
    keys = {audio_key("", recording(identity)) for identity in pair}
    assert len(keys | {sidecar_key(key) for key in keys}) == 4
