"""The catalogue's tables. The CHECK constraints are the floor that no bug in the code can go through."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from archiver.core.model import State, require_aware

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

state_type = Enum(State, name="recording_state", values_callable=lambda states: [state.value for state in states])


class Moment(TypeDecorator[datetime]):
    """A point in time; comes back in UTC, whatever time zone the server is set to."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - theirs
        """Refuse a naive one with a ValueError: the server would read it in its own time zone."""
        return None if value is None else require_aware(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - theirs
        """Give the same moment in UTC."""
        return None if value is None else require_aware(value)


moment = Moment()

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("watermark", moment, comment="every call start up to here was listed and its rows are committed"),
    Column("listed_from", moment, comment="sync start_from under which the watermark was reached"),
    Column("page_base", Integer, comment="number of the first page, once the account has shown it"),
    CheckConstraint("page_base in (0, 1)", name="page_base"),
)

recordings = Table(
    "recordings",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("recording_id", Text, primary_key=True),
    Column("state", state_type, nullable=False),
    # as listed by the source
    Column("call_start", moment, nullable=False),
    Column("call_end", moment),
    Column("duration_ms", BigInteger),
    Column("size_listed", BigInteger),
    Column("call_id", Text),
    Column("direction", Text),
    Column("caller_id", Text),
    Column("dnis", Text),
    Column("cnam", Text),
    Column("extensions", ARRAY(Text), nullable=False),
    Column("rule_ids", ARRAY(Text), nullable=False),
    Column("file_name", Text),
    # json, not jsonb: it must hold what came, control characters and all
    Column("raw", JSON, nullable=False),
    Column("listed_at", moment, nullable=False),
    # the copy
    Column("key", Text),
    Column("sha256", Text),
    Column("size", BigInteger),
    Column("size_disagrees", Boolean, nullable=False, server_default=text("false")),
    Column("stored_at", moment),
    Column("verified_at", moment),
    Column("purged_at", moment),
    # the work
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", moment, nullable=False),
    Column("claimed_by", Text, comment="run that holds the recording while transferring or purging"),
    Column("problem", Text, comment="why the last attempt failed, or why it is quarantined or excluded"),
    Column("policies_digest", Text, comment="policies under which the recording was excluded"),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
    CheckConstraint("size > 0", name="size_positive"),
    CheckConstraint(
        "state not in ('stored', 'verified', 'purging', 'purged') "
        "or (key is not null and sha256 is not null and size is not null and stored_at is not null)",
        name="archived_is_known",
    ),
    CheckConstraint(
        "state not in ('verified', 'purging', 'purged') or verified_at is not null", name="verified_is_dated"
    ),
    CheckConstraint("(state = 'purged') <= (purged_at is not null)", name="purged_is_dated"),
    CheckConstraint("state <> 'purging' or not size_disagrees", name="doubtful_is_not_purged"),
    CheckConstraint("(state in ('transferring', 'purging')) = (claimed_by is not null)", name="claim_is_owned"),
    Index(
        "recordings_due_idx",
        "account",
        "next_attempt_at",
        "call_start",
        postgresql_where=text("state in ('discovered', 'failed')"),
    ),
    Index("recordings_state_idx", "account", "state", "call_start", "recording_id"),
    Index("recordings_start_idx", "account", "call_start"),
    Index("recordings_call_id_idx", "call_id"),
    Index("recordings_caller_id_idx", "caller_id"),
    Index("recordings_dnis_idx", "dnis"),
    Index("recordings_extensions_idx", "extensions", postgresql_using="gin"),
)

history = Table(
    "history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", moment, nullable=False),
    Column("account", Text, nullable=False),
    Column("recording_id", Text, nullable=False),
    Column("before", state_type, comment="null: the recording was listed for the first time"),
    Column("after", state_type, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("detail", JSON),
    ForeignKeyConstraint(["account", "recording_id"], ["recordings.account", "recordings.recording_id"]),
    Index("history_recording_idx", "account", "recording_id", "id"),
)

gaps = Table(
    "gaps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("kind", Text, nullable=False, comment="malformed: an unreadable item; unlisted: claimed, not listed"),
    Column("fingerprint", Text, nullable=False, comment="names the gap, so that seeing it again opens no second"),
    Column("reason", Text, nullable=False),
    Column("since", moment, nullable=False),
    Column("until", moment, nullable=False),
    Column("raw", JSON),
    Column("opened_at", moment, nullable=False),
    Column("seen_at", moment, nullable=False),
    Column("closed_at", moment),
    CheckConstraint("kind in ('malformed', 'unlisted')", name="kind"),
    Index("gaps_open_idx", "account", "kind", "fingerprint", unique=True, postgresql_where=text("closed_at is null")),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("account", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False, comment="of the configured token that this one descends from"),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("stored_at", moment, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("command", Text, nullable=False),
    Column("started_at", moment, nullable=False),
    Column("finished_at", moment),
    Column("exit_code", Integer),
    Column("counts", JSON),
    Index("runs_started_idx", "started_at"),
)
