"""How long our codec and simplefix take for the same messages: `python tests/fix/codec_speed.py`.

Each figure is the median CPU time of runs in which both take turns: a busy machine disturbs both
alike, and little. Decoding is from bytes to a message whose fields can be asked for; encoding a
report is from its body to bytes, as the gateway does it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import simplefix

from protocols.fix import FixDecoder, FixEncoder, check_sum

NOW = "20240102-09:30:00.123"
ROUNDS = 41
MESSAGES_PER_ROUND = 200

REQUESTS = {
    "D": "11=ORDER-%d|1=ACC-17|55=AAPL|54=1|60={now}|38=100|40=2|44=187.25|59=0|",
    "F": "41=ORDER-%d|11=CANCEL-17|55=AAPL|54=1|60={now}|38=100|",
    "G": "41=ORDER-%d|11=REPLACE-17|55=AAPL|54=1|60={now}|38=200|40=2|44=187.26|59=0|",
    "H": "11=ORDER-%d|55=AAPL|54=1|790=STATUS-17|",
}
REPORTS = {
    "8": "37=123456|11=ORDER-%d|17=9876543|150=F|39=1|1=ACC-17|55=AAPL|54=1|38=100|40=2|44=187.25|"
    "59=0|32=40|31=187.25|527=5551|851=1|151=60|14=40|6=187.25|60={now}|",
    "9": "37=123456|11=CANCEL-%d|41=ORDER-17|39=2|1=ACC-17|60={now}|434=1|102=0|"
    "58=Order ORDER-17 is filled, nothing is left to cancel|",
}


def bodies(template: str) -> list[str]:
    """Bodies that differ in one id, as those of one session do."""
    text = template.format(now=NOW).replace("|", "\x01")
    return [text % number for number in range(MESSAGES_PER_ROUND)]


def frame(msg_type: str, body: str, seq: int) -> bytes:
    """A whole message with sender and target as a client and the exchange have them."""
    rest = f"35={msg_type}\x0149=CLIENT1\x0156=EXCH\x0134={seq}\x0152={NOW}\x01{body}"
    data = f"8=FIX.4.4\x019={len(rest)}\x01{rest}".encode("ascii")
    return data + b"10=%03d\x01" % check_sum(data)


def decode_ours(frames: list[bytes]) -> None:
    decoder = FixDecoder()
    for data in frames:
        assert decoder.feed(data)[0].get(11)


def decode_simplefix(frames: list[bytes]) -> None:
    parser = simplefix.FixParser()
    for data in frames:
        parser.append_buffer(data)
        assert parser.get_message().get(11)


def encode_ours(msg_type: str, texts: list[str]) -> list[bytes]:
    encoder = FixEncoder("FIX.4.4", "EXCH", "CLIENT1")
    return [encoder.encode(msg_type, text, seq, NOW) for seq, text in enumerate(texts, 1)]


def encode_simplefix(msg_type: str, fields: list[list[tuple[str, str]]]) -> list[bytes]:
    encoded = []
    for seq, pairs in enumerate(fields, 1):
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        message.append_pair(35, msg_type)
        message.append_pair(49, "EXCH")
        message.append_pair(56, "CLIENT1")
        message.append_pair(34, seq)
        message.append_pair(52, NOW)
        for tag, value in pairs:
            message.append_pair(tag, value)
        encoded.append(message.encode())
    return encoded


def medians_us(*functions: Callable[[], object]) -> list[float]:
    """The median time of each function in us per message; they take turns."""
    times: list[list[int]] = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, measured in zip(functions, times, strict=True):
            start = time.process_time_ns()
            function()
            measured.append(time.process_time_ns() - start)
    return [statistics.median(measured) / MESSAGES_PER_ROUND / 1_000 for measured in times]


def measure() -> dict[str, dict[str, float]]:
    """`decode D` and so on -> our time, that of simplefix, and how many times faster we are."""
    figures: dict[str, dict[str, float]] = {}

    def note(what: str, ours_us: float, simplefix_us: float) -> None:
        figures[what] = {
            "ours_us": round(ours_us, 2),
            "simplefix_us": round(simplefix_us, 2),
            "times_faster": round(simplefix_us / ours_us, 1),
        }

    for msg_type, template in (REQUESTS | REPORTS).items():
        frames = [frame(msg_type, body, seq) for seq, body in enumerate(bodies(template), 1)]
        note(
            f"decode {msg_type}",
            *medians_us(lambda f=frames: decode_ours(f), lambda f=frames: decode_simplefix(f)),
        )
    for msg_type, template in REPORTS.items():
        texts = bodies(template)
        fields = [[tuple(p.split("=", 1)) for p in text[:-1].split("\x01")] for text in texts]
        assert encode_ours(msg_type, texts) == encode_simplefix(msg_type, fields)
        note(
            f"encode {msg_type}",
            *medians_us(
                lambda m=msg_type, t=texts: encode_ours(m, t),
                lambda m=msg_type, f=fields: encode_simplefix(m, f),
            ),
        )
    return figures


def main() -> None:
    figures = measure()
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(f"{'':10} {'ours':>9} {'simplefix':>10} {'faster':>8}")
    for what, row in figures.items():
        ours, theirs, times = row.values()
        print(f"{what:10} {ours:6.2f} us {theirs:7.1f} us {times:6.1f} x")


if __name__ == "__main__":
    main()
