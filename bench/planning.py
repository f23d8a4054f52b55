"""What a plan over a large catalogue costs, beside a bare scan of the same rows, in turn on the same database."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from bench.neighbours import KEY_ID, SECRET, make_database, postgres

CONFIGURATION = """\
database: {{url: "{database}"}}
vault:
  bucket: bench
  region: ap-south-1
  endpoint_url: "http://127.0.0.1:9"
  access_key_id: {key}
  secret_access_key: {secret}
accounts:
  - {{name: bench, base_url: "http://127.0.0.1:9/", auth: {{token: none}}, start_from: 2018-01-01T00:00:00Z}}
policies: policies.yaml
"""
#: Eight policies of every kind, of which several are about most calls. A few hundred deletions are due on each side.
POLICIES = """\
zone: Asia/Kolkata
policies:
  - {name: everyone, source: {delete_after: 4y11mo}, archive: {keep_at_least: 1y, delete_after: 7y11mo28d}}
  - {name: desk, match: {extensions: ["21*"], directions: [INBOUND, OUTBOUND]}, source: {delete_after: 5y},
     archive: {keep_at_least: 5y, delete_after: 8y}}
  - {name: advice, match: {callers: ["+9122*"]}, archive: {keep_at_least: 3y, delete_after: 8y}}
  - {name: training, match: {rule_ids: ["9"]}, archive: {keep_at_least: 90d, delete_after: 8y}}
  - {name: night, match: {hours: "22:00-06:00"}, source: {delete_after: 6y}}
  - {name: long, match: {min_duration: 30m}, archive: {keep_at_least: 6y, delete_after: 9y}}
  - {name: names, match: {cnam: ["acme *"]}, source: {delete_after: 5y6mo}}
  - {name: complaints, match: {extensions: ["2900"]}, source: {delete_after: never}, archive: {delete_after: never}}
"""
ACCOUNT = "insert into accounts (account) values ('bench') on conflict do nothing"
PLANT = """
insert into recordings (account, recording_id, state, call_start, call_end, duration_ms, direction, caller_id, dnis,
    cnam, extensions, rule_ids, raw, listed_at, key, sha256, size, stored_at, verified_at, purged_at, next_attempt_at)
select 'bench', 'old-' || number, (case when purged then 'purged' else 'verified' end)::recording_state, began,
    began + interval '1 second' * mod(number * 7, 3600), mod(number * 7, 3600) * 1000,
    (array['INBOUND', 'OUTBOUND', 'INTRA_PBX'])[mod(number, 3) + 1], '+9122' || lpad(mod(number, 9999)::text, 8, '0'),
    '+9180' || lpad(mod(number * 3, 9999)::text, 8, '0'), 'CALLER ' || mod(number, 500),
    array[(2000 + mod(number, 1000))::text], array[mod(number, 12)::text], '{}', began + interval '2 hours',
    'bench/' || number || '.mp3', encode(sha256(number::text::bytea), 'hex'), 100000 + mod(number, 900000),
    began + interval '2 hours', began + interval '3 hours',
    case when purged then began + interval '5 years' end, now()
from (select number, began, began < now() - interval '4 years 11 months' as purged
    from generate_series(1, %(rows)s ::int) as number,
        lateral (select now() - interval '1 day' - number * %(years)s * interval '1 year' / %(rows)s as began) as a
) as spread
"""
YEARS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one whole process took."""

    cpu: float
    wall: float
    rss: int
    exit_code: int
    output: str


def measured(folder: Path, command: Sequence[str]) -> Cost:
    """Run a command and measure it whole."""
    result = folder / "cost.json"
    timed = [sys.executable, "-I", str(Path(__file__).with_name("timed.py")), str(result), *command]
    done = subprocess.run(timed, capture_output=True, text=True, check=False)
    cost = Cost(**json.loads(result.read_text()), output=done.stdout)
    if cost.exit_code:
        raise SystemExit(
            f"{command[0]} failed with exit code {cost.exit_code}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return cost


def compare(*, rounds: int, sizes: tuple[int, int]) -> None:
    """Print medians side by side, for a small catalogue and a large one."""
    with tempfile.TemporaryDirectory(prefix="archiver-bench-") as name, postgres(Path(name)) as server:
        for rows in sizes:
            folder = Path(name) / str(rows)
            folder.mkdir()
            url = make_database(server, f"bench_plan_{rows}")
            plan = [str(Path(sys.executable).parent / "archiver"), "--config", str(configure(folder, url)), "plan"]
            grow(plan[:-1], url, rows)
            scan = [sys.executable, "-m", "bench.scan", url]
            pairs = [(measured(folder, plan), measured(folder, scan)) for _ in range(rounds + 1)][1:]
            require_whole(pairs[0], rows)
            print(f"\n{rows:,} recordings, 8 policies, {rounds} rounds in turn, medians:\n\n{table(pairs)}", flush=True)


def require_whole(pair: tuple[Cost, Cost], rows: int) -> None:
    """See that both have looked at every row: the counts of a plan add up to all of them, on either side."""
    numbers = [int(line.split()[1].rstrip(":")) for line in pair[0].output.splitlines() if line.startswith("  keep ")]
    numbers += [
        int(line.split(":")[1].split()[0]) for line in pair[0].output.splitlines() if line.startswith("Delete ")
    ]
    if sum(numbers) != 2 * rows or int(pair[1].output) != rows:
        raise SystemExit(f"not every row was looked at: {numbers}, {pair[1].output}")


def configure(folder: Path, url: str) -> Path:
    """Write the configuration; of its neighbours only the database is ever asked."""
    path = folder / "archiver.yaml"
    path.write_text(CONFIGURATION.format(database=url, key=KEY_ID, secret=SECRET))
    (folder / "policies.yaml").write_text(POLICIES)
    return path


def grow(archiver: Sequence[str], url: str, rows: int) -> None:
    """Make the tables, and fill them as years of passes would have."""
    subprocess.run([*archiver, "db", "upgrade"], check=True, capture_output=True)
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(ACCOUNT)
        opened.execute(PLANT, {"rows": rows, "years": YEARS})
        opened.execute("vacuum analyze recordings")


def table(pairs: Sequence[tuple[Cost, Cost]]) -> str:
    """Lay the medians side by side, as Markdown."""
    measures = {"CPU seconds": "cpu", "wall seconds": "wall", "peak memory, MiB": "rss"}
    lines = ["| | archiver plan | bare scan | ratio |", "|---|---|---|---|"]
    for name, key in measures.items():
        scale = 2**20 if key == "rss" else 1
        ours, bare = (median(getattr(pair[side], key) / scale for pair in pairs) for side in (0, 1))
        lines.append(f"| {name} | {ours:.2f} | {bare:.2f} | {ours / bare:.2f} |")
    return "\n".join(lines)
