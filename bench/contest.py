"""One run of a contender: everything fresh, the process measured whole."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Literal

from bench.neighbours import (
    KEY_ID,
    SECRET,
    Load,
    Source,
    StoreName,
    make_bucket,
    make_database,
    postgres,
    source,
    store,
)

ExportsSetting = Literal["always", "never"]
CONFIGURATION = """\
database: {{url: "{database}", pool_size: 5}}
vault:
  bucket: {bucket}
  region: ap-south-1
  endpoint_url: {endpoint}
  access_key_id: {key_id}
  secret_access_key: {secret}
accounts:
  - name: bench
    account_id: self
    base_url: {base_url}
    auth: {{token: sim-token}}
    start_from: {start_from}
    requests_per_minute: 600000
    exports: {exports}
    export_user: auditor
sync: {{concurrency: {concurrency}, page_size: 100}}
logging: {{format: json, level: info}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one whole process took. CPU: user and system seconds; `rss`: the most bytes resident."""

    cpu: float
    wall: float
    rss: int
    arrived: Mapping[str, int]  # requests at the source, by operation
    exit_code: int
    output: str

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.arrived.values())


@dataclass(slots=True, kw_only=True)
class Ring:
    """The neighbours that all runs share, and a folder for everything."""

    folder: Path
    load: Load
    source: Source
    endpoint: str
    server_url: str
    concurrency: int
    listed_before: timedelta  # how long before the first call the account begins
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def archiver(self, *, until: int | None = None, exports: ExportsSetting = "never") -> Cost:
        """Run a whole pass on a fresh catalogue and a fresh bucket; with `until`, stop it after so many downloads."""
        configuration, _ = self.prepare(exports)
        return self.sync(configuration, until=until)

    def prepare(self, exports: ExportsSetting = "never", *, bucket: str | None = None) -> tuple[Path, str]:
        """Make a fresh catalogue and a fresh bucket, unless one is given. Returns configuration and database URL."""
        number = next(self.numbers)
        if bucket is None:
            bucket = f"bench-{number}"
            make_bucket(self.endpoint, bucket)
        database = make_database(self.server_url, f"bench_{number}")
        configuration = self.folder / f"archiver-{number}.yaml"
        configuration.write_text(self._configuration(bucket, database, exports))
        subprocess.run([*self._command(configuration), "db", "upgrade"], check=True, capture_output=True)
        return configuration, database

    def sync(self, configuration: Path, *, until: int | None = None) -> Cost:
        """Run a whole pass."""
        return self._measured([*self._command(configuration), "sync", "--json"], until)

    def rebuild(self, configuration: Path) -> Cost:
        """Rebuild a catalogue."""
        return self._measured([*self._command(configuration), "rebuild", "--json"], None)

    def _command(self, configuration: Path) -> list[str]:
        return [str(Path(sys.executable).parent / "archiver"), "--config", str(configuration)]

    def rival(self) -> Cost:
        """Run the copying script into a fresh bucket."""
        bucket = f"bench-{next(self.numbers)}"
        make_bucket(self.endpoint, bucket)
        command = [sys.executable, "-m", "bench.rival", "--base-url", self.source.base_url, "--bucket", bucket]
        command += ["--endpoint", self.endpoint, "--key-id", KEY_ID, "--secret", SECRET]
        return self._measured([*command, "--threads", str(self.concurrency)], None)

    def _configuration(self, bucket: str, database: str, exports: ExportsSetting) -> str:
        return CONFIGURATION.format(
            database=database,
            bucket=bucket,
            endpoint=self.endpoint,
            key_id=KEY_ID,
            secret=SECRET,
            base_url=self.source.base_url,
            start_from=f"{self.load.start - self.listed_before:%Y-%m-%dT%H:%M:%SZ}",
            concurrency=self.concurrency,
            exports=exports,
        )

    def _measured(self, command: Sequence[str], until: int | None) -> Cost:
        result, before = self.folder / "cost.json", self.source.counts()
        timed = [sys.executable, "-I", str(Path(__file__).with_name("timed.py")), str(result), *command]
        with (self.folder / "output").open("w+") as output, (self.folder / "errors").open("a") as errors:
            process = subprocess.Popen(timed, stdout=output, stderr=errors)
            if until is not None:
                self._stop_after(before.get("audio", 0) + until, process)
            process.wait()
            output.seek(0)
            text = output.read()
        spent = {name: total - before.get(name, 0) for name, total in self.source.counts().items()}
        measured = json.loads(result.read_text())
        return Cost(**measured, arrived=spent, output=text)

    def _stop_after(self, downloads: int, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None and self.source.counts().get("audio", 0) < downloads:
            time.sleep(0.2)
        process.terminate()


@contextmanager
def ring(
    load: Load,
    *,
    store_name: StoreName,
    concurrency: int,
    listed_before: timedelta = timedelta(0),
    packed: bool = False,
) -> Iterator[Ring]:
    """Start the neighbours; end them and remove what they wrote."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archiver-bench-")))
        yield Ring(
            folder=folder,
            load=load,
            source=stack.enter_context(source(load)),
            endpoint=stack.enter_context(store(store_name, folder, packed=packed)),
            server_url=stack.enter_context(postgres(folder)),
            concurrency=concurrency,
            listed_before=listed_before,
        )


def require(cost: Cost, good: Callable[[Cost], bool], folder: Path) -> Cost:
    """Return the cost of a run that did its work; a figure of any other is worth nothing."""
    if not good(cost):
        errors = (folder / "errors").read_text()[-2000:]
        raise SystemExit(f"a run failed with exit code {cost.exit_code}: {cost.output[-2000:]}\n{errors}")
    return cost


def counted(cost: Cost, name: str) -> int:
    """What a pass says that it has done, over all accounts."""
    return sum(int(counts[name]) for counts in json.loads(cost.output)["accounts"].values())
