"""Retention: deletion in the archive, locks and legal holds, and the log of what people decided about deletion."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KINDS = "'hold', 'plan', 'pause', 'policies'"
EVENTS = (
    "'added', 'release_asked', 'release_withdrawn', 'released', 'written', 'approved', 'used', 'paused', 'resumed', "
    "'in_force'"
)
ONCE = "event in ('added', 'released', 'written', 'approved', 'used')"
KNOWN = "key is not null and sha256 is not null and size is not null and stored_at is not null"
BEFORE = {
    "archived_is_known": f"state not in ('stored', 'verified', 'purging', 'purged') or ({KNOWN})",
    "verified_is_dated": "state not in ('verified', 'purging', 'purged') or verified_at is not null",
    "claim_is_owned": "(state in ('transferring', 'purging')) = (claimed_by is not null)",
}
AFTER = {
    "archived_is_known": "state not in ('stored', 'verified', 'purging', 'purged', 'expiring', 'expired') "
    f"or ({KNOWN})",
    "verified_is_dated": "state not in ('verified', 'purging', 'purged', 'expiring', 'expired') "
    "or verified_at is not null",
    "claim_is_owned": "(state in ('transferring', 'purging', 'expiring')) = (claimed_by is not null)",
    "expired_is_dated": "(state = 'expired') <= (expired_at is not null)",
    "held_is_not_deleted": "state not in ('purging', 'expiring') or not on_hold",
    "lock_is_whole": "(lock_mode is null) = (lock_until is null)",
    "lock_mode": "lock_mode in ('governance', 'compliance')",
}
APPEND_ONLY = """
create trigger {table}_append_only before update or delete or truncate on {table}
    for each statement execute function history_is_append_only()
"""


def upgrade() -> None:
    """Apply. The new state must be committed before anything can speak of it; adding it twice does no harm."""
    with op.get_context().autocommit_block():
        op.execute("alter type recording_state add value if not exists 'expiring' before 'expired'")
    _grow_recordings()
    op.add_column(
        "accounts",
        sa.Column(
            "protected_under", sa.Text(), nullable=True, comment="holds and locks of all rows were settled by it"
        ),
    )
    op.add_column(
        "accounts", sa.Column("holds_checked_at", MOMENT, nullable=True, comment="the bucket's holds were compared")
    )
    op.create_table(
        "controls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="case, digest of a plan, account; empty for a pause"),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False, comment="the person, or the run that noticed"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint(f"kind in ({KINDS})", name=op.f("controls_kind")),
        sa.CheckConstraint(f"event in ({EVENTS})", name=op.f("controls_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("controls_pkey")),
    )
    op.create_index("controls_kind_idx", "controls", ["kind", "subject", "id"])
    op.create_index(
        "controls_once_idx", "controls", ["kind", "subject", "event"], unique=True, postgresql_where=sa.text(ONCE)
    )
    op.create_table(
        "policy_sets",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="the file as it was read"),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("policy_sets_pkey")),
    )
    for table in ("controls", "policy_sets"):
        op.execute(APPEND_ONLY.format(table=table))


def _grow_recordings() -> None:
    columns: tuple[sa.Column[object], ...] = (
        sa.Column(
            "earlier",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="how the source described it before, as JSON, oldest first",
        ),
        sa.Column("lock_mode", sa.Text(), nullable=True, comment="of the copy, as last set or seen in the bucket"),
        sa.Column("lock_until", MOMENT, nullable=True),
        sa.Column(
            "on_hold",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a case held it when that was last settled; the bucket was told where it can be",
        ),
        sa.Column(
            "hold_set",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the bucket's legal hold was set by this program, which may take it off",
        ),
        sa.Column("expired_at", MOMENT, nullable=True),
    )
    for column in columns:
        op.add_column("recordings", column)
    for name in BEFORE:
        op.drop_constraint(op.f(f"recordings_{name}"), "recordings")
    for name, rule in AFTER.items():
        op.create_check_constraint(op.f(f"recordings_{name}"), "recordings", rule)
    op.create_index(
        "recordings_held_idx",
        "recordings",
        ["account", "call_start", "recording_id"],
        postgresql_where=sa.text("on_hold"),
    )


def downgrade() -> None:
    """Take back, unless something was deleted in the archive, or a case or a pause is on record.

    An older version knows of none of them: what it made of the first would be a lie, and it would delete what is held.
    """
    op.execute(
        "do $$ begin if exists (select from controls where kind in ('hold', 'pause')) then "
        "raise exception 'legal holds or pauses are on record: an older version does not heed them'; end if; end $$"
    )
    op.execute(
        "do $$ begin if exists (select from recordings where state::text in ('expiring', 'expired')) then "
        "raise exception 'recordings were deleted in the archive: an older version does not know that'; end if; end $$"
    )
    for table in ("policy_sets", "controls"):
        op.drop_table(table)
    op.drop_column("accounts", "holds_checked_at")
    op.drop_column("accounts", "protected_under")
    op.drop_index("recordings_held_idx", table_name="recordings")
    for name in AFTER:
        op.drop_constraint(op.f(f"recordings_{name}"), "recordings")
    for name, rule in BEFORE.items():
        op.create_check_constraint(op.f(f"recordings_{name}"), "recordings", rule)
    for name in ("earlier", "lock_mode", "lock_until", "on_hold", "hold_set", "expired_at"):
        op.drop_column("recordings", name)
