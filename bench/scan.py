"""The bare scan that planning is measured against: the same columns of the same rows, fetched and thrown away."""

from __future__ import annotations

import sys

import psycopg

COLUMNS = (
    "recording_id, state::text, call_start, call_end, duration_ms, direction, extensions, rule_ids, caller_id, dnis, "
    "cnam, listed_at, verified_at, sha256, size, size_disagrees, purged_at is not null or absent_since is not null, "
    "lock_mode, lock_until, on_hold"
)


def main() -> None:
    """Read everything through a cursor of the server's, a few thousand rows at a time."""
    rows = 0
    with psycopg.connect(sys.argv[1]) as connection, connection.cursor(name="scan") as cursor:
        cursor.itersize = 5_000
        cursor.execute(f"select {COLUMNS} from recordings")
        for _ in cursor:
            rows += 1
    print(rows)


if __name__ == "__main__":
    main()
