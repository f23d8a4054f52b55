"""How the passes of each account end, for those who watch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
works_from = "0004"  # nothing that the version before reads or writes is changed

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply. Nothing that is there is changed: a program of the version before can go on beside it."""
    for column in (
        sa.Column("added_at", MOMENT, nullable=False, server_default=sa.text("now()"), comment="its first pass began"),
        sa.Column("good_pass_at", MOMENT, comment="a pass last came to its end without a stop"),
        sa.Column("stop_kind", sa.Text(), comment="class of the error that stopped the last pass; null: none did"),
        sa.Column("stop_reason", sa.Text()),
        sa.Column("stop_final", sa.Boolean(), comment="a person must act"),
        sa.Column("clock_seconds", sa.BigInteger(), comment="the source's clock was so far ahead of ours"),
    ):
        op.add_column("accounts", column)
    op.create_check_constraint(
        op.f("accounts_stop_is_whole"),
        "accounts",
        "(stop_kind is null) = (stop_reason is null) and (stop_kind is null) = (stop_final is null)",
    )


def downgrade() -> None:
    """Undo."""
    for column in ("added_at", "good_pass_at", "stop_kind", "stop_reason", "stop_final", "clock_seconds"):
        op.drop_column("accounts", column)
