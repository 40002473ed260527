"""The Unix socket on which an operator tells a gateway what to do with a session."""

from __future__ import annotations

import asyncio
import errno
import stat
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exchange.http_client import tell_gateway
from gateway.control import FILE_NAME, Control, Refused, short_name


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
