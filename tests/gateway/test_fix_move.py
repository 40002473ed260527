"""A FIX session moves to another gateway: its store goes along, and nothing is lost or doubled."""

from __future__ import annotations

import dataclasses
import time

from fake_cluster import FakeCluster
from test_fix_gateway import Trader, settings_for, until

from gateway.fix.server import FixGateway


def gateway_of(folder, number: int, comp_ids: tuple[str, ...], cluster: FakeCluster) -> FixGateway:
    settings = settings_for(folder / str(number), gateway_id=f"fix-{number}")
    sessions = {comp_id: settings.sessions[comp_id] for comp_id in comp_ids}
    return FixGateway(dataclasses.replace(settings, sessions=sessions), cluster=cluster.client)


async def test_a_session_moves_with_its_store_and_misses_nothing(tmp_path) -> None:
    cluster = FakeCluster(is_automatic=True, clock_ns=time.time_ns)
    one = gateway_of(tmp_path, 1, ("CLIENT1",), cluster)
    two = gateway_of(tmp_path, 2, ("CLIENT2",), cluster)
    await one.start()
    await two.start()
    seller = Trader(one.address, "CLIENT1")
    await seller.client.start()
    for _ in range(3):
        seller.enter("AAPL", 2, 100, "100.00")
    await until(lambda: len(seller.reports) == 3, "the orders rest")
    seller.client.drop_connection()
    await one.close()

    # What happens now is for the store of CLIENT1, which nobody writes; the second gateway passes.
    buyer = Trader(two.address, "CLIENT2")
    await buyer.client.start()
    buyer.enter("AAPL", 1, 150, "100.00")
    await until(lambda: len(buyer.reports) == 3, "it is filled twice")
    await buyer.client.stop()
    await two.close()

    (tmp_path / "1" / "CLIENT1.store").rename(tmp_path / "2" / "CLIENT1.store")
    (tmp_path / "2" / "progress").unlink()
    two = gateway_of(tmp_path, 2, ("CLIENT1", "CLIENT2"), cluster)
    await two.start()
    try:
        seller.client.address = two.address
        await until(lambda: len(seller.reports) == 5, "the fills of meanwhile have come")
        told = [report.get(150) for report in seller.reports]
        assert told == ["0", "0", "0", "F", "F"]
        assert len({report.get(17) for report in seller.reports}) == 5
        buyer.client.address = two.address
        await buyer.client.start()
        seller.enter("AAPL", 2, 100, "100.00")
        await until(lambda: len(seller.reports) == 6, "it trades on")
        assert len(buyer.reports) == 3
    finally:
        await seller.client.stop()
        await buyer.client.stop()
        await two.close()
