"""Duplicate suppression, fencing, numbering and the leader's queue."""

from cluster.codec import (
    MARK_STATE,
    TOOL_PREFIX,
    ClientFrame,
    decode_batch,
    encode_batch,
    opening_frame,
    pack_commands,
)
from cluster.replica import CLIENTS_MAX, Replica
from cluster.sequencer import Sequencer
from oms.commands import (
    CommandKind,
    EnterOrder,
    LoadReferenceData,
    SetTradingState,
)
from oms.events import EventKind
from oms.reference_data import Account, Instrument, SessionDefinition

REFERENCE_DATA = LoadReferenceData(
    CommandKind.LOAD_REFERENCE_DATA,
    (Instrument("AAPL", 1, 100, 1, 1_000_000, 1000, 1_000_000),),
    (Account("ACC1", "FIRM1", 1_000_000, 10**15),),
    (SessionDefinition("CLIENT1", "ACC1"),),
)


def order(number: int) -> EnterOrder:
    return EnterOrder(
        CommandKind.ENTER_ORDER, "CLIENT1", number, "", f"o{number}", "AAPL", 1, 2, 0, 10, 990_000
    )


class Log:
    """Applies frames one entry at a time."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.index = 0
        trading = SetTradingState(CommandKind.SET_TRADING_STATE, "", 2, "")
        self.apply(ClientFrame("", 0, 0, pack_commands([REFERENCE_DATA, trading])))

    def apply(self, *frames: ClientFrame, time_ns: int = 1_000):
        self.index += 1
        return self.replica.apply(self.index, 1, encode_batch(time_ns, list(frames)))


def accepted(batch) -> list[str]:
    return [event[2] for event in batch.events if event[0] == EventKind.ORDER_ACCEPTED]


def frame(incarnation: int, first: int, *commands) -> ClientFrame:
    return ClientFrame("fix-1", incarnation, first, pack_commands(list(commands)))


def opened(incarnation: int) -> ClientFrame:
    return opening_frame("fix-1", incarnation, 1)


def test_a_command_that_is_sent_again_takes_effect_once():
    log = Log()
    log.apply(opened(7))
    assert accepted(log.apply(frame(7, 1, order(1), order(2)))) == ["o1", "o2"]
    assert accepted(log.apply(frame(7, 2, order(2), order(3)))) == ["o3"]
    assert accepted(log.apply(frame(7, 1, order(1), order(2), order(3)))) == []
    assert log.replica.clients["fix-1"].last_number == 3
    assert log.replica.duplicate_commands == 4


def test_commands_of_a_replaced_incarnation_take_no_effect():
    log = Log()
    log.apply(opened(7))
    log.apply(opened(8))
    assert accepted(log.apply(frame(7, 1, order(1)))) == []
    assert accepted(log.apply(frame(8, 1, order(2)))) == ["o2"]


def test_opening_the_same_incarnation_again_keeps_its_numbers():
    log = Log()
    log.apply(opened(7))
    log.apply(frame(7, 1, order(1)))
    log.apply(opened(7))
    assert accepted(log.apply(frame(7, 1, order(1)))) == []


def test_a_frame_behind_a_lost_one_waits_until_both_come_again():
    log = Log()
    log.apply(opened(7))
    assert accepted(log.apply(frame(7, 3, order(3)))) == []
    assert log.replica.last_gaps == ["fix-1"]
    assert accepted(log.apply(frame(7, 1, order(1), order(2), order(3)))) == ["o1", "o2", "o3"]


def test_events_are_numbered_without_gaps_and_time_never_goes_back():
    log = Log()
    first = log.replica.next_event_seq
    log.apply(opened(7))
    one = log.apply(frame(7, 1, order(1)), time_ns=5_000)
    two = log.apply(frame(7, 2, order(2)), time_ns=4_000)
    assert one.first_event_seq == first
    assert two.first_event_seq == first + len(one.events)
    assert two.time_ns == 5_000


def test_a_mark_notes_the_state_hash_at_its_place_in_the_log():
    one, two = Log(), Log()
    for log in (one, two):
        log.apply(opened(7))
        log.apply(frame(7, 1, order(1)), frame(7, 2, (MARK_STATE, "m")), frame(7, 3, order(2)))
    assert one.replica.marks["m"] == two.replica.marks["m"]
    assert one.replica.marks["m"].state_hash != one.replica.state_machine.state_hash()


def test_client_records_are_bounded_and_the_quietest_goes_first():
    log = Log()
    log.apply(opened(7))
    for number in range(CLIENTS_MAX - 1):
        log.apply(opening_frame(f"c{number}", 1, 1))
    log.apply(frame(7, 1, order(1)))
    log.apply(opening_frame("one more", 1, 1))
    assert "fix-1" in log.replica.clients
    assert "c0" not in log.replica.clients
    assert len(log.replica.clients) == CLIENTS_MAX


def test_tools_are_forgotten_before_any_gateway():
    log = Log()
    log.apply(opened(7))
    for number in range(2 * CLIENTS_MAX):
        log.apply(opening_frame(f"{TOOL_PREFIX}{number}", 1, 1))
    assert "fix-1" in log.replica.clients
    assert len(log.replica.clients) == CLIENTS_MAX


def test_a_client_that_was_forgotten_goes_on_with_its_numbers_once_it_opens_again():
    log = Log()
    log.apply(opening_frame("fix-1", 7, 5))
    assert accepted(log.apply(frame(7, 5, order(5)))) == ["o5"]
    assert accepted(log.apply(frame(7, 5, order(5)))) == []


def test_everything_that_waits_becomes_one_batch_up_to_the_bound():
    sequencer = Sequencer(max_batch_bytes=1_000, max_pending_bytes=2_000)
    frames = [ClientFrame("fix-1", 1, n, bytes(300)) for n in range(1, 8)]
    for each in frames:
        sequencer.add(each)
    assert sequencer.is_full
    batches = []
    while (payload := sequencer.take_batch(9)) is not None:
        batches.append(decode_batch(payload))
    assert [len(batch.frames) for batch in batches] == [2, 2, 2, 1]
    assert [f.first_number for batch in batches for f in batch.frames] == list(range(1, 8))
    assert sequencer.pending_bytes == 0
    assert sequencer.has_room_again


def test_a_frame_larger_than_the_bound_goes_alone():
    sequencer = Sequencer(max_batch_bytes=100, max_pending_bytes=10_000)
    for size in (500, 10):
        sequencer.add(ClientFrame("fix-1", 1, 1, bytes(size)))
    assert len(decode_batch(sequencer.take_batch(1)).frames) == 1
