"""QuickFIX and our gateway lose sight of each other, and agree again: numbers, gaps, resends."""

from __future__ import annotations

import pytest
from fix_quickfix import QuickFix
from fix_requests import BUY, COMPONENTS, SELL, VERSIONS, cancel, new_order
from fix_trial import Trial

from exchange.local import wait_for

pytestmark = pytest.mark.interop

SYMBOL = "GOOG"
CUTS = (r".*Connection reset by peer.*",)
RESETS = (r"Logon contains ResetSeqNumFlag=Y, reseting sequence numbers to 1",)
HEARTBEATS = (r"Sent test request TEST",)


async def trade(buyer: QuickFix, seller: QuickFix, name: str) -> None:
    """One share, and both are told."""
    seller.send("D", new_order(f"sell-{name}", SYMBOL, SELL, 1, "100.00"))
    await seller.answer("8", _11=f"sell-{name}", _150="0")
    buyer.send("D", new_order(f"buy-{name}", SYMBOL, BUY, 1, "100.00"))
    await buyer.answer("8", _11=f"buy-{name}", _39="2")
    await seller.answer("8", _11=f"sell-{name}", _39="2")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_that_was_away_is_told_what_it_missed(trial: Trial, version: str) -> None:
    async def test() -> None:
        away, other = await trial.log_on_two(version)
        for n in range(1, 6):
            away.send("D", new_order(f"rest-{n}", SYMBOL, SELL, 10, "100.00"))
        await away.answer("8", _11="rest-5", _150="0")
        await away.stop()
        sent, _ = away.next_numbers
        other.send("D", new_order("sweep", SYMBOL, BUY, 45, "100.00"))
        await other.answer("8", _11="sweep", _39="2")

        back = await trial.log_on(version, again=away)
        partly = await back.answer("8", _11="rest-5", _39="1")
        assert (partly.get(14), partly.get(151)) == ("5", "5")
        assert len(back.blotter.fills) == 5
        assert sorted(back.blotter.fills) == sorted(other.blotter.fills)
        assert back.next_numbers[0] > sent, "its numbers went on"
        back.send("F", cancel("out", "rest-5", SYMBOL, SELL, 10))
        await back.answer("8", _11="out", _39="4")
        await trade(back, other, "again")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_that_forgot_what_it_heard_asks_and_hears_the_same(
    trial: Trial, version: str
) -> None:
    async def test() -> None:
        engine, other = await trial.log_on_two(version)
        for n in range(10):
            await trade(engine, other, str(n))
        await engine.stop()
        before = list(engine.heard)
        next_out, next_in = engine.next_numbers
        engine.sequence_file.write_text(f"{next_out:010} : {2:010}")

        again = await trial.log_on(version, again=engine, has_forgotten=True)
        await wait_for(lambda: len(again.heard) >= len(before), "all came again", 20)
        assert [message.content for message in again.heard] == [one.content for one in before]
        assert all(message.is_resent for message in again.heard)
        gap_fills = [one for one in again.admin if one.msg_type == "4" and one.get(123) == "Y"]
        assert gap_fills, "heartbeats and logons are not sent again"
        assert [one.msg_type for one in trial.wire(again).sent()].count("2") == 1
        await trade(again, other, "after")
        assert again.next_numbers[1] > next_in

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_orders_entered_while_the_line_is_down_arrive_once(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        engine.send("D", new_order("before", SYMBOL, BUY, 1, "95.00"))
        await engine.answer("8", _11="before", _150="0")
        wire = trial.wire(engine)
        wire.take_down()
        await wait_for(lambda: not engine.is_logged_on, "it has noticed", 5)
        names = [f"down-{n}" for n in range(20)]
        for name in names:
            engine.send("D", new_order(name, SYMBOL, BUY, 1, "95.00"))
        wire.bring_up()
        await engine.logs_on(2)
        await engine.answer("8", _11=names[-1], _150="0")
        assert engine.blotter.accepted == dict.fromkeys(["before", *names], 1)
        resent = [one for one in wire.sent() if one.is_resent]
        assert [one.get(11) for one in resent if one.msg_type == "D"] == names
        for n, name in enumerate(["before", *names]):
            engine.send("F", cancel(f"out-{n}", name, SYMBOL, BUY, 1))
        await engine.answer("8", _11=f"out-{len(names)}", _39="4")

    trial.run(test(), expected_events=CUTS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_numbers_begin_again_when_the_engine_says_so(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version, "ResetOnLogon=Y")
        engine.send("D", new_order("rest", SYMBOL, BUY, 1, "95.00"))
        await engine.answer("8", _11="rest", _150="0")
        await engine.stop()

        again = await trial.log_on(version, "ResetOnLogon=Y", again=engine)
        assert again.next_numbers == (2, 2)
        again.send("F", cancel("out", "rest", SYMBOL, BUY, 1))
        out = await again.answer("8", _11="out", _39="4")
        assert out.seq == 2
        assert not out.is_resent

    trial.run(test(), expected_events=RESETS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_number_that_was_used_before_ends_the_session_with_a_sentence(
    trial: Trial, version: str
) -> None:
    async def test() -> None:
        engine = await trial.log_on(version)
        engine.send("D", new_order("rest", SYMBOL, BUY, 1, "95.00"))
        await engine.answer("8", _11="rest", _150="0")
        await engine.stop()
        next_out, next_in = engine.next_numbers
        engine.sequence_file.write_text(f"{1:010} : {next_in:010}")
        forgetful = await trial.engine(version, again=engine)
        await forgetful.connect()
        text = f"MsgSeqNum(34) too low, expecting {next_out} but received 1"
        await forgetful.answer("5", _58=text)
        await forgetful.stop()

        _, next_in = forgetful.next_numbers
        forgetful.sequence_file.write_text(f"{next_out:010} : {next_in:010}")
        mended = await trial.log_on(version, again=forgetful)
        mended.send("F", cancel("out", "rest", SYMBOL, BUY, 1))
        await mended.answer("8", _11="out", _39="4")

    trial.run(test())


@pytest.mark.parametrize("version", VERSIONS)
def test_silence_is_asked_about_by_either_side(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version, "HeartBtInt=1")
        wire = trial.wire(engine)
        await wire.wait_heard("0", 2)
        wire.hold("down")
        await wait_for(lambda: "Sent test request TEST" in engine.events(), "it asks", 10)
        wire.release()
        await engine.answer("0", _112="TEST")
        wire.hold("up")
        asked = await engine.answer("1")
        wire.release()
        await wait_for(
            lambda: any(one.get(112) == asked.get(112) for one in wire.sent()), "it answers", 10
        )
        await engine.stop()
        assert engine.logons == 1, "the connection was not lost over it"
        assert engine.admin[-1].msg_type == "5"

    trial.run(test(), expected_events=HEARTBEATS)


@pytest.mark.parametrize("version", COMPONENTS)
def test_with_next_expected_msg_seq_num_nobody_asks_for_a_resend(
    trial: Trial, version: str
) -> None:
    setting = "SendNextExpectedMsgSeqNum=Y"

    async def test() -> None:
        engine, other = await trial.log_on(version, setting), await trial.log_on(version)
        engine.send("D", new_order("rest", SYMBOL, BUY, 100, "100.00"))
        await engine.answer("8", _11="rest", _150="0")
        wire = trial.wire(engine)
        wire.take_down()
        await wait_for(lambda: not engine.is_logged_on, "it has noticed", 5)
        engine.send("D", new_order("more", SYMBOL, BUY, 50, "100.00"))
        other.send("D", new_order("hit", SYMBOL, SELL, 150, "100.00"))
        await other.answer("8", _11="hit", _39="1")
        wire.bring_up()
        await engine.logs_on(2)
        await engine.answer("8", _11="rest", _39="2")
        await engine.answer("8", _11="more", _39="2")
        await other.answer("8", _11="hit", _39="2")
        assert "2" not in {message.msg_type for message in wire.sent() + wire.heard()}

    trial.run(test(), expected_events=CUTS)
