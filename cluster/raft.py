"""pysyncobj, hooked into and never changed: the only file that knows the package.

What it looks up in its own module is replaced once, at import (_install_hooks). It never touches
a socket, a clock tick of its own, a pickle or a file: cluster/consensus.py ticks it, carries its
messages through the guard, and gives it our Journal as its log.

Order inside one tick of pysyncobj: count acknowledgements -> commit -> apply -> send -> take new
proposals. Ours: a leader that finds something committed first says so to the followers, sends the
next proposal, and only then applies: all members apply an entry at the same time.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final

import pysyncobj.syncobj as stock
from pysyncobj import SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from cluster.journal import Journal

STOCK_VERSION: Final = "0.3.17"
_NEVER_S: Final = 1e9
_FOLLOWER: Final = 0
_LEADER: Final = 2
_ENTRY_BYTES_MAX: Final = 16 << 20
"""pysyncobj would cut larger entries into pickled pieces (C10): far above any batch of ours."""
_BACKLOG_BYTES_MAX: Final = 4 << 20
"""A peer with so much unsent gets heartbeats only: it is behind, and must not stall the others."""
_APPLY_BYTES: Final = 256 << 10
_APPLY_ENTRIES: Final = 512
"""What one tick applies at most, so that a backlog does not stall the loop (C7)."""


class _Peer(Node):  # type: ignore[misc]
    """A member. pysyncobj keeps members in sets: with this hash they have the same order in every
    process, so that a simulation can be repeated."""

    def __hash__(self) -> int:
        return int(self.id)


class _NoPoller:
    """pysyncobj polls its own sockets at the end of a tick; it has none."""

    def poll(self, timeout: float) -> None:
        """Nothing to wait for."""

    def subscribe(self, *_: Any) -> None:
        """Nothing to subscribe."""

    def unsubscribe(self, *_: Any) -> None:
        """Nothing to unsubscribe."""


class _BatchCodec:
    """In the place of the pickle module: a log entry of ours is the bytes of one batch.

    pysyncobj dumps (method number, arguments) and loads them again to apply. We have one method
    with one argument, bytes, so nothing needs encoding, and nothing is ever unpickled."""

    @staticmethod
    def dumps(call: tuple[int, tuple[bytes]]) -> bytes:
        """Bytes of the only argument."""
        return call[1][0]

    @staticmethod
    def loads(payload: bytes) -> tuple[int, tuple[bytes]]:
        """Call of the only method."""
        return 0, (payload,)


def _install_hooks() -> None:
    """Replace what pysyncobj looks up in its own module. Private names of the pinned version are
    used throughout this file, so another version is refused."""
    if VERSION != STOCK_VERSION:
        raise ImportError(
            f"pysyncobj {VERSION} is installed; this program needs exactly {STOCK_VERSION}: "
            f"pip install pysyncobj=={STOCK_VERSION}"
        )
    stock.createJournal = lambda journal: journal
    stock.createPoller = lambda _kind: _NoPoller()
    stock.pickle = _BatchCodec
    stock.PIPE_NOTIFIER_ENABLED = False


_install_hooks()


def use_clock(clock: Callable[[], float]) -> None:
    """Let pysyncobj, in this whole process, read another clock: for simulations."""
    stock.monotonicTime = clock


def _configuration(journal: Journal, heartbeat_s: float, fallback_s: float) -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=False,
        appendEntriesPeriod=heartbeat_s,
        appendEntriesBatchSizeBytes=_ENTRY_BYTES_MAX,
        # cluster/election.py decides about elections
        raftMinTimeout=_NEVER_S,
        raftMaxTimeout=_NEVER_S * 2,
        connectionTimeout=_NEVER_S * 3,
        leaderFallbackTimeout=fallback_s,
        dynamicMembershipChange=False,
        logCompactionMinEntries=1 << 60,
        logCompactionMinTime=1 << 60,
        useFork=False,
        journalFile=journal,
    )


class _Bridge(Transport):  # type: ignore[misc]
    """What pysyncobj believes to be its transport: hands every message to Raft."""

    def __init__(self, send: Callable[[int, dict[str, Any]], None]) -> None:
        super().__init__(None, None, [])
        self._send = send

    @property
    def ready(self) -> bool:
        return True

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        self._send(int(node.id), message)
        return True

    def deliver(self, peer_id: int, message: dict[str, Any]) -> None:
        self._onMessageReceived(_Peer(str(peer_id)), message)

    def connected(self, peer_id: int) -> None:
        self._onNodeConnected(_Peer(str(peer_id)))

    def disconnected(self, peer_id: int) -> None:
        self._onNodeDisconnected(_Peer(str(peer_id)))

    def destroy(self) -> None:
        """The network is closed by Raft."""


class RaftCore(stock.SyncObj):  # type: ignore[misc]
    """The replicated object: one method, applied on every node in log order.

    `send(peer_id, message)` gets every message that leaves; `deliver` takes those that come in.
    `backlog(peer_id)` is how many bytes wait to be sent to a peer. Two methods of pysyncobj are
    replaced: those that send and apply without a limit.
    """

    send_bytes = 1 << 20
    """Entries in one message to a peer; at least one entry."""

    def __init__(
        self,
        node_id: int,
        peers: list[int],
        journal: Journal,
        *,
        heartbeat_s: float,
        fallback_s: float,
        base_index: int,
        apply: Callable[[int, int, bytes], None],
        on_commit: Callable[[], None],
        send: Callable[[int, dict[str, Any]], None],
        offer_snapshot: Callable[[int], None],
        backlog: Callable[[int], int],
    ) -> None:
        """`fallback_s`: a leader without a majority for so long steps down. `base_index`: the state
        is the one after this entry, which the journal holds (0: no state yet).
        `on_commit()` is called on the leader when more is committed, before it is applied: the time
        to propose and `take_proposals`. `offer_snapshot(peer_id)` is called in the place of entries
        that the journal no longer has.
        """
        self.apply = apply
        self.journal = journal
        self._on_commit = on_commit
        self._announced_index = 0
        self.bridge = _Bridge(send)
        self._backlog = backlog
        self._offer_snapshot = offer_snapshot
        self._heartbeat_s = heartbeat_s
        super().__init__(
            _Peer(str(node_id)),
            [_Peer(str(peer)) for peer in peers],
            conf=_configuration(journal, heartbeat_s, fallback_s),
            transport=self.bridge,
        )
        if base_index:
            self._SyncObj__raftLastApplied = self._SyncObj__raftCommitIndex = base_index

    @replicated  # type: ignore[untyped-decorator]
    def apply_batch(self, payload: bytes) -> None:
        """Called by pysyncobj for the entry after the last applied one. Must be total: pysyncobj
        would apply an entry again whose application raised, so whatever is raised stops the node
        (see Consensus._tick)."""
        index = self._SyncObj__raftLastApplied + 1
        self.apply(index, self._SyncObj__raftLog.term_at(index), payload)

    # pysyncobj keeps its state in name-mangled attributes; these are the ones that we need.

    @property
    def is_leader(self) -> bool:
        """Leader of the current term."""
        return bool(self._SyncObj__raftState == _LEADER)

    @property
    def state(self) -> int:
        """Follower, candidate or leader, as pysyncobj numbers them."""
        return int(self._SyncObj__raftState)

    @property
    def term(self) -> int:
        """Current term."""
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        """Last index known to be committed."""
        return int(self._SyncObj__raftCommitIndex)

    @property
    def applied_index(self) -> int:
        """Last index applied."""
        return int(self._SyncObj__raftLastApplied)

    @property
    def noop_index(self) -> int | None:
        """Index of the empty entry that a new leader begins its term with."""
        index: int | None = self._SyncObj__noopIDx
        return index

    def _SyncObj__applyLogEntries(self) -> bool:
        """Apply what is committed. Returns whether followers are still to be told of it: never.

        Story: (1) the leader finds an entry committed that takes a second to apply, and applies it;
        (2) the followers have nothing to do, hear nothing of it, and elect another leader. So they
        are told first: the entry keeps them busy as well, and each excuses its own stall. By a
        message of its own, since of a large one with the next proposal only the beginning may leave
        at once. (A majority has just acknowledged: nothing waits before it on its connections.)"""
        if self.is_leader and self.commit_index > self._announced_index:
            self._announced_index = self.commit_index
            self._SyncObj__sendAppendEntries()
            self._on_commit()
        self._apply_some()
        return False

    def take_proposals(self) -> None:
        """Append what was proposed to the log, and send it."""
        self._checkCommandsToApply()

    def _apply_some(self) -> None:
        """Not more in one tick than the loop can bear."""
        committed, first = self.commit_index, self.applied_index + 1
        if committed < first:
            return
        last = size = 0
        for last in range(first, min(committed, first + _APPLY_ENTRIES - 1) + 1):
            size += len(self.journal.entry(last)[0])
            if size > _APPLY_BYTES:
                break
        self._SyncObj__raftCommitIndex = last
        stock.SyncObj._SyncObj__applyLogEntries(self)
        self._SyncObj__raftCommitIndex = committed

    def _SyncObj__sendAppendEntries(self) -> None:
        """One message to each connected peer: what comes next for it, or a heartbeat, or a snapshot
        when the journal no longer has what comes next.

        The stock method sends until its period is over, however far behind a peer is."""
        self._SyncObj__newAppendEntriesTime = stock.monotonicTime() + self._heartbeat_s
        journal, next_indexes = self.journal, self._SyncObj__raftNextIndex
        for peer in self._SyncObj__otherNodes:
            next_index = next_indexes[peer]
            if peer not in self._SyncObj__connectedNodes:
                continue
            if next_index <= journal.first_index:
                self._offer_snapshot(int(peer.id))
                continue
            entries: list[tuple[bytes, int, int]] = []
            if self._backlog(int(peer.id)) <= _BACKLOG_BYTES_MAX:
                entries = self._entries_from(next_index)
                next_indexes[peer] = next_index + len(entries)
            self.bridge.send(
                peer,
                {
                    "type": "append_entries",
                    "term": self.term,
                    "commit_index": self.commit_index,
                    "entries": entries,
                    "prevLogIdx": next_index - 1,
                    "prevLogTerm": journal.term_at(next_index - 1),
                },
            )

    def _entries_from(self, index: int) -> list[tuple[bytes, int, int]]:
        """Entries from `index` on, as many as go into one message."""
        entries: list[tuple[bytes, int, int]] = []
        size = 0
        for at in range(index, self.journal.last_index + 1):
            entry = self.journal.entry(at)
            size += len(entry[0])
            if entries and size > self.send_bytes:
                break
            entries.append(entry)
        return entries

    def acknowledged(self, peer_id: int, message: dict[str, Any]) -> None:
        """Take a peer's answer. A success never sends us back: what is on its way to the peer would
        be sent again (pysyncobj sets its next index to what was just acknowledged)."""
        peer, next_indexes = _Peer(str(peer_id)), self._SyncObj__raftNextIndex
        next_index, heard_s = next_indexes.get(peer, 0), self._SyncObj__lastResponseTime
        heard_at_s = heard_s.get(peer, 0.0)  # to come, where we are patient
        self.bridge.deliver(peer_id, message)
        if message["success"] and next_indexes.get(peer, 0) < next_index:
            next_indexes[peer] = next_index
        heard_s[peer] = max(heard_s.get(peer, 0.0), heard_at_s)

    def excuse(self, late_s: float) -> None:
        """Nothing could be heard of anybody for so long, by our own fault."""
        heard_s = self._SyncObj__lastResponseTime
        for peer in heard_s:
            heard_s[peer] += late_s

    def be_patient(self, seconds: float) -> None:
        """The others may be busy for so long yet: until then they count as heard."""
        until_s = stock.monotonicTime() + seconds
        heard_s = self._SyncObj__lastResponseTime
        for peer in heard_s:
            heard_s[peer] = max(heard_s[peer], until_s)

    def end_patience(self, peer_id: int) -> None:
        """A peer is gone, not busy: without a majority we step down soon, for our clients' sake."""
        peer, heard_s = _Peer(str(peer_id)), self._SyncObj__lastResponseTime
        if peer in heard_s:
            heard_s[peer] = min(heard_s[peer], stock.monotonicTime())

    @property
    def silences_ms(self) -> list[int]:
        """How long ago each peer was last heard by us as a leader, for the log."""
        now_s = stock.monotonicTime()
        return [round(1000 * (now_s - at_s)) for at_s in self._SyncObj__lastResponseTime.values()]

    def step_down(self) -> None:
        """Stop leading, in the same term."""
        self._SyncObj__setState(_FOLLOWER)
        self._SyncObj__raftLeader = None

    def match_index(self, peer_id: int) -> int:
        """On the leader: up to which index a peer is known to have the log on its disk."""
        return int(self._SyncObj__raftMatchIndex.get(_Peer(str(peer_id)), 0))

    def forget_match(self, peer_id: int) -> None:
        """On the leader: what a peer acknowledged on an earlier connection counts no more; it may
        come back without its disk. Its next answer says where it is."""
        peer = _Peer(str(peer_id))
        if peer in self._SyncObj__raftMatchIndex:
            self._SyncObj__raftMatchIndex[peer] = 0

    def abstain(self, term: int) -> None:
        """Give up our vote in every term up to `term`: adopt it, voting for ourselves."""
        term = max(term, self.term)
        self._SyncObj__setCurrentTerm(term, self.selfNode.id)

    def campaign(self) -> None:
        """Let the election deadline be in the past: the next tick raises the term and asks for
        votes."""
        self._SyncObj__raftElectionDeadline = 0.0

    def apply_recovered(self, commit_index: int) -> None:
        """At start: apply entries that are known to be committed, before any peer is heard."""
        self._SyncObj__raftCommitIndex = commit_index
        self._SyncObj__applyLogEntries()

    def drop_proposals(self) -> None:
        """Forget proposals that no tick has taken: clients send them again to the next leader."""
        proposals = self._SyncObj__commandsQueue
        while True:
            try:
                proposals.get_nowait()
            except queue.Empty:
                return
