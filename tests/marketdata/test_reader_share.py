"""ReaderShare: readers of pages get a part of the time, in turn, and never all of it."""

from __future__ import annotations

import asyncio

import pytest

from marketdata.reader_share import MAX_WAITING, SHARE, ReaderShare, TooManyReaders


class Clock:
    """Time that passes while pages are made, and while everybody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []
        really_sleep = asyncio.sleep

        async def sleep(pause_s: float) -> None:
            self.slept_s.append(pause_s)
            self.now_s += pause_s
            await really_sleep(0)

        monkeypatch.setattr("marketdata.reader_share.asyncio.sleep", sleep)

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("page_s", [0.0001, 0.001, 0.01])
def test_however_many_ask_they_get_their_share_of_the_time(
    page_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    share = ReaderShare(clock)
    made: list[int] = []

    async def reader(number: int) -> None:
        async with share.turn():
            made.append(number)
            clock.now_s += page_s

    async def test() -> None:
        await asyncio.gather(*(reader(number) for number in range(MAX_WAITING)))

    asyncio.run(test())
    assert made == list(range(MAX_WAITING)), "first come, first served"
    assert len(clock.slept_s) == MAX_WAITING, "the loop comes by before each page"
    used_s = MAX_WAITING * page_s
    assert used_s / SHARE - page_s / SHARE - 0.002 <= clock.now_s <= used_s / SHARE + 1e-9
    assert share.waiting == 0


def test_who_comes_when_the_queue_is_full_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    share = ReaderShare(Clock(monkeypatch))

    async def reader() -> str:
        try:
            async with share.turn():
                return "made"
        except TooManyReaders:
            return "refused"

    async def test() -> list[str]:
        return await asyncio.gather(*(reader() for _ in range(MAX_WAITING + 5)))

    assert asyncio.run(test()) == ["made"] * MAX_WAITING + ["refused"] * 5
    assert (share.waiting, share.refused) == (0, 5)


def test_who_leaves_while_waiting_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    share = ReaderShare(Clock(monkeypatch))

    async def test() -> None:
        held = asyncio.Event()

        async def holds() -> None:
            async with share.turn():
                await held.wait()

        async def waits() -> None:
            async with share.turn():
                raise ValueError("a page that fails")

        tasks = [asyncio.create_task(holds()), *(asyncio.create_task(waits()) for _ in range(3))]
        await asyncio.sleep(0)
        tasks[1].cancel()
        held.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found[1:]] == [asyncio.CancelledError, ValueError, ValueError]
        assert share.waiting == 0
        async with share.turn():
            pass

    asyncio.run(test())
