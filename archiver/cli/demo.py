"""`archiver demo`: the main job from end to end on parts that run on this machine alone."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TextIO

import typer

from archiver import logs, plans
from archiver.adapters import database
from archiver.adapters.backfill_rows import BackfillRows
from archiver.adapters.coverage_reads import CoverageReads
from archiver.app import App, new_run_id, now, open_app, open_engine
from archiver.cli.common import leave, out, run, words
from archiver.cli.covering import chosen, look, show_coverage
from archiver.cli.deleting import RETENTION, file_plan, history_of
from archiver.cli.demo_parts import BUCKET, KEY_ID, REGION, SECRET, local_s3, make_bucket, mirror, prepare
from archiver.cli.progress import shown
from archiver.cli.summary import show_pass, show_plan
from archiver.core.controls import opening
from archiver.core.holds import Hold, Query
from archiver.core.plan_file import parse, render
from archiver.core.report import PassReport
from archiver.errors import SafetyLimit
from archiver.passes import Pass
from archiver.scheduler import Interrupt
from archiver.settings import Settings, load
from archiver.simulator import Account, Simulator, awkward, in_thread

CONFIG = """\
# Written by `archiver demo`. The parts that it names run only during the demo (or with --keep).
database: {{embedded: ./postgres}}
vault:
  bucket: {bucket}
  region: {region}
  endpoint_url: {endpoint}
  access_key_id: {key_id}
  secret_access_key: {secret}
accounts:
  - name: acme
    base_url: {base_url}
    auth: {{token: {token}}}
    start_from: {start_from}
    requests_per_minute: 6000
sync: {{lookback: 72h, concurrency: 16}}
policies: policies.yaml
"""
POLICIES = """\
# Written by `archiver demo`.
deletion: {{mode: {mode}, max_per_run: 500, max_percent: 50}}
policies:
  - name: everyone
    source: {{delete_after: 30d}}
    archive: {{keep_at_least: 5y}}
  - name: front-desk
    match: {{extensions: ["21*"], directions: [INBOUND]}}
    source: {{delete_after: 40d}}
    archive: {{keep_at_least: 8y}}
"""

AUTHOR, APPROVER, CASE = "demo author", "demo approver", "case-4711"
SHOWN = 45  # days of the coverage table: as many as hold calls


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: its folder and the parts that run."""

    folder: Path
    simulator: Simulator
    account: Account
    endpoint: str

    @property
    def config(self) -> Path:
        """Path of the configuration that it writes."""
        return self.folder / "archiver.yaml"

    def write(self, *, deletion: str) -> Settings:
        """Write both files and load them, as the program always does."""
        start = (now() - timedelta(days=60)).replace(microsecond=0)
        text = CONFIG.format(
            bucket=BUCKET,
            region=REGION,
            endpoint=self.endpoint,
            key_id=KEY_ID,
            secret=SECRET,
            base_url=self.simulator.base_url,
            token=self.simulator.credentials.token,
            start_from=start.isoformat(),
        )
        self.config.write_text(text)
        (self.folder / "policies.yaml").write_text(POLICIES.format(mode=deletion))
        return load(self.config, os.environ)


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where files, log and database go.")] = Path("var/demo"),
    count: Annotated[int, typer.Option(min=20, max=5000, help="How many recordings.")] = 300,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the parts running until Ctrl-C.")] = False,
) -> None:
    """Archive a simulated, awkward account from end to end: discover, archive, verify, plan, delete at the source."""
    prepare(folder)
    account = awkward(count, now=now())
    with (folder / "archiver.log").open("w") as log_file, in_thread(account) as simulator, local_s3(folder) as endpoint:
        leave(run(_play(Stage(folder, simulator, account, endpoint), log_file, keep=keep)))


async def _play(stage: Stage, log_file: TextIO, *, keep: bool) -> int:
    settings = stage.write(deletion="disabled")
    logs.configure(format="json", level="debug", stream=log_file, secrets=settings.secrets())
    await asyncio.to_thread(make_bucket, stage.endpoint)
    async with open_engine(settings) as engine:  # held open: the embedded Postgres runs as long as the demo
        await database.upgrade(engine)
        _title("The parts")
        out.print(f"simulated recordings API  {stage.simulator.base_url}  ({len(stage.account.recordings)} recordings)")
        out.print(f"S3 (moto's server)        {stage.endpoint}  bucket {BUCKET}")
        out.print(f"Postgres (embedded)       {stage.folder / 'postgres'}")
        code = await _story(stage, settings)
        await asyncio.to_thread(mirror, stage.endpoint, stage.folder / "files")
        _look_around(stage)
        if keep:
            out.print("\nThe parts go on running; in another terminal the commands above work. End with Ctrl-C.")
            interrupt = Interrupt(timedelta())
            interrupt.catch()
            await interrupt.asked.wait()
    return code


async def _story(stage: Stage, settings: Settings) -> int:
    _title("First pass: everything that the source lists goes into the bucket and is verified")
    await _pass(settings)
    _title("Second pass: a recording that was published late, behind the watermark, is found by looking back")
    await _pass(settings)
    settings = stage.write(deletion="approve")
    plan_file = stage.folder / "plan.json"
    async with open_app(settings) as app:
        await _plan(app, plan_file)
        _title("A case is opened: a legal hold on one of these recordings. Then a second person approves the plan")
        await _hold_and_approve(app, plan_file)
        _title("Exactly that plan is applied; what no longer qualifies is kept, with its reason")
        work = Pass(app=app, run=new_run_id())
        text = plan_file.read_text()
        async with plans.in_use(app.engine, app.controls, parse(text), text, app.policies, app.clock()) as record:
            async with shown(work):
                await work.apply(parse(text), history_of(record))
            await plans.use_up(app.controls, record, work.run, app.clock())
        await _sum_up(app, work)
    _title("Last pass: nothing to do")
    last = await _pass(settings)
    code = await _judge(stage, settings, last)
    _title("Coverage: what an auditor asks for. Every day is proved, but for the gap that has a name")
    await _cover(settings)
    return code


async def _plan(app: App, file: Path) -> None:
    _title("Retention: what the policies would delete at the source, and why")
    plan = await Pass(app=app, run=new_run_id()).draft(author=AUTHOR)
    show_plan(plan, app.policies, most=10)
    await file_plan(app, plan, render(plan), RETENTION, file)


async def _hold_and_approve(app: App, file: Path) -> None:
    text = file.read_text()  # noqa: ASYNC240 - nothing else waits
    plan = parse(text)
    case = Hold(
        name=CASE,
        reason="complaint 4711",
        author=AUTHOR,
        at=app.clock(),
        query=Query(ids=(plan.items[0].recording_id,)),
    )
    await app.controls.record(opening(case))
    out.print(f"archiver hold add {case.name} --reason '{case.reason}' --id {plan.items[0].recording_id}")
    try:
        async with plans.in_use(app.engine, app.controls, plan, text, app.policies, app.clock()):
            pass
    except SafetyLimit as refusal:
        out.print("archiver apply plan.json: refused,", words(refusal))
    await plans.approve(
        app.controls, plan, text, app.policies, by=APPROVER, reason="read and found right", now=app.clock()
    )
    out.print(f"archiver approve plan.json --by '{APPROVER}': approved")


async def _cover(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        first = (now() - timedelta(days=SHOWN)).date()
        asked = chosen(settings, first.isoformat(), None, None)
        show_coverage(await look(CoverageReads(engine), BackfillRows(engine), settings, asked))


async def _pass(settings: Settings) -> PassReport:
    async with open_app(settings) as app:
        work = Pass(app=app, run=new_run_id())
        async with shown(work):
            await work.sync()
        await _sum_up(app, work)
    return work.reports["acme"]


async def _sum_up(app: App, work: Pass) -> None:
    show_pass(work, await app.reads.gaps(limit=20), await app.reads.count_gaps())


async def _judge(stage: Stage, settings: Settings, last: PassReport) -> int:
    """Hold the demo to what it promises: one recording has no audio at all, everything else is archived."""
    async with open_app(settings) as app:
        gaps = {gap.recording_id for gap in await app.reads.gaps(limit=20)}
    expected = {str(stage.account.oddities["html_always"])}
    idle = (last.new, last.archived, last.verified, last.deleted) == (0, 0, 0, 0)
    if gaps == expected and idle:
        out.print("\nAs it should be: one recording has only an error page for audio and stands on the gap list.")
        return 0
    out.print(f"\n[red]Not as it should be[/]: gaps {sorted(map(str, gaps))}, expected {sorted(expected)}")
    return 3


def _look_around(stage: Stage) -> None:
    _title("Where to look")
    out.print(f"files     {stage.folder / 'files'}: the bucket's audio and sidecars, copied out of it")
    out.print(f"log       {stage.folder / 'archiver.log'}: JSON lines, down to debug")
    out.print(f"database  {stage.folder / 'postgres'}: starts by itself with the commands below")
    out.print(f"plan      {stage.folder / 'plan.json'}")
    for command in ("status", "coverage", "gaps list", "search --limit 5", f"explain {stage.account.oddities['late']}"):
        out.print(f"  archiver --config {stage.config} {command}")


def _title(text: str) -> None:
    out.print(f"\n[bold cyan]{text}[/]")
