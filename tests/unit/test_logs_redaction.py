"""What is taken out of a text, and what must stay in it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.logs import Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=8, max_size=40).filter(
    lambda text: text.strip() == text and not text.isalpha() and text not in "[redacted]"
)
AROUND = st.text("abc /:=&?\"'", max_size=10)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("call from +919812345678 failed", "call from [phone] failed"),
        ("call from 919812345678", "call from [phone]"),
        ("98765 43210 rang", "[phone] rang"),
        ("98765-43210, 98765-43211", "[phone], [phone]"),
        ("+91 98765 43210", "[phone]"),
        ("(022) 2345-6789", "[phone]"),
        ("number=2345678", "number=[phone]"),
        ("'9812345678'", "'[phone]'"),
        ("tel:9812345678;", "tel:[phone];"),
        ("x%2B919812345678", "x[phone]"),
        ("caller id 9812345678", "caller id [phone]"),
        ("919812345678_a.mp3 not found", "[phone]_a.mp3 not found"),
        ("two 98765 43210 98765 43211 in a row", "two [phone] in a row"),
        ("size 98765 43210", "size [phone]"),
        ("\u0967\u0968\u0969\u096a\u096b\u096c\u096d\u096e\u096f\u0966 rang", "[phone] rang"),
    ],
)
def test_phone_numbers_in_prose_are_replaced(text: str, left: str) -> None:
    assert Redactor().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "recording 123456789012 is missing",
        "recordings 1234567, 99",
        "id=123456789",
        "size 4096000 and 4096001 bytes",
        "read 1234567 of 2345678 bytes",
        "12345678 bytes expected",
        "took 12345678 ms",
        "1234567.25 s",
        "started 2024-01-31T23:59:59Z",
        "started 2024-01-31T23:59:59.123456+05:30, again 2024-02-01",
        "from 2024-01-31 to 2024-02-01",
        "at 20240131T235959Z",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 differs",
        "etag 0123456789012345678901234567890123456789012345678901234567890123",
        "call 123e4567-e89b-12d3-a456-426614174000",
        "key acme/2024/01/31/235959Z-123456789012.mp3 exists",
        "prefix/acme/2024/01/31/235959Z-123456789012.json",
        "GET https://h.example/api/audio/recording/123456789012 gave 503",
        "/var/lib/archiver/1234567/x is full",
        "10.200.100.200:54321 refused",
        "123456 tries",
        "page 3 of 100, port 5432",
        "version 1234567",
        "accounts[0].auth.token: must not be empty",
        "policies[1].match.extensions: must be a list",
        "accounts[0].auth.username: is required",
        'duplicate key value violates unique constraint "recordings_pkey"',
        "the token expired",
    ],
)
def test_what_is_no_phone_number_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer CANARY.abc-def_x/y+z==",
        "authorization: Basic CANARY==",
        "{'Authorization': 'Bearer CANARY'}",
        "{'authorization': b'CANARY'}",
        "bearer CANARY",
        "postgresql://user:CANARY@db/x",
        "postgresql://user:CAN@CANARY@db/x",
        "https://CANARY@h/x",
        "GET https://h/x?caller_id=CANARY&page=1",
        "GET https://h/x?page=1&cnam=CANARY",
        "https://h/x?X-Amz-Signature=CANARY&X-Amz-Credential=CANARY",
        "grant_type=password&username=CANARY&password=CANARY",
        '{"access_token": "CANARY", "refresh_token":"CANARY"}',
        '{"cnam": "A \\" CANARY", "dnis": "CANARY"}',
        "Recording(caller_id='CANARY', extensions=('CANARY',))",
        "{'extensions': ['1', 'CANARY']}",
        "caller_id: CANARY CANARY",
        "file_name=CANARY.mp3",
        "Failing row\nDETAIL:  Failing row contains (1, CANARY,\nCANARY).",
        "x\n[SQL: INSERT]\n[parameters: {'a': 'CANARY', 'b': ['CANARY']}]\n(Background on this error)",
        "1 error\n  [type=x, input_value='CAN...ARY' CANARY, input_type=str]",
        "future: <Task exception=ValueError('CANARY (x) CANARY')>",
    ],
)
def test_credentials_and_people_are_known_by_their_form(text: str) -> None:
    assert "CANARY" not in Redactor().text(text)


@given(SECRETS, AROUND, AROUND)
def test_a_known_secret_is_found_in_every_form(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        urlencode({"p": secret}),
        json.dumps(secret),
        repr(secret),
    ]

    for form in forms:
        assert form.strip("\"'") not in redactor.text(f"{before}{form}{after}")


@given(SECRETS, st.binary(max_size=20), st.binary(max_size=20))
def test_base64_does_not_hide_a_secret_wherever_it_begins(secret: str, before: bytes, after: bytes) -> None:
    raw = secret.encode()
    for encode in (b64encode, urlsafe_b64encode):
        text = Redactor([secret]).text(f"sent {encode(before + raw + after).decode()} then")

        assert "[redacted]" in text
        assert encode(raw)[4:-4].decode() not in text


@pytest.mark.parametrize(
    ("secret", "text", "left"),
    [
        ("abc", "abc abcd xabc (abc)", "[redacted] abcd xabc ([redacted])"),
        ("archiver", "archiver_started by archiver", "archiver_started by [redacted]"),
        ("arch1ver", "xarch1verx", "x[redacted]x"),
        ("pw", "database_pw", "database_pw"),
        ("long secret", "xlong secretx", "x[redacted]x"),
        ("", "nothing", "nothing"),
        ("a+b(c", "say a+b(c now", "say [redacted] now"),
        ("first-line\nsecond-line", "second-line, first-line", "[redacted], [redacted]"),
    ],
)
def test_a_short_secret_is_taken_out_only_where_it_stands_alone(secret: str, text: str, left: str) -> None:
    assert Redactor([secret]).text(text) == left


def test_redacting_twice_changes_nothing() -> None:
    redactor = Redactor(["s3cret-value"])
    text = (
        "s3cret-value Authorization: Bearer x, cnam=Jane password='x' +919812345678 postgresql://a:b@c/d\nDETAIL: row"
    )

    assert redactor.text(redactor.text(text)) == redactor.text(text)


def test_keys_that_name_people_or_secrets_keep_only_their_name() -> None:
    event = {
        "caller_id": 919812345678,
        "X-Api-Key": "k",
        "refresh_token": "t",
        "raw": {"id": 1},
        "extensions": ["1"],
        "cnam": None,
        "headers": [("Authorization", "x"), ("Accept", "y")],
        "nested": {"file_name": "x", "id": "7"},
    }

    assert Redactor().event(event) == {
        "caller_id": "[redacted]",
        "X-Api-Key": "[redacted]",
        "refresh_token": "[redacted]",
        "raw": "[redacted]",
        "extensions": "[redacted]",
        "cnam": None,
        "headers": [["Authorization", "[redacted]"], ["Accept", "y"]],
        "nested": {"file_name": "[redacted]", "id": "7"},
    }


def test_ids_keys_and_digests_stay_whole() -> None:
    event = {
        "recording_id": "9812345678",
        "size": 9812345678,
        "sha256": "1" * 64,
        "key": "acme/2024/01/31/235959Z-9812345678.mp3",
        "upload_id": "2~1234567890",
        "since": "2024-01-31T23:59:59+0000",
        "account": "acme",
        "run_id": "01890000000",
    }

    assert Redactor().event(event) == event


def test_a_number_with_a_plus_is_a_phone_number_anywhere() -> None:
    event = {"number": "+919812345678", "by": {"+919812345678": 1}}

    assert Redactor().event(event) == {"number": "[phone]", "by": {"[phone]": 1}}


@pytest.mark.parametrize("unit", ["a", "1", "a1", "1 ", "a-", "a/", "token", '"', "://a@", "+", "("])
def test_a_long_text_takes_linear_work(unit: str) -> None:
    text = unit * (400_000 // len(unit))  # a quadratic pattern would still be at it tomorrow

    assert Redactor(["s3cret-value"]).text(text + " s3cret-value").endswith("[redacted]")


def test_the_redactor_shows_no_secret() -> None:
    assert "s3cret-value" not in repr(Redactor(["s3cret-value"]))
