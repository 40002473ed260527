"""Bad input over a live gateway: each mistake gets the answer that the protocol names."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from exchange.fix_client import FixClient, new_order_single, order_cancel_request
from exchange.local import LocalExchange, local_exchange, wait_for
from protocols.fix import FixDecoder, FixMessage, encode, format_utc_timestamp

Fields = list[tuple[int, object]]


def order(name: str, **changes: object) -> Fields:
    """A good order, with some fields changed: tag44="..." and so on; None leaves a field out."""
    fields = dict(new_order_single(name, "AAPL", "1", 100, "99.00"))
    for key, value in changes.items():
        fields[int(key.removeprefix("tag"))] = value
    return [(tag, value) for tag, value in fields.items() if value is not None]


REJECTED_ORDERS = [
    # name, the order, OrdRejReason(103), what Text(58) must contain
    ("unknown symbol", order("b1", tag55="NOSUCH"), "1", ["NOSUCH", "55"]),
    ("off-grid price", order("b2", tag44="99.005"), "99", ["99.005", "0.01", "44"]),
    ("zero quantity", order("b3", tag38=0), "13", ["0", "38"]),
    ("duplicate ClOrdID", order("good"), "6", ["good", "11"]),
    ("price out of the band", order("b4", tag44="200.00"), None, ["200.00", "44", "90.00"]),
    ("quantity too large", order("b5", tag38=1_000_000), None, ["1000000", "999999", "38"]),
    ("someone else's account", order("b6", tag1="ACC2"), None, ["ACC2", "1"]),
]


async def ask(
    client: FixClient, given: list[FixMessage], msg_type: str, fields: Fields
) -> FixMessage:
    """Send a message and return the next one that comes."""
    before = len(given)
    client.send(msg_type, fields)
    await wait_for(lambda: len(given) > before, f"an answer to {msg_type} {fields}", 5)
    return given[before]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FixMessage]:
    """The answer to each mistake, all from one exchange and one session."""
    return asyncio.run(make_mistakes(tmp_path_factory.mktemp("exchange")))


async def make_mistakes(folder: Path) -> dict[str, FixMessage]:
    found: dict[str, FixMessage] = {}
    async with local_exchange(folder) as exchange:
        given: list[FixMessage] = []
        client = FixClient(
            exchange.config.addresses.fix[0], "CLIENT1", lambda m, _: given.append(m)
        )
        await client.start()
        found["good order"] = await ask(client, given, "D", order("good"))
        for name, fields, _, _ in REJECTED_ORDERS:
            found[name] = await ask(client, given, "D", fields)
        cancel = order_cancel_request("c1", "never", "AAPL", "1")
        found["cancel of an unknown order"] = await ask(client, given, "F", cancel)
        found["missing tag"] = await ask(client, given, "D", order("b7", tag54=None))
        found["price with letters"] = await ask(client, given, "D", order("b8", tag44="1e3"))
        found["unknown message"] = await ask(
            client, given, "R", [(131, "x"), (146, 1), (55, "AAPL")]
        )
        found["good order at the end"] = await ask(client, given, "D", order("good2"))
        await client.stop()
        found |= await garble(exchange)
    return found


async def garble(exchange: LocalExchange) -> dict[str, FixMessage]:
    """A frame with a wrong CheckSum uses up no number: the next good one has the same."""
    reader, writer = await asyncio.open_connection(*exchange.config.addresses.fix[0])
    decoder = FixDecoder()

    def frame(msg_type: str, seq: int, fields: Fields) -> bytes:
        return encode(
            msg_type, fields, begin_string="FIX.4.4", sender="CLIENT2", target="EXCH", seq=seq,
            sending_time=format_utc_timestamp(time.time_ns()),
        )  # fmt: skip

    async def receive() -> FixMessage:
        async with asyncio.timeout(5):
            while True:
                data = await reader.read(4096)
                assert data, "the gateway closed the connection"
                messages = decoder.feed(data)
                if messages:
                    return messages[0]

    writer.write(frame("A", 1, [(98, 0), (108, 30)]))
    assert (await receive()).msg_type == "A"
    good = frame("D", 2, order("good"))
    writer.write(good.replace(b"\x0138=100\x01", b"\x0138=900\x01"))
    writer.write(good)
    answer = await receive()
    writer.close()
    return {"garbled frame": answer}


@pytest.mark.parametrize(
    ("name", "reason", "parts"),
    [(name, reason, parts) for name, _, reason, parts in REJECTED_ORDERS],
    ids=[row[0] for row in REJECTED_ORDERS],
)
def test_a_bad_order_is_rejected_with_value_rule_and_tag(
    answers: dict[str, FixMessage], name: str, reason: str | None, parts: list[str]
) -> None:
    answer = answers[name]
    assert (answer.msg_type, answer.get(150), answer.get(39)) == ("8", "8", "8")
    if reason is not None:
        assert answer.get(103) == reason
    for part in parts:
        assert part in (answer.get(58) or ""), answer.get(58)


def test_a_cancel_of_an_unknown_order_is_rejected(answers: dict[str, FixMessage]) -> None:
    answer = answers["cancel of an unknown order"]
    assert (answer.msg_type, answer.get(434), answer.get(102)) == ("9", "1", "1")
    assert (answer.get(11), answer.get(41)) == ("c1", "never")
    assert "never" in (answer.get(58) or "")
    assert "41" in (answer.get(58) or "")


def test_a_missing_tag_is_a_session_reject_that_names_it(answers: dict[str, FixMessage]) -> None:
    answer = answers["missing tag"]
    assert (answer.msg_type, answer.get(371), answer.get(373)) == ("3", "54", "1")
    assert answer.get(372) == "D"


def test_a_price_that_is_no_number_is_a_session_reject(answers: dict[str, FixMessage]) -> None:
    answer = answers["price with letters"]
    assert (answer.msg_type, answer.get(371), answer.get(373)) == ("3", "44", "6")


def test_a_message_type_that_is_not_taken_is_a_business_reject(
    answers: dict[str, FixMessage],
) -> None:
    answer = answers["unknown message"]
    assert (answer.msg_type, answer.get(372)) == ("j", "R")
    assert answer.get(380) is not None


def test_a_garbled_frame_is_ignored_and_uses_up_no_number(answers: dict[str, FixMessage]) -> None:
    answer = answers["garbled frame"]
    assert (answer.msg_type, answer.get(150), answer.get(38)) == ("8", "0", "100")


def test_good_orders_before_and_after_all_that_are_accepted(answers: dict[str, FixMessage]) -> None:
    for name in ("good order", "good order at the end"):
        assert (answers[name].msg_type, answers[name].get(150)) == ("8", "0")
