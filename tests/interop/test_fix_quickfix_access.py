"""QuickFIX meets passwords, rate limits, cancel on disconnect, and reads a drop copy."""

from __future__ import annotations

from collections import Counter

import pytest
from fix_requests import BUY, SELL, VERSIONS, cancel, new_order
from fix_trial import Trial
from fix_venue import COPY, FLEETING, LIMITED, LOCKED, MESSAGES_PER_S, PASSWORD, USERNAME
from fix_wire import WireMessage

from exchange.local import wait_for

pytestmark = pytest.mark.interop

SYMBOL = "ZVZZT"
CUTS = (r".*Connection reset by peer.*",)
REFUSED = (*CUTS, r"Timed out waiting for logon response")
RESETS = (r"Logon contains ResetSeqNumFlag=Y, reseting sequence numbers to 1",)


def credentials(version: str, password: str) -> list[tuple[int, str]]:
    """FIX.4.2 has no Password(554); RawData(96) is where it goes."""
    if version == "FIX.4.2":
        return [(95, str(len(password))), (96, password)]
    return [(553, USERNAME), (554, password)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_password_opens_the_session_and_nothing_else_does(trial: Trial, version: str) -> None:
    async def test() -> None:
        wrong = await trial.engine(version, kind=LOCKED, logon=credentials(version, "open barley"))
        await wrong.connect()
        await wrong.answer("5")
        await wrong.stop()
        right = await trial.log_on(
            version, "ResetOnLogon=Y", again=wrong, logon=credentials(version, PASSWORD)
        )
        right.send("D", new_order("rest", SYMBOL, BUY, 1, "95.00"))
        await right.answer("8", _11="rest", _150="0")
        right.send("F", cancel("out", "rest", SYMBOL, BUY, 1))
        await right.answer("8", _11="out", _39="4")

    trial.run(test(), expected_events=(*REFUSED, *RESETS))


@pytest.mark.parametrize("version", VERSIONS)
def test_who_sends_too_much_is_told_so_and_then_why_it_is_logged_out(
    trial: Trial, version: str
) -> None:
    async def test() -> None:
        engine = await trial.log_on(version, kind=LIMITED)
        names = {f"rest-{n}" for n in range(3 * MESSAGES_PER_S)}
        for name in sorted(names):
            engine.send("D", new_order(name, SYMBOL, BUY, 1, "95.00"))
        told = await engine.answer("j", _380="0")
        assert str(MESSAGES_PER_S) in (told.get(58) or "")
        assert (await engine.answer("B")).get(148)
        await engine.logs_on(2)  # what came after the Logout is asked for, and comes again

        def refused() -> set[str | None]:
            return {message.get(379) for message in engine.heard if message.msg_type == "j"}

        accepted = engine.blotter.accepted
        await wait_for(lambda: accepted.keys() | refused() == names, "each is answered", 20)
        assert len(refused()) >= MESSAGES_PER_S
        assert set(accepted.values()) == {1}
        assert not accepted.keys() & refused()

    trial.run(test(), expected_events=CUTS)


@pytest.mark.parametrize("version", VERSIONS)
def test_orders_of_a_fleeting_session_end_with_its_connection(trial: Trial, version: str) -> None:
    async def test() -> None:
        engine = await trial.log_on(version, kind=FLEETING)
        names = [f"rest-{n}" for n in range(5)]
        for name in names:
            engine.send("D", new_order(name, SYMBOL, BUY, 1, "95.00"))
        await engine.answer("8", _11=names[-1], _150="0")
        trial.wire(engine).cut()
        for name in names:
            gone = await engine.answer("8", _11=name, _39="4")
            assert (gone.get(150), gone.get(151)) == ("4", "0")
            assert gone.get(58), gone

    trial.run(test(), expected_events=CUTS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_logon_may_say_that_orders_end_with_the_connection(trial: Trial, version: str) -> None:
    user_defined = "ValidateUserDefinedFields=N"  # the answer repeats tag 8013

    async def test() -> None:
        engine = await trial.log_on(version, user_defined, logon=[(8013, "Y")])
        engine.send("D", new_order("rest", SYMBOL, BUY, 1, "95.00"))
        await engine.answer("8", _11="rest", _150="0")
        trial.wire(engine).cut()
        await engine.answer("8", _11="rest", _39="4")

    trial.run(test(), expected_events=CUTS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_drop_copy_tells_what_others_were_told(trial: Trial, version: str) -> None:
    async def test() -> None:
        one, other = await trial.log_on_two(version)
        reader = await trial.log_on(version, "ResetOnLogon=Y", kind=COPY)  # it chooses the version
        await reader.stop()
        one.send("D", new_order("rest", SYMBOL, SELL, 300, "100.00"))
        await one.answer("8", _11="rest", _150="0")
        reader = await trial.log_on(version, kind=COPY, again=reader)
        other.send("D", new_order("hit", SYMBOL, BUY, 100, "100.00"))
        await other.answer("8", _11="hit", _39="2")
        trial.wire(reader).cut()
        one.send("F", cancel("lost", "never", SYMBOL, SELL, 300))
        one.send("F", cancel("out", "rest", SYMBOL, SELL, 300))
        await one.answer("8", _11="out", _39="4")

        def copied() -> bool:
            told = Counter((message.get(115), *told_of(message)) for message in reader.heard)
            wanted = Counter(
                (engine.comp_id, *told_of(message))
                for engine in (one, other)
                for message in engine.heard
            )
            return wanted <= told and max(told.values()) == 1

        await wait_for(copied, "every report was copied, and copied once", 30)

    trial.run(test(), expected_events=(*CUTS, *RESETS))


def told_of(report: WireMessage) -> tuple[str | None, ...]:
    """What makes a report that one: type, ExecID, ClOrdID, quantities."""
    return report.msg_type, *(report.get(tag) for tag in (17, 11, 41, 150, 39, 14, 151, 6, 102))
