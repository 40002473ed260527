"""BinaryFILE framing and the message file built on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import message_file
from protocols.binaryfile import (
    END,
    BinaryFileError,
    BinaryFileReader,
    frame,
    unframe,
)
from protocols.message_file import MessageFileError

SESSION = b"EXCH000001"
MESSAGES = st.lists(st.binary(min_size=1, max_size=100), max_size=20)


@given(MESSAGES)
def test_framed_messages_are_read_back(messages: list[bytes]) -> None:
    assert unframe(frame(messages)) == messages


@given(MESSAGES, st.lists(st.integers(1, 40), min_size=1))
def test_a_file_read_in_pieces_gives_the_same_messages(
    messages: list[bytes], sizes: list[int]
) -> None:
    data = frame(messages) + END
    reader = BinaryFileReader()
    found: list[bytes] = []
    turn = 0
    while data:
        assert not reader.at_end
        size = sizes[turn % len(sizes)]
        found += reader.receive_data(data[:size])
        data = data[size:]
        turn += 1
    assert found == messages
    assert reader.at_end
    assert reader.pending == 0


def test_bytes_after_the_end_of_a_file_are_refused() -> None:
    with pytest.raises(BinaryFileError, match="1 bytes after the end"):
        BinaryFileReader().receive_data(frame([b"a"]) + END + b"x")


def test_a_file_that_was_cut_shows_what_is_left() -> None:
    reader = BinaryFileReader()
    assert reader.receive_data(frame([b"abc"]) + b"\x00\x05ab") == [b"abc"]
    assert (reader.at_end, reader.pending) == (False, 4)


def test_a_message_longer_than_a_block_can_say_is_refused() -> None:
    assert unframe(frame([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(BinaryFileError, match="65536"):
        frame([bytes(65_536)])


def decode_block(block: bytes) -> list[bytes]:
    header = message_file.decode_block_header(block)
    return message_file.decode_block_body(header, block[message_file.BLOCK_HEADER_LENGTH :])


@given(st.integers(1, 2**60), MESSAGES)
def test_a_block_of_a_message_file_is_read_back(first: int, messages: list[bytes]) -> None:
    block = message_file.encode_block(first, messages)
    header = message_file.decode_block_header(block)
    assert (header.first, header.message_count) == (first, len(messages))
    assert decode_block(block) == messages


@given(st.data())
def test_one_wrong_byte_in_a_block_is_found(data: st.DataObject) -> None:
    block = bytearray(message_file.encode_block(7, [b"one", b"two", b"three"]))
    position = data.draw(st.integers(0, len(block) - 1))
    block[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MessageFileError):
        decode_block(bytes(block))


def test_the_header_of_a_message_file_is_checked() -> None:
    header = message_file.encode_header(SESSION)
    assert len(header) == message_file.HEADER_LENGTH
    assert message_file.decode_header(header) == "EXCH000001"
    with pytest.raises(MessageFileError, match="starts with"):
        message_file.decode_header(b"X" + header[1:])
    with pytest.raises(MessageFileError, match="version 2"):
        message_file.decode_header(header[:9] + b"\x02" + header[10:])
    with pytest.raises(MessageFileError, match="checksum"):
        message_file.decode_header(header[:12] + b"Z" + header[13:])
