"""The byte budget: never more lent than there is, first come first served, and everything comes back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.stages.budget import ByteBudget

LIMIT = 100


class Borrower:
    """Borrows, says when it has got the loan, and keeps it until it is told to return it."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self.got, self.back = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._borrow(budget, size))

    async def _borrow(self, budget: ByteBudget, size: int) -> None:
        async with budget.lend(size):
            self.got.set()
            await self.back.wait()

    async def give_back(self) -> None:
        self.back.set()
        await self.task


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waiting(*borrowers: Borrower) -> list[bool]:
    await settled()
    return [not one.got.is_set() for one in borrowers]


async def test_a_loan_waits_until_enough_is_free() -> None:
    budget = ByteBudget(LIMIT)
    first, second, third = (Borrower(budget, size) for size in (60, 40, 1))
    assert await waiting(first, second, third) == [False, False, True]
    await second.give_back()
    assert await waiting(third) == [False]
    await first.give_back()
    await third.give_back()


async def test_a_large_loan_is_not_overtaken_by_small_ones() -> None:
    budget = ByteBudget(LIMIT)
    holder, large, small = (Borrower(budget, size) for size in (50, 90, 1))
    assert await waiting(large, small) == [True, True]
    await holder.give_back()
    assert await waiting(large, small) == [False, False]
    await large.give_back()
    await small.give_back()


async def test_more_than_there_is_at_all_is_cut_down_and_not_waited_for_in_vain() -> None:
    budget = ByteBudget(LIMIT)
    giant, next_one = Borrower(budget, LIMIT * 50), Borrower(budget, 1)
    assert await waiting(giant, next_one) == [False, True]
    await giant.give_back()
    assert await waiting(next_one) == [False]
    await next_one.give_back()


@pytest.mark.parametrize("victim", [0, 1, 2], ids=["while it holds", "while it waits first", "while it waits behind"])
async def test_a_cancelled_borrower_gives_everything_back(victim: int) -> None:
    """Wherever it was cancelled, the whole budget can be lent again."""
    budget = ByteBudget(LIMIT)
    borrowers = [Borrower(budget, 80) for _ in range(3)]
    await settled()
    borrowers[victim].task.cancel()
    await settled()
    for one in borrowers:
        one.back.set()
    ends = await asyncio.gather(*(one.task for one in borrowers), return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ends] == [number == victim for number in range(3)]
    last = Borrower(budget, LIMIT)
    assert await waiting(last) == [False]
    await last.give_back()


async def test_a_loan_comes_back_when_its_work_fails() -> None:
    budget = ByteBudget(LIMIT)
    with pytest.raises(ZeroDivisionError):
        async with budget.lend(LIMIT):
            raise ZeroDivisionError
    last = Borrower(budget, LIMIT)
    assert await waiting(last) == [False]
    await last.give_back()


@given(st.lists(st.integers(0, 2 * LIMIT), max_size=30))
def test_sixteen_workers_never_hold_more_than_the_limit(sizes: list[int]) -> None:
    """Whatever the sizes are, and in whatever rhythm the workers go on; and all of them come to an end."""
    held, most, done = 0, 0, []
    queue = list(enumerate(sizes))

    async def work(budget: ByteBudget) -> None:
        nonlocal held, most
        while queue:
            number, size = queue.pop(0)
            async with budget.lend(size):
                held += min(size, LIMIT)
                most = max(most, held)
                for _ in range(size % 7):
                    await asyncio.sleep(0)
                held -= min(size, LIMIT)
            done.append(number)

    async def main() -> None:
        budget = ByteBudget(LIMIT)
        await asyncio.gather(*(work(budget) for _ in range(16)))

    asyncio.run(main())
    assert most <= LIMIT
    assert sorted(done) == list(range(len(sizes)))
