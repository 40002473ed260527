"""The HTTP port of a node leaves nothing behind."""

import asyncio
import gc
import socket

import pytest
import uvloop

from cluster.garbage import YoungEvents, no_collection
from cluster.http import NodeHttp
from cluster.settings import Address


class Status:
    def status(self) -> dict[str, object]:
        return {"leader_id": None, "applied_index": 1, "commit_index": 1}


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /healthz", 200),
        ("GET /readyz", 503),
        ("GET /status", 200),
        ("GET /nothing", 404),
        ("POST /status", 404),
        ("DELETE /", 404),
    ],
)
def test_a_request_leaves_no_garbage_that_nobody_looks_for(request_line: str, status: int):
    """A connection that outlives a look of the collector is not looked at again."""

    async def run() -> int:
        address = Address("127.0.0.1", free_port())
        http, young = NodeHttp(Status(), address), YoungEvents()
        await http.start()
        with no_collection():
            pass
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(f"{request_line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await reader.read(4096)).startswith(b"HTTP/1.1 %d" % status)
            for _ in range(2):
                young.add(2_000)
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.01)
        gc.unfreeze()
        found = gc.collect()
        await http.close()
        return found

    before = gc.get_threshold()
    try:
        assert uvloop.run(run()) < 20, "some for each connection"
    finally:
        gc.set_threshold(*before)
