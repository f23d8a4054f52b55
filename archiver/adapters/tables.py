"""The catalogue's tables. The CHECK constraints are the floor that no bug in the code can go through."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from archiver.adapters.control_tables import controls, policy_sets
from archiver.adapters.export_tables import backfills, export_jobs, exports, quota_used, quotas
from archiver.adapters.notice_rows import notices
from archiver.adapters.table_basics import metadata, moment, state_type

__all__ = [
    "accounts", "backfills", "controls", "days", "export_jobs", "exports", "gap_events", "gaps", "history", "ledger",
    "metadata", "moment", "notices", "policy_sets", "quota_used", "quotas", "recordings", "refresh_tokens", "runs",
    "state_type",
]  # fmt: skip

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("watermark", moment, comment="every call start up to here was listed and its rows are committed"),
    Column("listed_from", moment, comment="sync start_from under which the watermark was reached"),
    Column("page_base", Integer, comment="number of the first page, once the account has shown it"),
    Column("page_cap", Integer, comment="most items that the source puts on a page, where fewer than asked for"),
    Column(
        "ledger_position",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="the history up to here has been looked through for days that changed",
    ),
    Column("protected_under", Text, comment="holds and locks of all rows were settled by it"),
    Column("holds_checked_at", moment, comment="the bucket's holds were compared"),
    # how the passes end, for those who watch
    Column("added_at", moment, nullable=False, server_default=text("now()"), comment="its first pass began"),
    Column("good_pass_at", moment, comment="a pass last came to its end without a stop"),
    Column("stop_kind", Text, comment="class of the error that stopped the last pass; null: none did"),
    Column("stop_reason", Text),
    Column("stop_final", Boolean, comment="a person must act"),
    Column("clock_seconds", BigInteger, comment="the source's clock was so far ahead of ours"),
    CheckConstraint("page_base in (0, 1)", name="page_base"),
    CheckConstraint(
        "(stop_kind is null) = (stop_reason is null) and (stop_kind is null) = (stop_final is null)",
        name="stop_is_whole",
    ),
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
    Column(
        "earlier",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="how the source described it before, as JSON, oldest first",
    ),
    Column("listed_at", moment, nullable=False),
    # the copy
    Column("key", Text),
    Column("sha256", Text),
    Column("size", BigInteger),
    Column("size_disagrees", Boolean, nullable=False, server_default=text("false")),
    Column("stored_at", moment),
    Column("verified_at", moment),
    Column("purged_at", moment),
    Column("absent_since", moment, comment="a proved listing of the source lacked it, and none has had it since"),
    Column("lock_mode", Text, comment="of the copy, as last set or seen in the bucket"),
    Column("lock_until", moment),
    Column(
        "on_hold",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="a case held it when that was last settled; the bucket was told where it can be",
    ),
    Column(
        "hold_set",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="the bucket's legal hold was set by this program, which may take it off",
    ),
    Column("expired_at", moment),
    # the work
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", moment, nullable=False),
    Column("claimed_by", Text, comment="run that holds the recording while transferring or purging"),
    Column("problem", Text, comment="why the last attempt failed, or why it is quarantined or excluded"),
    Column("policies_digest", Text, comment="policies under which the recording was excluded"),
    Column(
        "single_only",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="an export lacked it or spoilt it: it comes by a request of its own",
    ),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
    CheckConstraint("size > 0", name="size_positive"),
    CheckConstraint(
        "state not in ('stored', 'verified', 'purging', 'purged', 'expiring', 'expired') "
        "or (key is not null and sha256 is not null and size is not null and stored_at is not null)",
        name="archived_is_known",
    ),
    CheckConstraint(
        "state not in ('verified', 'purging', 'purged', 'expiring', 'expired') or verified_at is not null",
        name="verified_is_dated",
    ),
    CheckConstraint("(state = 'purged') <= (purged_at is not null)", name="purged_is_dated"),
    CheckConstraint("(state = 'expired') <= (expired_at is not null)", name="expired_is_dated"),
    CheckConstraint("state <> 'purging' or not size_disagrees", name="doubtful_is_not_purged"),
    CheckConstraint("state not in ('purging', 'expiring') or not on_hold", name="held_is_not_deleted"),
    CheckConstraint(
        "(state in ('transferring', 'purging', 'expiring')) = (claimed_by is not null)", name="claim_is_owned"
    ),
    CheckConstraint("lock_mode in ('governance', 'compliance')", name="lock_mode"),
    CheckConstraint("(lock_mode is null) = (lock_until is null)", name="lock_is_whole"),
    Index(
        "recordings_due_idx",
        "account",
        "next_attempt_at",
        "call_start",
        postgresql_where=text("state in ('discovered', 'failed')"),
    ),
    Index("recordings_state_idx", "account", "state", "call_start", "recording_id"),
    Index("recordings_start_idx", "account", "call_start"),
    Index(
        "recordings_trouble_idx",
        "account",
        postgresql_where=text("state in ('failed', 'quarantined') or (state = 'discovered' and problem is not null)"),
    ),
    Index("recordings_absent_idx", "account", "call_start", postgresql_where=text("absent_since is not null")),
    Index("recordings_held_idx", "account", "call_start", "recording_id", postgresql_where=text("on_hold")),
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
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, comment="names the gap, so that seeing it again opens no second"),
    Column("recording_id", Text, comment="null: the gap is about a slice of the listing"),
    Column("reason", Text, nullable=False),
    Column("since", moment, nullable=False),
    Column("until", moment, nullable=False),
    Column("claimed", Integer, nullable=False, server_default=text("0"), comment="items that it stands for"),
    Column("raw", JSON),
    Column("opened_at", moment, nullable=False),
    Column("seen_at", moment, nullable=False),
    Column("seen_run", Text),
    Column("explanation", Text, comment="a person's reason why nothing more can be done"),
    Column("explained_by", Text),
    Column("explained_at", moment),
    Column("closed_at", moment),
    Column("evidence", Text, comment="why it was closed"),
    CheckConstraint(
        "kind in ('retrying', 'failed', 'quarantined', 'vanished', 'malformed', 'unlisted', 'shrunken')", name="kind"
    ),
    CheckConstraint(
        "(explanation is null) = (explained_by is null) and (explanation is null) = (explained_at is null)",
        name="explained_by_whom",
    ),
    Index("gaps_unclosed_idx", "account", "fingerprint", unique=True, postgresql_where=text("closed_at is null")),
)

gap_events = Table(
    "gap_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("gap_id", BigInteger, ForeignKey("gaps.id"), nullable=False),
    Column("at", moment, nullable=False),
    Column("event", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False, comment="the run, or the person"),
    CheckConstraint("event in ('opened', 'changed', 'reopened', 'explained', 'closed')", name="event"),
    Index("gap_events_gap_idx", "gap_id", "id"),
)

days = Table(
    "days",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("day", Date, primary_key=True, comment="of call starts, UTC"),
    Column("checked_at", moment, comment="the source was last asked about the whole day"),
    Column("proved_at", moment, comment="and its answer agreed with the catalogue"),
    Column("settled_at", moment, comment="listed when its lookback was over"),
    Column("said", Integer, comment="recordings that the source said it has; null: nothing usable"),
    Column("doubt", Text, comment="why the day is not proved"),
    Column("stale", Boolean, nullable=False, server_default=text("true"), comment="the ledger lacks a line about it"),
    Index("days_stale_idx", "account", "day", postgresql_where=text("stale")),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", moment, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("missing", JSONB, nullable=False, comment="calls by kind of gap"),
    Column("checked_at", moment),
    Column("proved_at", moment),
    Column("settled_at", moment),
    CheckConstraint("state in ('proved', 'unproven', 'gap')", name="state"),
    Index("ledger_day_idx", "account", "day", "id"),
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
    Column("counts", JSON, comment="the report of each account"),
    Column("version", Text, comment="of the program"),
    Column("stop_kind", Text, comment="class of the error that ended it or forbade its deletions; null: none did"),
    Column("stop_reason", Text),
    CheckConstraint("(stop_kind is null) = (stop_reason is null)", name="stop_is_whole"),
    Index("runs_started_idx", "started_at"),
)
