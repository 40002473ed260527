"""Reads and operator commands for tools: status, state hash at one place of the log, commands.

Each call opens its own connections and closes them again. `tls` is an operator's context (see
cluster.tls.client_context), None where the cluster runs without TLS.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import Any

from cluster.client import ClusterClient, EventBatch
from cluster.codec import (
    MARK_STATE,
    MAX_FRAME_BYTES,
    TOOL_PREFIX,
    CodecError,
    FrameKind,
    FrameReader,
    decode_node_frame,
    frame,
)
from cluster.settings import Address
from cluster.tls import dial_options, reason
from oms.commands import Command
from oms.events import Event


class Unreachable(Exception):
    """A node, or every node, does not answer."""


class NoQuorum(Exception):
    """Nodes answer, but there is no leader that can commit."""


async def query(
    address: Address,
    sink: str,
    request: Any,
    *,
    timeout_s: float = 2.0,
    node_id: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> Any:
    """Ask one node. With `tls`, `node_id` says whose certificate it must show. Raises Unreachable,
    and ValueError with the node's text on a refusal."""
    options: dict[str, Any] = {}
    if tls is not None:
        assert node_id is not None, "with TLS it must be known which node is asked"
        options = dial_options(tls, node_id)
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(address, sink, request, options)
    except (OSError, TimeoutError, CodecError, asyncio.IncompleteReadError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else reason(error)
        raise Unreachable(f"node at {address}: {why}") from error


async def _ask(address: Address, sink: str, request: Any, options: dict[str, Any]) -> Any:
    reader, writer = await asyncio.open_connection(address.host, address.port, **options)
    try:
        writer.write(frame((FrameKind.QUERY, 1, sink, request)))
        frames = FrameReader(MAX_FRAME_BYTES)
        while data := await reader.read(1 << 16):
            for body in frames.feed(data):
                kind, *fields = decode_node_frame(body)
                if kind == FrameKind.ANSWER and fields[0] == 1:
                    if fields[1]:
                        return fields[2]
                    raise ValueError(str(fields[2]))
        raise OSError("the node closed the connection")
    finally:
        writer.close()


async def status(
    address: Address,
    timeout_s: float = 2.0,
    *,
    node_id: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> dict[str, Any]:
    """Facts of one node (see Node.status); arguments as of `query`. Raises Unreachable."""
    facts: dict[str, Any] = await query(
        address, "node", ("status",), timeout_s=timeout_s, node_id=node_id, tls=tls
    )
    return facts


async def _submit(
    addresses: dict[int, Address],
    command: Command,
    timeout_s: float,
    tls: ssl.SSLContext | None,
) -> list[tuple[int, Event]]:
    """Put one command through the log; returns all events from then until it was answered: those
    of its log entry, after a failover perhaps of some before it."""
    seen: list[tuple[int, Event]] = []
    answered = asyncio.get_running_loop().create_future()
    number = 0

    def on_batch(batch: EventBatch) -> None:
        if number and not answered.done():
            seen.extend(batch.events)
            if batch.answered >= number:
                answered.set_result(None)

    client = ClusterClient(
        f"{TOOL_PREFIX}{secrets.token_hex(4)}",
        addresses,
        on_batch=on_batch,
        owners=None,
        from_event_seq=0,
        tls=tls,
    )
    await _reachable(addresses, tls)  # says at once what the wait would only say at its end
    try:
        async with asyncio.timeout(timeout_s):
            await client.start()
            number = client.submit(command)
            await answered
    except TimeoutError as error:
        reached = ", ".join(str(node) for node in await _reachable(addresses, tls))
        raise NoQuorum(
            f"no leader could commit within {timeout_s:g} s; nodes that answer: {reached}"
        ) from error
    finally:
        await client.close()
    return seen


async def _reachable(addresses: dict[int, Address], tls: ssl.SSLContext | None) -> list[int]:
    """The nodes that answer. Raises Unreachable when none does, with the reason of each."""
    answers = await asyncio.gather(
        *(
            query(address, "node", ("ping",), timeout_s=0.5, node_id=node, tls=tls)
            for node, address in addresses.items()
        ),
        return_exceptions=True,
    )
    reached = [node for node, answer in zip(addresses, answers, strict=True) if answer == "pong"]
    if not reached:
        problems = "; ".join(str(answer) for answer in answers)
        raise Unreachable(f"no node answers: is the exchange up? {problems}")
    return reached


async def submit_operator_command(
    addresses: dict[int, Address],
    command: Command,
    *,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> list[Event]:
    """Put an operator command through the log. Returns the events of its log entry, which may hold
    those of other commands too. Raises Unreachable, NoQuorum."""
    return [event for _, event in await _submit(addresses, command, timeout_s, tls)]


async def transfer(
    addresses: dict[int, Address],
    to: int | None,
    *,
    timeout_s: float = 3.0,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, int, float]:
    """Hand leadership over; returns (old leader, new leader, seconds it took).

    Raises Unreachable, NoQuorum (nobody leads, or nobody took over in time), and ValueError with
    the leader's sentence when it refuses."""
    loop = asyncio.get_running_loop()
    old = await _leader(addresses, tls)
    begun_s = loop.time()
    await query(addresses[old], "node", ("transfer", to), timeout_s=timeout_s, node_id=old, tls=tls)
    while loop.time() < begun_s + timeout_s:
        new = await _leader(addresses, tls, wait_s=timeout_s)
        if new != old:
            return old, new, loop.time() - begun_s
        await asyncio.sleep(0.005)
    raise NoQuorum(f"node {old} still leads after {timeout_s} s")


async def market(
    addresses: dict[int, Address], *, tls: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """How the market stands at the leader (oms.market_status). Raises Unreachable, NoQuorum."""
    leader = await _leader(addresses, tls)
    facts: dict[str, Any] = await query(
        addresses[leader], "node", ("market",), node_id=leader, tls=tls
    )
    return facts


async def take_snapshot(
    address: Address,
    node_id: int,
    *,
    timeout_s: float = 300.0,
    tls: ssl.SSLContext | None = None,
) -> dict[str, Any]:
    """Let a node take a snapshot and wait until it is durable; returns the facts of its status
    whose names begin with `snapshot`. Raises Unreachable, ValueError with the node's sentence when
    it refuses or when no snapshot came of it."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    before = await status(address, node_id=node_id, tls=tls)
    await query(address, "node", ("snapshot",), node_id=node_id, tls=tls)
    while loop.time() < deadline_s:
        facts = await status(address, node_id=node_id, tls=tls)
        if facts["snapshots_failed"] > before["snapshots_failed"]:
            raise ValueError(f"node {node_id} made no snapshot; its log says why")
        if facts["snapshots_taken"] > before["snapshots_taken"]:
            return {name: value for name, value in facts.items() if name.startswith("snapshot_")}
        await asyncio.sleep(0.05)
    raise ValueError(f"node {node_id} is still busy with its snapshot after {timeout_s:g} s")


async def _leader(
    addresses: dict[int, Address], tls: ssl.SSLContext | None, wait_s: float = 0.5
) -> int:
    """The node that takes orders. Raises Unreachable, NoQuorum."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + wait_s
    while True:
        answers = await asyncio.gather(
            *(status(address, 0.5, node_id=node, tls=tls) for node, address in addresses.items()),
            return_exceptions=True,
        )
        facts = [answer for answer in answers if isinstance(answer, dict)]
        if not facts:
            problems = "; ".join(str(answer) for answer in answers)
            raise Unreachable(f"no node answers: is the exchange up? {problems}")
        ready = [answer for answer in facts if answer["ready"]]
        if ready:
            newest = max(ready, key=lambda answer: int(answer["term"]))
            return int(newest["node_id"])
        if loop.time() > deadline_s:
            answering = ", ".join(str(answer["node_id"]) for answer in facts)
            raise NoQuorum(f"no node leads; nodes that answer: {answering}")
        await asyncio.sleep(0.005)


async def state_hash(
    addresses: dict[int, Address],
    *,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> dict[int, tuple[int, str] | None]:
    """(event_seq, state hash) of every node, all taken at the same place of the log; None for a
    node that does not answer or has not come there within `timeout_s`. Raises Unreachable,
    NoQuorum."""
    mark_id = secrets.token_hex(8)
    await _submit(addresses, (MARK_STATE, mark_id), timeout_s, tls)
    hashes = await asyncio.gather(
        *(
            _await_mark(node, address, mark_id, timeout_s, tls)
            for node, address in addresses.items()
        )
    )
    return dict(zip(addresses, hashes, strict=True))


async def _await_mark(
    node_id: int, address: Address, mark_id: str, timeout_s: float, tls: ssl.SSLContext | None
) -> tuple[int, str] | None:
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    # A node that makes its hash answers nobody meanwhile.
    while (left_s := deadline_s - asyncio.get_running_loop().time()) > 0:
        try:
            mark = await query(
                address, "node", ("mark", mark_id), timeout_s=left_s, node_id=node_id, tls=tls
            )
        except Unreachable:
            return None
        if mark is not None:
            return mark[0], mark[2]
        await asyncio.sleep(0.02)
    return None
