"""The links of the chaos tests do to connections what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tcp_links import Link

from cluster.settings import Address
from exchange.local import wait_for

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def through_a_link(story: Callable[[Link, Ends, Ends], Awaitable[None]]) -> None:
    """Run a story with a link, the dialler's end of a connection, and the dialled end."""

    async def run() -> None:
        accepted: asyncio.Queue[Ends] = asyncio.Queue()
        server = await asyncio.start_server(lambda *ends: accepted.put_nowait(ends), "127.0.0.1", 0)
        target = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        link = Link(Address("127.0.1.1", target.port), target)
        await link.start()
        near = await asyncio.open_connection(*link.listen)
        async with asyncio.timeout(20):
            far = await accepted.get()
            await wait_for(lambda: link.dialled, "the link knows its connection", 5.0)
            await story(link, near, far)
        await link.close()
        near[1].transport.abort()
        server.close()

    asyncio.run(run())


async def arrives(ends: Ends, expected: bytes) -> None:
    assert await ends[0].readexactly(len(expected)) == expected


async def silence(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ends[0].read(1)


def test_jitter_keeps_the_order() -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        link.forth.delay_s, link.forth.jitter_s = 0.001, 0.02
        sent = b""
        for number in range(100):
            piece = b"%d," % number
            near[1].write(piece)
            sent += piece
            await asyncio.sleep(0)
        await arrives(far, sent)

    through_a_link(story)


def test_what_is_stalled_arrives_later_and_the_other_direction_goes_on() -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        link.forth.stall()
        near[1].write(b"late")
        far[1].write(b"in time")
        await arrives(near, b"in time")
        await silence(far)
        link.forth.resume()
        await arrives(far, b"late")

    through_a_link(story)


def test_a_trickle_brings_everything_in_small_pieces() -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        link.forth.bytes_per_s = 1_000
        near[1].write(bytes(200))
        assert 0 < len(await far[0].read(200)) < 200
        link.forth.bytes_per_s = None

    through_a_link(story)


@pytest.mark.parametrize("broken", ["dialled", "dialler"])
def test_a_half_open_connection_ends_at_one_end_only(broken: str) -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        (link.break_dialled_end if broken == "dialled" else link.break_diallers_end)()
        ended, open_end = (far, near) if broken == "dialled" else (near, far)
        assert await ended[0].read(1) == b""
        open_end[1].write(b"goes nowhere")
        await open_end[1].drain()
        await silence(open_end)

    through_a_link(story)


def test_an_end_that_closes_is_seen_at_the_other_one() -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        near[1].write(b"last words")
        near[1].close()
        await arrives(far, b"last words")
        assert await far[0].read(1) == b""

    through_a_link(story)


def test_a_reset_ends_both() -> None:
    async def story(link: Link, near: Ends, far: Ends) -> None:
        link.reset()
        assert await near[0].read(1) == b""
        assert await far[0].read(1) == b""

    through_a_link(story)
