"""What an operator may tell a running gateway: HTTP over a Unix socket in its data folder.

The TCP port for HTTP shows and changes nothing, for it asks nobody who he is. This socket is for
whoever may open it: the user that the gateway runs as (mode 0600), on this machine.

    POST /disconnect  {"session": "CLIENT1"}    200 {"session": "CLIENT1"}
    POST /reset       {"session": "CLIENT1"}    409 and a sentence: that cannot be done
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

FILE_NAME: Final = "control.sock"

_MAX_BODY_BYTES: Final = 4_096
_PATIENCE_S: Final = 0.5

logger = logging.getLogger(__name__)


class Refused(Exception):
    """What the operator wants cannot be done; the text says why."""


Order = Callable[[str], None]
"""Takes the name of a session. Raises Refused."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Another name of a file, good while this lasts: that of a socket has at most 107 bytes, and a
    data folder may be anywhere. Raises OSError when there is no such folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Control:
    """The socket of one gateway. `orders` has a function for each page."""

    def __init__(self, path: Path, orders: Mapping[str, Order]) -> None:
        self._path = path
        self._orders = orders
        self._runner: web.AppRunner | None = None
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the folder takes no socket."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        for page, order in self._orders.items():
            application.router.add_post(f"/{page}", self._handler(page, order))
        # An order that has met a bug is never answered.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_PATIENCE_S)
        await runner.setup()
        assert runner.server is not None, "setup() makes it"
        listening = self._open_socket()
        self._runner = runner
        self._server = await asyncio.get_running_loop().create_unix_server(
            runner.server, sock=listening
        )

    def _open_socket(self) -> socket.socket:
        self._path.unlink(missing_ok=True)  # of a process that was killed
        listening = socket.socket(socket.AF_UNIX)
        os.fchmod(listening.fileno(), 0o600)  # before it has a name: nobody else gets in between
        with short_name(self._path) as name:
            listening.bind(name)
        return listening

    async def close(self) -> None:
        """Stop listening, and remove the socket. Can be called twice."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()

    def _handler(self, page: str, order: Order) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                name = str((await request.json())["session"])
            except (ValueError, KeyError, TypeError):
                return web.Response(text='send {"session": NAME}\n', status=400)
            logger.info("the operator wants to %s %r", page, name)
            refusal = await _carry_out(order, name)
            if refusal is not None:
                return web.Response(text=f"{refusal}\n", status=409)
            return web.json_response({"session": name})

        return handle


async def _carry_out(order: Order, name: str) -> Refused | None:
    """Returns why it cannot be done. It is done in a callback of the loop: an exception in there (a
    full disk, a bug) stops the gateway as any other would, where aiohttp would answer 500."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Refused | None] = loop.create_future()

    def act() -> None:
        found = None
        try:
            order(name)
        except Refused as refusal:
            found = refusal
        if not done.done():  # nobody waits any more when the operator's connection is lost
            done.set_result(found)

    loop.call_soon(act)
    return await done
