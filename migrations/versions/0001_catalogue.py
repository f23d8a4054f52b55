"""The catalogue: recordings with their states, an append-only history, gaps, refresh tokens and runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATES = (
    "discovered",
    "transferring",
    "stored",
    "verified",
    "purging",
    "purged",
    "expired",
    "failed",
    "quarantined",
    "excluded",
)
state_type = postgresql.ENUM(*STATES, name="recording_state", create_type=False)

# The history is evidence: the database itself refuses to change or remove a row of it.
APPEND_ONLY = """
create function history_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the history is append-only' using errcode = 'restrict_violation';
end $$;
create trigger history_append_only before update or delete or truncate on history
    for each statement execute function history_is_append_only();
"""


def upgrade() -> None:
    """Apply."""
    state_type.create(op.get_bind())
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "watermark",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="every call start up to here was listed and its rows are committed",
        ),
        sa.Column(
            "listed_from",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="sync start_from under which the watermark was reached",
        ),
        sa.Column(
            "page_base", sa.Integer(), nullable=True, comment="number of the first page, once the account has shown it"
        ),
        sa.CheckConstraint("page_base in (0, 1)", name=op.f("accounts_page_base")),
        sa.PrimaryKeyConstraint("account", name=op.f("accounts_pkey")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("runs_pkey")),
    )
    op.create_index("runs_started_idx", "runs", ["started_at"], unique=False)
    op.create_table(
        "gaps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="malformed: an unreadable item; unlisted: claimed, not listed"
        ),
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="names the gap, so that seeing it again opens no second"
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raw", sa.JSON(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind in ('malformed', 'unlisted')", name=op.f("gaps_kind")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("gaps_account_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("gaps_pkey")),
    )
    op.create_index(
        "gaps_open_idx",
        "gaps",
        ["account", "kind", "fingerprint"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "recordings",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=False),
        sa.Column("state", state_type, nullable=False),
        sa.Column("call_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("call_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("size_listed", sa.BigInteger(), nullable=True),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("caller_id", sa.Text(), nullable=True),
        sa.Column("dnis", sa.Text(), nullable=True),
        sa.Column("cnam", sa.Text(), nullable=True),
        sa.Column("extensions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("rule_ids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("size_disagrees", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "claimed_by", sa.Text(), nullable=True, comment="run that holds the recording while transferring or purging"
        ),
        sa.Column(
            "problem",
            sa.Text(),
            nullable=True,
            comment="why the last attempt failed, or why it is quarantined or excluded",
        ),
        sa.Column(
            "policies_digest", sa.Text(), nullable=True, comment="policies under which the recording was excluded"
        ),
        sa.CheckConstraint("(state = 'purged') <= (purged_at is not null)", name=op.f("recordings_purged_is_dated")),
        sa.CheckConstraint(
            "(state in ('transferring', 'purging')) = (claimed_by is not null)", name=op.f("recordings_claim_is_owned")
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("recordings_sha256_hex")),
        sa.CheckConstraint("state <> 'purging' or not size_disagrees", name=op.f("recordings_doubtful_is_not_purged")),
        sa.CheckConstraint(
            "state not in ('stored', 'verified', 'purging', 'purged') "
            "or (key is not null and sha256 is not null and size is not null and stored_at is not null)",
            name=op.f("recordings_archived_is_known"),
        ),
        sa.CheckConstraint(
            "state not in ('verified', 'purging', 'purged') or verified_at is not null",
            name=op.f("recordings_verified_is_dated"),
        ),
        sa.CheckConstraint("size > 0", name=op.f("recordings_size_positive")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("recordings_account_fkey")),
        sa.PrimaryKeyConstraint("account", "recording_id", name=op.f("recordings_pkey")),
    )
    op.create_index("recordings_call_id_idx", "recordings", ["call_id"], unique=False)
    op.create_index("recordings_caller_id_idx", "recordings", ["caller_id"], unique=False)
    op.create_index("recordings_dnis_idx", "recordings", ["dnis"], unique=False)
    op.create_index(
        "recordings_due_idx",
        "recordings",
        ["account", "next_attempt_at", "call_start"],
        unique=False,
        postgresql_where=sa.text("state in ('discovered', 'failed')"),
    )
    op.create_index("recordings_extensions_idx", "recordings", ["extensions"], unique=False, postgresql_using="gin")
    op.create_index("recordings_start_idx", "recordings", ["account", "call_start"], unique=False)
    op.create_index(
        "recordings_state_idx", "recordings", ["account", "state", "call_start", "recording_id"], unique=False
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="of the configured token that this one descends from"
        ),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("refresh_tokens_pkey")),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=False),
        sa.Column("before", state_type, nullable=True, comment="null: the recording was listed for the first time"),
        sa.Column("after", state_type, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account", "recording_id"],
            ["recordings.account", "recordings.recording_id"],
            name=op.f("history_account_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("history_pkey")),
    )
    op.create_index("history_recording_idx", "history", ["account", "recording_id", "id"], unique=False)
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    """Take back."""
    op.drop_index("history_recording_idx", table_name="history")
    op.drop_table("history")
    op.drop_table("refresh_tokens")
    op.drop_index("recordings_state_idx", table_name="recordings")
    op.drop_index("recordings_start_idx", table_name="recordings")
    op.drop_index("recordings_extensions_idx", table_name="recordings", postgresql_using="gin")
    op.drop_index(
        "recordings_due_idx", table_name="recordings", postgresql_where=sa.text("state in ('discovered', 'failed')")
    )
    op.drop_index("recordings_dnis_idx", table_name="recordings")
    op.drop_index("recordings_caller_id_idx", table_name="recordings")
    op.drop_index("recordings_call_id_idx", table_name="recordings")
    op.drop_table("recordings")
    op.drop_index("gaps_open_idx", table_name="gaps", postgresql_where=sa.text("closed_at is null"))
    op.drop_table("gaps")
    op.drop_index("runs_started_idx", table_name="runs")
    op.drop_table("runs")
    op.drop_table("accounts")
    op.execute("drop function history_is_append_only")
    state_type.drop(op.get_bind())
