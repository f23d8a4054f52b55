"""A configuration that is wrong: every problem, its path, what to do, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.errors import ConfigError
from archiver.settings import load
from tests.support.settings import FERNET, MINIMAL, changed, load_document, problems

REFRESH = {"token_url": "https://h/t", "refresh_token": "CANARY", "client_id": "c", "client_secret": "s"}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("vault.bucket", "s3://x", "must be a bucket name"),
        ("vault.bucket", "a..b", "must be a bucket name"),
        ("vault.bucket", 123, "put it in quotes"),
        ("vault.prefix", "/x", "no slash at the start"),
        ("vault.prefix", "a//b", "no //"),
        ("vault.prefix", "a/../b", "no . or .. part"),
        ("vault.prefix", "a\x07b", "no control character"),
        ("vault.prefix", "x" * 513, "at most 512 bytes"),
        ("vault.region", "ap south", "match pattern"),
        ("vault.verify", "always", "'auto', 'checksum' or 'readback'"),
        ("vault.endpoint_url", "http://minio:9000", "allow_http: true"),
        ("vault.endpoint_url", "minio:9000", "must be a URL"),
        ("accounts[0].name", "Acme", "a-z"),
        ("accounts[0].name", "a" * 64, "1 to 63"),
        ("accounts[0].name", "-a", "beginning with a letter"),
        ("accounts[0].name", "a\n", "1 to 63"),
        ("accounts[0].account_id", "../x", "letters, digits"),
        ("accounts[0].account_id", True, "must be text"),
        ("accounts[0].base_url", "http://api.example.com", "must be https://"),
        ("accounts[0].base_url", "http://127.0.0.1.example.com/", "must be https://"),
        ("accounts[0].base_url", "ftp://h/x", "must be a URL"),
        ("accounts[0].base_url", "https://h/x#y", "must have no user"),
        ("accounts[0].base_url", "https://h:99999/x", "must be a URL"),
        ("accounts[0].start_from", "2024-01-01T00:00:00", "has no time zone"),
        ("accounts[0].start_from", "2024-01-01", "has no time zone"),
        ("accounts[0].start_from", "yesterday", "like 2024-01-01T00:00:00Z"),
        ("accounts[0].start_from", 1704067200, "like 2024-01-01T00:00:00Z"),
        ("accounts[0].requests_per_minute", 0, "greater than or equal to 1"),
        ("accounts[0].requests_per_minute", 1.5, "must be a whole number"),
        ("accounts[0].requests_per_minute", True, "must be a whole number"),
        ("accounts[0].requests_per_minute", "many", "must be a whole number"),
        ("accounts[0].source_retention", "23h", "greater than or equal to 1 day"),
        ("accounts[0].source_retention", "1y", "no fixed length"),
        ("accounts[0].source_retention", 180, "not a duration"),
        ("accounts[0].allow_http", "perhaps", "must be true or false"),
        ("accounts", [], "must not be empty"),
        ("accounts", {"acme": {}}, "must be a list"),
        ("sync.every", "0s", "greater than or equal to 1 second"),
        ("sync.every", 15, "not a duration"),
        ("sync.every", "1y", "no fixed length"),
        ("sync.lookback", "99999d", "less than or equal to"),
        ("sync.lookback", "999999999w", "longer than any time"),
        ("sync.recount_every", "59m", "greater than or equal to 1 hour"),
        ("sync.recount_every", "3651d", "less than or equal to 3650 days"),
        ("sync.recount_share", 0, "greater than or equal to 1"),
        ("sync.recount_share", 101, "less than or equal to 100"),
        ("sync.endangered_before", "0s", "greater than or equal to 1 hour"),
        ("sync.concurrency", 65, "less than or equal to 64"),
        ("sync.page_size", 1001, "less than or equal to 1000"),
        ("sync.attempts", 0, "greater than or equal to 1"),
        ("sync", None, "must hold keys and values"),
        ("logging.format", "xml", "'json', 'console' or 'auto'"),
        ("logging.level", "trace", "'debug', 'info', 'warning' or 'error'"),
        ("database.pool_size", 0, "greater than or equal to 1"),
        ("encryption_key", "c2hvcnQ=", "must be a Fernet key"),
        ("encryption_key", "not base64!", "Fernet.generate_key"),
        ("accounts[0].auth.token", "", "must not be empty"),
        ("accounts[0].auth.token", "two words", "without spaces"),
        ("accounts[0].auth.token", "line\nbreak", "line breaks"),
    ],
)
def test_each_wrong_value_is_named_with_what_to_write(tmp_path: Path, path: str, value: object, says: str) -> None:
    found = problems(tmp_path, changed(path, value))

    assert list(found) == [path]
    assert says in found[path]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("polices", "policies"),
        ("vault.buckett", "bucket"),
        ("accounts[0].baseurl", "base_url"),
        ("accounts[0].auth.tokne", "token"),
        ("sync.page-size", "page_size"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path, path: str, meant: str) -> None:
    found = problems(tmp_path, changed(path, "x"))

    assert found == {path: f"unknown key; did you mean {meant!r}?"}


@pytest.mark.parametrize("key", ["database", "vault", "accounts"])
def test_a_section_that_is_missing_is_named(tmp_path: Path, key: str) -> None:
    document = {name: value for name, value in MINIMAL.items() if name != key}

    assert problems(tmp_path, document) == {key: "is required"}


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ({}, "exactly one of"),
        ({"url": "postgresql://a@db/x", "embedded": "./x"}, "exactly one of"),
        ({"pool_size": 3}, "exactly one of"),
    ],
)
def test_the_database_is_given_once(tmp_path: Path, database: dict[str, object], says: str) -> None:
    assert says in problems(tmp_path, {**MINIMAL, "database": database})["database"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a:CANARY@db/x",
        "postgresql://a:CAN@ARY@db/x",
        "postgresql://a:CAN/ARY@db/x",
        "postgresql://a:12/CANARY@db/x",
        "postgresql://a:12?CANARY@db/x",
        "postgresql://a:12#CANARY@db/x",
        "postgresql://a:CANARY@db:port/x",
        "CANARY",
    ],
)
def test_a_database_url_that_would_be_misread_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    found = problems(tmp_path, {**MINIMAL, "database": {"url": url}})

    assert "database.password" in found["database.url"]
    assert "CANARY" not in str(found)


def test_a_password_is_given_once(tmp_path: Path) -> None:
    found = problems(tmp_path, {**MINIMAL, "database": {"url": "postgresql://a:CANARY@db/x", "password": "CANARY"}})

    assert list(found) == ["database.url"]
    assert "CANARY" not in str(found)


@pytest.mark.parametrize("key", ["access_key_id", "secret_access_key"])
def test_half_a_credential_is_refused(tmp_path: Path, key: str) -> None:
    found = problems(tmp_path, changed(f"vault.{key}", "CANARY"))

    assert "both access_key_id and secret_access_key" in found["vault"]
    assert "CANARY" not in str(found)


@pytest.mark.parametrize(
    ("auth", "says"),
    [
        ({}, "exactly one of"),
        ("CANARY", "exactly one of"),
        ({"token": "CANARY", "password": "CANARY"}, "exactly one of"),
        ({"tokn": "CANARY"}, "did you mean 'token'?"),
        (["CANARY"], "exactly one of"),
    ],
)
def test_the_grant_must_be_clear(tmp_path: Path, auth: object, says: str) -> None:
    found = problems(tmp_path, changed("accounts[0].auth", auth))

    assert list(found) == ["accounts[0].auth"]
    assert says in found["accounts[0].auth"]
    assert "CANARY" not in str(found)


def test_a_token_is_not_asked_for_in_the_clear(tmp_path: Path) -> None:
    auth = {**REFRESH, "token_url": "http://login.example.com/token"}

    found = problems(tmp_path, {**changed("accounts[0].auth", auth), "encryption_key": FERNET})

    assert list(found) == ["accounts[0].auth.token_url"]


def test_a_refresh_token_needs_an_encryption_key(tmp_path: Path) -> None:
    found = problems(tmp_path, changed("accounts[0].auth", REFRESH))

    assert list(found) == ["encryption_key"]
    assert "accounts[0].auth.refresh_token" in found["encryption_key"]
    assert "Fernet.generate_key" in found["encryption_key"]


def test_two_accounts_cannot_have_one_name(tmp_path: Path) -> None:
    accounts = MINIMAL["accounts"]
    assert isinstance(accounts, list)

    found = problems(tmp_path, {**MINIMAL, "accounts": accounts * 2})

    assert list(found) == ["accounts[1].name"]


def test_everything_is_told_at_once_whatever_hides_it(tmp_path: Path) -> None:
    document = {
        "database": {"url": "postgresql://a:${NOT_SET}@db/x", "pool": 3},
        "vault": {"bucket": "!", "access_key_id": "CANARY"},
        "accounts": [
            {"name": "a", "auth": {"token_file": "absent"}, "start_from": "2024-01-01", "base_url": "https://h"},
            {"name": "a", "auth": REFRESH, "start_from": "2024-01-01T00:00:00Z", "base_url": "${NOT_SET}"},
        ],
        "sync": {"every": "${EVERY}"},
    }

    found = problems(tmp_path, document, {"EVERY": "CANARY"})

    assert set(found) == {
        "database.url",
        "database.pool",
        "vault.bucket",
        "vault",
        "accounts[0].auth.token_file",
        "accounts[0].start_from",
        "accounts[1].name",
        "accounts[1].base_url",
        "sync.every",
        "encryption_key",
    }
    assert found["sync.every"].endswith("(it comes from '${EVERY}')")
    assert "CANARY" not in str(found)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("sync.concurrency", 65, "(not 65)"),
        ("accounts[0].base_url", "http://u:CANARY/x@10.0.0.1/x", "(not 'http://…@10.0.0.1/x')"),
        ("accounts[0].base_url", "https://h/x?key=CANARY", "(not 'https://h/x')"),
        ("accounts[0].name", "A" * 80, f"(not {'A' * 60!r}…)"),
    ],
)
def test_what_the_file_says_is_shown_unless_it_may_be_secret(
    tmp_path: Path, path: str, value: object, shown: str
) -> None:
    found = problems(tmp_path, changed(path, value))

    assert found[path].endswith(shown)
    assert "CANARY" not in found[path]


@pytest.mark.parametrize("path", ["database", "vault", "accounts", "accounts[0]", "accounts[0].auth", "logging"])
def test_a_secret_in_the_place_of_a_section_is_not_shown(tmp_path: Path, path: str) -> None:
    assert "CANARY" not in str(problems(tmp_path, changed(path, "CANARY")))


@pytest.mark.parametrize(
    ("auth", "place", "says"),
    [
        ({"token_file": "absent"}, "accounts[0].auth.token_file", "cannot be read"),
        ({"token_file": "empty"}, "accounts[0].auth.token_file", "is empty"),
        ({"token_file": "."}, "accounts[0].auth.token_file", "cannot be read"),
        ({"token_file": "binary"}, "accounts[0].auth.token_file", "not text in UTF-8"),
        ({"token_file": 5}, "accounts[0].auth.token_file", "must be the path"),
        ({"token_file": "${NOT_SET}"}, "accounts[0].auth.token_file", "NOT_SET must be set"),
        ({"token_file": "good", "token": "x"}, "accounts[0].auth.token_file", "keep one of them"),
        ({"token": "x", "scope_file": "good"}, "accounts[0].auth.scope_file", "unknown key"),
    ],
)
def test_a_secret_file_that_cannot_serve_is_the_one_problem(
    tmp_path: Path, auth: dict[str, object], place: str, says: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "good").write_text("CANARY\n")

    found = problems(tmp_path, changed("accounts[0].auth", auth))

    assert list(found) == [place]
    assert says in found[place]
    assert "CANARY" not in found[place]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n", "must hold keys and values"),
        ("just text\n", "must hold keys and values"),
        ("vault:\n  bucket: [CANARY\n", "archiver.yaml:3:1"),
        ("vault: {bucket: a}\nvault: {bucket: b}\n", "archiver.yaml:2:1: the key 'vault' stands twice"),
        ("vault:\n  bucket: a\n  bucket: b\n", "archiver.yaml:3:3: the key 'bucket' stands twice"),
        ("token: *CANARY\n", "must be put in quotes"),
        ("token: !CANARY x\n", "must be put in quotes"),
        ("a: \x00\n", "character that YAML does not allow"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "archiver.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert says in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / name, {})


def test_the_error_carries_nothing_that_holds_the_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_document(tmp_path, changed("accounts[0].auth.token", "CANARY token"))

    assert caught.value.exit_code == 2
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
