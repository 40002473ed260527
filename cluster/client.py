"""ClusterClient: finds the leader, keeps what has no answer and sends it again, follows events.

A client is connected to every node all the time, so a failover costs it one message: the new leader
says so, the client introduces itself there, hears which of its commands are in the log, and sends
the rest again under their old numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cluster.client_link import NodeLink
from cluster.client_queue import ClientQueue, SubmitFrame
from cluster.codec import PROTOCOL_VERSION, FrameKind
from cluster.settings import Address
from cluster.timings import Timings
from cluster.tls import Complaints, dial_options
from oms.commands import Command
from oms.events import Event

_PING_EVERY_S: Final = 0.5
_SILENCE_S: Final = 2.0
_CONNECT_TIMEOUT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.25
_HURRY_S: Final = 5.0
"""For so long after a leader was lost every pause between attempts to connect is the first one."""

logger = logging.getLogger(__name__)


class ConnectionState(StrEnum):
    """Where a client stands."""

    SEARCHING = "searching"  # no leader known; commands wait
    READY = "ready"  # connected to the leader, which has answered
    REFUSED = "refused"  # for good, `refusal` says why: another process has taken the name over


class EventBatch(NamedTuple):
    """Events of one log entry, or of a part of a large one, that concern this client.

    `events` are (event_seq, event). `last_event_seq` is the number of the last event that the
    stream has passed, whether it concerned this client or not: resume from last_event_seq + 1.
    `answered` is the highest own command number whose events were all in this or earlier batches.
    """

    time_ns: int
    last_event_seq: int
    answered: int
    events: list[tuple[int, Event]]


class QueueFull(Exception):
    """Too many commands wait for an answer: stop reading from clients until some are answered."""


class ClientRefused(Exception):
    """The cluster does not want this client: the text says why."""


class ClusterClient:
    """A connection to the cluster for one gateway (or market-data process, or tool).

    All callbacks run on the event loop. Commands submitted in one turn of the loop travel in one
    frame. A command is numbered, kept until it is answered, and sent again under its number after
    a failover: the replicated state drops the copy. So a command is never reported as failed: it is
    waiting or answered. On start the client announces a new incarnation through the log; no command
    of an earlier incarnation of the same client_id can take effect after that.
    """

    def __init__(
        self,
        client_id: str,
        nodes: dict[int, Address],
        *,
        on_batch: Callable[[EventBatch], None],
        on_state: Callable[[ConnectionState], None] | None = None,
        owners: Sequence[str] | None = (),
        from_event_seq: int = 1,
        max_pending: int = 20_000,
        incarnation: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`owners`: the sessions whose events are wanted; None means every event, market events
        included; () means none. `from_event_seq`: first event number that is wanted, 0 for those
        after the first leader has answered. `incarnation`: for simulations; drawn otherwise.
        `tls`: of cluster.tls.client_context; its certificate must carry the name `client_id`."""
        self._client_id = client_id
        self._incarnation = secrets.randbits(62) if incarnation is None else incarnation
        self._on_batch = on_batch
        self._on_state = on_state
        self._owners = None if owners is None else tuple(owners)
        self._max_pending = max_pending
        self._state = ConnectionState.SEARCHING
        self._opened = False
        self._queue = ClientQueue()
        self.round_trips = Timings()
        """From a frame of commands to the batch that answers its last one."""
        self._flush_scheduled = False
        self._leader: NodeLink | None = None
        self._leader_term = 0
        self._leader_lost = asyncio.Event()
        self._hurry_until_s = float("-inf")
        self.refusal = ""
        """Why the cluster refused us, once it has."""
        self.last_event_seq = from_event_seq - 1
        self._queries: dict[int, tuple[NodeLink, asyncio.Future[Any]]] = {}
        self._next_query = 1
        self._links: dict[int, NodeLink] = {}
        self._nodes = nodes
        self._tls = tls
        self._complaints = Complaints()
        self._tasks: list[asyncio.Task[None]] = []
        self._first_leader: asyncio.Future[None] | None = None
        self._call_soon: Callable[[Callable[[], None]], object]

    # --- life ---

    async def start(self) -> None:
        """Connect in the background; returns when the first leader has answered. Raises
        ClientRefused."""
        self._loop = asyncio.get_running_loop()
        self._call_soon = self._loop.call_soon
        self._first_leader = self._loop.create_future()
        for node_id, address in self._nodes.items():
            task = self._loop.create_task(self._dial(node_id, address), name=f"dial {address}")
            self._tasks.append(task)
        await self._first_leader

    def attach(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Run without an event loop: whoever simulates one makes the NodeLinks itself."""
        self._call_soon = call_soon

    async def close(self) -> None:
        """Disconnect. Commands without an answer stay unknown."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for link in list(self._links.values()):
            link.abort()
        for _, future in self._queries.values():
            future.cancel()
        self._queries.clear()

    async def _dial(self, node_id: int, address: Address) -> None:
        """Keep one connection to a node, for ever."""
        pause_s = _FIRST_PAUSE_S
        while self._state is not ConnectionState.REFUSED:
            link = self._links.get(node_id)
            if link is None:
                link = NodeLink(self, node_id, self._loop.time)
                try:
                    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                        await self._loop.create_connection(
                            lambda made=link: made,  # type: ignore[misc]
                            address.host,
                            address.port,
                            **dial_options(self._tls, node_id),
                        )
                except (OSError, TimeoutError) as error:
                    # uvloop drops a connection that is made at the very moment of the time-out, and
                    # does not tell its protocol.
                    link.connection_lost(None)
                    self._complaints.about(node_id, error)
                    pause_s = await self._rest(pause_s)
                    continue
            link.write((FrameKind.QUERY, 0, "node", ("ping",)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_EVERY_S):
                    await link.closed.wait()
            if link.has_answered:
                self._complaints.end(node_id)
                pause_s = _FIRST_PAUSE_S
            elif link.closed.is_set():
                # Let in and thrown out again: a full node, or one that refuses our certificate.
                self._complaints.about(node_id, link.lost_by)
                pause_s = await self._rest(pause_s)
            if link.silent_for_s > _SILENCE_S:
                link.abort()

    async def _rest(self, pause_s: float) -> float:
        """Wait before the next attempt; returns the pause after it. A lost leader ends the wait:
        the node that could not be reached a moment ago may be the next leader."""
        if self._loop.time() < self._hurry_until_s:
            pause_s = _FIRST_PAUSE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._leader_lost.wait()
        return min(pause_s * 1.5, _LONGEST_PAUSE_S)

    def _lose_leader(self) -> None:
        """As far as we know nobody takes commands: look for somebody, quickly."""
        self._leader = None
        if self._tasks:
            self._hurry_until_s = self._loop.time() + _HURRY_S
            self._leader_lost.set()
            self._leader_lost.clear()
        self._set_state(ConnectionState.SEARCHING)

    # --- what the owner calls ---

    @property
    def state(self) -> ConnectionState:
        """Whether a leader is being talked to."""
        return self._state

    @property
    def leader_id(self) -> int | None:
        """The node that this client takes for the leader."""
        return None if self._leader is None else self._leader.node_id

    @property
    def pending(self) -> int:
        """Number of commands without an answer."""
        return self._queue.pending

    def submit(self, command: Command) -> int:
        """Send a command; returns its number, to be compared with EventBatch.answered.

        Raises QueueFull beyond max_pending, ClientRefused once another process has this name."""
        return self.submit_all((command,))

    def submit_all(self, commands: Sequence[Command]) -> int:
        """Send commands, at least one, in this order; returns the number of the last one.

        Raises as `submit`, and then has taken none of them."""
        assert commands, "there is something to send"
        if self._state is ConnectionState.REFUSED:
            raise ClientRefused(f"client {self._client_id!r} was taken over by another process")
        if self.pending + len(commands) > self._max_pending:
            raise QueueFull(f"{self.pending} commands wait for an answer")
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._call_soon(self._flush)
        return self._queue.add(commands)

    async def query(
        self, sink: str, request: Any, *, timeout_s: float = 2.0, node_id: int | None = None
    ) -> Any:
        """Ask an event sink, or "node", of one node: the leader unless `node_id` names another.

        Raises TimeoutError without an answer (at once when the node goes away), ValueError with
        the node's text on a refusal."""
        deadline_s = self._loop.time() + timeout_s
        link = self._link_to_ask(node_id)
        while link is None:
            if self._loop.time() > deadline_s:
                raise TimeoutError("no node can be reached")
            await asyncio.sleep(0.01)
            link = self._link_to_ask(node_id)
        query_id = self._next_query
        self._next_query += 1
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queries[query_id] = link, future
        link.write((FrameKind.QUERY, query_id, sink, request))
        try:
            async with asyncio.timeout_at(deadline_s):
                return await future
        finally:
            self._queries.pop(query_id, None)

    def _link_to_ask(self, node_id: int | None) -> NodeLink | None:
        if node_id is not None:
            return self._links.get(node_id)
        return self._leader or next(iter(self._links.values()), None)

    # --- sending ---

    def _flush(self) -> None:
        """Send what was submitted in this turn. While nobody leads it waits as it is: what gathers
        until then shares frames."""
        self._flush_scheduled = False
        if self._leader is not None:
            self._send(self._leader, self._queue.pack())

    def _send(self, leader: NodeLink, frames: list[SubmitFrame]) -> None:
        for made in frames:
            made.sent_s = time.perf_counter()
            leader.write((FrameKind.SUBMIT, made.first_number, made.commands))

    def _set_state(self, state: ConnectionState) -> None:
        if state is not self._state and self._state is not ConnectionState.REFUSED:
            self._state = state
            if self._on_state is not None:
                self._on_state(state)

    # --- called by the links ---

    def connected(self, link: NodeLink) -> None:
        """A connection to a node exists: introduce ourselves."""
        self._links[link.node_id] = link
        self._hello(link)

    def _hello(self, link: NodeLink) -> None:
        link.write(
            (
                FrameKind.HELLO,
                PROTOCOL_VERSION,
                self._client_id,
                self._incarnation,
                0 if self._opened else self._queue.answered + 1,
                self._owners,
                self.last_event_seq + 1,
            )
        )

    def disconnected(self, link: NodeLink) -> None:
        """A connection ended."""
        if self._links.get(link.node_id) is link:
            del self._links[link.node_id]
        for asked, future in self._queries.values():
            if asked is link and not future.done():
                future.set_exception(TimeoutError(f"node {link.node_id} went away"))
        if self._leader is link:
            self._lose_leader()

    def received(self, link: NodeLink, value: tuple[Any, ...]) -> None:
        """A frame from a node."""
        kind = value[0]
        if kind == FrameKind.EVENTS:
            if link is self._leader:
                self._events(*value[1:])
        elif kind == FrameKind.ANSWER:
            self._answer(*value[1:])
        elif kind == FrameKind.NOT_LEADER:
            self._not_leader(link, value[1])
        elif kind == FrameKind.WELCOME:
            self._welcome(link, *value[1:])
        elif kind == FrameKind.REFUSED:
            self._refused(str(value[1]), value[2])
        elif kind == FrameKind.UNKNOWN:
            self._unknown(link, value[1])

    def _not_leader(self, link: NodeLink, leader_id: int | None) -> None:
        if self._leader is link:
            self._lose_leader()
        if leader_id == link.node_id:
            self._hello(link)  # it has just become the leader and invites us

    def _welcome(self, link: NodeLink, node_id: int, term: int, logged: int, last: int) -> None:
        if term < self._leader_term or node_id != link.node_id:
            return
        self._leader = link
        self._leader_term = term
        self._opened = True
        if self.last_event_seq < 0:
            self.last_event_seq = last
        again = self._queue.frames_after(logged)
        if again:
            count = again[-1].last_number - max(logged, again[0].first_number - 1)
            logger.info("node %d leads: %d commands are sent again", node_id, count)
        self._send(link, again + self._queue.pack())
        self._set_state(ConnectionState.READY)
        if self._first_leader is not None and not self._first_leader.done():
            self._first_leader.set_result(None)

    def _unknown(self, link: NodeLink, term: int) -> None:
        """The cluster has forgotten this client, which was quiet for long: introduce it anew. With
        commands on their way nobody could say which of them took effect."""
        if term < self._leader_term:
            return
        if self.pending:
            self._refused(
                "the cluster has forgotten this client while commands had no answer", term
            )
            return
        self._opened = False
        self._hello(link)

    def _refused(self, text: str, term: int) -> None:
        if term < self._leader_term:
            return  # an old leader, which does not know of us yet
        self._leader = None
        self.refusal = text
        self._set_state(ConnectionState.REFUSED)
        logger.error("the cluster refused client %s: %s", self._client_id, text)
        if self._first_leader is not None and not self._first_leader.done():
            self._first_leader.set_exception(ClientRefused(text))

    def _events(
        self, time_ns: int, last_event_seq: int, answered: int, flat: tuple[Any, ...]
    ) -> None:
        passed = self.last_event_seq
        events = list(zip(flat[::2], flat[1::2], strict=True))
        if events and events[0][0] <= passed:
            events = [numbered for numbered in events if numbered[0] > passed]
        self.last_event_seq = max(passed, last_event_seq)
        for completed in self._queue.answer(answered):
            self.round_trips.add(time.perf_counter() - completed.sent_s)
        self._on_batch(EventBatch(time_ns, self.last_event_seq, self._queue.answered, events))

    def _answer(self, query_id: int, good: bool, result: Any) -> None:
        _, future = self._queries.get(query_id, (None, None))
        if future is not None and not future.done():
            if good:
                future.set_result(result)
            else:
                future.set_exception(ValueError(str(result)))
