"""A running feed over lines that lose packets and fall silent: nobody may notice in the stream.

Two publishers on real multicast over loopback, one event loop; the market-data process fills its
gaps from the nodes, and a member fills its own from the process, over UDP. Each line loses one
datagram in twenty, heartbeats included, and in the middle both are cut for a second, while the
exchange goes on. What both receivers have in the end is compared with what the log says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from multicast_lab import Lab, a_lab, a_server, losing, run, until
from order_flow import assert_same_books

from cluster.interface import AppliedBatch
from exchange.capture import FeedCapture
from marketdata.feed import ItchFeed
from marketdata.server import MarketDataServer

LOSS = 0.05
CUT_S = 1.0
BEFORE_THE_CUT, AFTER_THE_CUT = 8_000, 8_000
COMMANDS = 10
PAUSE_S = 0.002


class Feed:
    """The nodes of the lab, fed one batch after the other; `log` has every batch."""

    def __init__(self, lab: Lab) -> None:
        self.log: list[AppliedBatch] = [lab.flow.opening()]
        self._lab = lab
        self._publish(self.log[0])

    async def publish_while(self, goes_on: Callable[[], bool]) -> None:
        """Batches at a steady pace, as long as the fact holds."""
        while goes_on():
            self.log.append(self._lab.flow.batch(COMMANDS))
            self._publish(self.log[-1])
            await asyncio.sleep(PAUSE_S)

    def messages(self) -> list[bytes]:
        """What the log says was published: it is derived anew."""
        feed = ItchFeed()
        return [message for batch in self.log for message in feed.messages(batch)]

    def _publish(self, batch: AppliedBatch) -> None:
        for publisher in self._lab.publishers.values():
            publisher.on_batch(batch)


def test_nothing_is_missing_after_loss_on_both_lines_and_a_second_without_them(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            member = FeedCapture(lab.lines, server.rerequest_address)
            await member.start()
            try:
                await trade_and_compare(lab, server, member)
            finally:
                await member.close()

    run(test)


async def trade_and_compare(lab: Lab, server: MarketDataServer, member: FeedCapture) -> None:
    set_loss(lab, LOSS)
    feed = Feed(lab)
    await feed.publish_while(lambda: lab.position < BEFORE_THE_CUT)
    lost_before = [sender.lost for sender in lab.senders.values()]
    assert min(lost_before) > 10

    set_loss(lab, 1.0)
    cut_at = lab.position
    clock = asyncio.get_running_loop().time
    until_s = clock() + CUT_S
    await feed.publish_while(lambda: clock() < until_s)
    cut = lab.position - cut_at
    assert cut > 100, "the exchange went on while both lines were cut"

    set_loss(lab, LOSS)
    end = lab.position + AFTER_THE_CUT
    await feed.publish_while(lambda: lab.position < end)

    receivers = [server.receiver, member.receiver]
    await until(
        lambda: all(one.next_sequence_number == lab.position for one in receivers), "caught up"
    )
    messages = feed.messages()
    assert len(messages) == lab.position - 1
    assert lab.all_messages() == messages
    assert server._store is not None
    assert server._store.read(1, lab.position, 1 << 40) == messages
    assert member.messages == messages
    for depth in (server.depth, member.depth):
        assert_same_books(depth, lab.flow.machine)
        depth.check_invariants()
    for receiver in receivers:
        counters = receiver.counters
        assert counters.lost == receiver.missing == 0
        # All of the cut and some of what came around it, when both lines lost the same messages.
        assert counters.filled >= cut
        assert counters.gaps > 1
        assert all(line.missed >= cut for line in counters.lines.values())


def set_loss(lab: Lab, share: float) -> None:
    """From now on each line loses this share of its datagrams."""
    for node_id, sender in lab.senders.items():
        sender.lose = losing(share, node_id)
