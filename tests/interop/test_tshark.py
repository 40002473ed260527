"""tshark, Wireshark's decoder of packets, reads our MoldUDP64 lines.

The packets of both lines were recorded by sockets; here they become a capture file. tshark checks
lengths by itself and marks what it does not like; numbers and counts are compared with ours.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from busy_day import Datagram, Day
from pcap import write_pcap

from protocols import moldudp64

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("tshark") is None,
        reason="tshark is not installed (Debian: apt-get install tshark)",
    ),
]

END_OF_SESSION = 0xFFFF
COMPLAINTS = "moldudp64.msglen.invalid or moldudp64.count.invalid or moldudp64.end_of_session_extra"
FIELDS = ("session", "sequence", "count", "msgseq", "msglen", "msgdata")


class Seen(NamedTuple):
    """A packet as tshark shows it."""

    session: str
    sequence: int
    count: int
    message_numbers: list[int]
    lengths: list[int]
    messages: list[bytes]


def tshark(path: Path, port: int, *words: str) -> list[str]:
    """Lines that tshark prints of a capture file with MoldUDP64 on a port."""
    decode_as = f"udp.port=={port},moldudp64"
    line = ["tshark", "-n", "-r", str(path), "-d", decode_as, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def seen_packets(path: Path, port: int) -> list[Seen]:
    wanted = [word for name in FIELDS for word in ("-e", f"moldudp64.{name}")]
    lines = tshark(path, port, "-T", "fields", "-E", "separator=;", "-E", "aggregator=,", *wanted)
    return [_seen(line) for line in lines]


def _seen(line: str) -> Seen:
    session, sequence, count, numbers, lengths, data = line.split(";")
    return Seen(
        session.strip(),
        int(sequence),
        int(count),
        [int(number) for number in numbers.split(",") if number],
        [int(length) for length in lengths.split(",") if length],
        [bytes.fromhex(one) for one in data.split(",") if one],
    )


def ours(datagram: Datagram) -> Seen:
    """The same of our own decoder."""
    packet = moldudp64.decode_downstream(datagram.data)
    first = packet.sequence_number
    match packet:
        case moldudp64.DataPacket():
            messages = packet.messages
            numbers = list(range(first, first + len(messages)))
            lengths = [len(message) for message in messages]
            return Seen(packet.session, first, len(messages), numbers, lengths, messages)
        case moldudp64.Heartbeat():
            return Seen(packet.session, first, 0, [], [], [])
        case moldudp64.EndOfSession():
            return Seen(packet.session, first, END_OF_SESSION, [], [], [])


@pytest.mark.parametrize("line", ["A", "B"])
def test_every_packet_of_a_line_is_as_we_mean_it(day: Day, tmp_path: Path, line: str) -> None:
    datagrams = day.datagrams[line]
    port = datagrams[0].line.port
    path = tmp_path / f"line-{line}.pcap"
    write_pcap(path, datagrams)
    packets = seen_packets(path, port)
    assert packets == [ours(datagram) for datagram in datagrams]
    assert tshark(path, port, "-Y", COMPLAINTS) == []
    # Nothing but MoldUDP64 in the file, and no packet that is cut or has bytes too many.
    assert tshark(path, port, "-Y", "not moldudp64 or _ws.malformed or _ws.unreassembled") == []
    check_numbers(packets, day)
    last = len(day.messages)
    heartbeats = [one for one in packets if one.count == 0]
    ends = [one for one in packets if one.count == END_OF_SESSION]
    assert len(heartbeats) >= 3
    assert len(ends) >= 3
    assert packets[-len(ends) :] == ends
    assert {one.sequence for one in ends} == {last + 1}


def check_numbers(packets: list[Seen], day: Day) -> None:
    """Each packet begins where the one before it ended, and carries those messages of the day."""
    expected = packets[0].sequence
    for number, packet in enumerate(packets, 1):
        assert packet.session == day.lines.session
        assert packet.sequence == expected, f"packet {number}: {packet[:3]}, not {expected}"
        if packet.count not in (0, END_OF_SESSION):
            assert len(packet.messages) == packet.count
            assert packet.messages == day.messages[expected - 1 : expected - 1 + packet.count]
            expected += packet.count
    assert expected == len(day.messages) + 1


def test_line_a_has_the_day_from_its_first_message(day: Day) -> None:
    first = moldudp64.decode_downstream(day.datagrams["A"][0].data)
    assert first.sequence_number == 1
