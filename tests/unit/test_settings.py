"""A configuration that is right: what `load` makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from archiver.settings import Account, PasswordAuth, RefreshAuth, Settings, TokenAuth, load
from tests.support.settings import FERNET, MINIMAL, changed, load_document

CONFIG = Path(__file__).parents[2] / "config"


def test_the_smallest_file_takes_the_documented_defaults(tmp_path: Path) -> None:
    settings = load_document(tmp_path, MINIMAL)

    assert (settings.sync.every, settings.sync.lookback) == (timedelta(minutes=15), timedelta(days=3))
    assert (settings.sync.concurrency, settings.sync.page_size, settings.sync.attempts) == (16, 100, 6)
    assert (settings.sync.recount_every, settings.sync.recount_share) == (timedelta(days=7), 20)
    assert (settings.sync.endangered_before, settings.accounts[0].source_retention) == (timedelta(days=14), None)
    assert settings.sync.download_timeout == timedelta(minutes=30)
    assert settings.sync.shutdown_grace == timedelta(seconds=30)
    assert (settings.logging.format, settings.logging.level) == ("json", "info")
    assert (settings.vault.prefix, settings.vault.verify, settings.policies) == ("", "auto", None)
    assert (settings.accounts[0].account_id, settings.accounts[0].requests_per_minute) == ("self", 10)


def test_the_sample_loads_with_the_environment_that_its_example_names() -> None:
    lines = (CONFIG / "archiver.env.example").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    settings = load(CONFIG / "archiver.yaml", environ)

    assert settings.database.url == SecretStr("postgresql://archiver:change-me@localhost:5432/archiver")
    assert settings.vault.bucket == "call-archive"
    assert settings.policies == CONFIG / "policies.yaml"


def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    document = {**MINIMAL, "database": {"embedded": "./var/postgres"}, "policies": "rules/policies.yaml"}

    settings = load_document(tmp_path, document)

    assert settings.database.embedded == tmp_path / "var/postgres"
    assert settings.policies == tmp_path / "rules/policies.yaml"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    assert load_document(tmp_path, {**MINIMAL, "policies": "/etc/p.yaml"}).policies == Path("/etc/p.yaml")


def test_start_from_is_kept_in_utc(tmp_path: Path) -> None:
    document = changed("accounts[0].start_from", "2024-01-01T00:00:00+05:30")

    assert load_document(tmp_path, document).accounts[0].start_from == datetime(2023, 12, 31, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "given", "kept"),
    [
        ("vault.prefix", "calls", "calls/"),
        ("vault.prefix", "calls/2024/", "calls/2024/"),
        ("vault.endpoint_url", "http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("vault.endpoint_url", "http://[::1]:9000", "http://[::1]:9000"),
        ("vault.endpoint_url", "", None),
        ("vault.region", "", None),
        ("accounts[0].account_id", 12345, "12345"),
        ("accounts[0].account_id", "00123", "00123"),
        ("accounts[0].requests_per_minute", "600", 600),
        ("accounts[0].base_url", "http://localhost:8080/x/", "http://localhost:8080/x"),
        ("accounts[0].source_retention", "26w", timedelta(days=182)),
        ("accounts[0].source_retention", "", None),
        ("sync.every", "1h30m", timedelta(minutes=90)),
        ("sync.lookback", "30d", timedelta(days=30)),
        ("sync.recount_every", "1h", timedelta(hours=1)),
        ("sync.recount_share", "100", 100),
        ("sync.endangered_before", "60d", timedelta(days=60)),
    ],
)
def test_values_are_read_as_people_write_them(tmp_path: Path, path: str, given: object, kept: object) -> None:
    assert read(load_document(tmp_path, changed(path, given)), path) == kept


@pytest.mark.parametrize("url", ["http://10.0.0.5:8080/x", "http://simulator/x"])
def test_plain_http_to_another_machine_needs_a_word(tmp_path: Path, url: str) -> None:
    document = changed("accounts[0]", {**account(), "base_url": url, "allow_http": True})

    assert load_document(tmp_path, document).accounts[0].base_url == url


@pytest.mark.parametrize(
    ("auth", "kind"),
    [
        ({"token": "t"}, TokenAuth),
        (
            {"token_url": "https://h/t", "username": "u", "password": "p", "client_id": "c", "client_secret": "s"},
            PasswordAuth,
        ),
        ({"token_url": "https://h/t", "refresh_token": "r", "client_id": "c", "client_secret": "s"}, RefreshAuth),
    ],
)
def test_each_grant_is_told_by_its_keys(tmp_path: Path, auth: dict[str, object], kind: type) -> None:
    document = {**changed("accounts[0].auth", auth), "encryption_key": FERNET}

    assert type(load_document(tmp_path, document).accounts[0].auth) is kind


@pytest.mark.parametrize("key", ["token", "token_file"])
def test_a_secret_may_lie_in_a_file(tmp_path: Path, key: str) -> None:
    (tmp_path / "token").write_text("from-file\n")
    auth = {"token": "from-file"} if key == "token" else {"token_file": "token"}

    settings = load_document(tmp_path, changed("accounts[0].auth", auth))

    assert settings.accounts[0].auth == TokenAuth(token=SecretStr("from-file"))


@pytest.mark.parametrize(
    ("content", "secret"),
    [("a b \n", "a b "), ("x\r\n", "x"), ("x\n\n", "x\n"), ("\nx", "\nx"), ("$x${Y}", "$x${Y}"), ("\u00fc", "\u00fc")],
)
def test_a_secret_file_loses_one_line_break_and_nothing_else(tmp_path: Path, content: str, secret: str) -> None:
    (tmp_path / "pw").write_bytes(content.encode())
    document = {**MINIMAL, "database": {"url": "postgresql://a@db/x", "password_file": "${DIR:-.}/pw"}}

    assert load_document(tmp_path, document).database.password == SecretStr(secret)


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ({"url": "postgresql://a:b@db/x"}, "postgresql://a:b@db/x"),
        ({"url": "postgres://db/x"}, "postgresql://db/x"),
        ({"url": "postgresql+psycopg://a@db/x?sslmode=require"}, "postgresql://a@db/x?sslmode=require"),
        (
            {"url": "postgresql://a@[::1]:5433/x", "password": "p@/:#?% "},
            "postgresql://a:p%40%2F%3A%23%3F%25%20@[::1]:5433/x",
        ),
        ({"url": "postgresql://a@/x?host=/var/run/postgresql"}, "postgresql://a@/x?host=/var/run/postgresql"),
    ],
)
def test_the_database_url_is_one_form_with_the_password_in_it(
    tmp_path: Path, database: dict[str, str], url: str
) -> None:
    assert load_document(tmp_path, {**MINIMAL, "database": database}).database.url == SecretStr(url)


def test_no_secret_shows_in_any_text_made_of_the_settings(tmp_path: Path) -> None:
    settings = load_document(tmp_path, with_secrets())

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.database.url)):
        assert "CANARY" not in text


def test_secrets_are_all_handed_to_the_redaction(tmp_path: Path) -> None:
    found = load_document(tmp_path, with_secrets()).secrets()

    assert {"CANARY/db", "CANARY%2Fdb", "CANARYkey", "CANARYsecret", "CANARYtoken", FERNET} <= set(found)
    assert "" not in found


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_document(tmp_path, MINIMAL)

    with pytest.raises(ValidationError, match="frozen"):
        settings.vault.bucket = "other"


def test_models_can_be_made_without_a_file() -> None:
    made = Account(
        name="acme",
        base_url="https://h/x",
        auth=TokenAuth(token=SecretStr("t")),
        start_from=datetime(2024, 1, 1, tzinfo=UTC),
    )

    assert made.auth == TokenAuth(token=SecretStr("t"))


def test_accounts_may_share_what_they_have_in_common(tmp_path: Path) -> None:
    text = """
database: {url: postgresql://archiver@db/archiver}
vault: {bucket: call-archive}
accounts:
  - &first {name: acme, base_url: https://h/x, auth: {token: t}, start_from: 2024-01-01T00:00:00Z}
  - {<<: *first, name: other}
"""
    (tmp_path / "c.yaml").write_text(text)

    settings = load(tmp_path / "c.yaml", {})

    assert [one.name for one in settings.accounts] == ["acme", "other"]
    assert settings.accounts[0].auth == settings.accounts[1].auth


def account() -> dict[str, object]:
    accounts = MINIMAL["accounts"]
    assert isinstance(accounts, list)
    return dict(accounts[0])


def with_secrets() -> dict[str, object]:
    return {
        **changed("accounts[0].auth", {"token": "CANARYtoken"}),
        "database": {"url": "postgresql://a@db/x", "password": "CANARY/db"},
        "vault": {"bucket": "calls", "access_key_id": "CANARYkey", "secret_access_key": "CANARYsecret"},
        "encryption_key": FERNET,
    }


def read(settings: Settings, path: str) -> object:
    value: object = settings
    for step in path.replace("[0]", ".0").split("."):
        value = value[int(step)] if isinstance(value, tuple) else getattr(value, step)
    return value
