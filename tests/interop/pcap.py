"""Datagrams -> a capture file that Wireshark reads (libpcap format 2.4, raw IPv4)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from socket import inet_aton

from busy_day import Datagram

LINKTYPE_RAW = 101
_MAGIC_NS = 0xA1B23C4D  # time stamps in nanoseconds
_FILE = struct.Struct(">IHHiIII")
_RECORD = struct.Struct(">IIII")
_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_UDP = struct.Struct(">HHHH")
_NO_CHECKSUM = 0  # of UDP over IPv4: none was computed
_SENDER_PORT = 40_000


def write_pcap(path: Path, datagrams: Iterable[Datagram], sender: str = "127.0.0.1") -> None:
    """Write datagrams as UDP packets from `sender` to their lines."""
    with path.open("wb") as file:
        file.write(_FILE.pack(_MAGIC_NS, 2, 4, 0, 0, 65_535, LINKTYPE_RAW))
        for time_ns, line, data in datagrams:
            udp = _UDP.pack(_SENDER_PORT, line.port, _UDP.size + len(data), _NO_CHECKSUM) + data
            packet = _ipv4_header(sender, line.host, len(udp)) + udp
            seconds, ns = divmod(time_ns, 1_000_000_000)
            file.write(_RECORD.pack(seconds, ns, len(packet), len(packet)) + packet)


def _ipv4_header(source: str, target: str, payload: int) -> bytes:
    fields = [0x45, 0, _IPV4.size + payload, 0, 0, 1, 17, 0, inet_aton(source), inet_aton(target)]
    words = struct.unpack(">10H", _IPV4.pack(*fields))
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    fields[7] = ~(total + (total >> 16)) & 0xFFFF
    return _IPV4.pack(*fields)
