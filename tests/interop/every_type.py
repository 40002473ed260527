"""One message of each ITCH type with random fields, made by our encoder."""

from __future__ import annotations

import random
import string

from protocols import itch50


def every_type(chance: random.Random) -> list[bytes]:
    """A message of each type; System Event is the last and never C, which ends what is read.

    The bytes behind the type are letters, so every field has a value, and decoding and encoding
    must give them back.
    """
    messages = []
    for code, length in itch50.LENGTHS.items():
        letters = "".join(chance.choices(string.ascii_uppercase.replace("C", ""), k=length - 1))
        raw = (code + letters).encode("ascii")
        messages.append(itch50.encode(itch50.decode(raw)))
        assert messages[-1] == raw
    return messages
