"""Sound messages, mutated, against the decoder and every dictionary: no exception, no growth, and
the next sound message is found.

Ten seconds a run; FUZZ_SECONDS=180 looks longer. Examples are those of hypothesis, round after
round with another seed; a failure names the round, and hypothesis shrinks it.
"""

from __future__ import annotations

import os
import time

from fix_examples import DICTIONARIES, EVERY_EXAMPLE, NOW
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from protocols.fix import FixDecoder, check_sum, encode

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
EXAMPLES_PER_ROUND = 100
MAX_MESSAGE_BYTES = 1_024
RESTART = b"\x0110=000\x01"
"""Ends whatever an unfinished message claims."""

FRAMES = [
    encode(
        msg_type,
        fields,
        begin_string=dictionary.begin_string,
        sender="CLIENT1",
        target="EXCH",
        seq=7,
        sending_time=NOW,
    )
    for dictionary, msg_type, fields in EVERY_EXAMPLE
]
GOOD = encode(
    "1", [(112, "good")], begin_string="FIX.4.4", sender="A", target="B", seq=8, sending_time=NOW
)
TOKENS = [
    b"\x01", b"=", b"8=FIX.4.4\x01", b"9=", b"35=", b"10=000\x01", b"\x0110=", b"453=2\x01",
    b"448=", b"268=9999999999\x01", b"95=10\x01", b"96=", b"\x00", b"\xff", b"58=\x01", b"0=1\x01",
    b"-1=1\x01", b"99999999999=1\x01", b"34=", b"1128=8\x01", b"146=1\x01", b"55=", b"e",
    b"8=FIX", b"=\x01",
]  # fmt: skip


def sealed(data: bytes) -> bytes:
    """What stands between the first and the last fields, with a right BodyLength and CheckSum."""
    start = data.find(b"35=")
    end = data.rfind(b"\x0110=")
    body = data[start : end + 1] if 0 <= start < end else b"35=0\x01" + data + b"\x01"
    data = b"8=FIX.4.4\x019=%d\x01%b" % (len(body), body)
    return data + b"10=%03d\x01" % check_sum(data)


@st.composite
def mutated_frames(draw):
    """One frame with up to five mutations; half are sealed again and so reach a dictionary."""
    data = draw(st.sampled_from(FRAMES))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 30)))
        kind = draw(st.integers(0, 5))
        if kind == 0:  # leave something out
            data = data[:start] + data[end:]
        elif kind == 1:  # twice the same
            data = data[:end] + data[start:]
        elif kind == 2:  # something that means something
            data = data[:start] + draw(st.sampled_from(TOKENS)) + data[start:]
        elif kind == 3:  # any bytes in its place
            data = data[:start] + draw(st.binary(max_size=8)) + data[end:]
        elif kind == 4:  # a piece of another message
            other = draw(st.sampled_from(FRAMES))
            data = data[:start] + other[start:end] + data[start:]
        else:  # cut short
            data = data[:start]
    return sealed(data) if draw(st.booleans()) else data


def survive(frames: list[bytes], size: int) -> None:
    """Feed the frames in pieces of `size` bytes, and let every dictionary judge what comes out."""
    decoder = FixDecoder(MAX_MESSAGE_BYTES)
    stream = b"".join(frames) + RESTART + GOOD
    messages = []
    for start in range(0, len(stream), size):
        messages += decoder.feed(stream[start : start + size])
        assert decoder.buffered <= MAX_MESSAGE_BYTES + size
    assert messages[-1].get(112) == "good"
    assert decoder.buffered == 0
    for message in messages:
        assert message.tags[:3] == (8, 9, 35)
        for dictionary in DICTIONARIES:
            reject = dictionary.validate(message)
            assert dictionary.validate(message) == reject
            if reject is not None:
                assert reject.text.isascii()
                assert reject.text.isprintable()
                assert reject.ref_tag is None or reject.ref_tag > 0
                assert dictionary.reject_reason(reject.reason) in (None, reject.reason)
            rules = dictionary._rules.get(message.msg_type)
            assert rules is None or len(rules.shapes) <= 256


def test_mutated_messages_are_survived_and_the_next_sound_one_is_found():
    deadline = time.monotonic() + FUZZ_SECONDS
    round_number = 0
    while time.monotonic() < deadline:
        round_number += 1

        @seed(round_number)
        @settings(
            max_examples=EXAMPLES_PER_ROUND,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(mutated_frames(), min_size=1, max_size=5), st.integers(1, 700))
        def one_round(frames: list[bytes], size: int) -> None:
            survive(frames, size)

        one_round()
    print(f"{round_number} rounds of {EXAMPLES_PER_ROUND} examples")
    assert round_number
