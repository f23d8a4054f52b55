"""Run one coroutine function as several workers, and report the first real error plainly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """One iterator that several workers draw from: an async generator must not be advanced by two at once."""

    def __init__(self, source: AsyncIterator[T]) -> None:
        """`source` is this feed's alone from now on."""
        self._source = source
        self._turn = asyncio.Lock()

    async def next(self) -> T | None:
        """Take the next thing; None when there is no more."""
        async with self._turn:
            return await anext(self._source, None)


async def run_workers(count: int, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` `count` times at once. An error in one cancels the others and is raised as itself."""

    async def job() -> None:
        await work()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(job())
    except BaseExceptionGroup as failed:
        raise first_leaf(failed) from None


def first_leaf(error: BaseException) -> BaseException:
    """Find the first plain error inside groups of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
