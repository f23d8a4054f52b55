"""Coverage: days with their proof, a ledger of what was known when, and gaps that have a life."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KINDS = "'retrying', 'failed', 'quarantined', 'vanished', 'malformed', 'unlisted', 'shrunken'"
TROUBLE = "state in ('failed', 'quarantined') or (state = 'discovered' and problem is not null)"
MOMENT = sa.DateTime(timezone=True)

# What was known, and who explained what, is evidence like the history.
APPEND_ONLY = """
create trigger {table}_append_only before update or delete or truncate on {table}
    for each statement execute function history_is_append_only()
"""
#: Days that were listed before this version: the source is to be asked about them again.
LISTED_BEFORE = """
insert into days (account, day)
select account, generate_series((listed_from at time zone 'UTC')::date, (watermark at time zone 'UTC')::date, '1 day')
from accounts where listed_from is not null and watermark is not null
"""


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "accounts",
        sa.Column(
            "page_cap",
            sa.Integer(),
            nullable=True,
            comment="most items that the source puts on a page, where fewer than asked for",
        ),
    )
    op.add_column(
        "accounts",
        sa.Column(
            "ledger_position",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="the history up to here has been looked through for days that changed",
        ),
    )
    op.add_column(
        "recordings",
        sa.Column(
            "absent_since",
            MOMENT,
            nullable=True,
            comment="a proved listing of the source lacked it, and none has had it since",
        ),
    )
    op.create_index("recordings_trouble_idx", "recordings", ["account"], postgresql_where=sa.text(TROUBLE))
    op.create_index(
        "recordings_absent_idx",
        "recordings",
        ["account", "call_start"],
        postgresql_where=sa.text("absent_since is not null"),
    )
    _grow_gaps()
    op.create_table(
        "gap_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gap_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False, comment="the run, or the person"),
        sa.CheckConstraint(
            "event in ('opened', 'changed', 'reopened', 'explained', 'closed')", name=op.f("gap_events_event")
        ),
        sa.ForeignKeyConstraint(["gap_id"], ["gaps.id"], name=op.f("gap_events_gap_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("gap_events_pkey")),
    )
    op.create_index("gap_events_gap_idx", "gap_events", ["gap_id", "id"])
    op.create_table(
        "days",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="of call starts, UTC"),
        sa.Column("checked_at", MOMENT, nullable=True, comment="the source was last asked about the whole day"),
        sa.Column("proved_at", MOMENT, nullable=True, comment="and its answer agreed with the catalogue"),
        sa.Column("settled_at", MOMENT, nullable=True, comment="listed when its lookback was over"),
        sa.Column(
            "said", sa.Integer(), nullable=True, comment="recordings that the source said it has; null: nothing usable"
        ),
        sa.Column("doubt", sa.Text(), nullable=True, comment="why the day is not proved"),
        sa.Column(
            "stale",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="the ledger lacks a line about it",
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("days_account_fkey")),
        sa.PrimaryKeyConstraint("account", "day", name=op.f("days_pkey")),
    )
    op.create_index("days_stale_idx", "days", ["account", "day"], postgresql_where=sa.text("stale"))
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("missing", postgresql.JSONB(), nullable=False, comment="calls by kind of gap"),
        sa.Column("checked_at", MOMENT, nullable=True),
        sa.Column("proved_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint("state in ('proved', 'unproven', 'gap')", name=op.f("ledger_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_pkey")),
    )
    op.create_index("ledger_day_idx", "ledger", ["account", "day", "id"])
    for table in ("gap_events", "ledger"):
        op.execute(APPEND_ONLY.format(table=table))
    op.execute(LISTED_BEFORE)
    op.execute(
        "insert into gap_events (gap_id, at, event, reason, by) "
        "select id, opened_at, 'opened', reason, 'upgrade' from gaps"
    )


def _grow_gaps() -> None:
    for name, kind in (("recording_id", sa.Text()), ("seen_run", sa.Text())):
        op.add_column(
            "gaps",
            sa.Column(
                name,
                kind,
                nullable=True,
                comment="null: the gap is about a slice of the listing" if name == "recording_id" else None,
            ),
        )
    op.add_column(
        "gaps",
        sa.Column(
            "claimed", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="items that it stands for"
        ),
    )
    op.add_column(
        "gaps",
        sa.Column("explanation", sa.Text(), nullable=True, comment="a person's reason why nothing more can be done"),
    )
    op.add_column("gaps", sa.Column("explained_by", sa.Text(), nullable=True))
    op.add_column("gaps", sa.Column("explained_at", MOMENT, nullable=True))
    op.add_column("gaps", sa.Column("evidence", sa.Text(), nullable=True, comment="why it was closed"))
    op.alter_column(
        "gaps",
        "kind",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment=None,
        existing_comment="malformed: an unreadable item; unlisted: claimed, not listed",
    )
    op.drop_constraint(op.f("gaps_kind"), "gaps")
    op.create_check_constraint(op.f("gaps_kind"), "gaps", f"kind in ({KINDS})")
    op.create_check_constraint(
        op.f("gaps_explained_by_whom"),
        "gaps",
        "(explanation is null) = (explained_by is null) and (explanation is null) = (explained_at is null)",
    )
    op.drop_index("gaps_open_idx", table_name="gaps")
    op.create_index(
        "gaps_unclosed_idx",
        "gaps",
        ["account", "fingerprint"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )


def downgrade() -> None:
    """Take back. What the older version does not know is lost: the ledger, and the gaps of recordings."""
    for table in ("ledger", "days", "gap_events"):
        op.drop_table(table)
    op.execute("delete from gaps where kind not in ('malformed', 'unlisted')")
    op.drop_index("gaps_unclosed_idx", table_name="gaps")
    op.create_index(
        "gaps_open_idx",
        "gaps",
        ["account", "kind", "fingerprint"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.drop_constraint(op.f("gaps_explained_by_whom"), "gaps")
    op.drop_constraint(op.f("gaps_kind"), "gaps")
    op.create_check_constraint(op.f("gaps_kind"), "gaps", "kind in ('malformed', 'unlisted')")
    op.alter_column(
        "gaps",
        "kind",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="malformed: an unreadable item; unlisted: claimed, not listed",
    )
    for name in ("recording_id", "seen_run", "claimed", "explanation", "explained_by", "explained_at", "evidence"):
        op.drop_column("gaps", name)
    op.drop_index("recordings_absent_idx", table_name="recordings")
    op.drop_index("recordings_trouble_idx", table_name="recordings")
    op.drop_column("recordings", "absent_since")
    op.drop_column("accounts", "ledger_position")
    op.drop_column("accounts", "page_cap")
