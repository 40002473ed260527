"""The Unix socket on which an operator tells a gateway what to do with a session."""

from __future__ import annotations

import asyncio
import errno
import stat
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fake_cluster import FakeCluster
from ouch_socket import new_cluster, running_gateway
from test_fix_gateway import Trader, settings_for, until

from exchange.http_client import tell_gateway
from gateway.control import FILE_NAME, Control, Refused, short_name
from gateway.fix.server import FixGateway


class Told:
    """What the orders of a Control were called with."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.error: Exception | None = None

    def order(self, name: str) -> None:
        self.names.append(name)
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def listening(folder: Path):
    told = Told()
    control = Control(folder / FILE_NAME, {"disconnect": told.order})
    await control.start()
    try:
        yield told
    finally:
        await control.close()


async def test_an_order_is_carried_out_or_refused_with_a_sentence(tmp_path: Path) -> None:
    async with listening(tmp_path) as told:
        assert await tell_gateway(tmp_path, "disconnect", "CLIENT1") is None
        told.error = Refused("CLIENT2 is not connected")
        refusal = await tell_gateway(tmp_path, "disconnect", "CLIENT2")
        assert refusal == "CLIENT2 is not connected"
        assert told.names == ["CLIENT1", "CLIENT2"]


async def test_only_the_user_of_the_gateway_may_open_it_and_it_goes_with_the_gateway(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path):
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert not (tmp_path / FILE_NAME).exists()
    with pytest.raises(OSError, match=r"."):
        await tell_gateway(tmp_path, "disconnect", "CLIENT1")


async def test_a_socket_that_a_killed_gateway_has_left_is_replaced(tmp_path: Path) -> None:
    killed = Control(tmp_path / FILE_NAME, {})
    await killed.start()
    async with listening(tmp_path) as told:
        assert await tell_gateway(tmp_path, "disconnect", "CLIENT1") is None
        assert told.names == ["CLIENT1"]


async def test_a_folder_may_have_a_longer_name_than_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    async with listening(deep):
        assert await tell_gateway(deep, "disconnect", "CLIENT1") is None
    with pytest.raises(FileNotFoundError), short_name(tmp_path / "nowhere" / FILE_NAME):
        pass


@pytest.mark.parametrize("body", [b"", b"CLIENT1", b"[]", b"{}", b'"x"', b"\xff", b'{"session"'])
async def test_what_is_no_order_is_answered_by_400(tmp_path: Path, body: bytes) -> None:
    async with listening(tmp_path) as told:
        with short_name(tmp_path / FILE_NAME) as name:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(name)) as client,
                client.post("http://gateway/disconnect", data=body) as response,
            ):
                assert response.status == 400
        assert told.names == []


async def test_a_bug_in_an_order_stops_the_gateway_like_any_other(tmp_path: Path) -> None:
    """It reaches the loop's exception handler, which is where a gateway hears of bugs."""
    heard: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: heard.append(context["exception"]))
    async with listening(tmp_path) as told:
        told.error = OSError(errno.ENOSPC, "disk full")
        with pytest.raises(TimeoutError):
            await tell_gateway(tmp_path, "disconnect", "CLIENT1", timeout_s=0.2)
        assert heard == [told.error]


# ---- a whole gateway ----


@asynccontextmanager
async def running(folder: Path, cluster: FakeCluster):
    gateway = FixGateway(settings_for(folder), cluster=cluster.client)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def log_on(gateway: FixGateway) -> Trader:
    """A CLIENT1 that has forgotten its numbers."""
    trader = Trader(gateway.address, "CLIENT1")
    await trader.client.start()
    return trader


async def answered(trader: Trader) -> None:
    await until(lambda: set(trader.asked) == trader.answered, "every request is answered")


def numbers(gateway: FixGateway) -> tuple[int, int]:
    facts = {row["comp_id"]: row for row in gateway._fix.session_facts()}["CLIENT1"]
    return facts["next_in"], facts["next_out"]


@pytest.mark.parametrize("is_connected", [True, False])
@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_reset_lets_a_client_that_lost_its_numbers_begin_at_1(
    tmp_path: Path, is_connected: bool, is_restarted: bool
) -> None:
    cluster = FakeCluster(is_automatic=True, clock_ns=time.time_ns)
    async with running(tmp_path, cluster) as gateway:
        trader = await log_on(gateway)
        for _ in range(3):
            trader.enter("AAPL", 1, 100, "99.00")
        await answered(trader)
        if not is_connected:
            await trader.client.stop()
        assert await tell_gateway(tmp_path, "reset", "CLIENT1") is None
        if is_connected:
            await until(lambda: trader.client.last_logout_text, "it is told why")
            assert "The operator resets the numbers" in trader.client.last_logout_text
        await trader.client.stop()
        assert numbers(gateway) == (1, 1)
        if not is_restarted:
            await trade_from_1(gateway)
    if is_restarted:
        async with running(tmp_path, cluster) as gateway:
            await trade_from_1(gateway)


async def trade_from_1(gateway: FixGateway) -> None:
    trader = await log_on(gateway)
    trader.asked = [f"of before {number}" for number in range(10)]  # those names are used up
    trader.enter("AAPL", 1, 100, "99.00")
    await until(lambda: trader.reports, "the order is answered")
    assert [(report.get(34), report.get(150)) for report in trader.reports] == [("2", "0")]
    assert numbers(gateway) == (3, 3)
    await trader.client.stop()


async def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, FakeCluster(is_automatic=True)):
        for order in ("disconnect", "reset"):
            refusal = await tell_gateway(tmp_path, order, "NOBODY\n")
            assert refusal == "'NOBODY\\n' is not a session of this gateway"
        refusal = await tell_gateway(tmp_path, "disconnect", "CLIENT1")
        assert refusal == "CLIENT1 is not connected"


async def test_an_ouch_session_has_no_numbers_to_be_reset(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, new_cluster()):
        refusal = await tell_gateway(tmp_path, "reset", "OUCH1")
        assert refusal is not None
        assert "OUCH1 is an OUCH user" in refusal
        assert await tell_gateway(tmp_path, "disconnect", "NOBODY") == "there is no user NOBODY"
