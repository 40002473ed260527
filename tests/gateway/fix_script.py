"""Plays golden FIX sessions (tests/fix/*.txt) against the order entry of the gateway.

    -> 35=D|34=2|11=a|...     CLIENT1 sends; 2-> is CLIENT2. What is not given of 8, 9, 49, 56, 52
                              and 10 is added. The connection is made when it is not there.
    raw 8=FIX.4.4|9=5|...     CLIENT1 sends these bytes, | is SOH
    advance 12.5              seconds pass, tick by tick
    sleep 86400               seconds pass while the gateway's process stands still
    speak FIX.4.2             the BeginString(8) that is added from now on
    drop | 2drop              the TCP connection of CLIENT1 | CLIENT2 is lost
    hold / run [N] / auto     the cluster applies nothing / N commands, then tells / at once (usual)
    apply                     the cluster applies what it has and tells nobody
    lost                      the cluster has not heard of the gateway for too long
    forget CLIENT1            the cluster does not know this session
    lose CLIENT1              as kill, and the store of this session is lost
    kill                      the gateway is killed and started again on its stores
    stop                      the gateway is stopped in good order and started again
    block                     CLIENT1 reads nothing any more
    set KEY VALUE             a field of the settings (FixGatewaySettings or FixSessionSettings)
    set schedule START END [reset]   the hours of the sessions (UTC), and whether numbers are reset
    state HALTED [SYMBOL]     the operator changes the trading state
    bust 1                    the operator declares a trade void
    tick                      the exchange is told the time

The output repeats the input (but for set) and shows what the clients receive, without 9, 49, 56,
52, 60, 10, and without 8 when it is FIX.4.4. Every message sent is held against the dictionary of
its version and read by simplefix, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import time
from pathlib import Path
from typing import Any

import simplefix
from fake_cluster import START_NS, FakeCluster, FakeClusterClient

from cluster.settings import Address
from gateway.fix.connection import Connection
from gateway.fix.order_entry import OrderEntry
from gateway.fix.schedule import SessionSchedule
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from oms.commands import ClockTick, CommandKind, GatewayLost
from oms.events import TradingState
from protocols.fix import NS_PER_SECOND, FixDecoder, check_sum, format_utc_timestamp
from protocols.fix_dictionary import VERSIONS

TICK_NS = NS_PER_SECOND // 10
HIDDEN_TAGS = frozenset((9, 49, 56, 52, 60, 10))
DICTIONARIES = {dictionary.begin_string: dictionary for dictionary in VERSIONS.values()}
USUAL = (8, "FIX.4.4")
NOWHERE = Address("127.0.0.1", 0)


class ScriptTransport(asyncio.Transport):
    """A socket that keeps what is written to it."""

    def __init__(self, show: Callable[[bytes], None]) -> None:
        super().__init__()
        self._show = show
        self.protocol: Connection | None = None
        self.is_reading = True
        self._closed = False
        self.is_blocked = False

    def write(self, data: Any) -> None:
        assert not self._closed, "written after close"
        self._show(bytes(data))

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class ScriptPlayer:
    """One script, one cluster, one gateway after another on the same stores, virtual time."""

    def __init__(self, data_dir: Path) -> None:
        self.now_ns = START_NS
        self.output: list[str] = []
        self.cluster = FakeCluster(clock_ns=lambda: self.now_ns)
        self.settings = FixGatewaySettings(
            bind=NOWHERE,
            http_bind=NOWHERE,
            nodes={},
            data_dir=data_dir,
            sessions={
                f"CLIENT{number}": FixSessionSettings(f"CLIENT{number}", f"ACC{number}")
                for number in (1, 2)
            },
        )
        self.is_held = False
        self.begin_string = "FIX.4.4"
        self.transports: dict[str, ScriptTransport] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._order_entry: OrderEntry | None = None
        self._client: FakeClusterClient | None = None

    def play(self, lines: list[str]) -> list[str]:
        """The output lines of a script."""
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "set":
                key, *values = rest.split()
                if key == "schedule":
                    self._set_schedule(*values)
                else:
                    self._set(key, *values)
                continue
            self.output.append(line)
            if word.endswith("->"):
                self.send(word[:-2] or "1", self.message(word[:-2] or "1", rest))
            elif word == "speak":
                self.begin_string = rest
            elif word == "raw":
                self.send("1", rest.replace("|", "\x01").encode("latin-1"))
            elif word == "advance":
                self._advance(int(float(rest) * NS_PER_SECOND))
            elif word == "sleep":
                self.now_ns += int(float(rest) * NS_PER_SECOND)
            elif word.endswith("drop"):
                self._drop(word[:-4] or "1")
            elif word == "bust":
                self.cluster.bust(int(rest))
            elif word == "state":
                state, _, symbol = rest.partition(" ")
                self.cluster.set_trading_state(int(TradingState[state]), symbol)
            elif word == "tick":
                self.cluster.apply(ClockTick(int(CommandKind.CLOCK_TICK)))
            elif word == "lost":
                self.cluster.apply(GatewayLost(int(CommandKind.GATEWAY_LOST), "fix-1"))
            elif word == "forget":
                del self.cluster.machine.state.sessions[rest]
            elif word == "lose":
                self.kill()
                (self.settings.data_dir / f"{rest}.store").unlink()
                (self.settings.data_dir / "progress").unlink()
            elif word == "run":
                self.cluster.run(int(rest) if rest else None)
            else:
                steps = {
                    "hold": self._hold,
                    "auto": self._auto,
                    "apply": self._apply,
                    "kill": self.kill,
                    "stop": self._stop,
                    "block": self._block,
                }
                steps[word]()
            self._settle()
        return self.output

    # ---- the gateway ----

    @property
    def order_entry(self) -> OrderEntry:
        if self._order_entry is None:
            self._order_entry = OrderEntry(
                self.settings, clock_ns=lambda: self.now_ns, call_soon=self._soon.append
            )
            self._client = self.cluster.client(
                "fix-1",
                {},
                on_batch=self._order_entry.on_batch,
                owners=list(self.settings.sessions),
                from_event_seq=self._order_entry.from_event_seq,
                max_pending=self._order_entry.queue_capacity,
            )
            self._order_entry.attach(self._client)
            self._client.set_ready()
            self._order_entry.close_left_open()
            if not self.is_held:
                self.cluster.run()
        return self._order_entry

    def kill(self) -> None:
        """SIGKILL: nothing is closed, written or told; what the stores hold is all there is."""
        if self._client is not None:
            self._client.kill()
        self._soon.clear()
        self.transports.clear()
        self._order_entry = None

    def _stop(self) -> None:
        self.order_entry.log_out_all("The gateway is shutting down")
        self._settle()
        self.order_entry.close()
        self.kill()

    def _block(self) -> None:
        protocol = self.transports["1"].protocol
        assert protocol is not None
        protocol.pause_writing()

    def _set_schedule(self, start: str, end: str, reset: str = "") -> None:
        schedule = SessionSchedule(
            time.fromisoformat(start), time.fromisoformat(end), reset_daily=reset == "reset"
        )
        self.settings = replace(self.settings, schedule=schedule)

    def _set(self, key: str, value: str) -> None:
        kinds = {field.name: field.type for field in fields(FixGatewaySettings)}
        converted: Any = value
        if value in {"True", "False"}:
            converted = value == "True"
        elif value.isdigit() and key != "password":
            converted = int(value)
        if key in kinds:
            self.settings = replace(self.settings, **{key: converted})
        else:
            sessions = {
                name: replace(session, **{key: converted})
                for name, session in self.settings.sessions.items()
            }
            self.settings = replace(self.settings, sessions=sessions)

    # ---- steps ----

    def _settle(self) -> None:
        """Let everything happen that happens by itself."""
        for _ in range(1_000):
            if not self.is_held:
                self.cluster.run()
            if not self._soon:
                break
            self._soon.popleft()()
        for name, transport in list(self.transports.items()):
            if transport.is_closing():
                del self.transports[name]
                self._tell(name, "disconnected")
                assert transport.protocol is not None
                transport.protocol.connection_lost(None)

    def _tell(self, name: str, text: str) -> None:
        self.output.append(f"{'' if name == '1' else name}{text}")

    def _hold(self) -> None:
        self.is_held = True

    def _auto(self) -> None:
        self.is_held = False

    def _apply(self) -> None:
        assert self._client is not None
        self._client.apply_submitted(None)

    def _advance(self, duration_ns: int) -> None:
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + TICK_NS)
            self.order_entry.on_time()
            self._settle()

    def _drop(self, name: str) -> None:
        transport = self.transports.pop(name)
        assert transport.protocol is not None
        transport.protocol.connection_lost(ConnectionResetError())

    def connect(self, name: str) -> ScriptTransport:
        """The transport of a client; made when it is not there."""
        if name not in self.transports:
            connection = Connection(self.order_entry)
            transport = ScriptTransport(lambda data: self._show(name, data))
            transport.protocol = connection
            self.transports[name] = transport
            connection.connection_made(transport)
        return self.transports[name]

    def send(self, name: str, data: bytes) -> None:
        transport = self.connect(name)
        assert transport.protocol is not None
        transport.protocol.data_received(data)

    def message(self, name: str, text: str) -> bytes:
        """A message from `35=..|34=..|...`; what is not given of header and trailer is added."""
        given = [field.split("=", 1) for field in text.split("|")]
        header = {
            "8": self.begin_string,
            "9": "",
            "35": "",
            "49": f"CLIENT{name[0]}",
            "56": "EXCH",
            "34": None,
            "52": format_utc_timestamp(self.now_ns),
        }
        check = None
        body = []
        for tag, value in given:
            if tag in header:
                header[tag] = None if value == "-" else value
            elif tag == "10":
                check = value
            else:
                body.append(f"{tag}={value}\x01")
        head = "".join(
            f"{tag}={value}\x01"
            for tag, value in header.items()
            if tag not in {"8", "9"} and value is not None
        )
        rest = head + "".join(body)
        data = f"8={header['8']}\x019={header['9'] or len(rest)}\x01{rest}".encode("latin-1")
        return data + f"10={check or format(check_sum(data), '03d')}\x01".encode()

    def _show(self, name: str, data: bytes) -> None:
        """Print what a client receives, after holding it against two other readers."""
        decoder = FixDecoder()
        for message in decoder.feed(data):
            wrong = DICTIONARIES[message.begin_string].validate(message)
            assert wrong is None, f"{message}: {wrong}"
            shown = [
                f"{tag}={value}"
                for tag, value in message.fields
                if tag not in HIDDEN_TAGS and (tag, value) != USUAL
            ]
            self._tell(name, f"<- {'|'.join(shown)}")
        assert decoder.garbled == 0
        assert decoder.buffered == 0
        parser = simplefix.FixParser()
        parser.append_buffer(data)
        read_again = b""
        while (parsed := parser.get_message()) is not None:
            read_again += parsed.encode(raw=True)
        assert read_again == data
