"""Passwords: what a hash is, what a check costs, and who is let in."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from fake_cluster import FakeCluster
from test_fix_gateway import settings_for, until

from exchange.fix_client import FixClient
from gateway.fix.passwords import (
    MAX_CHECKS,
    MAX_CHECKS_PER_CLIENT,
    MEMORY_S,
    PasswordChecks,
    PasswordHash,
    hash_password,
)
from gateway.fix.server import FixGateway
from protocols.fix import NS_PER_SECOND, FixEncoder, encode_body, format_utc_timestamp

RFC_7914 = (
    "scrypt$16384$8$1$536f6469756d43686c6f72696465$"
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
)
CHEAP = "scrypt$16$1$1$000102030405060708090a0b0c0d0e0f$" + "00" * 32


def test_a_hash_is_the_one_of_the_rfc() -> None:
    stored = PasswordHash.parse(RFC_7914)
    assert stored.fits("pleaseletmein")
    assert not stored.fits("pleaseletmeout")
    assert str(stored) == RFC_7914


def test_a_password_has_another_hash_each_time_and_fits_them_all() -> None:
    first, second = hash_password("secret"), hash_password("secret")
    assert first != second
    for stored in (first, second):
        read_again = PasswordHash.parse(str(stored))
        assert read_again == stored
        assert read_again.fits("secret")
        assert not read_again.fits("Secret")
        assert not read_again.fits("")


@pytest.mark.parametrize("password", ["", "x" * 129, "secr\u00e9t", "two\nlines", "a\x01b"])
def test_a_password_that_no_engine_could_send_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="a password"):
        hash_password(password)


@pytest.mark.parametrize(
    "text",
    [
        "", "secret", CHEAP + "00", CHEAP[:-2], CHEAP + "$1",
        CHEAP.replace("scrypt", "bcrypt"),
        CHEAP.replace("$16$", "$15$"), CHEAP.replace("$16$", "$0$"), CHEAP.replace("$16$", "$-16$"),
        CHEAP.replace("$16$1$", "$1048576$8$"), CHEAP.replace("$1$1$", "$1$17$"),
        CHEAP.replace("$1$1$", "$0$1$"), CHEAP.replace("$0001", "$zz01"),
        CHEAP.replace("0001020304050607", "").replace("08090a0b0c0d0e0f", "08"),
    ],
)  # fmt: skip
def test_a_hash_that_is_none_or_would_cost_too_much_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        PasswordHash.parse(text)


class Checks:
    """PasswordChecks whose threads do something when the test says so."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.waiting = []
        self.verdicts = []
        self.checks = PasswordChecks(
            lambda: self.now_ns, lambda work, done: self.waiting.append((work, done))
        )

    def start(self, comp_id: str, password: str, address: str = "192.0.2.1") -> bool:
        stored = PasswordHash.parse(CHEAP)
        return self.checks.start(comp_id, address, stored, password, self.verdicts.append)

    def finish(self, verdict: bool) -> None:
        _, done = self.waiting.pop(0)
        done(verdict)


def test_a_right_password_is_known_for_an_hour() -> None:
    one = Checks()
    assert not one.checks.knows("A", "right")
    assert not one.checks.knows("A", "")
    assert one.start("A", "right")
    one.finish(True)
    assert one.verdicts == [True]
    assert one.checks.knows("A", "right")
    assert not one.checks.knows("A", "wrong")
    assert not one.checks.knows("B", "right")
    one.now_ns = MEMORY_S * NS_PER_SECOND
    assert not one.checks.knows("A", "right")


def test_a_wrong_password_is_not_remembered_and_forgets_nothing() -> None:
    one = Checks()
    one.start("A", "right")
    one.finish(True)
    one.start("A", "wrong")
    one.finish(False)
    assert not one.checks.knows("A", "wrong")
    assert one.checks.knows("A", "right")


def test_checks_under_way_have_a_bound_of_a_client_and_of_all() -> None:
    one = Checks()
    for _ in range(MAX_CHECKS_PER_CLIENT):
        assert one.start("A", "guess")
    assert not one.start("A", "guess")
    assert one.start("A", "right", "192.0.2.2")  # who guesses does not keep out the client
    assert one.start("B", "right")
    for number in range(MAX_CHECKS - one.checks.under_way):
        assert one.start(f"C{number}", "right")
    assert not one.start("D", "right")
    one.finish(False)
    assert one.start("A", "guess")
    assert not one.start("D", "x" * 200)  # nobody's password
    while one.waiting:
        one.finish(False)
    assert one.checks.under_way == 0
    assert not one.checks._under_way, "addresses are not remembered"


# ---- over sockets ----


def with_hash(tmp_path, password: str):
    settings = settings_for(tmp_path)
    stored = hash_password(password)
    sessions = {
        comp_id: dataclasses.replace(session, password_hash=stored)
        for comp_id, session in settings.sessions.items()
    }
    return dataclasses.replace(settings, sessions=sessions)


async def answer_to_logon(address, comp_id: str, password: str | None) -> bytes:
    """What comes until the exchange closes, or the first message."""
    reader, writer = await asyncio.open_connection(*address)
    fields = [(98, 0), (108, 30)] + ([(554, password)] if password is not None else [])
    encoder = FixEncoder("FIX.4.4", comp_id, "EXCH")
    now = format_utc_timestamp(time.time_ns())
    writer.write(encoder.encode("A", encode_body(fields), 1, now))
    async with asyncio.timeout(10):
        answer = await reader.read(4_096)
    writer.close()
    return answer


async def test_only_who_knows_the_password_is_let_in_and_others_hear_nothing(
    tmp_path, caplog
) -> None:
    gateway = FixGateway(
        with_hash(tmp_path, "secret"), cluster=FakeCluster(is_automatic=True).client
    )
    await gateway.start()
    try:
        for wrong in ("Secret", "", None, "x" * 500):
            assert await answer_to_logon(gateway.address, "CLIENT1", wrong) == b""
        assert "the password is not that of CLIENT1" in caplog.text
        assert "secret" not in caplog.text.lower().replace("the password is not that of", "")
        assert b"\x0135=A\x01" in await answer_to_logon(gateway.address, "CLIENT1", "secret")
        facts = {row["comp_id"]: row for row in gateway._fix.session_facts()}
        assert facts["CLIENT1"]["next_out"] == 2  # the refused ones used up no number
    finally:
        await gateway.close()


async def test_a_client_gets_in_while_somebody_guesses_at_another(tmp_path) -> None:
    gateway = FixGateway(
        with_hash(tmp_path, "secret"), cluster=FakeCluster(is_automatic=True).client
    )
    await gateway.start()
    try:
        guesses = [
            asyncio.create_task(answer_to_logon(gateway.address, "CLIENT2", f"guess {number}"))
            for number in range(40)
        ]
        client = FixClient(
            gateway.address,
            "CLIENT1",
            lambda message, received_ns: None,
            username="one",
            password="secret",
        )
        await client.start()
        client.drop_connection()
        await until(lambda: not client.is_logged_on, "the connection is gone")
        await client.wait_logged_on()  # known by now
        assert await asyncio.gather(*guesses) == [b""] * 40
        assert gateway._fix.counters.connections_refused == 40
        await client.stop()
    finally:
        await gateway.close()
