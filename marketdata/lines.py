"""UDP multicast sockets for the lines, sending and receiving."""

from __future__ import annotations

import errno
import socket

from cluster.settings import Address


class LineSender:
    """Sends datagrams to multicast groups without ever waiting.

    A full socket buffer, a missing route or any other refusal of the kernel drops the datagram and
    counts it: receivers recover from a lost datagram, while a node must not wait for its network.
    """

    def __init__(self, interface: str, ttl: int) -> None:
        """Raises OSError when `interface` is not an address of this machine."""
        self.sent = 0
        self.dropped: dict[str, int] = {}
        """Datagrams dropped, by the kernel's reason (EAGAIN, ENOBUFS, ...)."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        options = self._socket.setsockopt
        options(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        options(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        options(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        options(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def send(self, datagram: bytes, line: Address) -> None:
        """Send one datagram, or count it as dropped."""
        try:
            self._socket.sendto(datagram, line)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, "unknown")
            self.dropped[reason] = self.dropped.get(reason, 0) + 1
        else:
            self.sent += 1

    def close(self) -> None:
        self._socket.close()


def open_line(line: Address, interface: str, receive_buffer_bytes: int) -> socket.socket:
    """A non-blocking socket that has joined the group of a line; several may join on one machine.

    Raises OSError when the group cannot be joined on that interface. The kernel caps the buffer at
    net.core.rmem_max.
    """
    line_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        line_socket.setblocking(False)
        line_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        # Bound to the group, not to any address: other groups on this port stay out.
        line_socket.bind(line)
        membership = socket.inet_aton(line.host) + socket.inet_aton(interface)
        line_socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except OSError as error:
        line_socket.close()
        raise OSError(error.errno, f"{error.strerror}: UDP {line} on {interface}") from error
    return line_socket
