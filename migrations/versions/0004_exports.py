"""Exports, the quota that all processes share, and history to fill in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
works_from = "0003"  # nothing that the version before reads or writes is changed

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply. Nothing that is there is changed: a program of the version before can go on beside it."""
    op.add_column(
        "recordings",
        sa.Column(
            "single_only",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="an export lacked it or spoilt it: it comes by a request of its own",
        ),
    )
    _create_exports()
    _create_quotas()
    op.create_table(
        "backfills",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("listed_until", MOMENT, nullable=True, comment="calls up to here are listed; null: none yet"),
        sa.Column("paused_at", MOMENT, nullable=True),
        sa.Column("listed_at", MOMENT, nullable=True, comment="when all of it was listed"),
        sa.CheckConstraint("since <= until", name=op.f("backfills_slice")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("backfills_account_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("backfills_pkey")),
    )
    op.create_index("backfills_account_idx", "backfills", ["account", "since"])


def _create_exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, comment="times that the source was asked for it"),
        sa.Column("asked_at", MOMENT, nullable=False, comment="last"),
        sa.Column("due", sa.Integer(), nullable=False, comment="recordings that were due when it was asked for"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="run that asked last"),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was closed"),
        sa.Column("counts", sa.JSON(), nullable=True, comment="what became of its members"),
        sa.CheckConstraint("phase in ('asked', 'waiting', 'done', 'given_up', 'refused')", name=op.f("exports_phase")),
        sa.CheckConstraint(
            "(phase in ('asked', 'waiting')) = (closed_at is null)", name=op.f("exports_closed_is_dated")
        ),
        sa.CheckConstraint("since <= until", name=op.f("exports_slice")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("exports_account_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("exports_pkey")),
    )
    op.create_index("exports_account_idx", "exports", ["account", "asked_at"])
    op.create_index(
        "exports_open_idx",
        "exports",
        ["account", "since"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "export_jobs",
        sa.Column("export_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False, comment="the source's"),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column(
            "polls",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="times that it was asked for its ZIP",
        ),
        sa.Column(
            "fetches", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="times that a ZIP came"
        ),
        sa.Column("next_poll_at", MOMENT, nullable=False),
        sa.Column("ready_at", MOMENT, nullable=True, comment="a ZIP came for the first time"),
        sa.Column("done_at", MOMENT, nullable=True, comment="its ZIP was read to the end, or given up"),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name=op.f("export_jobs_export_id_fkey")),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("export_jobs_pkey")),
    )


def _create_quotas() -> None:
    op.create_table(
        "quotas",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "learnt",
            sa.Integer(),
            nullable=True,
            comment="requests a minute that the source was seen to allow; null: as configured",
        ),
        sa.Column("learnt_at", MOMENT, nullable=True),
        sa.Column("paused_until", MOMENT, nullable=True, comment="the source asked for a pause"),
        sa.CheckConstraint("learnt >= 1", name=op.f("quotas_learnt")),
        sa.PrimaryKeyConstraint("account", name=op.f("quotas_pkey")),
    )
    op.create_table(
        "quota_used",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False, comment="since 1970"),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "second", name=op.f("quota_used_pkey")),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("backfills", "quota_used", "quotas", "export_jobs", "exports"):
        op.drop_table(table)
    op.drop_column("recordings", "single_only")
