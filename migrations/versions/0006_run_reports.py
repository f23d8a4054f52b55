"""What is known of a run as a whole: the program's version, and what ended it or forbade its deletions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
works_from = "0005"  # nothing that the version before reads or writes is changed

STOP = "class of the error that ended it or forbade its deletions; null: none did"


def upgrade() -> None:
    """Apply. Nothing that is there is changed: a program of the version before can go on beside it."""
    op.alter_column("runs", "counts", comment="the report of each account")
    for column in (
        sa.Column("version", sa.Text(), comment="of the program"),
        sa.Column("stop_kind", sa.Text(), comment=STOP),
        sa.Column("stop_reason", sa.Text()),
    ):
        op.add_column("runs", column)
    op.create_check_constraint(op.f("runs_stop_is_whole"), "runs", "(stop_kind is null) = (stop_reason is null)")


def downgrade() -> None:
    """Undo."""
    for column in ("version", "stop_kind", "stop_reason"):
        op.drop_column("runs", column)
    op.alter_column("runs", "counts", comment=None)
