"""The cluster in one object (fake_cluster.py), which tells events entry by entry, as a node does.

Each log entry has a time stamp of its own, so a gateway that starts later must read the same
messages with the same times. `commands_per_entry` is how many commands of a client share an entry.
"""

from __future__ import annotations

from typing import NamedTuple

from fake_cluster import START_NS, FakeCluster, FakeClusterClient

from cluster.client import EventBatch
from cluster.settings import Address
from gateway.ouch.settings import OuchGatewaySettings, OuchUserSettings

ANY_PORT = Address("127.0.0.1", 0)


class LogEntry(NamedTuple):
    """`answers`: the number of the last command in it, by client."""

    time_ns: int
    last_event_seq: int
    answers: dict[FakeClusterClient, int]


class OuchCluster(FakeCluster):
    """`entries` is the log; `apply` makes an entry, or goes on with the last one."""

    def __init__(self, users, *, clock_ns=lambda: START_NS, is_automatic=False):
        self.entries = []
        self.commands_per_entry = 1
        super().__init__(users, clock_ns=clock_ns, is_automatic=is_automatic)

    def apply(self, command, joins_last=False):
        last = self.entries.pop() if joins_last else LogEntry(self.clock_ns(), 0, {})
        self.commands.append(command)
        self.events += self.machine.apply(tuple(command), last.time_ns)
        self.entries.append(last._replace(last_event_seq=len(self.events)))

    def client(
        self, client_id, nodes, *, on_batch, on_state=None, owners=(), from_event_seq=1,
        max_pending=20_000,
    ):  # fmt: skip
        made = OuchClusterClient(self, on_batch, on_state, owners, from_event_seq, max_pending)
        self.clients.append(made)
        return made

    def event_times(self):
        """(event number, event, time) of everything so far."""
        first = 1
        for entry in self.entries:
            for number in range(first, entry.last_event_seq + 1):
                yield number, self.events[number - 1], entry.time_ns
            first = entry.last_event_seq + 1


class OuchClusterClient(FakeClusterClient):
    """One batch per log entry. A test may set `is_deaf`: then nothing is told for a while."""

    _next_entry = 0
    is_deaf = False

    def apply_submitted(self, limit, joins_last=False):
        taken = self._submitted[:limit]
        del self._submitted[: len(taken)]
        for place, command in enumerate(taken):
            self._applied += 1
            begins = place % self._cluster.commands_per_entry == 0 and not joins_last
            self._cluster.apply(command, joins_last=not begins)
            self._cluster.entries[-1].answers[self] = self._applied

    def deliver(self, limit=None):
        """Tell what is new, at most `limit` entries of it."""
        if self.is_deaf:
            return
        entries = self._cluster.entries[self._next_entry :][:limit]
        for entry in entries:
            self._next_entry += 1
            self._tell(entry)

    def _tell(self, entry):
        first = self._next_event_seq
        self._next_event_seq = max(first, entry.last_event_seq + 1)
        wanted = [
            (number, event)
            for number, event in enumerate(
                self._cluster.events[first - 1 : entry.last_event_seq], first
            )
            if self._owners is None or event[1] in self._owners
        ]
        is_ours = self in entry.answers
        self._answered = entry.answers.get(self, self._answered)
        if wanted or is_ours:
            self._on_batch(EventBatch(entry.time_ns, entry.last_event_seq, self._answered, wanted))


def users_of(count, **changes):
    """OUCH1 .. with the accounts that FakeCluster gives them."""
    return {
        f"OUCH{n}": OuchUserSettings(f"OUCH{n}", "password", f"ACC{n}", "FIRM", **changes)
        for n in range(1, count + 1)
    }


def ouch_settings(data_dir, users=2, *, bind=ANY_PORT, cancel_on_disconnect=False, **changes):
    """Settings of a gateway; `users` is how many there are."""
    return OuchGatewaySettings(
        bind=bind,
        http_bind=ANY_PORT,
        nodes={},
        data_dir=data_dir,
        users=users_of(users, cancel_on_disconnect=cancel_on_disconnect),
        **changes,
    )


def stream_of(order_entry, username):
    """All messages of a session as this gateway has numbered them, as packets."""
    stream = order_entry.sessions[username].stream
    first, packets = 1, b""
    while first <= stream.count:
        piece, first = stream.read(first)
        packets += piece
    return packets
