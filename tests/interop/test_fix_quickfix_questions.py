"""QuickFIX asks about orders, instruments, states and the book, and cancels everything at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fix_requests import BUY, COMPONENTS, SELL, VERSIONS, new_order, utc_now

from exchange.local import wait_for

if TYPE_CHECKING:
    from fix_trial import Trial

pytestmark = pytest.mark.interop

SYMBOL = "NVDA"
SNAPSHOT = "0"
BID, OFFER = "0", "1"
ALL_ORDERS, ORDERS_OF_A_SYMBOL = "7", "1"


@pytest.mark.parametrize("version", COMPONENTS)
def test_all_orders_are_asked_for_and_cancelled_at_once(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        names = [f"rest-{n}" for n in range(12)]
        for name in names:
            engine.send("D", new_order(name, SYMBOL, BUY, 10, "95.00"))
        engine.send("D", new_order("elsewhere", "AAPL", BUY, 10, "95.00"))
        await engine.answer("8", _11="elsewhere", _150="0")

        engine.send("AF", [(584, "mine"), (585, ALL_ORDERS)])
        await engine.answer("8", _584="mine", _912="Y")
        told = [message for message in engine.heard if message.get(584) == "mine"]
        assert {message.get(11) for message in told} == {*names, "elsewhere"}
        assert {message.get(150) for message in told} == {"I"}
        assert {message.get(911) for message in told} == {str(len(told))}

        symbol = [(55, SYMBOL), (60, utc_now())]
        engine.send("q", [(11, "clear"), (530, ORDERS_OF_A_SYMBOL), *symbol])
        report = await engine.answer("r", _11="clear")
        assert (report.get(531), report.get(533)) == (ORDERS_OF_A_SYMBOL, str(len(names)))

        def canceled() -> int:
            return sum(one.get(39) == "4" and one.get(150) == "4" for one in engine.heard)

        await wait_for(lambda: canceled() == len(names), "each is told", 20)
        engine.send("q", [(11, "all"), (530, ALL_ORDERS), (60, utc_now())])
        assert (await engine.answer("r", _11="all")).get(533) == "1"
        await wait_for(lambda: canceled() == len(names) + 1, "the last is told", 20)
        engine.send("q", [(11, "none"), (530, ALL_ORDERS), (60, utc_now())])
        assert (await engine.answer("r", _11="none")).get(533) == "0"

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_book_is_told_on_request(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        for n in range(5):
            engine.send("D", new_order(f"bid-{n}", SYMBOL, BUY, 10 + n, f"{98 - n}.00"))
            engine.send("D", new_order(f"offer-{n}", SYMBOL, SELL, 20 + n, f"{102 + n}.00"))
        await engine.answer("8", _11="offer-4", _150="0")
        sides = [[(269, BID)], [(269, OFFER)]]

        def ask(name: str, symbol: str) -> None:
            asked = [(262, name), (263, SNAPSHOT), (264, "0"), (267, sides)]
            engine.send("V", [*asked, (146, [[(55, symbol)]])])

        ask("book", SYMBOL)
        book = await engine.answer("W", _262="book")
        assert book.get(55) == SYMBOL
        assert book.get(268) == "10"
        prices = [value for tag, value in book.fields if tag == 270]
        assert sorted(map(float, prices)) == [94, 95, 96, 97, 98, 102, 103, 104, 105, 106]
        ask("nothing", "NOPE")
        refused = await engine.answer("Y", _262="nothing")
        assert refused.get(281) == "0"
        for n in range(5):
            for kind, side in (("bid", BUY), ("offer", SELL)):
                name = f"{kind}-{n}"
                out = [(41, name), (11, f"{name}-out"), (55, SYMBOL), (54, side), (60, utc_now())]
                engine.send("F", [*out, (38, 10)])
        await engine.answer("8", _11="offer-4-out", _39="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_instruments_and_states_are_told_on_request(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        listed = [instrument.symbol for instrument in trial.exchange.config.instruments]
        if version in COMPONENTS:
            engine.send("x", [(320, "list"), (559, "4")])
            answer = await engine.answer("y", _320="list")
            symbols = [value for tag, value in answer.fields if tag == 55]
            assert sorted(symbols) == sorted(listed)
        engine.send("e", [(324, "state"), (55, SYMBOL), (263, SNAPSHOT)])
        state = await engine.answer("f", _324="state")
        assert (state.get(55), state.get(326)) == (SYMBOL, "17")
        engine.send("e", [(324, "unknown"), (55, "NOPE"), (263, SNAPSHOT)])
        assert (await engine.answer("f", _324="unknown")).get(326) != "17"
        engine.send("g", [(335, "session"), (263, SNAPSHOT)])
        assert (await engine.answer("h", _335="session")).get(340) == "2"

    trial.run(test())
