"""Nasdaq's own SoupBinTCP client at our OUCH gateway and at GLIMPSE."""

from __future__ import annotations

import asyncio

import pytest
from busy_day import SILENCE_MS, BusyDay, Day
from nasdaq_clients import (
    NEVER_S,
    CountingSession,
    log_in,
    read_messages,
    read_snapshot,
    read_until_cut_off,
)
from nasdaq_protocols import soup

from exchange.capture import capture_of
from exchange.local import wait_for
from marketdata.depth import MarketDepth
from marketdata.instrument_book import InstrumentBook
from protocols import itch50
from protocols.itch50_messages import SideCode

pytestmark = pytest.mark.interop

USER = "OUCH1"
LONGEST_S = 60.0


def test_it_reads_a_session_from_the_first_message_on(busy: BusyDay, day: Day) -> None:
    expected = day.ouch_messages[USER]

    async def test() -> None:
        session = await log_in(busy.config.addresses.ouch[0], USER)
        assert session.session_id.session == busy.config.ouch.session
        assert await read_messages(session, len(expected)) == expected
        assert session.sequence >= len(expected)
        session.logout()
        await wait_for(session.is_closed, "logged out", LONGEST_S)

    assert len(expected) > 500
    busy.run(test())


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_it_reads_a_session_from_any_message_on(busy: BusyDay, day: Day, share: float) -> None:
    expected = day.ouch_messages[USER]
    first = 1 + int(share * len(expected))

    async def test() -> None:
        session = await log_in(busy.config.addresses.ouch[0], USER, first)
        messages = await read_messages(session, len(expected) + 1 - first)
        assert messages == expected[first - 1 :]
        await session.close()

    busy.run(test())


@pytest.mark.parametrize("asked", [0, 1_000_000_000], ids=["zero", "beyond the end"])
def test_it_is_told_which_message_comes_next(busy: BusyDay, day: Day, asked: int) -> None:
    async def test() -> None:
        session = await log_in(busy.config.addresses.ouch[0], USER, asked)
        # It counts what it has read: the number in Login Accepted, less one. That is all there is,
        # or more: others may have traded with orders of this user since.
        assert len(day.ouch_messages[USER]) <= session.sequence < 1_000_000
        assert session.receive_msg_nowait() is None
        await session.close()

    busy.run(test())


@pytest.mark.parametrize(
    ("user", "password", "session", "reason"),
    [
        ("OUCH1", "wrong", "", "NOT_AUTHORIZED"),
        ("NOBODY", "password", "", "NOT_AUTHORIZED"),
        ("OUCH1", "password", "OTHER", "SESSION_NOT_AVAILABLE"),
    ],
)
def test_a_refusal_says_why(
    busy: BusyDay, user: str, password: str, session: str, reason: str
) -> None:
    async def test() -> None:
        remote = tuple(busy.config.addresses.ouch[0])
        with pytest.raises(ConnectionRefusedError, match=reason):
            await soup.connect_async(remote, user, password, session)

    busy.run(test())


def test_heartbeats_keep_an_idle_session_open(busy: BusyDay) -> None:
    intervals = {"client_heartbeat_interval": 1, "server_heartbeat_interval": 5}

    async def test() -> None:
        session = await log_in(
            busy.config.addresses.ouch[0],
            "OUCH8",
            session_factory=lambda: CountingSession(**intervals),
        )
        # Enough of them to last longer than the gateway would bear silence.
        enough = SILENCE_MS // 1_000 + 3
        await wait_for(
            lambda: min(session.sent, session.heard) >= enough or session.is_closed(),
            f"{enough} heartbeats in either direction",
            LONGEST_S,
        )
        assert session.is_active()
        await session.close()

    busy.run(test())


def test_a_client_without_heartbeats_is_told_and_cut_off(busy: BusyDay) -> None:
    async def test() -> None:
        session = await log_in(
            busy.config.addresses.ouch[0], "OUCH8", client_heartbeat_interval=NEVER_S
        )
        async with asyncio.timeout(LONGEST_S):
            packets = await read_until_cut_off(session)
        assert isinstance(packets[-1], soup.Debug)
        assert "silent" in packets[-1].msg

    busy.run(test())


def orders(book: InstrumentBook | None) -> list[list[tuple[int, int, int]]]:
    """(reference number, price, shares) of both sides, in priority."""
    assert book is not None
    return [
        [(one.order_reference_number, one.price, one.shares) for one in book.orders(side)]
        for side in SideCode
    ]


def test_it_reads_a_whole_snapshot_from_glimpse(busy: BusyDay) -> None:
    config = busy.config

    async def test() -> tuple[list[bytes], MarketDepth]:
        feed = capture_of(config)
        await feed.start()
        try:
            await busy.wait_until_level(feed)
            session = await log_in(config.addresses.glimpse, config.marketdata.glimpse_username)
            assert session.session_id.session == config.marketdata.feed_session
            return await read_snapshot(session), feed.depth
        finally:
            await feed.close()

    (*messages, end), ours = busy.run(test())
    assert itch50.decode_end_of_snapshot(end) == ours.next_sequence_number
    snapshot = MarketDepth()
    snapshot.apply(messages)
    assert snapshot.symbols == ours.symbols == busy.symbols
    for symbol in busy.symbols:
        assert orders(snapshot.book(symbol)) == orders(ours.book(symbol))
    assert snapshot.order_count == ours.order_count > 100
