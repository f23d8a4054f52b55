"""Tables of the work towards the source's quota: exports and their jobs, requests that went out, history to fill in."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from archiver.adapters.table_basics import metadata, moment

exports = Table(
    "exports",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("since", moment, nullable=False),
    Column("until", moment, nullable=False),
    Column("phase", Text, nullable=False),
    Column("tries", Integer, nullable=False, comment="times that the source was asked for it"),
    Column("asked_at", moment, nullable=False, comment="last"),
    Column("due", Integer, nullable=False, comment="recordings that were due when it was asked for"),
    Column("run_id", Text, nullable=False, comment="run that asked last"),
    Column("closed_at", moment),
    Column("reason", Text, comment="why it was closed"),
    Column("counts", JSON, comment="what became of its members"),
    CheckConstraint("phase in ('asked', 'waiting', 'done', 'given_up', 'refused')", name="phase"),
    CheckConstraint("(phase in ('asked', 'waiting')) = (closed_at is null)", name="closed_is_dated"),
    CheckConstraint("since <= until", name="slice"),
    Index("exports_open_idx", "account", "since", unique=True, postgresql_where=text("closed_at is null")),
    Index("exports_account_idx", "account", "asked_at"),
)

export_jobs = Table(
    "export_jobs",
    metadata,
    Column("export_id", BigInteger, ForeignKey("exports.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("job_id", Text, nullable=False, comment="the source's"),
    Column("asked_at", moment, nullable=False),
    Column("polls", Integer, nullable=False, server_default=text("0"), comment="times that it was asked for its ZIP"),
    Column("fetches", Integer, nullable=False, server_default=text("0"), comment="times that a ZIP came"),
    Column("next_poll_at", moment, nullable=False),
    Column("ready_at", moment, comment="a ZIP came for the first time"),
    Column("done_at", moment, comment="its ZIP was read to the end, or given up"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("account", Text, primary_key=True),
    Column("learnt", Integer, comment="requests a minute that the source was seen to allow; null: as configured"),
    Column("learnt_at", moment),
    Column("paused_until", moment, comment="the source asked for a pause"),
    CheckConstraint("learnt >= 1", name="learnt"),
)

quota_used = Table(
    "quota_used",
    metadata,
    Column("account", Text, primary_key=True),
    Column("second", BigInteger, primary_key=True, comment="since 1970"),
    Column("requests", Integer, nullable=False),
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("since", moment, nullable=False),
    Column("until", moment, nullable=False),
    Column("asked_at", moment, nullable=False),
    Column("listed_until", moment, comment="calls up to here are listed; null: none yet"),
    Column("paused_at", moment),
    Column("listed_at", moment, comment="when all of it was listed"),
    CheckConstraint("since <= until", name="slice"),
    Index("backfills_account_idx", "account", "since"),
)
