"""jspurefix trades at our gateway and checks each message against the FIX repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fix_jspurefix
import pytest
from fix_jspurefix import JsPureFix, tls_options
from fix_requests import BUY, IOC, LIMIT, SELL, VERSIONS
from fix_venue import Venue
from fix_wire import with_field

from exchange.certificates import make_certificates
from exchange.local import wait_for
from exchange.settings import AUTHORITY

pytestmark = pytest.mark.interop

SYMBOL = "AMZN"


@pytest.fixture
def jspurefix() -> None:
    """Skips the test if there is none."""
    problem = fix_jspurefix.missing()
    if problem is not None:
        pytest.skip(problem)


@pytest.fixture
def jspurefix_venue(jspurefix: None, request: pytest.FixtureRequest) -> Venue:
    """The exchange, which starts only if somebody can try it."""
    venue: Venue = request.getfixturevalue("venue")
    return venue


def order(version: str, cl_ord_id: str, side: str, quantity: int, **more: object) -> dict[str, Any]:
    """The body of a NewOrderSingle; before FIX.4.3 there were no components."""
    symbol, order_qty = {"Symbol": SYMBOL}, {"OrderQty": quantity}
    flat = {"ClOrdID": cl_ord_id, "HandlInst": "1", "Side": side, "OrdType": LIMIT, "Price": 100}
    if version == "FIX.4.2":
        return flat | symbol | order_qty | more
    return flat | {"Instrument": symbol, "OrderQtyData": order_qty} | more


@pytest.mark.parametrize("version", VERSIONS)
def test_it_trades_loses_its_line_and_finds_nothing_to_reject(
    jspurefix_venue: Venue, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    venue = jspurefix_venue

    async def test() -> None:
        async with venue.wire() as line, venue.wire() as other_line:
            buyer = JsPureFix(version, venue.next_comp_id(), line.address, tmp_path / "buyer")
            seller = JsPureFix(
                version, venue.next_comp_id(), other_line.address, tmp_path / "seller"
            )
            async with buyer, seller:
                buyer.send("D", **order(version, "rest", BUY, 300))
                await buyer.answer(ClOrdID="rest", ExecType="0")
                seller.send("D", **order(version, "hit", SELL, 100))
                await seller.answer(ClOrdID="hit", OrdStatus="2")
                await buyer.answer(ClOrdID="rest", OrdStatus="1")

                line.cut()
                seller.send("D", **order(version, "away", SELL, 150, TimeInForce=IOC))
                await seller.answer(ClOrdID="away", OrdStatus="2")
                await buyer.ready(2)
                await buyer.answer(ClOrdID="rest", CumQty="250")

                buyer.send("D", **order(version, "rest", BUY, 300))
                await buyer.answer(ClOrdID="rest", OrdStatus="8", OrdRejReason="6")
                buyer.send("D", **order(version, "far", BUY, 300, Price=500))
                await buyer.answer(ClOrdID="far", OrdStatus="8")
                buyer.send("F", **order(version, "lost", BUY, 300), OrigClOrdID="never")
                await buyer.answer(ClOrdID="lost", OrigClOrdID="never")
                buyer.send("F", **order(version, "out", BUY, 300), OrigClOrdID="rest")
                await buyer.answer(ClOrdID="out", OrdStatus="4", CumQty="250")
            seen = [line.heard_types(), other_line.heard_types()]
            with capsys.disabled():
                print(f"\n    heard {dict(seen[0])} and {dict(seen[1])}", end=" ")
            assert line.problems() + other_line.problems() == []
            assert buyer.events[-1] == seller.events[-1] == {"event": "stopped", "error": None}

    venue.run(test())


def test_it_rejects_a_report_with_a_tag_that_does_not_belong_there(
    jspurefix_venue: Venue, tmp_path: Path
) -> None:
    venue = jspurefix_venue

    async def test() -> None:
        async with venue.wire() as line:
            line.forge = with_field("8", b"269=0")
            engine = JsPureFix("FIX.4.4", venue.next_comp_id(), line.address, tmp_path)
            async with engine:
                engine.send("D", **order("FIX.4.4", "rest", BUY, 300, TimeInForce=IOC))
                await wait_for(line.problems, "it rejects the report", 20)
            assert engine.messages == []

    venue.run(test())


@pytest.mark.usefixtures("jspurefix")
def test_it_trades_over_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    folder, server, client = tmp_path / "certificates", "node-fix", "client-engine"
    make_certificates(folder, [server, client])
    files = {
        "fix.tls_certificate": f"{server}.pem",
        "fix.tls_key": f"{server}.key",
        "fix.tls_client_authority": AUTHORITY,
    }
    changes = {key: f'"{folder / file}"' for key, file in files.items()}
    tls = tls_options(folder, AUTHORITY, client, server)

    async def test(venue: Venue) -> None:
        remote = venue.exchange.config.addresses.fix[0]
        engine = JsPureFix("FIX.4.4", venue.next_comp_id(), remote, tmp_path / "engine", tls)
        async with engine:
            engine.send("D", **order("FIX.4.4", "rest", BUY, 300))
            await engine.answer(ClOrdID="rest", ExecType="0")
            engine.send("F", **order("FIX.4.4", "out", BUY, 300), OrigClOrdID="rest")
            await engine.answer(ClOrdID="out", OrdStatus="4")
        assert not [line for line in engine.complaints() if "reject" in line]

    with Venue(tmp_path / "venue", changes) as venue:
        venue.run(test(venue))
