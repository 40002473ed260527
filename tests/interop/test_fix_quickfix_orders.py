"""QuickFIX trades at our gateway, in every version, and is refused what it must be refused."""

from __future__ import annotations

import pytest
from fix_quickfix import QuickFix
from fix_requests import (
    BUY,
    COMPONENTS,
    FOK,
    GTC,
    IOC,
    MARKET,
    SELL,
    SELL_SHORT,
    VERSIONS,
    cancel,
    new_order,
    order_status,
    replace,
)
from fix_trial import Trial
from fix_wire import WireMessage, with_field

from exchange.local import wait_for

pytestmark = pytest.mark.interop

SYMBOLS = {"FIX.4.2": "INTC", "FIX.4.4": "AAPL", "FIX.5.0SP2": "MSFT"}
"""Of its own for each version, so that the tests do not meet each other's orders."""


def trail(engine: QuickFix, report: WireMessage) -> list[str]:
    """The ExecTypes of the order that a report is about."""
    order_id = report.get(37)
    assert order_id is not None
    return engine.blotter.orders[order_id].trail


def fill(version: str) -> str:
    """Without the difference that FIX.4.2 makes between partial and whole fills."""
    return "F12" if version == "FIX.4.2" else "F"


@pytest.mark.parametrize("version", VERSIONS)
def test_orders_of_every_kind_trade(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]

    async def test() -> None:
        maker, taker = await trial.log_on_two(version)

        maker.send("D", new_order("rest", symbol, SELL, 300, "100.10", time_in_force=GTC))
        rested = await maker.answer("8", _11="rest", _150="0")
        assert (rested.get(39), rested.get(59), rested.get(151)) == ("0", GTC, "300")
        taker.send("D", new_order("day", symbol, BUY, 100, "100.10"))
        bought = await taker.answer("8", _11="day", _39="2")
        assert bought.get(150) in fill(version)
        assert (bought.get(32), bought.get(31), bought.get(151)) == ("100", "100.10", "0")
        taker.send("D", new_order("market", symbol, BUY, 50, None))
        assert (await taker.answer("8", _11="market", _39="2")).get(40) == MARKET
        taker.send("D", new_order("ioc", symbol, BUY, 500, "100.10", time_in_force=IOC))
        rest = await taker.answer("8", _11="ioc", _39="4")
        assert (rest.get(14), rest.get(151)) == ("150", "0")
        sold = await maker.answer("8", _11="rest", _39="2")
        assert sold.get(14) == "300"
        assert [kind for kind in trail(maker, sold) if kind in fill(version)] != []

        taker.send("D", new_order("kill", symbol, BUY, 10, "100.10", time_in_force=FOK))
        killed = await taker.answer("8", _11="kill", _39="4")
        assert killed.get(14) == "0"
        maker.send("D", new_order("short", symbol, SELL_SHORT, 80, "100.20"))
        assert (await maker.answer("8", _11="short", _39="0")).get(54) == SELL_SHORT
        taker.send("D", new_order("fill", symbol, BUY, 80, "100.20", time_in_force=FOK))
        await taker.answer("8", _11="fill", _39="2")
        await maker.answer("8", _11="short", _39="2")

        assert sorted(maker.blotter.fills) == sorted(taker.blotter.fills)
        assert len(maker.blotter.fills) == 4

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_is_replaced_partly_filled_asked_for_and_cancelled(
    trial: Trial, version: str
) -> None:
    symbol = SYMBOLS[version]

    async def test() -> None:
        maker, taker = await trial.log_on_two(version)

        maker.send("D", new_order("first", symbol, BUY, 300, "99.00"))
        await maker.answer("8", _11="first", _39="0")
        maker.send("G", replace("less", "first", symbol, BUY, 200, "99.00"))
        less = await maker.answer("8", _11="less", _150="5")
        assert (less.get(41), less.get(38), less.get(151)) == ("first", "200", "200")
        maker.send("G", replace("higher", "less", symbol, BUY, 400, "99.10"))
        higher = await maker.answer("8", _11="higher", _150="5")
        assert (higher.get(44), higher.get(151), higher.get(37)) == ("99.10", "400", less.get(37))

        taker.send("D", new_order("hit", symbol, SELL, 150, "99.10"))
        part = await maker.answer("8", _11="higher", _39="1")
        assert (part.get(14), part.get(151), part.get(6)) == ("150", "250", "99.10")
        maker.send("H", order_status("higher", symbol, BUY))
        kind = {"_20": "3"} if version == "FIX.4.2" else {"_150": "I"}
        asked = await maker.answer("8", _11="higher", **kind)
        assert (asked.get(39), asked.get(14), asked.get(151)) == ("1", "150", "250")
        maker.send("G", replace("again", "higher", symbol, BUY, 300, "99.00"))
        again = await maker.answer("8", _11="again", _150="5")
        assert (again.get(14), again.get(151)) == ("150", "150")

        maker.send("F", cancel("out", "again", symbol, BUY, 300))
        out = await maker.answer("8", _11="out", _39="4")
        assert (out.get(41), out.get(14), out.get(151)) == ("again", "150", "0")
        assert len(trail(maker, out)) == 7

    trial.run(test())


@pytest.mark.parametrize("version", COMPONENTS)
def test_an_order_may_name_its_parties(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]
    parties = [
        [(448, "DESK7"), (447, "D"), (452, "24")],
        [(448, "JANE"), (447, "D"), (452, "11")],
    ]

    async def test() -> None:
        engine = await trial.log_on(version)
        engine.send("D", new_order("mine", symbol, BUY, 10, "95.00", (453, parties)))
        accepted = await engine.answer("8", _11="mine", _39="0")
        engine.send("F", [*cancel("out", "mine", symbol, BUY, 10), (1, accepted.get(1))])
        await engine.answer("8", _11="out", _39="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_exchange_does_not_take_is_refused_with_a_sentence(
    trial: Trial, version: str
) -> None:
    symbol = SYMBOLS[version]
    orders = {
        "symbol": ("NOPE", 100, "100.00", "NOPE"),
        "tick": (symbol, 100, "100.005", "tick"),
        "decimals": (symbol, 100, "100.00001", "4 decimals"),
        "band": (symbol, 100, "150.00", "band"),
        "none": (symbol, 0, "100.00", "above 0"),
        "half": (symbol, "0.5", "100.00", "whole number"),
        "huge": (symbol, 1_000_000, "100.00", "limit"),
    }

    async def test() -> None:
        engine = await trial.log_on(version)
        for cl_ord_id, (name, quantity, price, text) in orders.items():
            engine.send("D", new_order(cl_ord_id, name, BUY, quantity, price))
            report = await engine.answer("8", _11=cl_ord_id, _39="8")
            assert report.get(103) is not None, report
            assert text in (report.get(58) or ""), report
            assert (report.get(14), report.get(151)) == ("0", "0")
        engine.send("D", [*new_order("display", symbol, BUY, 100, "100.00"), (99, "98.00")])
        await engine.answer("8", _11="display", _39="8")

        engine.send("D", new_order("good", symbol, BUY, 100, "95.00"))
        await engine.answer("8", _11="good", _39="0")
        engine.send("D", new_order("good", symbol, BUY, 100, "95.00"))
        assert (await engine.answer("8", _11="good", _150="8")).get(103) == "6"

        engine.send("F", cancel("lost", "never", symbol, BUY, 100))
        lost = await engine.answer("9", _11="lost")
        assert (lost.get(41), lost.get(102), lost.get(434)) == ("never", "1", "1")
        engine.send("G", replace("far", "good", symbol, BUY, 100, "150.00"))
        far = await engine.answer("9", _11="far")
        assert (far.get(39), far.get(434)) == ("0", "2")
        engine.send("F", cancel("out", "good", symbol, BUY, 100))
        await engine.answer("8", _11="out", _39="4")
        engine.send("F", cancel("late", "good", symbol, BUY, 100))
        late = await engine.answer("9", _11="late")
        assert (late.get(39), late.get(102)) == ("4", "0")
        engine.send("H", order_status("never", symbol, BUY))
        await engine.answer("8", _11="never")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_that_break_the_dictionary_are_rejected_and_the_session_goes_on(
    trial: Trial, version: str
) -> None:
    symbol = SYMBOLS[version]

    def without(tag: int, cl_ord_id: str) -> list[tuple[int, object]]:
        return [one for one in new_order(cl_ord_id, symbol, BUY, 1, "95.00") if one[0] != tag]

    async def test() -> None:
        engine = await trial.log_on(version)
        wrong = [
            (without(54, "no-side"), "1", "54"),
            ([*without(54, "bad-side"), (54, "Z")], "5", "54"),
            ([*without(38, "bad-quantity"), (38, "many")], "6", "38"),
            ([*without(0, "own-tag"), (5001, "x")], "0", "5001"),
            ([*without(0, "not-of-orders"), (269, "0")], "2", "269"),
        ]
        for seq, (fields, reason, tag) in enumerate(wrong, 2):
            engine.send("D", fields)
            reject = await engine.answer("3", _45=str(seq))
            assert [reject.get(one) for one in (372, 371, 373)] == ["D", tag, reason]
            assert tag in (reject.get(58) or "")
        engine.send("R", [(131, "quote"), (146, [[(55, symbol)]])])
        unsupported = await engine.answer("j", _372="R")
        assert unsupported.get(380) == "3"

        engine.send("D", new_order("good", symbol, BUY, 100, "95.00"))
        await engine.answer("8", _11="good", _39="0")
        engine.send("F", cancel("out", "good", symbol, BUY, 100))
        await engine.answer("8", _11="out", _39="4")
        assert engine.logons == 1

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_engine_rejects_a_report_with_a_tag_that_does_not_belong_there(
    trial: Trial, version: str
) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        wire = trial.wire(engine)
        wire.forge = with_field("8", b"269=0")
        engine.send("D", new_order("lost", SYMBOLS[version], BUY, 1, "95.00", time_in_force=IOC))
        await wait_for(wire.problems, "it rejects the report", 20)

    with pytest.raises(AssertionError, match="the engine refused"):
        trial.run(test())
