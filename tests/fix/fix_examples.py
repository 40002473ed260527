"""One right message of every type and version, and how to make a message of a version."""

from __future__ import annotations

from protocols.fix import FixDecoder, FixMessage, encode
from protocols.fix_dictionary import FIX42, FIX44, FIX50SP2
from protocols.fix_validation import FixDictionary

NOW = "20240102-09:30:00.123"
Fields = list[tuple[object, object]]

ORDER: Fields = [
    (11, "a"),
    (55, "AAPL"),
    (54, "1"),
    (60, NOW),
    (38, "100"),
    (40, "2"),
    (44, "1.05"),
]
PARTIES: Fields = [(453, "2"), (448, "X"), (447, "D"), (452, "1"), (448, "Y"), (452, "3")]

_SESSION: dict[str, Fields] = {
    "A": [(98, "0"), (108, "30"), (141, "Y"), (95, "3"), (96, "a=b"), (384, "2"), (372, "D"),
          (385, "R"), (372, "8"), (385, "S"), (8013, "Y")],
    "0": [(112, "x")],
    "1": [(112, "x")],
    "2": [(7, "1"), (16, "0")],
    "3": [(45, "2"), (371, "55"), (372, "D"), (373, "1"), (58, "why")],
    "4": [(123, "Y"), (36, "5")],
    "5": [(58, "bye")],
    "j": [(45, "2"), (372, "AF"), (379, "a"), (380, "3"), (58, "why")],
    "B": [(42, NOW), (61, "1"), (148, "closing"), (146, "1"), (55, "AAPL"), (33, "2"),
          (58, "first line"), (58, "second line")],
}  # fmt: skip

_BOOK: Fields = [
    (268, "3"), (269, "0"), (270, "100.01"), (271, "300"), (346, "2"), (290, "1"),
    (269, "1"), (270, "100.02"), (271, "50"), (346, "1"), (290, "1"),
    (269, "2"), (270, "100.01"), (273, "09:29:59.999"),
]  # fmt: skip

EXAMPLES_44: dict[str, Fields] = {
    **_SESSION,
    "A": [*_SESSION["A"], (553, "me"), (554, "secret"), (789, "1")],
    "D": [*ORDER, (59, "0"), (18, "6 M"), (2362, "desk"), (2964, "1"), (7928, "x"), (8000, "O")],
    "F": [(41, "a"), (11, "b"), (55, "AAPL"), (54, "1"), (60, NOW), (38, "100")],
    "G": [(41, "a"), *ORDER, (8000, "N")],
    "H": [(11, "a"), (55, "AAPL"), (54, "1"), (790, "q")],
    "AF": [(584, "m"), (585, "7"), (1, "acc"), (55, "AAPL"), (54, "1")],
    "q": [(11, "a"), (530, "1"), (55, "AAPL"), (54, "1"), (60, NOW)],
    "r": [(11, "a"), (37, "5"), (530, "7"), (531, "7"), (533, "2"), (534, "2"), (41, "x"),
          (535, "3"), (41, "y"), (60, NOW)],
    "V": [(262, "r"), (263, "0"), (264, "5"), (266, "Y"), (267, "2"), (269, "0"), (269, "1"),
          (146, "2"), (55, "AAPL"), (55, "MSFT"), (207, "X")],
    "W": [(262, "r"), (55, "AAPL"), *_BOOK],
    "Y": [(262, "r"), (281, "0"), (58, "unknown symbol")],
    "x": [(320, "r"), (559, "4")],
    "y": [(320, "r"), (322, "s"), (560, "0"), (393, "2"), (146, "2"), (55, "AAPL"), (15, "USD"),
          (561, "100"), (55, "MSFT"), (58, "tick 0.01")],
    "e": [(324, "r"), (55, "AAPL"), (263, "0")],
    "f": [(324, "r"), (55, "AAPL"), (326, "17"), (31, "100.01"), (332, "101"), (333, "99")],
    "g": [(335, "r"), (263, "0")],
    "h": [(335, "r"), (336, "DAY"), (340, "2"), (58, "2 halted")],
    "8": [(37, "1"), (17, "2"), (150, "F"), (39, "1"), (55, "AAPL"), (54, "1"), (32, "5"),
          (31, "1.5"), (151, "0"), (14, "5"), (6, "1.5"), (527, "7"), (851, "1"), (103, "99"),
          (336, "DAY")],
    "9": [(37, "1"), (11, "b"), (41, "a"), (39, "0"), (434, "1"), (102, "99")],
}  # fmt: skip

_HANDLED: Fields = [(21, "1")]
EXAMPLES_42: dict[str, Fields] = {
    **{msg_type: EXAMPLES_44[msg_type] for msg_type in ("F", "V", "W", "Y", "e", "g")},
    **_SESSION,
    "j": [(45, "2"), (372, "V"), (380, "3")],
    "B": [*_SESSION["B"][:3], (146, "1"), (46, "AAPL"), *_SESSION["B"][5:]],
    "D": [*ORDER, *_HANDLED, (109, "client"), (204, "1"), (7928, "x")],
    "G": [(41, "a"), *ORDER, *_HANDLED],
    "H": [(11, "a"), (55, "AAPL"), (54, "1")],
    "f": [(324, "r"), (55, "AAPL"), (326, "17"), (327, "X"), (31, "100.01")],
    "h": [(335, "r"), (336, "DAY"), (340, "2"), (341, NOW)],
    "8": [(37, "1"), (17, "2"), (20, "0"), (150, "1"), (39, "1"), (55, "AAPL"), (54, "1"),
          (32, "5"), (31, "1.5"), (151, "0"), (14, "5"), (6, "1.5"), (382, "1"), (375, "X")],
    "9": [(37, "1"), (11, "b"), (41, "a"), (39, "0"), (434, "1"), (102, "1")],
}  # fmt: skip

EXAMPLES_50SP2: dict[str, Fields] = {
    **EXAMPLES_44,
    "A": [*EXAMPLES_44["A"], (1137, "9")],
    "3": [*_SESSION["3"][:3], (1130, "9"), (373, "18")],
    "5": [(1409, "4"), (58, "bye")],
    "D": [*EXAMPLES_44["D"], (1138, "10"), (1102, "99.5"), (1091, "Y")],
    "r": [(1369, "9"), *EXAMPLES_44["r"][:5], (534, "1"), (1824, "x"), (535, "3"), (60, NOW)],
    "W": [*EXAMPLES_44["W"][:2], (779, NOW), *EXAMPLES_44["W"][2:]],
    "y": [(320, "r"), (322, "s"), (560, "0"), (393, "1"), (893, "Y"), (146, "1"), (55, "AAPL"),
          (1205, "1"), (1206, "0"), (1208, "0.01"), (1234, "1"), (1093, "2"),
          (1231, "100"), (1148, "90"), (1149, "110"), (15, "USD")],
    "f": [(324, "r"), (55, "AAPL"), (326, "17"), (327, "1"), (31, "100.01"), (1300, "MAIN")],
    "8": [*EXAMPLES_44["8"], (880, "m"), (1328, "why"), (797, "Y")],
    "9": [*EXAMPLES_44["9"][:-1], (102, "18")],
}  # fmt: skip

EXAMPLES: list[tuple[FixDictionary, dict[str, Fields]]] = [
    (FIX42, EXAMPLES_42),
    (FIX44, EXAMPLES_44),
    (FIX50SP2, EXAMPLES_50SP2),
]
DICTIONARIES = [dictionary for dictionary, _ in EXAMPLES]
EVERY_EXAMPLE = [
    (dictionary, msg_type, fields)
    for dictionary, examples in EXAMPLES
    for msg_type, fields in examples.items()
]


def make_message(dictionary: FixDictionary, msg_type: str, fields: Fields) -> FixMessage:
    """A message with a right header, as the decoder hands it over."""
    data = encode(
        msg_type,
        fields,
        begin_string=dictionary.begin_string,
        sender="CLIENT1",
        target="EXCH",
        seq=1,
        sending_time=NOW,
    )
    return FixDecoder().feed(data)[0]


def reject_of(
    dictionary: FixDictionary, msg_type: str, fields: Fields
) -> tuple[int | None, int] | None:
    """(RefTagID, SessionRejectReason) of the Reject that a message provokes, None without one."""
    message = make_message(dictionary, msg_type, fields)
    first = dictionary.validate(message)
    assert dictionary.validate(message) == first, "a shape that was learned answers differently"
    return None if first is None else (first.ref_tag, int(first.reason))
