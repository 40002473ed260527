"""Nasdaq's own OUCH client trades at our gateway: its codec writes the orders and reads the
answers; ours only checks afterwards that it reads the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from busy_day import QUIET, BusyDay
from nasdaq_clients import (
    AccountQuery,
    AccountQueryResponse,
    CancelOrder,
    DisableOrderEntry,
    DisableOrderEntryResponse,
    EnableOrderEntry,
    EnableOrderEntryResponse,
    EnterOrder,
    MassCancel,
    MassCancelResponse,
    ModifyOrder,
    OrderAccepted,
    OrderCanceled,
    OrderExecuted,
    OrderModified,
    OrderReplaced,
    OuchSession,
    Rejected,
    ReplaceOrder,
    SystemEvent,
    log_in_to_ouch,
    values,
)

from protocols import ouch50
from protocols.ouch50_appendage import NO_APPENDAGE
from protocols.ouch50_codes import MARKET_PRICE

pytestmark = pytest.mark.interop

LONGEST_S = 30.0
BID, OFFER = 950_000, 1_000_100  # inside the band of 10 %


def filled(message: Any, **fields: Any) -> Any:
    """A message with these fields; the rest is blank or 0."""
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def entered(user_ref_num: int, **fields: Any) -> Any:
    usual = {
        "user_ref_num": user_ref_num,
        "side": "B",
        "quantity": 300,
        "symbol": QUIET,
        "price": BID,
        "time_in_force": "0",
        "display": "Y",
        "capacity": "A",
        "intermarket_sweep": "N",
        "cross_type": "N",
        "cl_ord_id": f"interop-{user_ref_num}",
        "appendage_length": 0,
    }
    return filled(EnterOrder(), **(usual | fields))


async def answer(session: OuchSession, kind: Any) -> Any:
    async with asyncio.timeout(LONGEST_S):
        message = await session.receive_message()
    assert isinstance(message, kind), message
    return message


def check_that_we_read_the_same(session: OuchSession, messages: list[Any]) -> None:
    assert len(session.raw) == len(messages)
    for raw, theirs in zip(session.raw, messages, strict=True):
        decoded = ouch50.decode_outbound(raw)
        ours = [0 if value == NO_APPENDAGE else value for value in decoded]
        # Where an appendage may be left out it is, together with its length.
        assert values(theirs) == ours[: len(values(theirs))]
        assert not any(ours[len(values(theirs)) :])
        assert theirs.to_bytes()[1] == raw


def test_an_order_is_entered_replaced_reduced_and_cancelled(busy: BusyDay) -> None:
    async def test() -> None:
        session = await log_in_to_ouch(busy.config.addresses.ouch[0], "OUCH5")
        began = await answer(session, SystemEvent)
        assert began.event_code == "S"
        session.send_message(entered(1))
        accepted = await answer(session, OrderAccepted)
        assert (accepted.user_ref_num, accepted.order_state, accepted.symbol) == (1, "L", QUIET)
        assert (accepted.quantity, accepted.price) == (300, BID)
        assert accepted.cl_ord_id == "interop-1"
        session.send_message(
            filled(
                ReplaceOrder(),
                orig_user_ref_num=1,
                user_ref_num=2,
                quantity=500,
                price=BID - 100,
                time_in_force="0",
                display="Y",
                intermarket_sweep="N",
                cl_ord_id="interop-2",
                appendage_length=0,
            )
        )
        replaced = await answer(session, OrderReplaced)
        assert (replaced.orig_user_ref_num, replaced.user_ref_num) == (1, 2)
        assert (replaced.quantity, replaced.price) == (500, BID - 100)
        session.send_message(filled(CancelOrder(), user_ref_num=2, quantity=200))
        reduced = await answer(session, OrderCanceled)
        assert (reduced.user_ref_num, reduced.quantity, reduced.reason) == (2, 300, "U")
        session.send_message(filled(CancelOrder(), user_ref_num=2, quantity=0))
        canceled = await answer(session, OrderCanceled)
        assert (canceled.user_ref_num, canceled.quantity, canceled.reason) == (2, 200, "U")
        session.send_message(AccountQuery())
        number = await answer(session, AccountQueryResponse)
        assert number.next_user_ref_num == 3
        check_that_we_read_the_same(session, [began, accepted, replaced, reduced, canceled, number])
        await session.close()

    busy.run(test())


def test_orders_trade_expire_and_are_rejected(busy: BusyDay) -> None:
    async def test() -> None:
        resting = await log_in_to_ouch(busy.config.addresses.ouch[0], "OUCH6")
        taking = await log_in_to_ouch(busy.config.addresses.ouch[0], "OUCH7")
        given, taken = [await answer(resting, SystemEvent)], [await answer(taking, SystemEvent)]
        resting.send_message(entered(1, side="S", quantity=200, price=OFFER))
        given.append(await answer(resting, OrderAccepted))
        taking.send_message(entered(1, quantity=150, price=MARKET_PRICE, time_in_force="3"))
        taken += [await answer(taking, OrderAccepted), await answer(taking, OrderExecuted)]
        given.append(await answer(resting, OrderExecuted))
        assert taken[-1].match_number == given[-1].match_number > 0
        assert taken[-1].price == given[-1].price == OFFER
        assert (taken[-1].quantity, given[-1].quantity) == (150, 150)
        assert (taken[-1].liquidity_flag, given[-1].liquidity_flag) == ("R", "A")
        taking.send_message(entered(2, price=BID, time_in_force="3"))
        taken += [await answer(taking, OrderAccepted), await answer(taking, OrderCanceled)]
        assert (taken[-1].user_ref_num, taken[-1].quantity, taken[-1].reason) == (2, 300, "I")
        taking.send_message(entered(3, symbol="NOPE"))
        taken.append(await answer(taking, Rejected))
        assert (taken[-1].user_ref_num, taken[-1].reason) == (3, 0x0017)  # Invalid Symbol
        resting.send_message(filled(CancelOrder(), user_ref_num=1, quantity=0))
        given.append(await answer(resting, OrderCanceled))
        assert given[-1].quantity == 50
        check_that_we_read_the_same(taking, taken)
        check_that_we_read_the_same(resting, given)
        await taking.close()
        await resting.close()

    busy.run(test())


def test_orders_are_modified_and_cancelled_together_and_entry_is_switched_off(
    busy: BusyDay,
) -> None:
    async def test() -> None:
        session = await log_in_to_ouch(busy.config.addresses.ouch[0], "OUCH9")
        heard = [await answer(session, SystemEvent)]
        for user_ref_num in (1, 2):
            session.send_message(entered(user_ref_num))
            heard.append(await answer(session, OrderAccepted))
        session.send_message(filled(ModifyOrder(), user_ref_num=2, side="B", quantity=100))
        heard.append(await answer(session, OrderModified))
        assert (heard[-1].user_ref_num, heard[-1].side, heard[-1].quantity) == (2, "B", 100)
        session.send_message(filled(MassCancel(), user_ref_num=3, symbol=QUIET))
        together = [await answer(session, object) for _ in range(3)]
        canceled = [one for one in together if isinstance(one, OrderCanceled)]
        assert [(one.user_ref_num, one.quantity) for one in canceled] == [(1, 300), (2, 100)]
        [response] = [one for one in together if isinstance(one, MassCancelResponse)]
        assert (response.user_ref_num, response.symbol) == (3, QUIET)
        heard += together
        session.send_message(filled(DisableOrderEntry(), user_ref_num=4))
        heard.append(await answer(session, DisableOrderEntryResponse))
        session.send_message(entered(5))
        heard.append(await answer(session, Rejected))
        session.send_message(filled(EnableOrderEntry(), user_ref_num=6))
        heard.append(await answer(session, EnableOrderEntryResponse))
        session.send_message(entered(7, time_in_force="3"))
        heard += [await answer(session, OrderAccepted), await answer(session, OrderCanceled)]
        assert [one.user_ref_num for one in heard[-5:]] == [4, 5, 6, 7, 7]
        check_that_we_read_the_same(session, heard)
        await session.close()

    busy.run(test())
