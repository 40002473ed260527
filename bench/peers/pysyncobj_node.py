"""One node of stock pysyncobj as its documentation sets one up, and on one of them the client.

    python -m bench.peers.pysyncobj_node SELF PEER PEER JOURNAL

Prints `ready LEADER` when there is a leader, then reads lines `IN_FLIGHT SECONDS` and answers each
with the times of that run, in ns, as JSON. The client is in the node's process, because that is the
only one there is: a method is called on a node, and a callback comes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any, Final

from pysyncobj import SyncObj, SyncObjConf, replicated

from bench.peers.replicator import COMMAND_BYTES, DRAIN_TIMEOUT_S

_COMMAND: Final = b"x" * COMMAND_BYTES


class Store(SyncObj):  # type: ignore[misc]  # pysyncobj has no types
    """Counts the commands that it was given: the state machine costs nothing."""

    def __init__(self, address: str, partners: list[str], journal: str) -> None:
        super().__init__(address, partners, SyncObjConf(journalFile=journal))
        self.count = 0

    @replicated  # type: ignore[untyped-decorator]
    def put(self, command: bytes) -> int:
        """One command."""
        self.count += 1
        return self.count


class Loop:
    """A closed loop over the callbacks of one node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._times_ns: list[int] = []
        self._pending = 0
        self._is_running = False
        self._drained = threading.Event()

    def run(self, in_flight: int, seconds: float) -> list[int]:
        """Keep so many commands without an answer; returns the time in ns to each answer."""
        self._times_ns = []
        self._drained.clear()
        self._is_running = True
        for _ in range(in_flight):
            self._send()
        time.sleep(seconds)
        self._is_running = False
        self._drained.wait(DRAIN_TIMEOUT_S)
        return self._times_ns

    def _send(self) -> None:
        begun_ns = time.perf_counter_ns()
        self._pending += 1

        def done(result: Any, error: Any) -> None:
            self._pending -= 1
            if not error:
                self._times_ns.append(time.perf_counter_ns() - begun_ns)
            if self._is_running:
                self._send()
            elif not self._pending:
                self._drained.set()

        self._store.put(_COMMAND, callback=done)


def main() -> None:
    """One node, until its input ends."""
    own, first, second, journal = sys.argv[1:]
    store = Store(own, [first, second], journal)
    while store._getLeader() is None:
        time.sleep(0.05)
    print("ready", store._getLeader(), flush=True)
    loop = Loop(store)
    for line in sys.stdin:
        in_flight, seconds = line.split()
        print(json.dumps(loop.run(int(in_flight), float(seconds))), flush=True)


if __name__ == "__main__":
    main()
