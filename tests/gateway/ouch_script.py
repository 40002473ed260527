"""Plays golden OUCH sessions (tests/ouch/session_*.txt) against the order entry of the gateway.

    -> login [from=N] [session=S] [user=U] [password=P]      OUCH1 connects and logs in
    -> EnterOrder user_ref_num=1 ...                         a message (ouch_text.py)
    -> heartbeat | logout | debug TEXT | raw 0001 'AB' | unsequenced 'ZZ'
    -> login ; EnterOrder ...                                both arrive in one read
    2-> 1b-> 1@2->            OUCH2; another connection of OUCH1; OUCH1 at gateway 2
    connect | 1b connect      a TCP connection, and nothing else
    drop | 1@2 drop           the TCP connection is lost
    block | unblock           the client reads nothing (its socket takes nothing) | reads on
    advance 12.5              seconds pass, tick by tick
    hold | auto               the cluster applies nothing | everything at once (usual)
    run [N] | apply [G] | deliver [G]     it applies N commands and tells; applies those of a
                              gateway and tells nobody; tells a gateway
    join G                    as apply, within the log entry before
    kill [G]                  a gateway is killed and started again
    stop [G]                  a gateway logs its clients out, as when it is told to end
    lost [G]                  the cluster has not heard of a gateway for too long
    forget OUCH1              the cluster does not know this session
    set KEY VALUE             a field of the settings, for gateways that start from here on
    state HALTED [SYMBOL]     the operator changes the trading state
    end of day                the operator ends the trading day
    tick                      the exchange is told the time

The output repeats the input and shows what the clients receive; sequenced messages with their
number. At any moment the n-th message of a session must be the same at whatever gateway, also at
one that is started at the end.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import fields, replace

from fake_cluster import START_NS
from fix_script import TICK_NS, ScriptTransport
from ouch_cluster import OuchCluster, ouch_settings, stream_of
from ouch_text import message_line, packet_of

from gateway.ouch.connection import Connection
from gateway.ouch.order_entry import OuchOrderEntry
from gateway.ouch.settings import OuchGatewaySettings
from oms.commands import ClockTick, CommandKind, EndDay, GatewayLost
from oms.events import TradingState
from protocols.fix import NS_PER_SECOND
from protocols.ouch50 import decode_outbound
from protocols.ouch50_codes import NS_PER_DAY
from protocols.soupbintcp import (
    Direction,
    PacketReader,
    decode_debug,
    decode_login_accepted,
    decode_login_rejected,
)

USERS = 2
LABEL = re.compile(r"(?P<user>\d)?(?P<copy>[a-z])?(@(?P<gateway>\d))?")


class OuchTransport(ScriptTransport):
    """A socket whose other end may stop reading."""

    high = 1 << 20

    def __init__(self, show):
        super().__init__(show)
        self.waiting = b""
        self.is_gone = False

    def write(self, data):
        assert not self._closed, "written after close"
        if not self.is_blocked:
            self._show(bytes(data))
            return
        was_full = len(self.waiting) > self.high
        self.waiting += data
        if len(self.waiting) > self.high and not was_full:
            self.protocol.pause_writing()

    def unblock(self):
        self.is_blocked = False
        waiting, self.waiting = self.waiting, b""
        self._show(waiting)
        if len(waiting) > self.high and not self._closed:
            self.protocol.resume_writing()

    def abort(self):
        super().abort()
        self.waiting = b""

    @property
    def has_ended(self):
        """Closed, and what was written is out."""
        return self._closed and not self.waiting

    def get_write_buffer_size(self):
        return len(self.waiting)

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high


class Client:
    """One TCP connection, as its client sees it."""

    def __init__(self, label, user, gateway):
        self.label, self.user, self.gateway = label, user, gateway
        self.reader = PacketReader(Direction.SERVER_TO_CLIENT, 1_024)
        self.next_number = 0
        self.transport = None


class OuchScriptPlayer:
    """One script, one cluster, gateways that come and go, virtual time."""

    def __init__(self, data_dir):
        self.now_ns = START_NS
        self.output = []
        self.cluster = OuchCluster(
            [f"OUCH{n}" for n in range(1, USERS + 1)], clock_ns=lambda: self.now_ns
        )
        self.settings = ouch_settings(data_dir, USERS)
        self.is_held = False
        self.clients = {}
        self.messages = {}
        """What was received under each number: (user, number) -> message."""
        self._soon = deque()
        self._gateways = {}

    def play(self, lines):
        """The output lines of a script."""
        for line in lines:
            self.output.append(line)
            self._step(line)
            self._settle()
        self.check_streams()
        return self.output

    def _step(self, line):
        label, arrow, rest = line.partition("-> ")
        if arrow:
            client = self.connect(label)
            client.transport.protocol.data_received(packet_of(rest, f"OUCH{client.user}"))
            return
        label, (word, _, rest) = "", line.partition(" ")
        if LABEL.fullmatch(word):
            label, word, rest = word, rest, ""
        if word == "connect":
            self.connect(label)
        elif word in ("drop", "block", "unblock"):
            getattr(self, f"_{word}")(self.clients[label])
        else:
            getattr(self, f"_{word}")(rest)

    # ---- the gateways ----

    def gateway(self, number="1"):
        """(order entry, cluster client) of a gateway, started when it is not there."""
        number = number or "1"
        if number not in self._gateways:
            settings = replace(self.settings, gateway_id=f"ouch-{number}")
            entry = OuchOrderEntry(
                settings,
                clock_ns=lambda: self.now_ns,
                utc_ns=lambda: self.now_ns,
                call_soon=self._soon.append,
            )
            client = self.cluster.client(
                settings.gateway_id,
                {},
                on_batch=entry.on_batch,
                owners=list(settings.users),
                from_event_seq=entry.from_event_seq,
                max_pending=entry.queue_capacity,
            )
            self._gateways[number] = entry, client
            entry.attach(client)
            client.set_ready()
            entry.close_left_open()
            if not self.is_held:
                self.cluster.run()
        return self._gateways[number]

    def check_streams(self):
        """A gateway that reads the log now has numbered the same messages as all others have, and
        as the clients have read."""
        late, client = self.gateway("9")
        client.deliver()
        for username in late.sessions:
            packets = stream_of(late, username)
            for number, (entry, _) in self._gateways.items():
                theirs = stream_of(entry, username)
                assert packets.startswith(theirs), f"{username} at gateway {number}"
            numbered = PacketReader(Direction.SERVER_TO_CLIENT).feed(packets)
            for (user, number), message in self.messages.items():
                if user == username:
                    assert numbered[number - 1] == (b"S", message), f"{user}, message {number}"
        times = {time_ns % NS_PER_DAY for _, _, time_ns in self.cluster.event_times()}
        assert {decode_outbound(m).timestamp for m in self.messages.values()} <= times

    def _kill(self, number):
        """SIGKILL: nothing is closed or told."""
        _, client = self.gateway(number)
        del self._gateways[number or "1"]
        client.kill()
        for label, kept in list(self.clients.items()):
            if kept.gateway == (number or "1"):
                del self.clients[label]
        self._soon.clear()

    def _stop(self, number):
        self.gateway(number)[0].log_out_all("The gateway is shutting down")

    def _tick(self, rest):
        self.cluster.apply(ClockTick(int(CommandKind.CLOCK_TICK)))

    def _lost(self, number):
        self.cluster.apply(GatewayLost(int(CommandKind.GATEWAY_LOST), f"ouch-{number or 1}"))

    # ---- steps ----

    def _settle(self):
        """Let everything happen that happens by itself."""
        for _ in range(10_000):
            if not self.is_held:
                self.cluster.run()
            if self._soon:
                self._soon.popleft()()
            elif self.is_held or not any(client.pending for client in self.cluster.clients):
                break
        for label, client in list(self.clients.items()):
            if client.transport.has_ended:
                del self.clients[label]
                self.output.append(f"{label}disconnected")
                client.transport.protocol.connection_lost(None)

    def _hold(self, _):
        self.is_held = True

    def _auto(self, _):
        self.is_held = False

    def _run(self, limit):
        self.cluster.run(int(limit) if limit else None)

    def _apply(self, number):
        self.gateway(number)[1].apply_submitted(None)

    def _join(self, number):
        self.gateway(number)[1].apply_submitted(None, joins_last=True)

    def _deliver(self, number):
        self.gateway(number)[1].deliver()

    def _forget(self, username):
        del self.cluster.machine.state.sessions[username]

    def _end(self, rest):
        assert rest == "of day"
        self.cluster.apply(EndDay(int(CommandKind.END_DAY)))

    def _state(self, rest):
        state, _, symbol = rest.partition(" ")
        self.cluster.set_trading_state(int(TradingState[state]), symbol)

    def _set(self, rest):
        key, value = rest.split()
        converted = int(value) if value.isdigit() else value == "True"
        if key in {field.name for field in fields(OuchGatewaySettings)}:
            self.settings = replace(self.settings, **{key: converted})
            return
        users = {
            name: replace(user, **{key: converted}) for name, user in self.settings.users.items()
        }
        self.settings = replace(self.settings, users=users)

    def _advance(self, seconds):
        end_ns = self.now_ns + int(float(seconds) * NS_PER_SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + TICK_NS)
            for entry, _ in list(self._gateways.values()):
                entry.on_time()
            self._settle()

    def _drop(self, client):
        del self.clients[client.label]
        client.transport.abort()
        client.transport.protocol.connection_lost(ConnectionResetError())

    def _block(self, client):
        client.transport.is_blocked = True

    def _unblock(self, client):
        client.transport.unblock()

    # ---- clients ----

    def connect(self, label):
        """The connection of a client; made when it is not there."""
        if label not in self.clients:
            found = LABEL.fullmatch(label)
            assert found is not None, label
            client = Client(label, found["user"] or "1", found["gateway"] or "1")
            client.transport = OuchTransport(lambda data: self._show(client, data))
            client.transport.protocol = Connection(self.gateway(client.gateway)[0])
            self.clients[label] = client
            client.transport.protocol.connection_made(client.transport)
        return self.clients[label]

    def _show(self, client, data):
        """Print what a client receives."""
        for kind, payload in client.reader.feed(data):
            self.output.append(f"{client.label}<- {self._packet_line(client, kind, payload)}")
        assert client.reader.pending == 0, "only whole packets are written"

    def _packet_line(self, client, kind, payload):
        if kind == b"S":
            number = client.next_number
            client.next_number += 1
            kept = self.messages.setdefault((f"OUCH{client.user}", number), payload)
            assert kept == payload, f"message {number} is another one than before"
            return f"{number} {message_line(payload)}"
        if kind == b"A":
            accepted = decode_login_accepted(payload)
            client.next_number = accepted.sequence_number
            return f"login accepted session={accepted.session} next={client.next_number}"
        if kind == b"J":
            return f"login rejected {decode_login_rejected(payload).value}"
        return {b"H": "heartbeat"}.get(kind) or f"debug {decode_debug(payload)}"
