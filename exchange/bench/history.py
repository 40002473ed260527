"""The folders of nodes as a long day leaves them: a snapshot of many open orders, and more journal.

Everything is written by the code that writes it in a node: journal, events, feed, and the process
that makes snapshots. Only Raft is missing: the log is that of a leader who never had a rival.
"""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from cluster.codec import ClientFrame, encode_batch, opening_frame, pack_commands
from cluster.core import opening_commands
from cluster.disk import RealDisk
from cluster.settings import NodeSettings
from cluster.snapshot_maker import MakerProcess
from cluster.storage import NodeFolders, NodeStorage
from cluster.voting import write_marker
from exchange import config as configuration
from exchange.bench.flow import MIDDLE_PRICE, QUANTITY, TICK
from exchange.settings import feed_settings, node_settings
from marketdata.publisher import SINK_NAME, ItchPublisher
from oms.commands import (
    CancelOrder,
    Command,
    CommandKind,
    EnterOrder,
    ReplaceOrder,
)

SEED: Final = 11
CLIENT: Final = "history"
_NEW, _CANCEL = 0.8, 0.1
"""Parts of a mixed flow; the rest are replaces."""
COMMANDS_PER_ENTRY: Final = 100
"""As many as arrive under load while the entry before is in flight."""
_ENTRIES_PER_FLUSH: Final = 500
_TERM: Final = 1
_INCARNATION: Final = 1
_NEW_TERM: Final = b"\x01"
"""The empty entry that a leader begins with: see codec.batch_payload."""


class History(NamedTuple):
    """What there is to recover: in all folders the same."""

    snapshot_index: int
    snapshot_bytes: int
    snapshot_s: float
    last_index: int
    event_seq: int


class OrderFlow:
    """Commands of several sessions, numbered from 1; the same seed makes the same ones."""

    def __init__(self, sessions: list[str], symbols: list[str]) -> None:
        self._chooser = random.Random(SEED)
        self._sessions = sessions
        self._symbols = symbols
        self._numbers = count(1)
        self._latest: list[EnterOrder | ReplaceOrder] = []

    def resting(self) -> Command:
        """An order that meets no other one: they stand 10 to 900 ticks beside the middle."""
        side = self._chooser.choice((1, 2))
        distance = self._chooser.randrange(10, 900) * TICK
        return self._new(side, MIDDLE_PRICE - distance if side == 1 else MIDDLE_PRICE + distance)

    def mixed(self) -> Command:
        """80 % new orders close to the middle, so that half of them trade; cancels and replaces of
        late orders, some of them too late."""
        kind = self._chooser.random()
        if kind < _NEW or not self._latest:
            side = self._chooser.choice((1, 2))
            distance = self._chooser.randrange(-4, 9) * TICK
            order = self._new(
                side, MIDDLE_PRICE - distance if side == 1 else MIDDLE_PRICE + distance
            )
            self._latest.append(order)
            del self._latest[:-50]
            return order
        late = self._latest.pop(self._chooser.randrange(len(self._latest)))
        number = next(self._numbers)
        if kind < _NEW + _CANCEL:
            return CancelOrder(
                CommandKind.CANCEL_ORDER,
                late.session,
                number,
                f"H{number}",
                late.cl_ord_id,
                late.symbol,
                late.side,
            )
        return ReplaceOrder(
            CommandKind.REPLACE_ORDER,
            late.session,
            number,
            f"H{number}",
            late.cl_ord_id,
            late.symbol,
            late.side,
            late.order_type,
            late.time_in_force,
            2 * QUANTITY,
            late.price,
        )

    def _new(self, side: int, price: int) -> EnterOrder:
        number = next(self._numbers)
        return EnterOrder(
            CommandKind.ENTER_ORDER,
            self._chooser.choice(self._sessions),
            number,
            "",
            f"H{number}",
            self._chooser.choice(self._symbols),
            side,
            2,
            0,
            QUANTITY,
            price,
        )


class _Log:
    """Appends entries to a node's journal, and lets the node's other files follow."""

    def __init__(self, storage: NodeStorage, sink: ItchPublisher, node_id: int) -> None:
        self.last_index = 1
        self._storage = storage
        self._sink = sink
        self._next_number = 1
        self._time_ns = time.time_ns()
        storage.journal.setCurrentTerm(_TERM, str(node_id))
        storage.journal.add(_NEW_TERM, self.last_index, _TERM)

    def append(self, frame: ClientFrame, *, is_applied: bool) -> None:
        """One entry of one frame."""
        self.last_index += 1
        self._time_ns += 1_000_000
        payload = encode_batch(self._time_ns, [frame])
        self._storage.journal.add(b"\0" + payload, self.last_index, _TERM)
        if is_applied:
            batch = self._storage.replica.apply(self.last_index, _TERM, payload)
            self._storage.events.append(batch)
            self._sink.on_batch(batch)
        if self.last_index % _ENTRIES_PER_FLUSH == 0:
            self.flush()

    def append_commands(
        self, total: int, next_command: Callable[[], Command], *, is_applied: bool
    ) -> None:
        """So many commands of the one client that there is."""
        for first in range(0, total, COMMANDS_PER_ENTRY):
            size = min(COMMANDS_PER_ENTRY, total - first)
            blob = pack_commands([next_command() for _ in range(size)])
            frame = ClientFrame(CLIENT, _INCARNATION, self._next_number, blob)
            self.append(frame, is_applied=is_applied)
            self._next_number += size

    def flush(self) -> None:
        """Everything is committed, and on disk."""
        self._storage.journal.setRaftCommitIndex(self.last_index)
        self._storage.journal.flush_sync()
        self._storage.events.flush()
        self._sink.day_files()


def write_history(config_file: Path, open_orders: int, commands: int) -> History:
    """Make the folders of all nodes: a snapshot of `open_orders`, `commands` in the journal after
    it. The last session of the configuration takes no part, and has used no name."""
    gc.disable()  # nothing here is garbage before the process ends
    config = configuration.load(config_file)
    first, *others = (node_settings(config, node_id) for node_id in config.node_ids)
    sink = ItchPublisher(feed_settings(config, first.node_id))
    flow = OrderFlow(
        [item.comp_id for item in config.fix_sessions][:-1],
        [item.symbol for item in config.instruments],
    )
    history = asyncio.run(_write(first, sink, flow, open_orders, commands))
    for settings in (first, *others):
        if settings is not first:
            shutil.copytree(first.data_dir, settings.data_dir)
        write_marker(RealDisk(), settings.data_dir / "wal", settings.node_id)
    return history


async def _write(
    settings: NodeSettings, sink: ItchPublisher, flow: OrderFlow, open_orders: int, commands: int
) -> History:
    folders = NodeFolders(settings.data_dir, {SINK_NAME: sink.day_files()[0]})
    storage = NodeStorage(RealDisk(), folders, segment_bytes=settings.segment_bytes)
    sink.restore(None)
    await sink.start()
    try:
        log = _Log(storage, sink, settings.node_id)
        own = pack_commands(opening_commands(settings))
        log.append(ClientFrame("", 0, 0, own), is_applied=True)
        log.append(opening_frame(CLIENT, _INCARNATION, 1), is_applied=True)
        log.append_commands(open_orders, flow.resting, is_applied=True)
        log.flush()
        made = MakerProcess(folders, "exchange.wiring:derivations").make(log.last_index)
        while storage.journal.trim(log.last_index):
            pass
        log.append_commands(commands, flow.mixed, is_applied=False)
        log.flush()
        return History(made.index, made.size, made.seconds, log.last_index, made.event_seq)
    finally:
        storage.close()
        await sink.close()
