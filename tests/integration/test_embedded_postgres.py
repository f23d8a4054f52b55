"""The Postgres of trials: when it cannot start that is said, and it is tried again."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from archiver.adapters.embedded_postgres import embedded_postgres
from archiver.errors import Unreachable


def test_a_start_that_fails_is_a_neighbour_out_of_reach_and_the_next_one_may_succeed(tmp_path: Path) -> None:
    """In the same process: a full disk has room again, say. And several users share one server."""
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url, embedded_postgres(folder) as same:
        assert url == same
    (folder / "global").rename(folder / "elsewhere")
    for _ in range(2):
        with pytest.raises(Unreachable, match="did not start"), embedded_postgres(folder):
            raise AssertionError
    (folder / "elsewhere").rename(folder / "global")
    with embedded_postgres(folder) as url, psycopg.connect(url) as opened:
        assert opened.execute("select 1").fetchone() == (1,)
