"""QuickFIX asks about orders, instruments, states and the book, and cancels everything at once."""

from __future__ import annotations

import pytest
from fix_requests import BUY, COMPONENTS, SELL, VERSIONS, new_order, utc_now
from fix_trial import Trial

from exchange.local import wait_for

pytestmark = pytest.mark.interop

SYMBOL, HALTED, QUIET = "NVDA", "GOOG", "TSLA"
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


@pytest.mark.parametrize("version", VERSIONS)
def test_a_halt_is_told_to_who_asks_and_to_who_trades(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        engine.send("D", new_order("rest", HALTED, BUY, 10, "95.00"))
        await engine.answer("8", _11="rest", _150="0")
        await trial.venue.market("halt", HALTED)
        try:
            engine.send("e", [(324, "halted"), (55, HALTED), (263, SNAPSHOT)])
            assert (await engine.answer("f", _324="halted")).get(326) == "2"
            engine.send("D", new_order("late", HALTED, BUY, 10, "95.00"))
            assert (await engine.answer("8", _11="late", _39="8")).get(103) == "2"
            replaced = [*new_order("more", HALTED, BUY, 20, "95.00"), (41, "rest")]
            engine.send("G", replaced)
            assert (await engine.answer("9", _11="more")).get(434) == "2"
        finally:
            await trial.venue.market("resume", HALTED)
        out = [(41, "rest"), (11, "out"), (55, HALTED), (54, BUY), (60, utc_now()), (38, 10)]
        engine.send("F", out)
        await engine.answer("8", _11="out", _39="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_questions_that_are_not_answered_are_refused_in_their_own_words(
    trial: Trial, version: str
) -> None:
    def book(name: str, kind: str, depth: str, entries: str) -> list[tuple[int, object]]:
        head = [(262, name), (263, kind), (264, depth)]
        return [*head, (267, [[(269, entries)]]), (146, [[(55, QUIET)]])]

    async def test() -> None:
        engine = await trial.log_on(version)
        engine.send("V", book("empty", SNAPSHOT, "1", BID))
        assert (await engine.answer("W", _262="empty")).get(268) == "0"
        engine.send("V", book("subscribe", "1", "1", BID))
        assert (await engine.answer("Y", _262="subscribe")).get(281) == "4"
        engine.send("V", book("index", SNAPSHOT, "1", "3"))
        assert (await engine.answer("Y", _262="index")).get(281) == "8"
        engine.send("e", [(324, "subscribe"), (55, QUIET), (263, "1")])
        assert (await engine.answer("j", _372="e")).get(380) == "0"
        if version in COMPONENTS:
            engine.send("q", [(11, "market"), (530, "6"), (60, utc_now())])
            assert (await engine.answer("r", _11="market")).get(531) == "0"
            engine.send("AF", [(584, "market"), (585, "3")])
            assert (await engine.answer("j", _372="AF")).get(58)
            engine.send("AF", [(584, "none"), (585, ALL_ORDERS)])
            assert (await engine.answer("8", _584="none")).get(39)
            engine.send("x", [(320, "product"), (559, "2")])
            assert (await engine.answer("y", _320="product")).get(560) == "1"
            engine.send("x", [(320, "nope"), (559, "0"), (55, "NOPE")])
            assert (await engine.answer("y", _320="nope")).get(560)

    trial.run(test())
