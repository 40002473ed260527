"""TCP connections that are slow, that stall, or whose ends disagree on whether they exist."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

from cluster.settings import Address

READ_BYTES = 1 << 16
CHUNKS_HELD = 64
"""So much a way holds; then whoever sends has to wait, as with full socket buffers."""
TRICKLE_PAUSE_S = 0.02


class Way:
    """What happens to the bytes of one direction of a link; may be changed at any time.

    `delay_s` is added to every chunk, and up to `jitter_s` at random; the order stays.
    `bytes_per_s` limits the rate. After stall() nothing arrives until resume(), and nothing is
    lost: so a cut looks that TCP gets over.
    """

    def __init__(self, seed: str) -> None:
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.bytes_per_s: float | None = None
        self._random = random.Random(seed)
        self._open = asyncio.Event()
        self._open.set()

    def stall(self) -> None:
        """Let nothing arrive."""
        self._open.clear()

    def resume(self) -> None:
        """Let it arrive again."""
        self._open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring everything to the writer until the reader ends. What comes when the writer's
        connection is broken goes nowhere."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_HELD)
        reading = asyncio.create_task(self._read(reader, chunks))
        try:
            await self._write(chunks, writer)
        finally:
            reading.cancel()

    async def _read(
        self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        time = asyncio.get_running_loop().time
        data = b"something"
        while data:
            try:
                data = await reader.read(READ_BYTES)
            except ConnectionError:
                data = b""
            due_s = time() + self.delay_s + self.jitter_s * self._random.random()
            await chunks.put((due_s, data))

    async def _write(
        self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        time = asyncio.get_running_loop().time
        while True:
            due_s, data = await chunks.get()
            await asyncio.sleep(due_s - time())
            if not data:
                return
            while data:
                await self._open.wait()
                piece = data
                if self.bytes_per_s is not None:
                    piece = data[: max(1, int(self.bytes_per_s * TRICKLE_PAUSE_S))]
                    await asyncio.sleep(TRICKLE_PAUSE_S)
                with contextlib.suppress(ConnectionError):
                    writer.write(piece)
                    await writer.drain()
                data = data[len(piece) :]


@dataclass(eq=False)
class Connection:
    """One connection of a link. `half_open`: one end broke, and the other one is not told."""

    dialler: asyncio.StreamWriter
    dialled: asyncio.StreamWriter
    half_open: bool = False


class Link:
    """What node `dialler` finds at the address where it believes node `dialled` to be.

    `forth` is the way from the dialler, `back` the way to it.
    """

    def __init__(self, listen: Address, target: Address) -> None:
        self.listen = listen
        self.forth = Way(f"{listen} forth")
        self.back = Way(f"{listen} back")
        self.dialled = 0
        """Connections so far."""
        self._target = target
        self._connections: set[Connection] = set()
        self._server: asyncio.Server

    @property
    def ways(self) -> tuple[Way, Way]:
        """Both directions."""
        return self.forth, self.back

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, *self.listen)

    async def close(self) -> None:
        """Listen no more, and break every connection."""
        self._server.close()
        self.reset()

    def reset(self) -> None:
        """Break every connection, on both ends."""
        for connection in self._connections:
            connection.dialler.transport.abort()
            connection.dialled.transport.abort()

    def break_dialled_end(self) -> None:
        """The dialled node sees its connections end; the dialler is not told, and what it sends
        goes nowhere."""
        for connection in self._connections:
            connection.half_open = True
            connection.dialled.transport.abort()

    def break_diallers_end(self) -> None:
        """The other way round."""
        for connection in self._connections:
            connection.half_open = True
            connection.dialler.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.dialled += 1
        connection = Connection(writer, far_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._carry(connection, self.forth, reader, far_writer),
                self._carry(connection, self.back, far_reader, writer),
            )
        finally:
            self._connections.discard(connection)
            writer.transport.abort()
            far_writer.transport.abort()

    async def _carry(
        self,
        connection: Connection,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await way.carry(reader, writer)
        if not connection.half_open:
            writer.close()
