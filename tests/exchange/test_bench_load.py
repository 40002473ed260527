"""The load of the bench: its flow, its frames, its clocks, and what its audit notices."""

from __future__ import annotations

import random
import socket
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.settings import Address
from exchange import config as configuration
from exchange.bench.audit import Audit, all_problems
from exchange.bench.driver import NS_PER_S, TICK_NS, Driver, Schedule
from exchange.bench.flow import CYCLE, MIDDLE_PRICE, MIX, QUANTITY, TICK, Flow, Kind, opposite
from exchange.bench.frames import FixFrames, OuchFrames, fix_name
from exchange.bench.market import make_market
from exchange.bench.recording import Recording
from exchange.bench.scan import FixScanner, OuchScanner
from exchange.bench.session import LoadError, LoadSession, make_session
from exchange.config_text import write_exchange_folder
from protocols import ouch50, soupbintcp
from protocols import ouch50_messages as ouch
from protocols.fix import FixDecoder, encode

SYMBOLS = ("AAPL", "MSFT", "NVDA")


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow("1/LOAD1", SYMBOLS)


# ---- the flow ----


def test_the_mix_of_a_cycle_is_exact(flow: Flow) -> None:
    found = Counter(step.kind.value for step in flow.steps)
    assert found == {kind: part * CYCLE for kind, part in MIX.items()}


def test_the_same_seed_makes_the_same_flow(flow: Flow) -> None:
    assert Flow("1/LOAD1", SYMBOLS).steps == flow.steps
    assert Flow("1/LOAD2", SYMBOLS).steps != flow.steps


def test_cancels_and_replaces_name_an_order_by_its_latest_name(flow: Flow) -> None:
    living: set[int] = set()
    for place, step in enumerate(flow.steps):
        if step.kind is Kind.NEW:
            living.add(place)
        elif step.kind is not Kind.CROSS:
            living.remove(step.target)
            assert flow.cancel_of(step.target) in (None, place)
            if step.kind is Kind.REPLACE:
                living.add(place)
    taken = 3 * round(MIX["cross"] * CYCLE)
    assert len(living) == taken, "all that is left is for the crossing orders"


def test_numbers_go_on_from_cycle_to_cycle(flow: Flow) -> None:
    number = next(n for n, step in enumerate(flow.steps) if step.kind is Kind.CANCEL)
    assert flow.step(number + 3 * CYCLE) == flow.step(number)
    assert flow.target(number + 3 * CYCLE) == flow.target(number) + 3 * CYCLE
    assert flow.cancel_of(flow.target(number)) == number
    assert flow.cancel_of(flow.target(number) + CYCLE) == number + CYCLE


@pytest.mark.parametrize("seed", range(3))
def test_crossing_orders_find_what_they_take_however_sessions_are_mixed(seed: int) -> None:
    chooser = random.Random(seed)
    flows = [Flow(f"{seed}/{n}", SYMBOLS) for n in range(3)]
    positions = [0, 0, 0]
    near: Counter[tuple[str, str]] = Counter()
    while unfinished := [n for n in range(3) if positions[n] < CYCLE]:
        number = chooser.choice(unfinished)
        step = flows[number].step(positions[number])
        positions[number] += 1
        distance = abs(step.price - MIDDLE_PRICE) // TICK
        if step.kind is Kind.CROSS:
            taken = (step.symbol, opposite(step.side))
            near[taken] -= step.quantity // QUANTITY
            assert near[taken] >= 0, "it would take an order that somebody cancels"
            assert distance == 1, "its price reaches the near orders and no further"
        elif step.kind is Kind.NEW and distance == 1:
            near[step.symbol, step.side] += 1
        else:
            assert distance > 1
    assert not any(near.values())


# ---- frames ----


def ouch_messages(frames: bytes) -> list[ouch.InboundMessage]:
    packets = soupbintcp.PacketReader(soupbintcp.Direction.CLIENT_TO_SERVER).feed(frames)
    return [ouch50.decode_inbound(payload) for _, payload in packets]


@pytest.mark.parametrize("first", [0, 1, CYCLE - 3, 5 * CYCLE - 1, 40_000 * CYCLE + 17])
def test_ouch_frames_of_any_cycle_are_what_the_flow_says(flow: Flow, first: int) -> None:
    frames = OuchFrames(flow, first + 2 * CYCLE)
    taken = ouch_messages(frames.take(first, CYCLE + 10))
    assert len(taken) == CYCLE + 10
    for number, message in enumerate(taken, first):
        step = flow.step(number)
        match message:
            case ouch.EnterOrder():
                assert step.kind in (Kind.NEW, Kind.CROSS)
                assert (message.user_ref_num, message.symbol) == (number + 1, step.symbol)
                assert (message.quantity, message.price) == (step.quantity, step.price)
            case ouch.CancelOrder():
                assert message == ouch.CancelOrder(flow.target(number) + 1, 0)
            case ouch.ReplaceOrder():
                names = (message.orig_user_ref_num, message.user_ref_num)
                assert names == (flow.target(number) + 1, number + 1)


def test_fix_frames_are_numbered_and_readable(flow: Flow, tmp_path: Path) -> None:
    frames = FixFrames(flow, "LOAD1", 1_500, tmp_path)
    messages = FixDecoder().feed(frames.take(0, 700) + frames.take(700, 800))
    frames.close()
    assert [int(m.get(34) or 0) for m in messages] == list(range(2, 1_502))
    assert [m.get(11) for m in messages] == [fix_name("LOAD1", n) for n in range(1_500)]
    kinds = {"D": (Kind.NEW, Kind.CROSS), "F": (Kind.CANCEL,), "G": (Kind.REPLACE,)}
    for number, message in enumerate(messages):
        step = flow.step(number)
        assert step.kind in kinds[message.msg_type]
        if message.msg_type != "D":
            assert message.get(41) == fix_name("LOAD1", flow.target(number))


# ---- what is looked at while the clock runs ----


def fix_message(msg_type: str, seq: int, *fields: tuple[int, object]) -> bytes:
    return encode(
        msg_type, fields, begin_string="FIX.4.4", sender="EXCH", target="LOAD1", seq=seq,
        sending_time="20260101-09:30:00.000",
    )  # fmt: skip


def fix_answers(flow: Flow, count: int) -> bytes:
    """What an exchange that accepts everything and fills nothing would say."""
    exec_types = {Kind.NEW: "0", Kind.CROSS: "0", Kind.CANCEL: "4", Kind.REPLACE: "5"}
    stream = b""
    for number in range(count):
        step = flow.step(number)
        original = fix_name("LOAD1", flow.target(number)) if step.kind is Kind.CANCEL else ""
        stream += fix_message(
            "8", number + 2, (37, number), (11, fix_name("LOAD1", number)), (41, original),
            (17, number + 1), (150, exec_types[step.kind]), (39, "0"), (55, step.symbol),
            (38, step.quantity),
        )  # fmt: skip
    return stream


def ouch_answer(flow: Flow, number: int) -> bytes:
    """Likewise."""
    step, name, target = flow.step(number), number + 1, flow.target(number) + 1
    terms = ("B" if step.side == "1" else "S", step.quantity, step.symbol, step.price, "0", "Y", 7)
    message: ouch.OutboundMessage
    if step.kind is Kind.CANCEL:
        message = ouch.OrderCanceled(1, target, 100, "U")
    elif step.kind is Kind.REPLACE:
        message = ouch.OrderReplaced(1, target, name, *terms, "A", "N", "N", "L", "BENCH")
    else:
        message = ouch.OrderAccepted(1, name, *terms, "A", "N", "N", "L", "BENCH")
    return soupbintcp.encode_sequenced_data(ouch50.encode(message))


def ouch_answers(flow: Flow, count: int) -> bytes:
    return b"".join(ouch_answer(flow, number) for number in range(count))


def cut(stream: bytes, seed: int) -> Iterator[bytes]:
    chooser = random.Random(seed)
    while stream:
        size = chooser.choice((1, 3, 150, 700))
        yield stream[:size]
        stream = stream[size:]


@pytest.mark.parametrize("seed", range(10))
def test_answers_are_counted_however_the_stream_is_cut(flow: Flow, seed: int) -> None:
    fix = FixScanner("LOAD1")
    stream = fix_message("A", 1, (98, 0), (108, 60)) + fix_answers(flow, 60)
    assert sum(fix.feed(piece) for piece in cut(stream, seed)) == 60
    assert fix.logged_on
    login = soupbintcp.encode_login_accepted("EXCH000001", 1)
    over_ouch = OuchScanner("LOAD1")
    assert sum(over_ouch.feed(piece) for piece in cut(login + ouch_answers(flow, 60), seed)) == 60
    assert over_ouch.logged_on


def test_a_question_is_settled_by_its_answer() -> None:
    fix = FixScanner("LOAD1")
    (question,) = FixDecoder().feed(fix.question(sent=10))
    assert (question.msg_type, question.get(34)) == ("1", "12")
    assert not fix.settled
    fix.feed(fix_message("0", 1, (112, question.get(112))))
    assert fix.settled


def test_a_recording_gives_back_what_came_and_when(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    pieces = [b"a" * 10, b"", b"b" * 3_000_000, b"c"]
    for piece in pieces:
        recording.add(piece)
    found = list(recording)
    assert [data for _, data in found] == pieces
    times = [time_ns for time_ns, _ in found]
    assert times == sorted(times)
    recording.close()
    assert list(tmp_path.iterdir()) == []


# ---- the clock of an open loop ----


@pytest.mark.parametrize("per_s", [1, 7, 1_999, 2_000, 2_001, 100_000, 999_983])
def test_a_request_is_due_at_the_first_tick_that_is_late_enough(per_s: int) -> None:
    schedule = Schedule(per_s, 3, start_ns=1_000)
    for number in (*range(20), 12_345, 1_000_003):
        due_ns = schedule.due_ns(number)
        assert (due_ns - 1_000) % TICK_NS == 0
        assert schedule.due(due_ns) > number
        assert schedule.due(due_ns - 1) <= number
        assert 0 <= due_ns - 1_000 - number * NS_PER_S / per_s < TICK_NS + 1


def test_every_request_is_due_at_exactly_one_session() -> None:
    schedule = Schedule(1_000, 7, start_ns=0)
    for due in (0, 1, 6, 7, 8, 100):
        assert sum(schedule.due_of(session, due) for session in range(7)) == due
    assert list(schedule.times_ns(2, 2)) == [schedule.due_ns(2), schedule.due_ns(9)]


# ---- a session and its driver against an exchange of a few lines ----


class Peer(threading.Thread):
    """Accepts one client, answers its login and what `answers` makes of each packet, and may
    hang up."""

    def __init__(self, answers: Callable[[bytes], bytes]) -> None:
        super().__init__(daemon=True)
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._server.getsockname())
        self.start()

    def run(self) -> None:
        client, _ = self._server.accept()
        reader = soupbintcp.PacketReader(soupbintcp.Direction.CLIENT_TO_SERVER)
        with client, self._server:
            while data := client.recv(1 << 16):
                for kind, payload in reader.feed(data):
                    if kind == soupbintcp.LOGIN_REQUEST:
                        client.sendall(soupbintcp.encode_login_accepted("EXCH000001", 1))
                    elif kind == soupbintcp.UNSEQUENCED_DATA:
                        answer = self._answers(payload)
                        if answer == b"hang up":
                            return
                        client.sendall(answer)


def willing(flow: Flow) -> Callable[[bytes], bytes]:
    """Accepts everything, fills nothing."""
    numbers = iter(range(1 << 30))

    def answer(payload: bytes) -> bytes:
        if isinstance(ouch50.decode_inbound(payload), ouch.AccountQuery):
            query = ouch.AccountQueryResponse(1, 1)
            return soupbintcp.encode_sequenced_data(ouch50.encode(query))
        return ouch_answer(flow, next(numbers))

    return answer


@pytest.fixture
def session(flow: Flow, tmp_path: Path) -> Iterator[LoadSession]:
    made = make_session("ouch", "LOAD1", flow, tmp_path, 500)
    yield made
    made.close()


def audited(session: LoadSession) -> Audit:
    audit = Audit(0, 1 << 62)
    audit.read([session], "ouch")
    return audit


def test_a_closed_loop_sends_everything_and_hears_everything(
    session: LoadSession, flow: Flow
) -> None:
    session.connect(Peer(willing(flow)).address)
    driver = Driver([session])
    driver.closed(7, lambda: session.answered >= 500)
    assert driver.settle(5.0)
    assert (session.sent, session.answered, session.left) == (500, 500, 0)
    audit = audited(session)
    assert (audit.all_answered, audit.lost, audit.duplicated) == (500, 0, 0)
    assert len(audit.latencies_ns) == 500
    assert min(audit.latencies_ns) > 0


def test_an_open_loop_sends_at_its_rate(session: LoadSession, flow: Flow) -> None:
    session.connect(Peer(willing(flow)).address)
    driver = Driver([session])
    begun_ns = time.perf_counter_ns()
    driver.opened(1_000, begun_ns + NS_PER_S // 5)
    assert driver.settle(5.0)
    assert 150 <= session.sent <= 201
    assert len(session.sent_ns) == session.sent
    assert session.sent_ns[100] - session.sent_ns[0] == 100_000_000
    assert audited(session).problems == []


def test_a_connection_that_ends_is_told_and_not_waited_for(session: LoadSession) -> None:
    session.connect(Peer(lambda payload: b"hang up").address)
    with pytest.raises(LoadError, match="LOAD1: "):
        Driver([session]).closed(7, lambda: False)


# ---- the audit ----


def told(session: LoadSession, stream: bytes) -> Audit:
    """The audit of a session that sent 60 requests and was told this."""
    session.sent = 60
    session.sent_ns = array("q", range(60))
    session.recording.add(stream)
    return audited(session)


def test_nothing_is_wrong_where_each_request_has_its_answer(
    session: LoadSession, flow: Flow
) -> None:
    audit = told(session, ouch_answers(flow, 60))
    assert (audit.lost, audit.duplicated, all_problems(audit)) == (0, 0, [])
    assert audit.mix.total() == 60


def test_a_lost_answer_is_noticed(session: LoadSession, flow: Flow) -> None:
    audit = told(session, ouch_answers(flow, 59))
    assert (audit.lost, audit.duplicated, audit.problem_count) == (1, 0, 1)


def test_an_answer_that_comes_twice_is_noticed(session: LoadSession, flow: Flow) -> None:
    audit = told(session, ouch_answers(flow, 60) + ouch_answer(flow, 3))
    assert (audit.lost, audit.duplicated) == (0, 1)


def executed(user_ref_num: int, quantity: int, match_number: int) -> bytes:
    message = ouch.OrderExecuted(1, user_ref_num, quantity, MIDDLE_PRICE, "A", match_number)
    return soupbintcp.encode_sequenced_data(ouch50.encode(message))


def places(flow: Flow, side: str) -> list[int]:
    """UserRefNums of early new orders of one side in one symbol."""
    return [
        place + 1
        for place, step in enumerate(flow.steps[:60])
        if step.kind is Kind.NEW and (step.symbol, step.side) == ("AAPL", side)
    ]


def test_a_trade_needs_two_sides_that_agree(session: LoadSession, flow: Flow) -> None:
    buys, sells = places(flow, "1"), places(flow, "2")
    stream = ouch_answers(flow, 60)
    stream += executed(buys[0], 100, 1) + executed(sells[0], 100, 1)
    stream += executed(buys[1], 60, 2) + executed(sells[1], 50, 2)
    stream += executed(buys[2], 100, 3)
    audit = told(session, stream)
    assert audit.executions == 5
    assert [problem.split(":")[0] for problem in audit.problems] == ["match 2", "match 3"]


def test_an_order_that_is_filled_twice_is_noticed(session: LoadSession, flow: Flow) -> None:
    buy, sells = places(flow, "1")[0], places(flow, "2")
    stream = ouch_answers(flow, 60)
    stream += executed(buy, 100, 1) + executed(sells[0], 100, 1)
    stream += executed(buy, 100, 2) + executed(sells[1], 100, 2)
    audit = told(session, stream)
    assert audit.problem_count == 1
    assert "is filled with 200" in audit.problems[0]


def test_answers_over_fix_are_audited_likewise(flow: Flow, tmp_path: Path) -> None:
    session = make_session("fix", "LOAD1", flow, tmp_path, 60)
    session.sent, session.sent_ns = 60, array("q", range(60))
    session.recording.add(fix_answers(flow, 60))
    audit = Audit(0, 1 << 62)
    audit.read([session], "fix")
    assert (audit.lost, audit.duplicated, all_problems(audit)) == (0, 0, [])
    session.close()


# ---- the market ----


@pytest.mark.parametrize("entry", ["fix", "ouch"])
def test_a_market_has_its_clients_symbols_and_gateways(entry: str, tmp_path: Path) -> None:
    market = make_market(entry, clients=64, symbols=100, gateways=2)
    path = write_exchange_folder(tmp_path / "x", changes=market.changes, more=market.more)
    config = configuration.load(path)
    listed = {item.symbol for item in config.instruments}
    assert len(set(market.symbols)) == 100
    assert listed >= set(market.symbols)
    if entry == "fix":
        by_name = {item.comp_id: item.gateway for item in config.fix_sessions}
        assert [by_name[name] for name in market.clients[:4]] == [1, 2, 1, 2]
        assert len(config.addresses.fix) == len(config.addresses.fix_http) == 2
    else:
        assert {item.username for item in config.ouch_users} >= set(market.clients)
        assert len(config.addresses.ouch) == 2
