"""The bench must not rot: each kind is run once, small, for what it reports and never for how fast."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = ("CPU seconds", "wall seconds", "peak memory, MiB", "requests per 1,000")


def bench(*words: str) -> str:
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bench_measures_both_contenders() -> None:
    told = bench("--count", "20", "--mean-size", "20000", "--rounds", "1")
    rows = {line.split("|")[1].strip(): line for line in told.splitlines() if line.startswith("| ")}
    for name in ROWS:
        ours, theirs, ratio = (float(number) for number in re.findall(r"\d+\.\d+", rows[name]))
        assert min(ours, theirs, ratio) > 0
    # 20 downloads and one page at the least: else one of them did not do the work that it is measured by
    least = 21 * 1000 / 20
    assert all(float(number) >= least for number in re.findall(r"\d+\.\d+", rows["requests per 1,000"])[:2])


def test_a_pass_with_nothing_new_costs_two_requests_on_either_catalogue() -> None:
    """Requests are counted, seconds are not looked at."""
    told = bench("quiet", "--count", "60", "--small", "2000", "--large", "20000", "--rounds", "1")
    assert "a catalogue of 2,000 rows is there" in told
    assert "a catalogue of 20,000 rows is there" in told
    assert "| requests | 2.000 | 2.000 | 1.00 |" in told


def test_a_plan_looks_at_every_row_beside_a_bare_scan() -> None:
    """That every row is decided on is required by the bench itself."""
    told = bench("plan", "--small", "500", "--large", "6000", "--rounds", "1")
    assert "500 recordings, 8 policies" in told
    assert "6,000 recordings, 8 policies" in told
    assert told.count("| CPU seconds |") == 2


def test_a_rebuild_brings_back_every_row() -> None:
    """That it does, and that a second one reads nothing, is required by the bench itself."""
    told = bench("rebuild", "--store", "strict", "--small", "20", "--large", "60", "--rounds", "1")
    assert "| | 20 recordings | 60 recordings | ratio |" in told
    assert "| rows per second |" in told


def test_a_recording_leaves_two_objects_and_some_rows() -> None:
    told = bench("footprint", "--count", "30", "--mean-size", "2000")
    assert "30 recordings" in told
    assert re.search(r"\| audio \| 1\.00 objects, \d{4} bytes \|", told)
    assert "| sidecars | 1.00 objects" in told
    assert "PUT 2." in told


def test_exports_cost_fewer_requests_than_single_ones() -> None:
    """60 recordings singly are 61 requests at the least; by export no page is saved, but nearly all of the rest."""
    told = bench("exports", "--count", "60", "--mean-size", "2000", "--rounds", "1")
    counted = next(line for line in told.splitlines() if "as the source counts" in line)
    singly, by_export, _ = (float(number) for number in re.findall(r"\d+\.\d+", counted))
    assert singly >= 61 * 1000 / 60
    assert by_export < singly / 2


def test_each_zip_is_one_export() -> None:
    """That all comes by one ZIP is required by the bench itself."""
    told = bench("zip", "--zip-size", "2000000", "--member-size", "100000")
    assert "| | 5 x 0.1 MB | 20 x 0.1 MB | ratio | 10 x 0.2 MB | ratio |" in told
    assert "| peak memory, MiB |" in told


def test_a_week_is_told_day_by_day() -> None:
    words = ("--days", "2", "--calls", "30", "--per-minute", "1", "--every", "360", "--concurrency", "4")
    told = bench("week", "--store", "strict", *words)
    rows = [line for line in told.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [row.split("|")[1].strip() for row in rows] == ["1", "2"]
    assert "8 passes" in told
    assert "drained: yes" in told
