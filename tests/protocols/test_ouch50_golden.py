"""OUCH 5.0 and SoupBinTCP against bytes that were written by hand: tests/ouch/codec_*.txt.

A line is who sends it, `client` or `server`, and the bytes: hexadecimal, or text in quotes. In the
scripts codec_session_* they are SoupBinTCP packets, elsewhere OUCH messages alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from protocols import ouch50, soupbintcp
from protocols.ouch50_appendage import Appendage
from protocols.ouch50_fields import Ouch50Error
from protocols.ouch50_messages import InboundMessage, OutboundMessage
from protocols.soupbintcp import Direction, PacketReader

CheckGolden = Callable[[Path, Callable[[list[str]], list[str]]], None]
SCRIPTS = sorted((Path(__file__).resolve().parent.parent / "ouch").glob("codec_*.txt"))
PRICES = {"price", "execution_price", "discretion_price", "display_price"}
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "client": ouch50.decode_inbound,
    "server": ouch50.decode_outbound,
}
LOGIN_DECODERS: dict[bytes, Callable[[bytes], object]] = {
    b"A": soupbintcp.decode_login_accepted,
    b"J": soupbintcp.decode_login_rejected,
    b"L": soupbintcp.decode_login_request,
    b"+": soupbintcp.decode_debug,
}


def bytes_of(text: str) -> bytes:
    """`0001 'AB'` is 00 01 41 42."""
    assert re.fullmatch(r"( *('[^']*'|([0-9A-F]{2})+))*", text), text
    return b"".join(
        bytes.fromhex(digits) if digits else quoted.encode("ascii")
        for quoted, digits in re.findall(r"'([^']*)'|((?:[0-9A-F]{2})+)", text)
    )


def shown(name: str, value: int | str) -> str:
    if name in PRICES:
        assert isinstance(value, int)
        return f"{name}={value // 10_000}.{value % 10_000:04d}"
    if name == "timestamp":
        assert isinstance(value, int)
        seconds, nanoseconds = divmod(value, 1_000_000_000)
        hours, minutes = divmod(seconds // 60, 60)
        return f"{name}={hours:02d}:{minutes:02d}:{seconds % 60:02d}.{nanoseconds:09d}"
    return f"{name}={value!r}" if value == "" else f"{name}={value}"


def message_line(sender: str, data: bytes) -> str:
    """Type and fields of a message, those of its appendage with a plus; or why it is none."""
    try:
        message = DECODERS[sender](data)
    except Ouch50Error as error:
        return f"{type(error).__name__}: {error}"
    words = [type(message).__name__]
    for name, value in message._asdict().items():
        if not isinstance(value, Appendage):
            words.append(shown(name, value))
            continue
        words += [
            "+" + shown(tag, inner) for tag, inner in value._asdict().items() if inner is not None
        ]
    encoded = ouch50.encode(message)
    if len(encoded) == len(data) and encoded != data:
        words.append("(sent in the order of tags)")
    elif encoded != data:
        words.append(f"(sent with {len(encoded)} bytes, not {len(data)})")
    return " ".join(words)


def run_messages(lines: list[str]) -> list[str]:
    return [
        message_line(sender, bytes_of(text))
        for sender, text in (line.split(" ", 1) for line in lines)
    ]


def run_session(lines: list[str]) -> list[str]:
    readers = {
        "client": PacketReader(Direction.CLIENT_TO_SERVER, 256),
        "server": PacketReader(Direction.SERVER_TO_CLIENT),
    }
    output: list[str] = []
    for sender, text in (line.split(" ", 1) for line in lines):
        for packet_type, payload in readers[sender].feed(bytes_of(text)):
            if packet_type in b"US":
                said: object = message_line(sender, payload)
            else:
                decode = LOGIN_DECODERS.get(packet_type)
                said = decode(payload) if decode else "-"
            output.append(f"{sender} {packet_type.decode()} {said}")
    assert [reader.pending for reader in readers.values()] == [0, 0]
    return output


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_golden_script(script: Path, check_golden: CheckGolden) -> None:
    check_golden(script, run_session if "session" in script.stem else run_messages)


def test_there_are_scripts_and_they_name_every_message() -> None:
    everything = "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    classes = [*get_args(InboundMessage), *get_args(OutboundMessage)]
    names = [message_class.__name__ for message_class in classes]
    assert not [name for name in names if f"\n{name} " not in everything]
