"""What each channel was told, so that a restart tells nothing twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
works_from = "0006"  # nothing that the version before reads or writes is changed


def upgrade() -> None:
    """Apply. Nothing that is there is changed."""
    op.create_table(
        "notices",
        sa.Column("channel", sa.Text(), primary_key=True),
        sa.Column("memory", JSONB(), nullable=False, comment="what it was told, and what it must still be told"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("notices")
