"""QuickFIX asks for every group of order types with the stock dictionary of each version, and
understands what it is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fix_requests import BUY, SELL, VERSIONS, Fields, cancel, new_order, order_status, replace
from fix_trial import Trial

pytestmark = pytest.mark.interop

SYMBOLS = {"FIX.4.2": "INTC", "FIX.4.4": "AAPL", "FIX.5.0SP2": "MSFT"}
PEGGED, STOP, STOP_LIMIT, GOOD_TILL_DATE = "P", "3", "4", "6"


def other_type(order: Fields, order_type: str, *more: tuple[int, object]) -> Fields:
    """The same order with another OrdType(40)."""
    return [*[(tag, order_type if tag == 40 else value) for tag, value in order], *more]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stop_order_waits_and_is_triggered(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]

    async def test() -> None:
        maker, taker = await trial.log_on_two(version)
        stop = other_type(new_order("stop", symbol, BUY, 20, None), STOP, (99, "104.00"))
        taker.send("D", stop)
        waits = await taker.answer("8", _11="stop", _150="0")
        assert (waits.get(40), waits.get(99), waits.get(39)) == (STOP, "104.00", "0")
        limit = new_order("limit", symbol, BUY, 10, "104.50")
        taker.send("D", other_type(limit, STOP_LIMIT, (99, "106.00")))
        assert (await taker.answer("8", _11="limit", _150="0")).get(44) == "104.50"

        maker.send("D", new_order("offer", symbol, SELL, 30, "104.00"))
        await maker.answer("8", _11="offer", _150="0")
        taker.send("D", new_order("trade", symbol, BUY, 10, "104.00"))
        triggered = await taker.answer("8", _11="stop", _150="L" if "5.0" in version else "D")
        assert triggered.get(151) == "20"
        bought = await taker.answer("8", _11="stop", _39="2")
        assert (bought.get(31), bought.get(14)) == ("104.00", "20")

        taker.send("F", cancel("out", "limit", symbol, BUY, 10))
        await taker.answer("8", _11="out", _150="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_iceberg_shows_its_next_part(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]
    displayed = 1138 if "5.0" in version else 111

    async def test() -> None:
        maker, taker = await trial.log_on_two(version)
        maker.send("D", new_order("berg", symbol, SELL, 50, "104.00", (displayed, 20)))
        assert (await maker.answer("8", _11="berg", _150="0")).get(displayed) == "20"
        taker.send("D", new_order("buy", symbol, BUY, 30, "104.00"))
        await taker.answer("8", _11="buy", _39="2")
        restated = await maker.answer("8", _11="berg", _150="D")
        assert (restated.get(151), restated.get(39)) == ("30", "1")
        assert restated.get(378) is not None

        less = replace("less", "berg", symbol, SELL, 40, "104.00")
        maker.send("G", [*less, (displayed, 20)])
        assert (await maker.answer("8", _11="less", _150="5")).get(151) == "10"
        maker.send("F", cancel("out", "less", symbol, SELL, 40))
        await maker.answer("8", _11="out", _150="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pegged_order_tells_where_it_stands(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]
    followed = (1094, 5) if "5.0" in version else (18, "R")

    async def test() -> None:
        maker, pegged = await trial.log_on_two(version)
        maker.send("D", new_order("best", symbol, BUY, 10, "96.00"))
        await maker.answer("8", _11="best", _150="0")
        order = other_type(new_order("peg", symbol, BUY, 10, None), PEGGED, followed)
        pegged.send("D", [*order, (211, "-0.05")])
        accepted = await pegged.answer("8", _11="peg", _150="0")
        assert (accepted.get(40), accepted.get(211)) == (PEGGED, "-0.05")
        assert accepted.get(followed[0]) == str(followed[1])
        pegged.send("H", order_status("peg", symbol, BUY))
        kind = {"_20": "3"} if version == "FIX.4.2" else {"_150": "I"}
        told = await pegged.answer("8", _11="peg", **kind)
        assert told.get(839) == (None if version == "FIX.4.2" else "95.95")
        pegged.send("F", cancel("out", "peg", symbol, BUY, 10))
        await pegged.answer("8", _11="out", _150="4")
        maker.send("F", cancel("gone", "best", symbol, BUY, 10))
        await maker.answer("8", _11="gone", _150="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_till_date_order_says_until_when(trial: Trial, version: str) -> None:
    symbol = SYMBOLS[version]
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    async def test() -> None:
        engine = await trial.log_on(version)
        for name, tag, text in (
            ("time", 126, f"{tomorrow:%Y%m%d}-12:00:00"),
            ("date", 432, f"{tomorrow:%Y%m%d}"),
        ):
            order = new_order(
                name, symbol, BUY, 10, "95.00", (tag, text), time_in_force=GOOD_TILL_DATE
            )
            engine.send("D", order)
            accepted = await engine.answer("8", _11=name, _150="0")
            end = tomorrow if tag == 126 else tomorrow + timedelta(days=1)
            assert accepted.get(59) == GOOD_TILL_DATE
            assert (accepted.get(126) or "").startswith(f"{end:%Y%m%d}-")
            engine.send("F", cancel(f"out {name}", name, symbol, BUY, 10))
            await engine.answer("8", _11=f"out {name}", _150="4")

    trial.run(test())
