"""The simulated source in a process of its own. Prints its address; each line on stdin is answered with its counts."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta

from archiver.simulator.account import ordinary
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.exports import Exports
from archiver.simulator.server import Simulator


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until stdin ends."""
    account = ordinary(
        arguments.count,
        start=arguments.start,
        over=timedelta(days=arguments.days),
        mean_size=arguments.mean_size,
    )
    if arguments.exact:
        same = tuple(replace(item, size=arguments.mean_size) for item in account.recordings)
        account = replace(account, recordings=same)
    behaviour = Behaviour(exports=Exports(per_job=arguments.per_job))
    async with Simulator(account, behaviour=behaviour) as simulator:
        print(json.dumps({"base_url": simulator.base_url}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            counts = {operation.value: count for operation, count in simulator.requests.counts.items()}
            print(json.dumps(counts), flush=True)


def main() -> None:
    """Read the account's size from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--mean-size", type=int, required=True)
    parser.add_argument("--exact", action="store_true", help="every recording of exactly the mean size")
    parser.add_argument("--start", type=datetime.fromisoformat, required=True)
    parser.add_argument("--days", type=float, required=True)
    parser.add_argument("--per-job", type=int, default=1000, help="recordings in one ZIP of an export")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
