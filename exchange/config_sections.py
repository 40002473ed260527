"""The declarations of exchange.toml: one frozen dataclass per section, one field per key.

What there may be several of ([[instruments]] and the like) is in config_members.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, time, tzinfo
from enum import StrEnum
from pathlib import Path

from cluster.settings import Address, Durability
from exchange.config_keys import (
    ADDRESS,
    ADDRESSES,
    FLAG,
    GATEWAYS,
    GROUP,
    INTERFACE,
    PATH,
    PATH_OR_NOTHING,
    SESSION,
    TIME,
    ZONE,
    choice,
    integer,
    key,
    text,
)
from oms.events import TradingState

LOOPBACK = "127.0.0.1"


class LogLevel(StrEnum):
    """How much the processes write to DATA/log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


OPENING_STATES = {
    "open": TradingState.TRADING,
    "halted": TradingState.HALTED,
    "closed": TradingState.CLOSED,
}

COMP_ID = text(20, "CLIENT1")


def _node_addresses(first_port: int) -> tuple[Address, ...]:
    return tuple(Address(LOOPBACK, first_port + node_id) for node_id in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the processes listen, and how the others reach them."""

    bind_host: str = key(
        "",
        text(255, "0.0.0.0", may_be_empty=True),
        'Host every TCP port is bound to; "" means the host of its address below. '
        'Containers set "0.0.0.0".',
    )
    node_raft: tuple[Address, ...] = key(
        _node_addresses(7000), ADDRESSES, "Raft, node to node; the first is node 1."
    )
    node_client: tuple[Address, ...] = key(
        _node_addresses(7100), ADDRESSES, "Client protocol: gateways, market data, admin."
    )
    node_http: tuple[Address, ...] = key(
        _node_addresses(7200), ADDRESSES, "HTTP of the nodes: /healthz /readyz /metrics /status."
    )
    fix: tuple[Address, ...] = key(
        (Address(LOOPBACK, 9001),),
        GATEWAYS,
        "FIX order entry, an address per gateway; each of [[fix_sessions]] belongs to one of them.",
    )
    fix_http: tuple[Address, ...] = key(
        (Address(LOOPBACK, 9201),), GATEWAYS, "HTTP of the FIX gateways."
    )
    drop_copy: Address = key(
        Address(LOOPBACK, 9002),
        ADDRESS,
        "FIX drop copy; its gateway is started when there are [[drop_copy_sessions]].",
    )
    drop_copy_http: Address = key(
        Address(LOOPBACK, 9203), ADDRESS, "HTTP of the drop copy gateway."
    )
    ouch: tuple[Address, ...] = key(
        (Address(LOOPBACK, 9101),),
        GATEWAYS,
        "OUCH order entry, an address per gateway; any user may log in at any of them.",
    )
    ouch_http: tuple[Address, ...] = key(
        (Address(LOOPBACK, 9202),), GATEWAYS, "HTTP of the OUCH gateways."
    )
    line_a: Address = key(
        Address("239.10.10.1", 5001), GROUP, "ITCH over MoldUDP64, line A (sent by the leader)."
    )
    line_b: Address = key(Address("239.10.10.2", 5002), GROUP, "Line B (sent by a follower).")
    multicast_interface: str = key(
        LOOPBACK, INTERFACE, "Network interface that both lines are sent and received on."
    )
    rerequest: Address = key(Address(LOOPBACK, 5101), ADDRESS, "MoldUDP64 re-requests (UDP).")
    glimpse: Address = key(
        Address(LOOPBACK, 5201), ADDRESS, "GLIMPSE: snapshots of all books over SoupBinTCP."
    )
    marketdata_http: Address = key(
        Address(LOOPBACK, 8081), ADDRESS, "Market data over HTTP: /book/SYMBOL /trades/SYMBOL."
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """Replication."""

    durability: Durability = key(
        Durability.MAJORITY_DISK,
        choice(Durability),
        "What an acknowledgement promises: majority-disk (on the disks of a majority), "
        "leader-disk (on one disk and in a majority's memory), memory.",
    )
    heartbeat_ms: int = key(10, integer(1, 1_000, 10), "Leader to followers.")
    suspect_after_ms: int = key(
        100,
        integer(10, 10_000, 100),
        "Silence of the leader after which an election starts; up to eight times that while the "
        "leader is often silent, as on a machine with too much to do.",
    )
    gateway_grace_ms: int = key(
        5_000,
        integer(100, 3_600_000, 5_000),
        "How long a gateway may be away before its sessions count as closed.",
    )
    max_batch_bytes: int = key(
        1 << 20, integer(4_096, 16 << 20, 1 << 20), "Largest batch of commands in one log entry."
    )
    max_pending_bytes: int = key(
        64 << 20,
        integer(1 << 16, 1 << 30, 64 << 20),
        "Commands that may wait on the leader; beyond it the node stops reading.",
    )
    segment_bytes: int = key(
        64 << 20, integer(1 << 16, 1 << 30, 64 << 20), "Size of a journal segment file."
    )
    snapshot_after_bytes: int = key(
        128 << 20,
        integer(1 << 16, 1 << 40, 128 << 20),
        "A node takes a snapshot when its journal has grown by so much since the last one. "
        "A restart replays up to so much; memory and disk hold up to three times as much.",
    )
    day_files_bytes: int = key(
        16 << 30,
        integer(1 << 28, 1 << 44, 16 << 30),
        "Events, and as much again of ITCH messages, that a node keeps on disk; the oldest "
        "go first, and who asks for those is refused.",
    )
    opening_state: TradingState = key(
        TradingState.TRADING,
        choice(TradingState, {**OPENING_STATES}),
        "State of every instrument of a new cluster; closed waits for `exchange market open`; with "
        "[trading_day] open means what the schedule says.",
    )
    clock_tick_ms: int = key(
        1_000,
        integer(0, 3_600_000, 1_000),
        "How often the leader looks whether something is due by time, an order that expires, the "
        "indication of an auction, a phase of the day, and says so in the log; 0: never.",
    )


@dataclass(frozen=True, slots=True)
class Tls:
    """Mutual TLS on the ports of the nodes."""

    authority: Path | None = key(
        None,
        PATH_OR_NOTHING,
        "PEM certificate of the authority that signs nodes and clients of this exchange and nobody "
        'else; "": no TLS, and the nodes stay on loopback.',
    )
    certificates: Path = key(
        Path("tls"),
        PATH,
        "Folder with NAME.pem and NAME.key (mode 0600) of each process on this machine; NAME is "
        "node-1 ..., client-GATEWAY_ID, client-CLIENT_ID of market data, client-operator.",
    )


@dataclass(frozen=True, slots=True)
class Fix:
    """The FIX gateways."""

    gateway_id: str = key(
        "fix-1",
        text(20, "fix-1"),
        "Name of the first gateway towards the cluster; the second ends in -2: fix-2.",
    )
    drop_copy_id: str = key(
        "drop-copy", text(20, "drop-copy"), "Name of the drop copy gateway towards the cluster."
    )
    comp_id: str = key("EXCH", COMP_ID, "CompID of the exchange: TargetCompID(56) of clients.")
    tls_certificate: Path | None = key(
        None,
        PATH_OR_NOTHING,
        "PEM certificate that clients are shown, followed by those of the authorities between; "
        '"": they speak plain TCP.',
    )
    tls_key: Path | None = key(None, PATH_OR_NOTHING, "Its private key (PEM, mode 0600).")
    tls_client_authority: Path | None = key(
        None,
        PATH_OR_NOTHING,
        "PEM certificate of the authority that signs the certificates which clients must then "
        'show; "": they need none.',
    )
    session_start: time = key(
        time(0), TIME, "When sessions open, every day; the same as session_end: around the clock."
    )
    session_end: time = key(time(0), TIME, "When clients are logged out.")
    time_zone: tzinfo = key(UTC, ZONE, "Of session_start and session_end.")
    reset_daily: bool = key(
        False,
        FLAG,
        "MsgSeqNums begin again at 1 with session_start, and what was stored before is forgotten; "
        "false: they go on for ever.",
    )
    store_sync: bool = key(
        False, FLAG, "fdatasync session stores: they survive a power failure, not only a kill."
    )
    heartbeat_min_s: int = key(1, integer(1, 3_600, 1), "Least HeartBtInt(108) of a Logon.")
    heartbeat_max_s: int = key(
        3_600, integer(1, 86_400, 3_600), "Greatest HeartBtInt(108) of a Logon."
    )
    logon_timeout_s: int = key(
        10,
        integer(1, 600, 10),
        "A connection without a Logon(A) by then is closed, and so is a slower TLS handshake.",
    )
    sending_time_tolerance_s: int = key(
        120, integer(1, 86_400, 120), "How far SendingTime(52) may be off before it is rejected."
    )
    max_message_bytes: int = key(
        8_192, integer(512, 1 << 20, 8_192), "A longer message counts as garbled."
    )
    max_early_messages: int = key(
        1_000,
        integer(1, 100_000, 1_000),
        "Messages after a gap that wait for it to be filled; more are asked for again.",
    )
    max_pending: int = key(
        20_000,
        integer(1, 1_000_000, 20_000),
        "Commands without an answer; beyond it the gateway stops reading from its clients.",
    )
    write_buffer_bytes: int = key(
        1 << 20,
        integer(4_096, 1 << 30, 1 << 20),
        "Unsent bytes of one connection; beyond it messages wait in the store.",
    )
    max_backlog_messages: int = key(
        200_000,
        integer(100, 10_000_000, 200_000),
        "Messages that wait in the store for a slow client; beyond it it is disconnected.",
    )
    max_connections: int = key(
        1_000,
        integer(1, 100_000, 1_000),
        "Connections open at once; the oldest that has not logged on gives way to a further one.",
    )


@dataclass(frozen=True, slots=True)
class Ouch:
    """The OUCH gateways."""

    gateway_id: str = key(
        "ouch",
        text(16, "ouch"),
        "Name of the gateways towards the cluster, before the number of each: ouch-1.",
    )
    session: str = key(
        "EXCH000001", SESSION, "SoupBinTCP session: the name of the day's numbering."
    )
    firm: str = key(
        "", text(4, "ABCD", may_be_empty=True), "What the field Firm may say, besides blanks."
    )
    heartbeat_ms: int = key(
        1_000, integer(10, 60_000, 1_000), "Silence of ours after which a heartbeat is sent."
    )
    silence_ms: int = key(
        15_000, integer(100, 600_000, 15_000), "A client that is silent for so long is cut off."
    )
    login_timeout_ms: int = key(
        30_000,
        integer(100, 600_000, 30_000),
        "A connection without a Login Request by then is closed.",
    )
    max_message_bytes: int = key(
        512, integer(256, 65_535, 512), "A longer packet ends the connection."
    )
    max_pending: int = key(
        20_000,
        integer(1, 1_000_000, 20_000),
        "Commands without an answer; beyond it the gateway stops reading from its clients.",
    )
    write_buffer_bytes: int = key(
        1 << 20,
        integer(4_096, 1 << 30, 1 << 20),
        "Unsent bytes of one connection; beyond it messages wait in a file.",
    )
    max_backlog_messages: int = key(
        200_000,
        integer(100, 10_000_000, 200_000),
        "Messages that wait for a slow client; beyond it it is disconnected.",
    )
    max_connections: int = key(
        1_000, integer(1, 100_000, 1_000), "Connections open at once; a further one is closed."
    )


@dataclass(frozen=True, slots=True)
class MarketData:
    """The feed and the market-data process."""

    feed_session: str = key(
        "EXCH000001", SESSION, "MoldUDP64 session: the name of the day's numbering."
    )
    heartbeat_ms: int = key(
        1_000, integer(10, 60_000, 1_000), "MoldUDP64 heartbeat of an idle line."
    )
    ttl: int = key(1, integer(0, 255, 1), "Routers a datagram may pass; 0: stays on this machine.")
    max_payload: int = key(
        1_400,
        integer(100, 65_507, 1_400),
        "Bytes of a datagram; above the network's MTU less 28 it would be fragmented.",
    )
    memory_bytes: int = key(
        8 << 20,
        integer(1 << 16, 1 << 32, 8 << 20),
        "Recent messages kept in memory for re-requests; older ones are read from the file.",
    )
    receive_buffer_bytes: int = key(
        4 << 20, integer(1 << 16, 1 << 30, 4 << 20), "Socket buffer of each line at the receiver."
    )
    client_id: str = key(
        "md-1", text(20, "md-1"), "Name of the market-data process towards the cluster."
    )
    trades_kept: int = key(
        1_000, integer(1, 1_000_000, 1_000), "Trades per symbol that /trades/SYMBOL remembers."
    )
    rerequests_per_s: int = key(
        1_000, integer(1, 1_000_000, 1_000), "Re-requests answered per second and source host."
    )
    glimpse_username: str = key("GLIMPS", text(6, "GLIMPS"), "Who may log in to GLIMPSE.")
    glimpse_password: str = key("password", text(10, "secret"), "The password for it.")
    glimpse_max_connections: int = key(
        16, integer(1, 10_000, 16), "GLIMPSE connections open at once; a further one is closed."
    )
    glimpse_login_timeout_s: int = key(
        10, integer(1, 600, 10), "A GLIMPSE connection without a login by then is closed."
    )
    glimpse_send_timeout_s: int = key(
        60, integer(1, 3_600, 60), "A client that has not read its snapshot by then is given up."
    )
    silent_after_ms: int = key(
        3_000,
        integer(100, 600_000, 3_000),
        "Both lines silent for longer than this: the market-data process is not ready.",
    )
