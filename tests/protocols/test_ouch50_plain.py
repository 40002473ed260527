"""OUCH 5.0, plain messages: what lies on the wire is what the codec says."""

from __future__ import annotations

import pytest

from protocols import ouch50
from protocols import ouch50_messages as m
from protocols.ouch50_appendage import Appendage
from protocols.ouch50_plain import (
    CANCEL_LENGTH,
    ENTER_LENGTH,
    REPLACE_LENGTH,
    unpack_cancel,
    unpack_enter,
    unpack_replace,
    without_index,
)

ENTER = m.EnterOrder(7, "B", 100, "AAPL", 1_872_500, "0", "Y", "A", "N", "O", "order 7")
REPLACE = m.ReplaceOrder(7, 8, 50, 1_872_400, "3", "N", "Y", "order 8")
CANCEL = m.CancelOrder(8, 20)
LENGTHS = {ENTER: ENTER_LENGTH, REPLACE: REPLACE_LENGTH, CANCEL: CANCEL_LENGTH}


def test_the_fields_of_a_plain_message_are_those_of_the_codec() -> None:
    assert unpack_enter(ouch50.encode(ENTER)) == (
        b"O", 7, b"B", 100, b"AAPL    ", 1_872_500, b"0YANO", b"order 7       ", 0,
    )  # fmt: skip
    assert unpack_replace(ouch50.encode(REPLACE)) == (
        b"U", 7, 8, 50, 1_872_400, b"3NY", b"order 8       ", 0,
    )  # fmt: skip
    assert unpack_cancel(ouch50.encode(CANCEL)) == (b"X", 8, 20)


@pytest.mark.parametrize("message", LENGTHS)
def test_no_two_plain_messages_have_the_same_length(message: m.InboundMessage) -> None:
    assert len(ouch50.encode(message)) == LENGTHS[message]
    assert len(set(LENGTHS.values())) == len(LENGTHS)


@pytest.mark.parametrize("message", LENGTHS)
def test_an_appendage_that_says_the_index_alone_is_taken_off(message: m.InboundMessage) -> None:
    bare = ouch50.encode(message)
    assert without_index(bare) == (bare, 0)
    for index in (0, 1, 255):
        indexed = ouch50.encode(message._replace(appendage=Appendage(user_ref_idx=index)))
        assert without_index(indexed) == (bare, index)
    says_more = ouch50.encode(message._replace(appendage=Appendage(group_id=1, user_ref_idx=2)))
    assert without_index(says_more) == (says_more, 0)
