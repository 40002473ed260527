"""Generated order messages: what simplefix reads and writes, we read and write, byte for byte.

A run takes 100,000 messages; FIX_MESSAGES=2000000 takes more. The generator is seeded, so a failure
names the seed and the number of the message.
"""

from __future__ import annotations

import os
import random

import pytest
import simplefix

from protocols.fix import FixDecoder, FixEncoder, check_sum, encode_body

MESSAGES = int(os.environ.get("FIX_MESSAGES", "100000"))
SEEDS = range(1, 5)
NOW = "20240102-09:30:00.123"
ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/"
TEXT_CHARACTERS = [chr(code) for code in range(0x20, 0x100) if not 0x7F <= code <= 0xA0]


class Generator:
    """Messages as (MsgType, fields of the body), with all that an order message may contain."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def message(self) -> tuple[str, list[tuple[int, str]]]:
        rng = self._random
        msg_type = rng.choice("DFGH89")
        fields = [field for field in getattr(self, f"_{msg_type}")() if rng.random() < 0.95]
        if rng.random() < 0.1:
            rng.shuffle(fields)
        if rng.random() < 0.05:
            fields += self._parties()
        if rng.random() < 0.05:
            fields.append((58, "".join(rng.choices(TEXT_CHARACTERS, k=rng.randint(1, 60)))))
        if rng.random() < 0.02:
            data = "".join(
                rng.choices(["a", "\x01", "=", "10=000\x01", "\xff"], k=rng.randint(1, 9))
            )
            fields += [(354, str(len(data))), (355, data)]
        return msg_type, fields

    def cuts(self, length: int) -> list[int]:
        """Where a stream is cut: nowhere, between all bytes, or at a few places."""
        kind = self._random.random()
        if kind < 0.8:
            return [length]
        if kind < 0.82:
            return list(range(1, length + 1))
        return [*sorted(self._random.sample(range(1, length), 4)), length]

    def _id(self) -> str:
        return "".join(self._random.choices(ID_CHARACTERS, k=self._random.randint(1, 20)))

    def _price(self) -> str:
        decimals = self._random.randint(0, 4)
        return f"{self._random.randint(0, 10**9) / 10**4:.{decimals}f}"

    def _quantity(self) -> str:
        return str(self._random.randint(1, 10 ** self._random.randint(1, 9)))

    def _order(self) -> list[tuple[int, str]]:
        rng = self._random
        return [
            (1, self._id()),
            (55, rng.choice(["AAPL", "MSFT", "BRK.B", "A"])),
            (54, rng.choice("125")),
            (60, NOW),
            (38, self._quantity()),
            (40, rng.choice("1234KP")),
            (44, self._price()),
            (59, rng.choice("01346")),
        ]

    def _parties(self) -> list[tuple[int, str]]:
        count = self._random.randint(0, 3)
        entry = [(448, self._id()), (447, "D"), (452, str(self._random.randint(1, 99)))]
        return [(453, str(count)), *(entry * count)]

    def _D(self) -> list[tuple[int, str]]:
        return [(11, self._id()), *self._order()]

    def _F(self) -> list[tuple[int, str]]:
        return [(41, self._id()), (11, self._id()), *self._order()[:5]]

    def _G(self) -> list[tuple[int, str]]:
        return [(41, self._id()), *self._D()]

    def _H(self) -> list[tuple[int, str]]:
        return [(11, self._id()), *self._order()[1:3], (790, self._id())]

    def _8(self) -> list[tuple[int, str]]:
        return [
            (37, self._quantity()),
            (11, self._id()),
            (17, self._quantity()),
            (150, self._random.choice("045F8")),
            (39, self._random.choice("01248")),
            *self._order(),
            (32, self._quantity()),
            (31, self._price()),
            (151, self._quantity()),
            (14, self._quantity()),
            (6, self._price()),
        ]

    def _9(self) -> list[tuple[int, str]]:
        return [(37, self._quantity()), *self._F()[:2], (39, "0"), (434, "1"), (102, "1")]


def written_by_simplefix(msg_type, fields, seq):
    message = simplefix.FixMessage()
    header = [(8, "FIX.4.4"), (35, msg_type), (49, "CLIENT1"), (56, "EXCH"), (34, seq), (52, NOW)]
    for tag, value in header:
        message.append_pair(tag, value)
    for tag, value in fields:
        message.append_pair(tag, value.encode("latin-1"))
    return message.encode()


def read_by_simplefix(stream, cuts):
    parser = simplefix.FixParser()
    messages = []
    start = 0
    for end in cuts:
        parser.append_buffer(stream[start:end])
        start = end
        while (message := parser.get_message()) is not None:
            pairs = [(int(tag), value.decode("latin-1")) for tag, value in message.pairs]
            messages.append(pairs)
    return messages


def read_by_us(stream, cuts):
    decoder = FixDecoder()
    messages = []
    start = 0
    for end in cuts:
        messages += [message.fields for message in decoder.feed(stream[start:end])]
        start = end
    assert (decoder.garbled, decoder.buffered) == (0, 0)
    return messages


@pytest.mark.parametrize("seed", SEEDS)
def test_both_write_and_read_the_same(seed):
    generator = Generator(seed)
    encoder = FixEncoder("FIX.4.4", "CLIENT1", "EXCH")
    messages_per_stream = 10
    for number in range(MESSAGES // len(SEEDS) // messages_per_stream):
        stream = b""
        for seq in range(1, messages_per_stream + 1):
            msg_type, fields = generator.message()
            data = encoder.encode(msg_type, encode_body(fields), seq, NOW)
            assert data == written_by_simplefix(msg_type, fields, seq), (seed, number, seq)
            stream += data
        cuts = generator.cuts(len(stream))
        ours = read_by_us(stream, cuts)
        assert len(ours) == messages_per_stream, (seed, number)
        if b"\x01355=" in stream:  # see the test below
            cuts = [len(stream)]
        assert ours == read_by_simplefix(stream, cuts), (seed, number)


def test_simplefix_loses_data_that_is_cut_before_its_last_soh():
    data = sealed(BODY + b"354=3\x01355=a\x01b\x01")
    end_of_data = data.index(b"a\x01b") + 3
    cuts = [end_of_data, len(data)]
    with pytest.raises(simplefix.errors.TagNotNumberError):
        read_by_simplefix(data, cuts)
    assert read_by_us(data, cuts) == read_by_simplefix(data, [len(data)])


def sealed(body: bytes, begin: bytes = b"8=FIX.4.4\x01") -> bytes:
    """A message with a right BodyLength and CheckSum, whatever stands between them."""
    data = begin + b"9=%d\x01" % len(body) + body
    return data + b"10=%03d\x01" % check_sum(data)


BODY = b"35=0\x0149=A\x0156=B\x0134=1\x0152=20240102-09:30:00\x01"
GOOD = sealed(BODY)
ACCEPTED_BY_SIMPLEFIX = {
    "a wrong CheckSum": GOOD[:-4] + b"000\x01",
    "a CheckSum that is no number": GOOD[:-4] + b"x=y\x01",
    "a CheckSum of one digit": sealed(BODY)[:-4] + b"7\x01",
    "a BodyLength that is too small": GOOD.replace(b"\x019=4", b"\x019=3", 1),
    "a BodyLength that is too large": GOOD.replace(b"\x019=4", b"\x019=5", 1),
    "a BodyLength that is no number": GOOD.replace(b"\x019=4", b"\x019=x", 1),
    "no BodyLength": b"8=FIX.4.4\x01" + BODY + b"10=000\x01",
    "no MsgType": sealed(BODY[5:]),
    "a MsgType that is not third": sealed(BODY[5:] + b"35=0\x01"),
    "a BeginString of something else": sealed(BODY, b"8=FAX.4.4\x01"),
    "a BeginString without a value": sealed(BODY, b"8=\x01").replace(b"8=\x01", b"8= \x01", 1),
    "nothing but a beginning and an end": b"8=FIX.4.4\x0110=000\x01",
    "a flipped bit in a quantity": sealed(BODY + b"38=100\x01").replace(b"38=100", b"38=900"),
}


@pytest.mark.parametrize("what", ACCEPTED_BY_SIMPLEFIX)
def test_simplefix_accepts_what_we_count_as_garbled(what):
    garbage = ACCEPTED_BY_SIMPLEFIX[what]
    parser = simplefix.FixParser()
    parser.append_buffer(garbage)
    assert parser.get_message() is not None, "simplefix has become stricter"
    decoder = FixDecoder()
    assert decoder.feed(garbage) == []
    assert [message.msg_type for message in decoder.feed(GOOD)] == ["0"]
    assert decoder.garbled == 1


READ_AS_ANOTHER_TAG = [b"+38=1", b" 38=1", b"038=1", b"3_8=1", b"38 =1"]
FATAL_TO_SIMPLEFIX = [b"nonsense=1", b"=1", b"1.5=1"]


@pytest.mark.parametrize("field", READ_AS_ANOTHER_TAG)
def test_what_is_no_tag_number_is_not_taken_for_one(field):
    data = sealed(BODY + field + b"\x01")
    ((_, theirs),) = [field for field in read_by_simplefix(data, [len(data)])[0] if field[0] == 38]
    assert theirs == "1"
    message = FixDecoder().feed(data)[0]
    assert message.get(38) is None
    assert (0, field.decode()) in message.fields


@pytest.mark.parametrize("field", FATAL_TO_SIMPLEFIX)
def test_we_never_raise(field):
    data = sealed(BODY + field + b"\x01")
    parser = simplefix.FixParser()
    parser.append_buffer(data)
    with pytest.raises(simplefix.errors.ParsingError):
        parser.get_message()
    decoder = FixDecoder()
    message = decoder.feed(data)[0]
    assert (0, field.decode()) in message.fields
    assert [m.msg_type for m in decoder.feed(GOOD)] == ["0"]
