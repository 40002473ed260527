"""Readers of the market-data process's pages, slow ones and without end: they must not be felt."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from cluster.settings import Address

_PIECE_BYTES: Final = 256
_PAUSE_S: Final = 0.06
"""Between two pieces: 4 KiB a second."""
_RECEIVE_BUFFER_BYTES: Final = 4_096
"""The kernel keeps no more for a reader, so that the rest of a long page waits in the process."""
_HEAD_BYTES: Final = 1_024
_READY_TIMEOUT_S: Final = 20.0


@dataclass(slots=True)
class Pages:
    """What all readers together have had."""

    answered: int = 0
    refused: int = 0  # 503: too many were waiting
    failed: int = 0  # connections that ended, and any other answer
    bytes: int = 0


class SlowReaders:
    """A process of its own with so many readers, each of which asks for a whole book, reads it
    slowly and asks again."""

    def __init__(self, count: int, http: Address, symbols: tuple[str, ...]) -> None:
        """Returns when they have begun. Raises OSError when they cannot."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        work = (count, http, symbols, other)
        self._process = context.Process(target=_read, args=work, daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(_READY_TIMEOUT_S) or self._pipe.recv() != "ready":
            self.kill()
            raise OSError("the readers of pages cannot begin")

    def end(self) -> Pages:
        """Stop; what they have had. Raises EOFError when the process has died."""
        self._pipe.send("end")
        pages: Pages = self._pipe.recv()
        return pages

    def kill(self) -> None:
        """Make sure that they are gone."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _read(count: int, http: Address, symbols: tuple[str, ...], pipe: Connection) -> None:
    asyncio.run(_read_all(count, http, symbols, pipe))


async def _read_all(count: int, http: Address, symbols: tuple[str, ...], pipe: Connection) -> None:
    pages = Pages()
    tasks = [
        asyncio.create_task(_reader(http, symbols[number % len(symbols)], pages))
        for number in range(count)
    ]
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send(pages)


async def _reader(http: Address, symbol: str, pages: Pages) -> None:
    request = f"GET /book/{symbol}?depth=1000 HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    while True:
        try:
            await _one_connection(http, request, pages)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pages.failed += 1
            await asyncio.sleep(_PAUSE_S)


async def _one_connection(http: Address, request: bytes, pages: Pages) -> None:
    """Ask for the page again and again. Raises what `_reader` catches when that cannot go on."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    writer = None
    try:
        await asyncio.get_running_loop().sock_connect(connection, http)
        reader, writer = await asyncio.open_connection(sock=connection, limit=_HEAD_BYTES)
        while True:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            left = _content_length(head)
            while left:
                piece = await reader.readexactly(min(left, _PIECE_BYTES))
                left -= len(piece)
                pages.bytes += len(piece)
                await asyncio.sleep(_PAUSE_S)
            status = head.split(b" ", 2)[1]
            if status == b"200":
                pages.answered += 1
            elif status == b"503":
                pages.refused += 1
            else:
                raise ValueError(f"the page is answered with {status!r}")
    finally:
        connection.close() if writer is None else writer.close()


def _content_length(head: bytes) -> int:
    """Raises ValueError when the head of an answer does not say it."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise ValueError(f"an answer without a Content-Length: {head[:80]!r}")
