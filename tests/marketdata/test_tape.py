"""The tape: descriptions, captures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_flow import OrderFlow

from marketdata.feed import ItchFeed
from marketdata.message_store import MessageStore
from marketdata.tape import CaptureWriter, Tape, describe, format_time, line, read_capture
from protocols import itch50
from protocols import itch50_messages as m
from protocols.binaryfile import BinaryFileError, frame
from protocols.itch50 import ItchError

ADD = itch50.encode(m.AddOrder(3, 0, 34_200_000_000_001, 17, "B", 100, "AAPL", 1_872_500))


def test_an_add_order_is_described_with_decimal_price_and_readable_time() -> None:
    assert describe(12, ADD) == {
        "sequence": 12,
        "type": "A",
        "name": "AddOrder",
        "timestamp": 34_200_000_000_001,
        "time": "09:30:00.000000001",
        "stock_locate": 3,
        "stock": "AAPL",
        "order_reference_number": 17,
        "side": "B",
        "shares": 100,
        "price": "187.25",
    }
    assert line(12, ADD) == (
        "12 09:30:00.000000001 A AddOrder AAPL order_reference_number=17 side=B shares=100"
        " price=187.25"
    )


def test_a_message_without_a_stock_gets_it_from_the_directory() -> None:
    tape = Tape()
    delete = itch50.encode(m.OrderDelete(1, 0, 0, 5))
    assert tape.describe(1, delete)["stock"] is None
    assert tape.line(1, delete) == "1 00:00:00.000000000 D OrderDelete 1 order_reference_number=5"
    for number, message in enumerate(ItchFeed().messages(OrderFlow(1).opening()), 1):
        tape.describe(number, message)
    assert tape.describe(2, delete)["stock"] == "AAPL"


def test_price_8_has_eight_decimals() -> None:
    described = describe(1, itch50.encode(m.MwcbDeclineLevel(0, 0, 0, 123_456_789_012, 5, 0)))
    assert (described["level_1"], described["level_2"]) == ("1234.56789012", "0.00000005")


def test_every_type_can_be_described_as_json_without_a_raw_price() -> None:
    for message_type, length in itch50.LENGTHS.items():
        message = message_type.encode() + b"\x00" * 10
        body = b" " * (length - 11)  # blanks are valid text, and a number of 0x20 bytes
        described = describe(1, message + body)
        json.dumps(described)
        for name, value in described.items():
            if "price" in name and name not in (
                "price_variation_indicator",
                "luld_reference_price_tier",
            ):
                assert isinstance(value, str), f"{message_type} {name}"
                assert "." in value


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(ItchError):
        describe(1, b"nonsense")


@given(st.integers(0, 2**48 - 1))
def test_any_time_stamp_can_be_shown(timestamp: int) -> None:
    hours, minutes, rest = format_time(timestamp).split(":")
    seconds, ns = rest.split(".")
    total_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    assert total_s * 10**9 + int(ns) == timestamp


def test_a_capture_is_read_back(tmp_path: Path) -> None:
    messages = ItchFeed().messages(OrderFlow(1).opening())
    with CaptureWriter(tmp_path / "day.itch") as writer:
        writer.write(messages[:3])
        writer.write(messages[3:])
    assert (tmp_path / "day.itch").read_bytes() == frame(messages) + b"\x00\x00"
    assert list(read_capture(tmp_path / "day.itch")) == list(enumerate(messages, 1))
    assert next(read_capture(tmp_path / "day.itch", first=500))[0] == 500


def test_a_capture_that_is_still_being_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "day.itch"
    path.write_bytes(frame([ADD, ADD]))
    assert [number for number, _ in read_capture(path)] == [1, 2]
    path.write_bytes(frame([ADD, ADD]) + frame([ADD])[:-1])
    reader = read_capture(path)
    assert [next(reader), next(reader)] == [(1, ADD), (2, ADD)]
    with pytest.raises(BinaryFileError, match="message 3 is cut short"):
        next(reader)


def test_an_empty_capture_has_no_messages(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    CaptureWriter(tmp_path / "nothing").close()
    assert list(read_capture(tmp_path / "empty")) == list(read_capture(tmp_path / "nothing")) == []


def test_an_empty_message_cannot_be_captured(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "day") as writer, pytest.raises(BinaryFileError, match="empty"):
        writer.write([b"a", b""])


def test_the_folder_of_a_message_store_and_its_file_can_be_read_as_captures(
    tmp_path: Path,
) -> None:
    store = MessageStore(tmp_path / "store", "DAY1")
    store.append([ADD] * 5000)
    store.close()
    expected = [(n, ADD) for n in range(1, 5001)]
    assert list(read_capture(tmp_path / "store")) == expected
    (path,) = (tmp_path / "store").iterdir()
    assert list(read_capture(path.rename(tmp_path / "copy"))) == expected
