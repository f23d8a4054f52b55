"""What a configuration may say: frozen models, unknown keys refused, secrets never in a repr."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from archiver.settings.auth import Auth
from archiver.settings.notifying import Notifications, parts
from archiver.settings.section import Section, at
from archiver.settings.types import (
    AccountId,
    AccountName,
    Age,
    Blank,
    Bucket,
    FernetKey,
    FilePath,
    HeaderSecret,
    Length,
    Moment,
    Prefix,
    Secret,
    WebUrl,
    Whole,
    postgres_url,
    refuse_plain,
)
from archiver.settings.watching import Health, Http


class Database(Section):
    """The catalogue's Postgres: exactly one of `url` and `embedded`."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in ("url", "url_file", "embedded")]}
    )

    password: Annotated[Secret | None, Blank] = Field(default=None, description="Password for the user that url names.")
    url: Annotated[Secret | None, Blank] = Field(
        default=None, description="postgresql://user:password@host:5432/database"
    )
    embedded: Annotated[FilePath | None, Blank] = Field(
        default=None, validate_default=True, description="Folder of a Postgres that the archiver starts by itself."
    )
    pool_size: Whole = Field(default=5, ge=1, le=100, description="Connections kept open.")
    migrate: Literal["manual", "on_start"] = Field(
        default="manual", description="Whether archiver run upgrades an older schema by itself when it starts."
    )

    @field_validator("url")
    @classmethod
    def _complete(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        password: SecretStr | None = info.data.get("password")
        if url is None:
            return None
        return SecretStr(postgres_url(url.get_secret_value(), password.get_secret_value() if password else None))

    @field_validator("embedded")
    @classmethod
    def _one_of_two(cls, embedded: object, info: ValidationInfo) -> object:
        if "url" in info.data and (info.data["url"] is None) == (embedded is None):
            raise at("..", "must have exactly one of url and embedded")
        return embedded


class Vault(Section):
    """The bucket that holds the archive."""

    allow_http: bool = Field(default=False, description="Permit an http:// endpoint_url on another machine.")
    bucket: Bucket = Field(description="Name of the bucket; it must exist.")
    prefix: Prefix = Field(default="", description="Put before every key, for a bucket shared with others.")
    region: Annotated[str | None, Blank] = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Region of the bucket; default: the AWS environment's.",
    )
    endpoint_url: Annotated[WebUrl | None, Blank] = Field(
        default=None, description="Address of an S3-compatible store."
    )
    access_key_id: Annotated[HeaderSecret | None, Blank] = Field(
        default=None, description="Default: the AWS credential chain."
    )
    secret_access_key: Annotated[HeaderSecret | None, Blank] = Field(
        default=None, validate_default=True, description="Goes with access_key_id."
    )
    verify: Literal["auto", "checksum", "readback"] = Field(default="auto", description="How a stored copy is proved.")

    @field_validator("endpoint_url")
    @classmethod
    def _encrypted(cls, url: str | None, info: ValidationInfo) -> str | None:
        return url and refuse_plain(url, info)

    @field_validator("secret_access_key")
    @classmethod
    def _both_or_none(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "access_key_id" in info.data and (info.data["access_key_id"] is None) != (secret is None):
            raise at("..", "must have both access_key_id and secret_access_key, or neither (the AWS credential chain)")
        return secret


class Account(Section):
    """One account of the recordings API."""

    name: AccountName = Field(description="Your name for it: part of every key in the bucket, so never change it.")
    account_id: AccountId = Field(default="self", description="The source's id of the account.")
    allow_http: bool = Field(default=False, description="Permit http:// on another machine. For trials only.")
    base_url: WebUrl = Field(description="Address of the recordings API.")
    auth: Auth = Field(description="How to get in.")
    start_from: Moment = Field(description="Archive calls that start at or after this time.")
    requests_per_minute: Whole = Field(
        default=10, ge=1, description="Quota of your application; 10 is the vendor's default."
    )
    source_retention: Annotated[Age | None, Blank] = Field(
        default=None,
        description="The source itself deletes a recording when its call began so long ago. null: never.",
    )

    exports: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Bulk exports: where the quota is too small for single requests, wherever they save any, or never.",
    )
    export_user: Annotated[Secret | None, Blank] = Field(
        default=None, description="Login name that exports are fetched under. Default: auth.username; else no exports."
    )

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str, info: ValidationInfo) -> str:
        return refuse_plain(url, info)

    @field_validator("auth")
    @classmethod
    def _encrypted_token_url(cls, auth: Auth, info: ValidationInfo) -> Auth:
        try:
            refuse_plain(getattr(auth, "token_url", ""), info)
        except ValueError as error:
            raise at("token_url", str(error)) from None
        return auth


class Sync(Section):
    """How often, how far back and how much at once."""

    every: Length = Field(
        default=timedelta(minutes=15),
        ge=timedelta(seconds=1),
        le=timedelta(days=30),
        description="Pause between passes.",
    )
    lookback: Length = Field(
        default=timedelta(hours=72),
        ge=timedelta(0),
        le=timedelta(days=3650),
        description="How late after its call's start a recording may be published: recounted in each pass.",
    )
    recount_every: Length = Field(
        default=timedelta(days=7),
        ge=timedelta(hours=1),
        le=timedelta(days=3650),
        description="Each day of calls is counted again at the source at least this often.",
    )
    recount_share: Whole = Field(
        default=20, ge=1, le=100, description="Percent of the quota that recounts of older days may use."
    )
    endangered_before: Length = Field(
        default=timedelta(days=14),
        ge=timedelta(hours=1),
        le=timedelta(days=3650),
        description="How long before source_retention a recording that is not archived counts as endangered.",
    )
    concurrency: Whole = Field(default=16, ge=1, le=64, description="Downloads at once, per account.")
    page_size: Whole = Field(default=100, ge=1, le=1000, description="Recordings asked for in one listing request.")
    attempts: Whole = Field(default=6, ge=1, le=100, description="Tries before a recording goes on the gap list.")
    download_timeout: Length = Field(
        default=timedelta(minutes=30),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        description="Longest single download.",
    )
    export_deadline: Length = Field(
        default=timedelta(hours=6),
        ge=timedelta(minutes=1),
        le=timedelta(days=7),
        description="Longest wait for an export; what it has not brought by then comes by single requests.",
    )
    shutdown_grace: Length = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="Time to finish after SIGTERM.",
    )


class Logging(Section):
    """What is logged, and how."""

    format: Literal["json", "console", "auto"] = Field(
        default="json", description="auto: console on a terminal, else json."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level shown.")


class Settings(Section):
    """The whole file."""

    database: Database
    vault: Vault
    accounts: tuple[Account, ...] = Field(min_length=1, description="The accounts to archive; names must differ.")
    sync: Sync = Sync()
    policies: Annotated[FilePath | None, Blank] = Field(
        default=None, description="The policies file, beside this file."
    )
    logging: Logging = Logging()
    http: Http = Http()
    health: Health = Health()
    notifications: Notifications = Notifications()
    encryption_key: Annotated[FernetKey | None, Blank] = Field(
        default=None, description="Fernet key for refresh tokens in the catalogue."
    )

    def secrets(self) -> tuple[str, ...]:
        """Return every secret value in plain text, for the log's redaction. Handle with care."""
        url = self.database.url
        password = (urlsplit(url.get_secret_value()).password or "") if url else ""
        found = {*_secrets_in(self), password, unquote(password)}
        found |= set().union(*map(parts, self.notifications.addresses()))
        return tuple(sorted(found - {""}))


def _secrets_in(value: object) -> set[str]:
    if isinstance(value, SecretStr):
        return {value.get_secret_value()}
    if isinstance(value, BaseModel):
        return set().union(*(_secrets_in(inner) for _, inner in value))
    return set().union(*map(_secrets_in, value)) if isinstance(value, tuple) else set()
