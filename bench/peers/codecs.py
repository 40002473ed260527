"""FIX codecs: the same NewOrderSingle read and written by ours, by simplefix and by QuickFIX."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import simplefix

from protocols.fix import FixDecoder, FixEncoder, encode_body

_ROUNDS: Final = 20_000
_TIMES: Final = 3
_NOW: Final = "20260101-09:30:00.000"
_FIELDS: Final[list[tuple[int, object]]] = [
    (11, "CLIENT1-123456"), (55, "AAPL"), (54, "1"), (60, _NOW),
    (38, 100), (40, "2"), (44, "187.25"), (59, "0"),
]  # fmt: skip
_READ: Final = (11, 55, 54, 38, 40, 44, 59)
"""What a gateway looks at."""
_SAID: Final = ["CLIENT1-123456", "AAPL", "1", "100", "2", "187.25", "0"]


def measure_codecs() -> list[dict[str, Any]]:
    """[{"name", "version", "decode_us", "encode_us"}], or {"name", "not_measured": why}."""
    return [_ours(), _simplefix(), _quickfix()]


def _ours() -> dict[str, Any]:
    encoder = FixEncoder("FIX.4.4", "CLIENT1", "EXCH")

    def write() -> bytes:
        return encoder.encode("D", encode_body(_FIELDS), 7, _NOW)

    frame = write()

    def read() -> list[str | None]:
        (message,) = FixDecoder().feed(frame)
        return [message.get(tag) for tag in _READ]

    return _figures("this exchange", "", read, write)


def _simplefix() -> dict[str, Any]:
    def write() -> bytes:
        message = simplefix.FixMessage()
        header = [(8, "FIX.4.4"), (35, "D"), (49, "CLIENT1"), (56, "EXCH"), (34, 7), (52, _NOW)]
        for tag, value in [*header, *_FIELDS]:
            message.append_pair(tag, value)
        return bytes(message.encode())

    frame = write()

    def read() -> list[str | None]:
        parser = simplefix.FixParser()
        parser.append_buffer(frame)
        message = parser.get_message()
        return [message.get(tag).decode() for tag in _READ]

    return _figures("simplefix", version("simplefix"), read, write)


def _quickfix() -> dict[str, Any]:
    try:
        quickfix: Any = import_module("quickfix")
    except ImportError:
        return {"name": "QuickFIX", "not_measured": "pip install quickfix (needs g++ and minutes)"}

    def write() -> bytes:
        message = quickfix.Message()
        header = message.getHeader()
        for tag, text in [(8, "FIX.4.4"), (35, "D"), (49, "CLIENT1"), (56, "EXCH"), (52, _NOW)]:
            header.setField(tag, text)
        header.setField(34, "7")
        for number, value in _FIELDS:
            message.setField(number, str(value))
        return bytes(message.toString().encode())

    text = write().decode()

    def read() -> list[str | None]:
        message = quickfix.Message(text, False)
        return [message.getField(tag) for tag in _READ]

    try:
        released = version("quickfix")
    except PackageNotFoundError:
        released = ""
    return _figures("QuickFIX", released, read, write)


def _figures(
    name: str, released: str, read: Callable[[], list[str | None]], write: Callable[[], bytes]
) -> dict[str, Any]:
    assert read() == _SAID, f"{name} reads {read()}"
    decode_us, encode_us = _best_us(read), _best_us(write)
    return {"name": name, "version": released, "decode_us": decode_us, "encode_us": encode_us}


def _best_us(work: Callable[[], object]) -> float:
    """CPU time of one call: the best of several rounds, since others may be at work."""
    best_s = float("inf")
    for _ in range(_TIMES):
        begun_s = time.process_time()
        for _ in range(_ROUNDS):
            work()
        best_s = min(best_s, time.process_time() - begun_s)
    return round(1e6 * best_s / _ROUNDS, 2)
