"""Tables of what people decided about deletion: written once, never changed."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Identity, Index, Table, Text, text

from archiver.adapters.table_basics import metadata, moment

controls = Table(
    "controls",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", moment, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="case, digest of a plan, account; empty for a pause"),
    Column("event", Text, nullable=False),
    Column("by", Text, nullable=False, comment="the person, or the run that noticed"),
    Column("reason", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    CheckConstraint("kind in ('hold', 'plan', 'pause', 'policies')", name="kind"),
    CheckConstraint(
        "event in ('added', 'release_asked', 'release_withdrawn', 'released', 'written', 'approved', 'used', "
        "'paused', 'resumed', 'in_force')",
        name="event",
    ),
    Index("controls_kind_idx", "kind", "subject", "id"),
    Index(
        "controls_once_idx",
        "kind",
        "subject",
        "event",
        unique=True,
        postgresql_where=text("event in ('added', 'released', 'written', 'approved', 'used')"),
    ),
)

policy_sets = Table(
    "policy_sets",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False, comment="the file as it was read"),
    Column("at", moment, nullable=False),
)
