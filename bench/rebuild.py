"""What a rebuild of a lost catalogue costs, for a small bucket and a large one."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from statistics import median

from obstore.store import S3Store

from archiver.core import sidecar
from archiver.core.listing import parse_recording
from archiver.core.model import Fixity, Recording
from archiver.core.naming import audio_key, sidecar_key
from bench.contest import Cost, Ring, require, ring
from bench.neighbours import KEY_ID, SECRET, Load, StoreName

MIB = 2**20
AUDIO = b"\xff\xfb\x90\x00" * 16  # nobody reads it here
AT_ONCE = 32


def measure(*, store_name: StoreName, concurrency: int, rounds: int, sizes: tuple[int, int]) -> None:
    """Fill a bucket of each size, rebuild into fresh catalogues and once more into a full one; print medians."""
    columns = {size: _measured(store_name, concurrency, rounds, size) for size in sizes}
    small, large = sizes
    lines = [f"| | {small:,} recordings | {large:,} recordings | ratio |", "|---|---|---|---|"]
    for name, one in columns[small].items():
        other = columns[large][name]
        lines.append(f"| {name} | {one:.1f} | {other:.1f} | {other / one:.2f} |")
    print(f"\n{rounds} rounds, medians:\n\n" + "\n".join(lines))


def _measured(store_name: StoreName, concurrency: int, rounds: int, size: int) -> Mapping[str, float]:
    load = Load(count=1, mean_size=1)
    with ring(load, store_name=store_name, concurrency=concurrency) as arena:
        anew, again = list[Cost](), list[Cost]()
        filled, _ = arena.prepare()
        bucket = filled.read_text().partition("bucket: ")[2].partition("\n")[0]
        asyncio.run(_fill(arena.endpoint, bucket, size))
        for _ in range(rounds):
            fresh, _ = arena.prepare(bucket=bucket)
            anew.append(_rebuilt(arena, fresh, "stored", size))
            again.append(_rebuilt(arena, fresh, "known", size))
            print(
                f"{size:,}: {anew[-1].wall:.1f} s, {anew[-1].rss / MIB:.0f} MiB; again {again[-1].wall:.1f} s",
                flush=True,
            )
    return {
        "rows per second": median(size / cost.wall for cost in anew),
        "wall seconds": median(cost.wall for cost in anew),
        "CPU seconds": median(cost.cpu for cost in anew),
        "peak memory, MiB": median(cost.rss / MIB for cost in anew),
        "wall seconds of a second rebuild": median(cost.wall for cost in again),
    }


def _rebuilt(arena: Ring, configuration: Path, counted: str, size: int) -> Cost:
    return require(
        arena.rebuild(configuration), lambda cost: int(json.loads(cost.output)[counted]) == size, arena.folder
    )


async def _fill(endpoint: str, bucket: str, size: int) -> None:
    """Put audio and sidecars as the archiver writes them, calls a minute apart."""
    store = S3Store(
        bucket,
        config={"endpoint": endpoint, "access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "ap-south-1"},
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    waiting = _recordings(size)

    async def work() -> None:
        for item in waiting:
            key, fixity = audio_key("", item), Fixity(sha256=hashlib.sha256(AUDIO).hexdigest(), size=len(AUDIO))
            body = sidecar.render(item, key=key, fixity=fixity, size_disagrees=False, listed_at=item.start)
            await store.put_async(key, AUDIO, use_multipart=False)
            await store.put_async(sidecar_key(key), body, use_multipart=False)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _recordings(size: int) -> Iterator[Recording]:
    first = Load(count=1, mean_size=1).start - timedelta(days=1)
    for number in range(size):
        start = first - timedelta(minutes=number)
        said = {"id": number, "call_id": f"call-{number}", "start": start.isoformat(), "duration": 60_000,
                "caller_id": f"+9122{number:08}", "dnis": "+918055500100", "cnam": f"CALLER {number}",
                "call_direction": "INBOUND", "extensions": ["2100"], "rule_ids": ["7"],
                "file_size_in_bytes": len(AUDIO), "file_name": f"call-{number}.mp3"}  # fmt: skip
        item = parse_recording("bench", said)
        assert isinstance(item, Recording)
        yield item
