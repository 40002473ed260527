"""The messages of a session are a function of the log: whoever reads it, when, in what pieces."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from fake_cluster import START_NS
from hypothesis import example, given
from hypothesis import strategies as st
from ouch_cluster import OuchCluster, ouch_settings, stream_of
from ouch_random import OrdersAsTold, RandomMessages

from cluster.client import EventBatch
from gateway.ouch.order_entry import OuchOrderEntry
from gateway.ouch.outbound import CANCEL_REASONS, REJECT_REASONS, Outbound, _numbers
from gateway.ouch.stream import PIECE_BYTES, MessageStream
from gateway.ouch.translate import translate
from oms.commands import CancelOrder, CloseSession, CommandKind, EnterOrder, OpenSession
from oms.events import CancelReason, RejectReason
from protocols import ouch50, ouch50_codes
from protocols.ouch50_codes import NS_PER_DAY
from protocols.ouch50_messages import OutboundMessage
from protocols.soupbintcp import Direction, PacketReader, encode_sequenced_data

USERS = ("OUCH1", "OUCH2")


def random_log(seed, steps=300):
    """A cluster that has seen two users trade, and log in and out."""
    chance = random.Random(seed)
    now_ns = START_NS
    cluster = OuchCluster(USERS, clock_ns=lambda: now_ns)
    senders = {user: RandomMessages(chance) for user in USERS}
    for step in range(steps):
        now_ns += chance.choice((0, 1, 1_000, 10**9))
        user = chance.choice(USERS)
        joins_last = chance.random() < 0.5
        kind = chance.random()
        if kind < 0.02 or step == 0:
            opening = (int(CommandKind.OPEN_SESSION), user, "ouch-1", chance.random() < 0.5, False)
            cluster.apply(OpenSession(*opening), joins_last)
        elif kind < 0.03:
            closing = CloseSession(int(CommandKind.CLOSE_SESSION), user, "ouch-1")
            cluster.apply(closing, joins_last)
        elif kind < 0.04:
            cluster.set_trading_state(chance.choice((1, 2, 2)), chance.choice(("AAPL", "")))
        elif kind < 0.06:  # an order of the same session that OUCH knows nothing of
            named = (1, user, step, "", f"name {step}", "AAPL", chance.choice((1, 2)), 2, 0, 3)
            cluster.apply(EnterOrder(*named, 100_0000), joins_last)
        elif kind < 0.08:  # and what another protocol cancels, where both are spoken
            orders = list(cluster.machine.state.sessions[user].open_orders.values())
            if orders:
                order = chance.choice(orders)
                canceled = (3, user, step, f"cancel {step}", order.cl_ord_id)
                cluster.apply(CancelOrder(*canceled, order.symbol, order.side), joins_last)
        else:
            message = ouch50.encode(senders[user].next())
            cluster.apply(translate(message, user, "FIRM", 0), joins_last)
    cluster.machine.check_invariants()
    return cluster


def gateway_of(data_dir):
    return OuchOrderEntry(
        ouch_settings(data_dir),
        clock_ns=lambda: START_NS,
        utc_ns=lambda: START_NS,
        call_soon=lambda callback: None,
    )


def feed(entry, cluster, cut=lambda size: size, first=1):
    """Give a gateway the events from number `first` on, those of a log entry in pieces of `cut`."""
    last = 0
    for log_entry in cluster.entries:
        seq, last = last + 1, log_entry.last_event_seq
        while seq <= last:
            size = cut(last - seq + 1)
            events = [
                (number, cluster.events[number - 1])
                for number in range(seq, seq + size)
                if cluster.events[number - 1][1] in USERS and number >= first
            ]
            seq += size
            entry.on_batch(EventBatch(log_entry.time_ns, seq - 1, 0, events))


@given(st.integers(0, 2**32))
@example(0)
def test_two_gateways_that_read_in_other_pieces_number_the_same_messages(tmp_path_factory, seed):
    cluster = random_log(seed)
    chance = random.Random(seed)
    one, other = (gateway_of(tmp_path_factory.mktemp("ouch")) for _ in range(2))
    feed(one, cluster)
    feed(other, cluster, cut=lambda size: chance.randint(1, size))
    for user in USERS:
        packets = stream_of(one, user)
        assert stream_of(other, user) == packets
        messages = [
            message for _, message in PacketReader(Direction.SERVER_TO_CLIENT).feed(packets)
        ]
        assert len(messages) == one.sessions[user].stream.count
        first = chance.randint(1, len(messages)) if messages else 1
        from_there = b"".join(map(encode_sequenced_data, messages[first - 1 :]))
        if messages:
            assert one.sessions[user].stream.read(first)[0] == from_there
        for message in messages:
            decoded = ouch50.decode_outbound(message)
            assert isinstance(decoded, get_args(OutboundMessage))
            assert len(ouch50.encode(decoded)) == len(message)
    one.close()
    other.close()


@given(st.integers(0, 2**32))
@example(1)
def test_what_a_client_is_told_is_what_the_exchange_has(seed):
    cluster = random_log(seed)
    outbound = {user: Outbound() for user in USERS}
    told = {user: OrdersAsTold() for user in USERS}
    for _, event, time_ns in cluster.event_times():
        if event[1] in USERS:
            message = outbound[event[1]].message(event, time_ns % NS_PER_DAY)
            if message is not None:
                told[event[1]].told(ouch50.decode_outbound(message))
    for user in USERS:
        orders = cluster.machine.state.sessions[user].open_orders.values()
        numbered = [order for order in orders if not order.cl_ord_id.startswith("name")]
        live = {_numbers(order.cl_ord_id): order.leaves_qty for order in numbered}
        assert told[user].live == live
        assert outbound[user]._orders.keys() == {order.cl_ord_id for order in numbered}, (
            "what is remembered is bounded by what is live"
        )


@pytest.mark.parametrize("seed", range(3))
def test_a_message_does_not_depend_on_hash_or_memory_of_another_process(seed, tmp_path):
    first, second = (random_log(seed) for _ in range(2))
    assert first.events == second.events
    gateways = [gateway_of(tmp_path / name) for name in ("a", "b")]
    for gateway, cluster in zip(gateways, (first, second), strict=True):
        feed(gateway, cluster)
    assert stream_of(gateways[0], "OUCH1") == stream_of(gateways[1], "OUCH1")
    assert len(stream_of(gateways[0], "OUCH1")) > 1_000


def test_every_reason_of_ours_has_a_code_of_theirs():
    assert set(CANCEL_REASONS) == set(CancelReason)
    assert set(REJECT_REASONS) == set(RejectReason)
    assert set(CANCEL_REASONS.values()) <= set(ouch50_codes.CancelReason)
    assert set(REJECT_REASONS.values()) <= set(ouch50_codes.RejectReason)


def test_a_stream_is_read_in_pieces_from_any_message_on(tmp_path):
    stream = MessageStream(tmp_path)
    messages = [bytes([number % 256]) * (1 + number % 100) for number in range(20_000)]
    packets = [encode_sequenced_data(message) for message in messages]
    for at in range(0, len(messages), 700):
        assert stream.append(messages[at : at + 700]) == b"".join(packets[at : at + 700])
    assert stream.count == len(messages)
    for first in (1, 2, 9_999, 19_999, 20_000):
        read, number = b"", first
        while number <= stream.count:
            piece, following = stream.read(number)
            assert following > number
            assert len(piece) <= PIECE_BYTES
            read, number = read + piece, following
        assert read == b"".join(packets[first - 1 :])
    assert list(tmp_path.iterdir()) == [], "no crash leaves a file behind"
    stream.close()


def test_a_message_longer_than_a_piece_is_read_alone(tmp_path):
    stream = MessageStream(tmp_path)
    longest = 0xFFFE
    stream.append([b"a" * longest] * 9)
    piece, following = stream.read(1)
    assert (len(piece), following) == (PIECE_BYTES // (longest + 3) * (longest + 3), 4)
    stream.close()
