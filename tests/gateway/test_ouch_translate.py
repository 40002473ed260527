"""Plain OUCH messages take a short way to their command: it is the one of the general way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ouch_random import RandomMessages

from gateway.ouch.translate import translate, translate_any
from matching.types import OrderType, Side, TimeInForce
from oms.commands import CommandKind
from protocols import ouch50
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage
from protocols.ouch50_codes import MARKET_PRICE
from protocols.ouch50_fields import Ouch50Error
from protocols.ouch50_messages import CancelOrder, EnterOrder, ReplaceOrder

ENTER = EnterOrder(7, "B", 100, "AAPL", 100_0000, "0", "Y", "A", "N", "N", "order 7")
REPLACE = ReplaceOrder(7, 8, 50, 99_0000, "3", "Y", "N", "order 8")
CANCEL = CancelOrder(8, 0)


def outcome(translated_by, message):
    """A command, or what is wrong with the message."""
    try:
        return tuple(translated_by(message, "OUCH1", "FIRM", 0))
    except Ouch50Error as error:
        return str(error)


def assert_both_ways_agree(message):
    expected = outcome(translate_any, message)
    found = outcome(translate, message)
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected)), "True is not 1 in the log"


def test_a_plain_message_does_not_take_the_general_way(monkeypatch):
    monkeypatch.delattr("gateway.ouch.translate.translate_any")
    enter, replace, cancel = map(ouch50.encode, (ENTER, REPLACE, CANCEL))
    assert translate(enter, "OUCH1", "FIRM", 0) == (
        CommandKind.ENTER_NUMBERED_ORDER, "OUCH1", 0, 7, "AAPL", Side.BUY, OrderType.LIMIT,
        TimeInForce.DAY, 100, 100_0000, 0, 0, "", b"O" + enter[26:],
    )  # fmt: skip
    assert translate(replace, "OUCH1", "FIRM", 0) == (
        CommandKind.REPLACE_NUMBERED_ORDER, "OUCH1", 0, 7, 8, TimeInForce.IOC, 50, 99_0000,
        OrderType.LIMIT, 0, "", b"U" + replace[21:],
    )  # fmt: skip
    assert translate(cancel, "OUCH1", "FIRM", 0) == (
        CommandKind.REDUCE_NUMBERED_ORDER, "OUCH1", 0, 8, 0,
    )  # fmt: skip


@pytest.mark.parametrize("index", [0, 3, 255])
@pytest.mark.parametrize("message", [ENTER, REPLACE, CANCEL])
def test_a_message_of_a_channel_is_plain(message, index, monkeypatch):
    encoded = ouch50.encode(message._replace(appendage=Appendage(user_ref_idx=index)))
    expected = tuple(translate_any(encoded, "OUCH1", "FIRM", 0))
    monkeypatch.delattr("gateway.ouch.translate.translate_any")
    assert translate(encoded, "OUCH1", "FIRM", 0) == expected
    assert expected[2] == index


@pytest.mark.parametrize("appendage", [NO_APPENDAGE, Appendage(user_ref_idx=3)])
@pytest.mark.parametrize("message", [ENTER, REPLACE, CANCEL])
def test_both_ways_agree_whatever_a_byte_of_a_plain_message_is(message, appendage):
    encoded = ouch50.encode(message._replace(appendage=appendage))
    for place in range(len(encoded)):
        for byte in range(256):
            assert_both_ways_agree(encoded[:place] + bytes((byte,)) + encoded[place + 1 :])


@pytest.mark.parametrize("message", [ENTER, REPLACE, CANCEL])
def test_both_ways_agree_on_what_is_too_short_or_too_long(message):
    encoded = ouch50.encode(message)
    for length in range(len(encoded)):
        assert_both_ways_agree(encoded[:length])
    for more in (b"\0", b"\0\0", b"\0\3\2\x1c\5"):
        assert_both_ways_agree(encoded + more)
    for length in range(len(encoded) + 8):  # which ends like one that says its channel
        assert_both_ways_agree((encoded + encoded)[:length] + b"\0\3\2\x1c\5")
    group_3_of_channel_5 = Appendage(group_id=3, user_ref_idx=5)
    assert_both_ways_agree(ouch50.encode(message._replace(appendage=group_3_of_channel_5)))


@pytest.mark.parametrize("message", [ENTER, REPLACE])
@pytest.mark.parametrize("price", [0, 1, MARKET_PRICE - 1, MARKET_PRICE, 2**64 - 1])
def test_both_ways_agree_on_prices_that_mean_something(message, price):
    assert_both_ways_agree(ouch50.encode(message._replace(price=price)))


@given(st.integers(0, 2**32))
def test_both_ways_agree_on_what_clients_send(seed):
    messages = RandomMessages(random.Random(seed))
    for _ in range(20):
        assert_both_ways_agree(ouch50.encode(messages.next()))


@given(st.sampled_from((9, 11, 14, 40, 43, 47, 50)), st.data())
def test_both_ways_agree_on_noise_of_a_plain_length(length, data):
    kind = data.draw(st.sampled_from((b"O", b"U", b"X", b"")))
    noise = data.draw(st.binary(min_size=length, max_size=length))
    assert_both_ways_agree((kind + noise)[:length])
