"""Which recordings wait for a single request: one wording for all that claims, counts and plans them.

Fragments of SQL about a row of `recordings`, by that name.
"""

from __future__ import annotations

from sqlalchemy import text

UNDER_EXPORT = """exists (select from exports where exports.account = recordings.account
    and exports.closed_at is null and recordings.call_start between exports.since and exports.until)"""
#: What the account itself begins with is nobody's history any more.
PAUSED = """exists (select from backfills join accounts using (account) where backfills.account = recordings.account
    and backfills.paused_at is not null and recordings.call_start between backfills.since and backfills.until
    and recordings.call_start < accounts.listed_from)"""
#: No export is to bring it, and no backfill that it belongs to is paused.
CLAIMABLE = text(f"(recordings.single_only or not {UNDER_EXPORT}) and not {PAUSED}")
