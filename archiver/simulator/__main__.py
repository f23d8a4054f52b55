"""`python -m archiver.simulator`: a simulator in a process of its own; prints its URLs as one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

from archiver.simulator.account import EPOCH, Account, ordinary
from archiver.simulator.awkward import awkward
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.exports import Exports
from archiver.simulator.serve import serve
from archiver.simulator.server import Simulator, utc_now


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m archiver.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--account", choices=("ordinary", "awkward"), default="ordinary")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--mean-size", type=int, default=400_000, help="bytes, ordinary account")
    parser.add_argument("--start", type=_moment, default=EPOCH, help="first call of an ordinary account")
    parser.add_argument("--days", type=int, default=30, help="span of an ordinary account")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page-base", type=int, choices=(0, 1), default=1)
    parser.add_argument("--requests-per-minute", type=int, default=None)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--export-delay", type=float, default=0.0, help="seconds until an export can be retrieved")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _account(arguments: argparse.Namespace) -> Account:
    if arguments.account == "awkward":
        return awkward(arguments.count, seed=arguments.seed, now=utc_now())
    return ordinary(
        arguments.count,
        seed=arguments.seed,
        start=arguments.start,
        over=timedelta(days=arguments.days),
        mean_size=arguments.mean_size,
    )


def _announce(simulator: Simulator) -> None:
    urls = {"base_url": simulator.base_url, "token_url": simulator.token_url}
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until interrupted."""
    arguments = _parser().parse_args()
    behaviour = Behaviour(
        page_base=arguments.page_base,
        requests_per_minute=arguments.requests_per_minute,
        latency=arguments.latency,
        exports=Exports(delay=timedelta(seconds=arguments.export_delay)),
    )
    serving = serve(_account(arguments), host=arguments.host, port=arguments.port, behaviour=behaviour, ready=_announce)
    asyncio.run(serving)


if __name__ == "__main__":
    main()
