"""What the publisher in a node and the market-data process must be told. Made by exchange/."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cluster.settings import Address
from protocols import itch50, moldudp64

DEFAULT_SESSION = "EXCH000001"
LINE_A = Address("239.10.10.1", 5001)
LINE_B = Address("239.10.10.2", 5002)
LOOPBACK = "127.0.0.1"
REREQUEST = Address(LOOPBACK, 5101)
GLIMPSE = Address(LOOPBACK, 5201)
HTTP = Address(LOOPBACK, 8081)
SMALLEST_PAYLOAD = moldudp64.HEADER_LENGTH + 2 + itch50.MAX_MESSAGE_LENGTH
LARGEST_PAYLOAD = 65_507  # UDP over IPv4


def _check_payload(max_payload: int) -> None:
    if not SMALLEST_PAYLOAD <= max_payload <= LARGEST_PAYLOAD:
        raise ValueError(
            f"max_payload {max_payload}: must be {SMALLEST_PAYLOAD} to {LARGEST_PAYLOAD} bytes;"
            f" example: {moldudp64.MAX_PAYLOAD}"
        )


@dataclass(frozen=True, slots=True)
class LineSettings:
    """The two multicast lines. Raises ValueError for a session that MoldUDP64 cannot carry.

    `session` names the day's numbering, 1 to 10 ASCII letters and digits; all nodes and receivers
    must have the same. `interface` is the IPv4 address of the network interface to send and to
    listen on; "0.0.0.0" leaves the choice to the kernel's routes.
    """

    session: str = DEFAULT_SESSION
    line_a: Address = LINE_A
    line_b: Address = LINE_B
    interface: str = LOOPBACK
    receive_buffer_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        moldudp64.session_field(self.session)


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """The ITCH publisher of one node. Raises ValueError for a session MoldUDP64 cannot carry, or a
    payload that no datagram has."""

    store_dir: Path
    """A folder of this node's own, DATA/node-N/itch, for the day's messages."""
    session: str = DEFAULT_SESSION
    line_a: Address = LINE_A
    line_b: Address = LINE_B
    interface: str = LOOPBACK
    ttl: int = 1
    """Routers that a datagram may pass; 0 keeps it on this machine."""
    max_payload: int = moldudp64.MAX_PAYLOAD
    """Bytes of a datagram; above the network's MTU less 28 it would be fragmented."""
    heartbeat_ms: int = 1_000
    memory_bytes: int = 8 << 20
    """Recent messages kept in memory for re-requests; older ones are read from the file."""
    store_bytes: int = 16 << 30
    """Messages kept in files, at most; the oldest go first."""

    def __post_init__(self) -> None:
        moldudp64.session_field(self.session)
        _check_payload(self.max_payload)


@dataclass(frozen=True, slots=True)
class GlimpseSettings:
    """Snapshots over SoupBinTCP. User name and password are compared without regard to case and
    blanks at either end, as SoupBinTCP has it."""

    bind: Address = GLIMPSE
    username: str = "GLIMPS"
    password: str = "password"
    max_connections: int = 16
    login_timeout_s: int = 10
    """A connection without a Login Request by then is closed."""
    send_timeout_s: int = 60
    """A client that has not read its snapshot by then is disconnected."""


@dataclass(frozen=True, slots=True)
class MarketDataSettings:
    """The market-data process."""

    nodes: dict[int, Address]
    """Client addresses of the nodes, where missing messages are asked for."""
    store_dir: Path
    """A folder of its own, DATA/marketdata, for the day's messages."""
    lines: LineSettings = field(default_factory=LineSettings)
    client_id: str = "md-1"
    rerequest_bind: Address = REREQUEST
    http_bind: Address = HTTP
    glimpse: GlimpseSettings = field(default_factory=GlimpseSettings)
    max_payload: int = moldudp64.MAX_PAYLOAD
    memory_bytes: int = 8 << 20
    trades_kept: int = 1_000
    """Trades per symbol that /trades/SYMBOL remembers."""
    rerequests_per_s: int = 1_000
    """Re-requests answered per second and source host; what goes beyond is ignored."""
    silent_after_ms: int = 3_000
    """Both lines silent for longer than this: not ready."""

    def __post_init__(self) -> None:
        _check_payload(self.max_payload)
