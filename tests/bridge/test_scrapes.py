"""A scraper that asks a hundred times a second gets answers, and costs no more than one answer at a time."""

import asyncio

import pytest

from bridge.admin.scrapes import SharedScrapes


class Making:
    """Answers with the number of the answer, once the test lets it."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = self.most = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> bytes:
        self.begun += 1
        number = self.begun
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.may_end.wait()
        self.at_once -= 1
        return str(number).encode()


async def test_a_hundred_questions_at_once_cost_two_answers_that_are_no_older_than_each_question() -> None:
    making = Making()
    scrapes = SharedScrapes(making)
    first = asyncio.create_task(scrapes.answer())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(scrapes.answer()) for _ in range(99)]
    await asyncio.sleep(0)
    making.may_end.set()
    assert await first == b"1"
    assert set(await asyncio.gather(*others)) == {b"2"}
    assert (making.begun, making.most) == (2, 1)
    assert await scrapes.answer() == b"3", "a later question has a later answer"


async def test_who_hangs_up_takes_the_answer_from_nobody() -> None:
    making = Making()
    scrapes = SharedScrapes(making)
    first, second = asyncio.create_task(scrapes.answer()), asyncio.create_task(scrapes.answer())
    third = asyncio.create_task(scrapes.answer())
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    making.may_end.set()
    assert await third == b"2"


async def test_an_answer_that_fails_is_tried_again_by_the_next_question() -> None:
    failures = iter([OSError("no")])

    async def make() -> bytes:
        if (error := next(failures, None)) is not None:
            raise error
        return b"well"

    scrapes = SharedScrapes(make)
    with pytest.raises(OSError, match="no"):
        await scrapes.answer()
    assert await scrapes.answer() == b"well"
