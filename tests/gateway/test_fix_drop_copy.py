"""Drop copy: who may watch a session reads every report of it, from the first event on, once."""

from __future__ import annotations

import contextlib
import time

from fake_cluster import FakeCluster
from test_fix_gateway import ANY_PORT, Trader, burst, kill, settings_for, until

from exchange.fix_client import FixClient
from gateway.fix.server import DropCopyGateway, FixGateway
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from oms.commands import CommandKind, EnterNumberedOrder, ReduceNumberedOrder

TRADERS = ("CLIENT1", "CLIENT2")
SECRET = "OUCH1"
COPIED = (1, 2, 3, 4, 5, 6, 8, 9, 40, 41)  # kinds of events


class Reader:
    """A client of a drop copy session."""

    def __init__(self, address, comp_id):
        self.copies = []
        self.others = []
        self.client = FixClient(address, comp_id, self._told, heartbeat_s=5)

    def _told(self, message, _received_ns):
        (self.copies if message.get(115) else self.others).append(message)

    @property
    def exec_ids(self):
        return [int(copy.get(17)) for copy in self.copies if copy.msg_type == "8"]


def drop_copy_settings(data_dir, bind=ANY_PORT):
    readers = (
        FixSessionSettings("RISK", "", copies_of=(*TRADERS, SECRET)),
        FixSessionSettings("CLEAR2", "", copies_of=("CLIENT2",)),
    )
    return FixGatewaySettings(
        bind=bind,
        http_bind=ANY_PORT,
        nodes={},
        data_dir=data_dir,
        gateway_id="drop-copy",
        sessions={reader.comp_id: reader for reader in readers},
    )


def reported(cluster, names):
    """Numbers of the events that make ExecutionReports of these sessions."""
    return [
        number
        for number, event in enumerate(cluster.events, 1)
        if event[1] in names and event[0] in COPIED and event[0] != 6
    ]


@contextlib.asynccontextmanager
async def a_market(tmp_path):
    """A cluster, its FIX gateway with two traders, and a drop copy gateway."""
    cluster = FakeCluster((*TRADERS, SECRET), clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path / "fix"), cluster=cluster.client)
    await gateway.start()
    copying = DropCopyGateway(drop_copy_settings(tmp_path / "copy"), cluster=cluster.client)
    await copying.start()
    traders = [Trader(gateway.address, comp_id) for comp_id in TRADERS]
    for trader in traders:
        await trader.client.start()
    yield cluster, copying, traders
    for trader in traders:
        await trader.client.stop()
    await gateway.close()
    await copying.close()


async def test_a_copy_says_whose_it_is_and_all_that_the_report_says(tmp_path):
    async with a_market(tmp_path) as (cluster, copying, (first, second)):
        reader = Reader(copying.address, "RISK")
        await reader.client.start()
        first.enter("AAPL", 1, 10, "100.00")
        await until(lambda: len(first.reports) == 1, "accepted")
        second.enter("AAPL", 2, 4, "100.00")
        await until(lambda: len(reader.copies) == 4, "four copies")
        assert [copy.get(115) for copy in reader.copies] == [
            "CLIENT1",
            "CLIENT2",
            "CLIENT1",
            "CLIENT2",
        ]
        assert all(copy.get(797) == "Y" for copy in reader.copies)
        await until(lambda: len(first.reports) == len(second.reports) == 2, "filled")
        original = {report.get(17): report for report in (*first.reports, *second.reports)}
        told_otherwise = {8, 9, 10, 34, 49, 52, 56, 115, 797}
        for copy in reader.copies:
            fields = [field for field in copy.fields if field[0] not in told_otherwise]
            report = original[copy.get(17)]
            assert fields == [field for field in report.fields if field[0] not in told_otherwise]
        await reader.client.stop()
        assert not [command for command in cluster.commands if "RISK" in command]


async def test_orders_of_all_types_are_copied(tmp_path):
    async with a_market(tmp_path) as (cluster, copying, (first, second)):
        reader = Reader(copying.address, "RISK")
        await reader.client.start()
        first.enter("AAPL", 2, 30, "100.00", (111, 10))
        first.enter("AAPL", 1, 5, None, (40, 3), (99, "100.00"))
        await until(lambda: len(first.reports) == 2, "accepted")
        second.enter("AAPL", 1, 10, "100.00", (2362, 7), (2964, 2))
        await until(lambda: len(reader.copies) == 9, "nine copies")
        assert [copy.get(150) for copy in reader.copies] == [*"000FFDDFF"]
        assert reader.exec_ids == reported(cluster, TRADERS)
        iceberg, stop, _, _, _, next_part, triggered, *_ = reader.copies
        assert (iceberg.get(111), stop.get(99), stop.get(636)) == ("10", "100.00", "N")
        assert (next_part.get(378), triggered.get(636)) == ("8", "Y")
        await reader.client.stop()


async def test_a_reader_sees_only_the_sessions_that_it_may_watch(tmp_path):
    async with a_market(tmp_path) as (cluster, copying, traders):
        await burst(traders, 1, 60)
        reader = Reader(copying.address, "CLEAR2")
        await reader.client.start()
        reader.client.send("H", [(11, "CLIENT2-1"), (55, "AAPL"), (54, 1)])
        for trader in traders:
            await until(lambda trader=trader: trader.answered >= set(trader.asked), "all answered")
        traders[1].enter("AAPL", 1, 1, "99.00")
        await until(
            lambda: reader.exec_ids == reported(cluster, ("CLIENT2",)), "all reports are copied"
        )
        assert {copy.get(115) for copy in reader.copies} == {"CLIENT2"}
        await until(lambda: reader.others, "the question is refused")
        (refusal,) = reader.others
        assert (refusal.msg_type, refusal.get(380)) == ("j", "6")
        await reader.client.stop()


async def test_the_whole_day_can_be_read_again_also_after_the_gateway_was_killed(tmp_path):
    async with a_market(tmp_path) as (cluster, copying, traders):
        reader = Reader(copying.address, "RISK")
        await reader.client.start()
        await burst(traders, 2, 80)
        bind = copying.address
        kill(copying)
        await burst(traders, 3, 80)
        again = DropCopyGateway(
            drop_copy_settings(copying.settings.data_dir, bind), cluster=cluster.client
        )
        await again.start()
        for trader in traders:
            await until(lambda trader=trader: trader.answered >= set(trader.asked), "all answered")
        expected = reported(cluster, TRADERS)
        await reader.client.wait_logged_on()
        await until(lambda: reader.exec_ids[-1:] == expected[-1:], "the last report is copied")
        assert reader.exec_ids == expected, "nothing is missing, nothing comes twice"

        await reader.client.stop()
        newcomer = Reader(bind, "RISK")  # has lost its files: its numbers begin at 1
        newcomer.client.next_out = reader.client.next_out
        await newcomer.client.start()
        await until(lambda: newcomer.exec_ids[-1:] == expected[-1:], "the whole day once more")
        assert newcomer.exec_ids == expected
        assert all(copy.get(43) == "Y" for copy in newcomer.copies)
        await newcomer.client.stop()
        await again.close()


async def test_numbered_orders_are_copied_too(tmp_path):
    async with a_market(tmp_path) as (cluster, copying, _):
        reader = Reader(copying.address, "RISK")
        await reader.client.start()
        kind = CommandKind.ENTER_NUMBERED_ORDER
        cluster.apply(
            EnterNumberedOrder(kind, SECRET, 0, 7, "AAPL", 1, 2, 0, 10, 990_000, 0, 0, "", b"")
        )
        cluster.apply(ReduceNumberedOrder(CommandKind.REDUCE_NUMBERED_ORDER, SECRET, 0, 7, 6))
        cluster.run()
        await until(lambda: len(reader.copies) == 2, "two copies")
        told = [(copy.get(11), copy.get(150), copy.get(38)) for copy in reader.copies]
        assert told == [("7", "0", "10"), ("7", "5", "6")]
        await reader.client.stop()
