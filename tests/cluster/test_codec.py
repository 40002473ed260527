"""Frames, commands and raft messages: what is accepted; nonsense only raises CodecError."""

import contextlib
import struct

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import codec, submission
from cluster.codec import CodecError, FrameReader
from oms.commands import CommandKind, EnterOrder
from oms.version import RULES_VERSION

ORDER = EnterOrder(CommandKind.ENTER_ORDER, "CLIENT1", 2, "", "1", "AAPL", 1, 2, 0, 100, 1_000_000)
APPEND = {
    "type": "append_entries",
    "term": 2,
    "commit_index": 1,
    "entries": ((b"x", 2, 2), (b"y", 3, 2)),
    "prevLogIdx": 1,
    "prevLogTerm": 0,
}


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 20))
def test_frames_come_out_whole_however_the_stream_is_cut(bodies, step):
    stream = b"".join(struct.pack(">I", len(body)) + body for body in bodies)
    reader = FrameReader(50)
    found = []
    for at in range(0, len(stream), step):
        found += reader.feed(stream[at : at + step])
    assert found == bodies


@pytest.mark.parametrize("length", [0, 51, 0xFFFFFFFF])
def test_a_frame_of_no_or_too_great_length_is_refused(length):
    with pytest.raises(CodecError, match="frame of"):
        list(FrameReader(50).feed(struct.pack(">I", length)))


def test_a_command_goes_through_the_log_unchanged():
    blob = codec.pack_commands([ORDER, ORDER])
    assert submission.check_commands(blob) == 2
    assert codec.unpack_commands(blob) == (tuple(ORDER), tuple(ORDER))
    frame = codec.ClientFrame("fix-1", 5, 1, blob)
    batch = codec.decode_batch(codec.encode_batch(77, [frame]))
    assert batch == (77, (frame,))


NUMBERED = [
    (CommandKind.ENTER_NUMBERED_ORDER, "OUCH1", 0, 1, "AAPL", 1, 2, 0, 5, 100, 0, 0, "", b"O"),
    (CommandKind.ENTER_NUMBERED_ORDER, "OUCH1", 0, 2, "AAPL", 1, 2, 0, 5, 100, 0, 7, 3, b"O"),
    (CommandKind.REPLACE_NUMBERED_ORDER, "OUCH1", 0, 1, 3, 0, 5, 100, 2, 0, "", b"U"),
    (CommandKind.REDUCE_NUMBERED_ORDER, "OUCH1", 0, 1, 0),
    (CommandKind.MODIFY_NUMBERED_ORDER, "OUCH1", 0, 1, 2, 50),
    (CommandKind.MASS_CANCEL, "OUCH1", 0, 4, "", 0, 0, -1, 0, "", b"C"),
    (CommandKind.SET_ORDER_ENTRY, "OUCH1", 0, 5, False, 0, "", b"D"),
    (CommandKind.QUERY_NUMBERS, "OUCH1", 0),
]


QUERIES = [
    (CommandKind.CANCEL_ORDERS, "CLIENT1", 5, "M1", "AAPL", 0),
    (CommandKind.QUERY_ORDERS, "CLIENT1", 5, "R1", "", 2, 17),
    (CommandKind.QUERY_INSTRUMENTS, "CLIENT1", 5, "R1", ""),
    (CommandKind.QUERY_INSTRUMENT_STATUS, "CLIENT1", 5, "R1", "AAPL"),
    (CommandKind.QUERY_MARKET_STATUS, "CLIENT1", 5, "R1"),
    (CommandKind.QUERY_BOOK, "CLIENT1", 5, "R1", "AAPL", -1),
]


@pytest.mark.parametrize("command", NUMBERED + QUERIES, ids=lambda command: command[0].name)
def test_a_command_comes_out_as_it_went_in_and_another_type_does_not_go_in(command):
    blob = codec.pack_commands([command])
    assert submission.check_commands(blob) == 1
    assert codec.unpack_commands(blob) == (command,)
    wrong = (*command[:2], "0", *command[3:])
    with pytest.raises(codec.CodecError, match="has fields"):
        submission.check_commands(codec.pack_commands([wrong]))


@pytest.mark.parametrize("command", QUERIES, ids=lambda command: command[0].name)
def test_every_field_of_a_query_has_its_type(command):
    for position in range(1, len(command)):
        for value in (None, 1.5, True, b"x", ("x",), "x" if position != 3 else 7):
            if type(value) is not type(command[position]):
                wrong = (*command[:position], value, *command[position + 1 :])
                with pytest.raises(CodecError, match="has fields"):
                    submission.check_commands(codec.pack_commands([wrong]))


def test_only_what_nodes_say_themselves_cannot_be_submitted():
    own = {
        CommandKind.LOAD_REFERENCE_DATA,
        CommandKind.GATEWAY_LOST,
        CommandKind.SCHEDULE_TRADING_DAY,
    }
    assert set(submission._COMMAND_CLASSES) == set(CommandKind) - own


def test_an_order_may_end_with_its_terms():
    assert (
        submission.check_commands(codec.pack_commands([ORDER, (*ORDER, ()), (*ORDER, (0, 0, 9))]))
        == 3
    )


def test_a_numbered_replace_may_leave_terms_as_they_are():
    replace = (CommandKind.REPLACE_NUMBERED_ORDER, "OUCH1", 0, 1, 2, 0, 10, 100, 2, 0, "", b"U")
    assert submission.check_commands(codec.pack_commands([(*replace, (None, None, 5))])) == 1
    with pytest.raises(CodecError):
        submission.check_commands(codec.pack_commands([(*replace, (None, "5"))]))


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [[]],
        "text",
        [tuple(ORDER)[:-1]],
        [(*ORDER, 1)],
        [(*ORDER, (0,) * 12)],
        [(*ORDER, ("1",))],
        [(*ORDER, (True,))],
        [(*ORDER, (None,))],
        [(*ORDER, (1,), (1,))],
        [ORDER._replace(quantity="100")],
        [ORDER._replace(quantity=True)],
        [ORDER._replace(price=1.5)],
        [(CommandKind.LOAD_REFERENCE_DATA, (), (), ())],
        [(CommandKind.GATEWAY_LOST, "fix-1")],
        [(99,)],
        [("1",)],
        [None],
    ],
)
def test_a_command_with_other_field_types_never_reaches_the_log(commands):
    with pytest.raises(CodecError):
        submission.check_commands(codec.pack(commands))


def test_a_mark_is_for_tools_and_comes_alone():
    mark = (codec.MARK_STATE, "m")
    assert submission.check_commands(codec.pack_commands([mark]), may_mark=True) == 1
    for commands, may_mark in (([mark], False), ([mark, mark], True), ([mark, ORDER], True)):
        with pytest.raises(CodecError, match="one at a time"):
            submission.check_commands(codec.pack_commands(commands), may_mark=may_mark)


def test_a_batch_of_another_format_or_of_other_rules_is_refused():
    newer, older = "update this node", "with the program that wrote it"
    for fields, advice in (
        ((codec.BATCH_VERSION + 1, 0, ()), newer),
        ((codec.BATCH_VERSION - 1, 0, ()), older),
        ((codec.BATCH_VERSION, RULES_VERSION + 1, 0, ()), newer),
        ((codec.BATCH_VERSION, RULES_VERSION - 1, 0, ()), older),
    ):
        with pytest.raises(CodecError, match=advice):
            codec.decode_batch(msgpack.packb(fields))


def test_raft_messages_are_read_back_as_they_were_sent():
    assert codec.decode_raft_message(msgpack.packb(APPEND)) == APPEND
    with_standby = APPEND | {"standby": "2"}
    assert codec.decode_raft_message(msgpack.packb(with_standby)) == with_standby


@pytest.mark.parametrize(
    "change",
    [
        {"type": "apply_command"},
        {"type": "timeout_now"},
        {"term": "2"},
        {"term": True},
        {"entries": ((b"x", 2),)},
        {"entries": ((b"x", 3, 2),)},
        {"entries": (("x", 2, 2),)},
        {"serialized": b""},
        {"transmission": "start"},
    ],
)
def test_a_raft_message_of_another_shape_is_refused(change):
    with pytest.raises(CodecError):
        codec.decode_raft_message(msgpack.packb(APPEND | change))


def test_a_raft_message_that_lacks_a_field_is_refused():
    for name in APPEND:
        message = {key: value for key, value in APPEND.items() if key != name}
        with pytest.raises(CodecError):
            codec.decode_raft_message(msgpack.packb(message))


OFFER = {"type": "snapshot_offer", "term": 2, "source": 7, "index": 50, "snapshot_term": 1}
REQUEST = {
    "type": "snapshot_request",
    "term": 2,
    "source": 7,
    "index": 50,
    "file": -1,
    "offset": 0,
}
FILES = {
    "type": "snapshot_files",
    "source": 7,
    "index": 50,
    "files": (("events", "e", 1), ("snapshots", "00000000000000000050.snapshot", 9)),
}
CHUNK = {
    "type": "snapshot_chunk",
    "source": 7,
    "index": 50,
    "file": 1,
    "offset": 0,
    "crc": 7,
    "data": b"x",
}
DAMAGED = {"type": "snapshot_damaged", "index": 50}
SNAPSHOT_MESSAGES = [OFFER, REQUEST, FILES, CHUNK, DAMAGED]


@pytest.mark.parametrize("message", [*SNAPSHOT_MESSAGES, FILES | {"files": ()}])
def test_snapshot_messages_are_read_back_as_they_were_sent(message):
    assert codec.decode_raft_message(codec.pack(message)) == message


@pytest.mark.parametrize(
    ("message", "change"),
    [
        *(
            (FILES, {"files": files})
            for files in (
                "files",
                {},
                (("events", "e"),),
                (("events", "e", 1, 1),),
                (("events", "e", True),),
                (("events", "e", 1.5),),
                (("events", b"e", 1),),
                ((None, "e", 1),),
                ("abc",),
                (FILES["files"][0], 7),
            )
        ),
        (OFFER, {"index": None}),
        (OFFER, {"index": "50"}),
        (OFFER, {"snapshot_term": False}),
        (OFFER, {"path": "/etc"}),
        (REQUEST, {"offset": 0.0}),
        (REQUEST, {"file": "1"}),
        (REQUEST, {"source": None}),
        (REQUEST, {"crc": 1}),
        (DAMAGED, {"index": "50"}),
        (DAMAGED, {"term": 1}),
        (CHUNK, {"data": "x"}),
        (CHUNK, {"crc": b"1234"}),
        (CHUNK, {"files": ()}),
    ],
)
def test_a_snapshot_message_of_another_shape_is_refused(message, change):
    with pytest.raises(CodecError, match=message["type"]):
        codec.decode_raft_message(codec.pack(message | change))


@pytest.mark.parametrize("message", SNAPSHOT_MESSAGES)
def test_a_snapshot_message_that_lacks_a_field_is_refused(message):
    for name in message:
        rest = {key: value for key, value in message.items() if key != name}
        with pytest.raises(CodecError):
            codec.decode_raft_message(codec.pack(rest))


def test_a_command_of_the_journal_is_a_batch_or_the_empty_entry_of_a_leader():
    batch = codec.encode_batch(7, [])
    assert codec.batch_payload(b"\0" + batch) == batch
    assert codec.batch_payload(b"\1") is None
    assert codec.batch_payload(b"") is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.binary(max_size=200) | _VALUES.map(msgpack.packb))
def test_hostile_bytes_raise_nothing_but_codec_errors(data):
    for decode in (
        codec.decode_client_frame,
        codec.decode_node_frame,
        codec.decode_raft_message,
        submission.check_commands,
        codec.decode_batch,
    ):
        with contextlib.suppress(CodecError):
            decode(data)


@settings(max_examples=200)
@given(
    st.sampled_from(SNAPSHOT_MESSAGES),
    st.dictionaries(st.sampled_from([*OFFER, *FILES, *CHUNK]), _VALUES, max_size=2),
)
def test_a_hostile_snapshot_message_is_refused_or_has_the_types_of_its_kind(message, change):
    try:
        read = codec.decode_raft_message(codec.pack(message | change))
    except CodecError:
        return
    assert {name: type(value) for name, value in read.items()} == {
        name: type(value) for name, value in _KNOWN[read["type"]].items()
    }
    for file in read.get("files", ()):
        assert tuple(map(type, file)) == (str, str, int)


_KNOWN = {message["type"]: message for message in SNAPSHOT_MESSAGES}


def test_arrays_a_thousand_deep_are_refused_with_a_codec_error():
    deep = ()
    for _ in range(1_015):
        deep = (deep,)
    for body in ((deep,), (1, 1, "a", 1, 1, None, deep)):
        with pytest.raises(CodecError):
            codec.decode_client_frame(codec.pack(body))
    for commands in ([(deep,)], [deep]):
        with pytest.raises(CodecError):
            submission.check_commands(codec.pack(commands))
    with pytest.raises(CodecError):
        codec.decode_raft_message(codec.pack({"type": deep}))
