"""BinaryFILE framing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.binaryfile import (
    END,
    BinaryFileError,
    BinaryFileReader,
    frame,
    unframe,
)

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
