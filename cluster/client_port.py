"""The port that gateways, market data and tools connect to: commands in, events and answers out.

Only the leader takes commands and streams events. Every node answers queries. This file knows who
is connected and who wants which events; one connection is cluster/client_connection.py.

With TLS a client gives the name that its certificate carries (cluster/tls.py), or no name at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from cluster.client_connection import CONNECTIONS_MAX, ClientConnection, Events, Host
from cluster.codec import FrameKind
from cluster.interface import AppliedBatch
from cluster.runtime import Runtime
from cluster.settings import Address, TlsSettings
from cluster.tls import Listener, Names, NotWelcome, is_client, node_name, server_context

_SILENCE_S: Final = 10.0

logger = logging.getLogger(__name__)


class ClientPort:
    """All client connections of one node."""

    def __init__(
        self,
        host: Host,
        events: Events,
        answer: Callable[[str, Any], Any],
        bind: Address,
        runtime: Runtime,
        tls: TlsSettings | None = None,
    ) -> None:
        """`answer(sink, request)` answers queries, or raises ValueError with a sentence. Raises
        TlsError."""
        self.host = host
        self.runtime = runtime
        self.events = events
        self.answer = answer
        self._bind = bind
        self._listener = Listener(
            "client port", self.connection, None if tls is None else server_context(tls)
        )
        self._connections: dict[ClientConnection, None] = {}
        self._by_client: dict[str, list[ClientConnection]] = {}
        self._by_owner: dict[str, list[ClientConnection]] = {}
        self._of_everything: list[ClientConnection] = []
        self._reading = True
        self._watch_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listener.start(self._bind)
        loop = asyncio.get_running_loop()
        self._watch_task = loop.create_task(self._watch(), name="watch clients")

    def connection(self, names: Names | None = None) -> asyncio.Protocol:
        """The protocol of a new connection, whose certificate has these names. Raises NotWelcome
        when they are neither a member's nor a client's."""
        if names is not None and not is_client(names):
            members = [node_name(node_id) for node_id in self.host.settings.client_addresses]
            if names.isdisjoint(members):
                found = ", ".join(sorted(names))
                raise NotWelcome(f"the certificate of {found} is neither a member's nor a client's")
        return ClientConnection(self, names)

    async def close(self) -> None:
        """Cut every connection."""
        if self._watch_task is not None:
            self._watch_task.cancel()
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()

    @property
    def connections(self) -> list[ClientConnection]:
        """All that are open."""
        return list(self._connections)

    @property
    def clients(self) -> list[str]:
        """Names of the clients that the leader serves at the moment."""
        return [c.hello.client_id for c in self._connections if c.hello and c.welcomed]

    @property
    def is_reading(self) -> bool:
        """False under back pressure."""
        return self._reading

    # --- called by the node ---

    def became_ready(self) -> None:
        """This node leads now: invite everybody."""
        for connection in self._connections:
            connection.write((FrameKind.NOT_LEADER, self.host.node_id))

    def lost_leadership(self) -> None:
        """Tell everybody at once, so that nobody waits for an answer that will not come."""
        self._by_owner.clear()
        self._of_everything.clear()
        for connection in self._connections:
            if connection.hello is not None:
                connection.stop_serving()
                connection.write((FrameKind.NOT_LEADER, self.leader_elsewhere))
        self.resume_reading()

    @property
    def leader_elsewhere(self) -> int | None:
        """Whom to send clients to. Not to ourselves: that is what became_ready() says."""
        leader_id = self.host.leader_id
        return None if leader_id == self.host.node_id else leader_id

    def publish(self, batch: AppliedBatch, client_ids: list[str]) -> None:
        """Events of one log entry, to those whom they concern; called after each apply.
        `client_ids` had commands in the entry, or opened their incarnation: they get an answer even
        if nothing happened."""
        concerned: dict[ClientConnection, list[Any]] = {}
        named: list[ClientConnection] = []
        for client_id in client_ids:
            for connection in self._by_client.get(client_id, ()):
                if connection.welcomed:
                    concerned[connection] = []
                named.append(connection)
        if self._by_owner:
            self._sort_by_owner(batch, concerned)
        if self._of_everything:
            everything: list[Any] = []
            for event_seq, event in enumerate(batch.events, batch.first_event_seq):
                everything += (event_seq, event)
            for connection in self._of_everything:
                concerned[connection] = everything
        for connection, flat in concerned.items():
            connection.send_live(batch, flat)
        for connection in named:
            connection.welcome_if_open()

    def _sort_by_owner(
        self, batch: AppliedBatch, concerned: dict[ClientConnection, list[Any]]
    ) -> None:
        """Add to each connection's list the events, with their numbers, of the owners that it has
        asked for."""
        takers_of: dict[str, list[Callable[[Iterable[Any]], None]]] = {}
        event_seq = batch.first_event_seq
        for event in batch.events:
            owner = event[1]
            takers = takers_of.get(owner)
            if takers is None:
                listeners = self._by_owner.get(owner, ())
                takers = [concerned.setdefault(each, []).extend for each in listeners]
                takers_of[owner] = takers
            for take in takers:
                take((event_seq, event))
            event_seq += 1

    def cut(self, client_id: str) -> None:
        """End the connections of a client: something of it was lost on the way."""
        for connection in list(self._by_client.get(client_id, ())):
            logger.warning("client port: commands of %s are missing: connection cut", client_id)
            connection.abort()

    def stop_reading(self) -> None:
        """Back pressure: the queue for the log is full."""
        if self._reading:
            self._reading = False
            for connection in self._connections:
                connection.set_reading(False)

    def resume_reading(self) -> None:
        """There is room again."""
        if not self._reading:
            self._reading = True
            for connection in self._connections:
                connection.set_reading(True)

    # --- called by the connections ---

    def joined(self, connection: ClientConnection) -> bool:
        """False when there are too many connections already."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections[connection] = None
        return True

    def left(self, connection: ClientConnection) -> None:
        """A connection ended."""
        self._connections.pop(connection, None)
        self.unsubscribe(connection)
        self.renamed(connection, None)
        if connection.welcomed and connection.hello is not None:
            self.host.client_left(connection.hello.client_id)

    def renamed(self, connection: ClientConnection, client_id: str | None) -> None:
        """A connection says whose it is (None: nobody's any more)."""
        if connection.hello is not None:
            namesakes = self._by_client.get(connection.hello.client_id, [])
            if connection in namesakes:
                namesakes.remove(connection)
            if not namesakes:
                self._by_client.pop(connection.hello.client_id, None)
        if client_id is not None:
            self._by_client.setdefault(client_id, []).append(connection)

    def subscribe(self, connection: ClientConnection) -> None:
        """Live events from now on."""
        assert connection.hello is not None
        if connection.hello.owners is None:
            self._of_everything.append(connection)
        else:
            for owner in dict.fromkeys(connection.hello.owners):
                self._by_owner.setdefault(owner, []).append(connection)

    def unsubscribe(self, connection: ClientConnection) -> None:
        """No live events any more."""
        if connection in self._of_everything:
            self._of_everything.remove(connection)
        if connection.hello is not None:
            for owner in connection.hello.owners or ():
                listeners = self._by_owner.get(owner, [])
                if connection in listeners:
                    listeners.remove(connection)
                if not listeners:
                    self._by_owner.pop(owner, None)

    async def _watch(self) -> None:
        """Cut off connections that are silent: their other end is gone."""
        while True:
            await asyncio.sleep(1)
            for connection in list(self._connections):
                connection.send_position()
                if self._reading and self.runtime.time() - connection.last_received_s > _SILENCE_S:
                    connection.abort()
