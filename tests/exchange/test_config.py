"""exchange.toml: every mistake is answered with the key, the value and an example."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from cluster.settings import Address, Durability, TlsSettings
from exchange.config import Config, load, parse
from exchange.config_keys import ConfigError
from exchange.config_text import default_text, write_exchange_folder
from exchange.config_warnings import warnings
from exchange.settings import (
    feed_settings,
    fix_gateway_settings,
    line_settings,
    marketdata_settings,
    node_settings,
    tls_settings,
)
from oms.events import TradingState
from oms.reference_data import Account, Instrument, SessionDefinition


def parse_text(text: str) -> Config:
    return parse(tomllib.loads(text))


HASH = "scrypt$16$1$1$000102030405060708090a0b0c0d0e0f$" + "00" * 32

MISTAKES = [
    # (the file, what the message must say)
    ("base_port = 'x'", ["base_port", "'x'", "whole number", "example"]),
    ("base_port = true", ["base_port", "True", "whole number"]),
    ("data_dir = 7", ["data_dir", "7", "path"]),
    ("log_level = 'loud'", ["log_level", "'loud'", '"debug", "info"']),
    ("durabilty = 'memory'", ["durabilty", "no such key"]),
    ("[cluster]\ndurabilty = 'memory'", ["cluster.durabilty", "did you mean durability?"]),
    ("[cluster]\ndurability = 'disk'", ["cluster.durability", "'disk'", '"majority-disk"']),
    ("[cluster]\nheartbeat_ms = 0", ["cluster.heartbeat_ms", "0", "1..1000"]),
    ("[cluster]\nheartbeat_ms = 50", ["cluster.suspect_after_ms", "100", "three times"]),
    ("[cluster]\nopening_state = 'ajar'", ["cluster.opening_state", "'ajar'", '"open"']),
    ("cluster = 3", ["cluster", "3", "not a table"]),
    ("[addresses]\nfix = '127.0.0.1'", ["addresses.fix", "host:port", "127.0.0.1:9001"]),
    ("[addresses]\nfix = 'a:0'", ["addresses.fix", "'a:0'", "port 1-65535"]),
    ("[addresses]\nfix = 'a:65536'", ["addresses.fix", "'a:65536'", "port 1-65535"]),
    ("[addresses]\nfix = 'a:\uff19'", ["addresses.fix", "host:port"]),
    (
        "[addresses]\nnode_raft = ['node1']",
        ["addresses.node_raft", "'node1' is not host:port (port 1-65535)", "node1:7001"],
    ),
    ("[addresses]\nnode_raft = ['127.0.0.1:1', '127.0.0.1:2']", ["addresses.node_raft", "1, 3"]),
    ("[addresses]\nnode_http = ['127.0.0.1:1']", ["addresses.node_http", "1 addresses", "3"]),
    ("[addresses]\nline_a = '127.0.0.1:5001'", ["addresses.line_a", "multicast", "239.10.10.1"]),
    ("[addresses]\nmulticast_interface = 'eth0'", ["multicast_interface", "'eth0'", "IPv4"]),
    ("[addresses]\nbind_host = '0.0.0.0'", ["addresses.bind_host", "TLS", "allow_plaintext"]),
    ("[tls]\nauthority = 1", ["tls.authority", "1", "path", "tls/ca.pem"]),
    ("[tls]\ncertificate = 'x'", ["tls.certificate", "did you mean certificates?"]),
    ("[tls]\nauthority = 'a'\n[fix]\ngateway_id = '../x'", ["fix.gateway_id", "'../x'", "letters"]),
    ("[marketdata]\nfeed_session = 'much too long'", ["feed_session", "1..10 ASCII letters"]),
    ("instruments = []", ["instruments", "not a list of tables"]),
    ("[[instruments]]\nlot_size = 1", ["instruments[1].symbol", "is missing"]),
    ("[[instruments]]\nsymbol = 'TOOLONGNAME'", ["instruments[1].symbol", "1..8"]),
    ("[[instruments]]\nsymbol = 'A'\ntick_size = 0.01", ["instruments[1].tick_size", "as text"]),
    ("[[instruments]]\nsymbol = 'A'\ntick_size = '0'", ["instruments[1].tick_size", "above 0"]),
    ("[[instruments]]\nsymbol = 'A'\n[[instruments]]\nsymbol = 'A'", ["instruments[2]", "twice"]),
    ("[[fix_sessions]]\ncomp_id = 'A=B'\naccount = 'ACC1'", ["fix_sessions[1].comp_id", "'A=B'"]),
    (
        "[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\ngateway = 2",
        ["fix_sessions.X.gateway", "2 is not a FIX gateway 1..1"],
    ),
    (
        "[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\npassword_hash = 'secret'",
        ["fix_sessions[1].password_hash", "'secret'", "exchange hash-password"],
    ),
    (
        f"[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\npassword = 'x'\n"
        f"password_hash = '{HASH}'",
        ["fix_sessions.X.password", "password_hash is set, too"],
    ),
    (
        "[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\nallowed_addresses = ['10.0.0.1/8']",
        ["fix_sessions[1].allowed_addresses", "'10.0.0.1/8'", "10.0.0.0/8"],
    ),
    (
        "[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\nallowed_addresses = ['example.com']",
        ["fix_sessions[1].allowed_addresses", "'example.com'", "network"],
    ),
    ("[fix]\ntls_certificate = 'c'", ["fix.tls_key", "fix.tls_certificate is set"]),
    ("[fix]\ntls_key = 'k'", ["fix.tls_certificate", "fix.tls_key is set"]),
    ("[fix]\ntls_client_authority = 'a'", ["fix.tls_client_authority", "needs fix.tls_cert"]),
    (
        "[[fix_sessions]]\ncomp_id = 'X'\naccount = 'ACC1'\ncertificate_name = 'x.example'",
        ["fix_sessions.X.certificate_name", "fix.tls_client_authority is not"],
    ),
    ("[addresses]\nfix = ['a:1', 'a:2']", ["addresses.fix_http", "1 addresses", "has 2"]),
    ("[[fix_sessions]]\ncomp_id = 'X'\naccount = 'NO'", ["fix_sessions.X", "'NO'", "accounts"]),
]


@pytest.mark.parametrize(("text", "parts"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_answered_with_key_value_and_example(text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_text(text)
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert "; example: " in message


def test_the_written_file_says_every_default() -> None:
    text = default_text()
    assert parse_text(text) == Config()
    for section in ("addresses", "cluster", "tls", "fix", "marketdata"):
        written = tomllib.loads(text)[section]
        declared = {item.name for item in dataclasses.fields(getattr(Config(), section))}
        assert written.keys() == declared


def test_the_written_file_has_the_addresses_of_the_contract() -> None:
    text = default_text()
    for address in (
        *(f"127.0.0.1:{port}" for port in (7001, 7002, 7003, 7101, 7103, 7201, 7203)),
        *(f"127.0.0.1:{port}" for port in (9001, 9201, 5101, 8081)),
        "239.10.10.1:5001",
        "239.10.10.2:5002",
    ):
        assert f'"{address}"' in text


def test_init_writes_a_file_that_loads_and_an_empty_data_folder(tmp_path: Path) -> None:
    path = write_exchange_folder(tmp_path / "x")
    config = load(path)
    assert config.data_dir == tmp_path / "x" / "data"
    assert list(config.data_dir.iterdir()) == []
    assert config.source == path


def test_init_does_not_overwrite(tmp_path: Path) -> None:
    write_exchange_folder(tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        write_exchange_folder(tmp_path)


def test_base_port_shifts_every_port_by_the_same_amount(tmp_path: Path) -> None:
    plain = load(write_exchange_folder(tmp_path / "a")).addresses
    shifted = load(write_exchange_folder(tmp_path / "b", base_port=10_000)).addresses
    for item in dataclasses.fields(plain):
        before, after = getattr(plain, item.name), getattr(shifted, item.name)
        if isinstance(before, Address):
            before, after = (before,), (after,)
        if isinstance(before, tuple):
            assert [a.port for a in after] == [b.port + 10_000 for b in before], item.name
            assert [a.host for a in after] == [b.host for b in before], item.name


def test_a_base_port_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(write_exchange_folder(tmp_path, base_port=60_000))


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nothing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(broken)


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None)
    assert config.source is None
    assert config.data_dir == tmp_path / "data"
    assert config.addresses.fix == (Address("127.0.0.1", 9001),)


def test_plain_tcp_on_a_network_needs_the_word_of_the_operator() -> None:
    nodes = "node_raft = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1']"
    with pytest.raises(ConfigError, match="allow_plaintext_on_network"):
        parse_text(f"[addresses]\n{nodes}")
    parse_text(f"allow_plaintext_on_network = true\n[addresses]\n{nodes}")


def test_nodes_with_certificates_may_listen_on_a_network() -> None:
    config = parse_text(
        "[addresses]\nnode_raft = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1']\n"
        "[tls]\nauthority = 'tls/ca.pem'\n[fix]\ngateway_id = 'fix-7'"
    )
    assert node_settings(config, 2).tls == TlsSettings(
        Path("tls/node-2.pem"), Path("tls/node-2.key"), Path("tls/ca.pem")
    )
    gateway = tls_settings(config, "gateway-fix")
    assert gateway is not None
    assert gateway.certificate == Path("tls/client-fix-7.pem")
    assert node_settings(Config(), 2).tls is None


def test_a_node_gets_what_the_file_says(tmp_path: Path) -> None:
    path = write_exchange_folder(
        tmp_path,
        base_port=100,
        changes={"cluster.durability": '"memory"', "cluster.opening_state": '"closed"'},
    )
    config = load(path)
    settings = node_settings(config, 2)
    assert settings.node_id == 2
    assert settings.raft_bind == Address("127.0.0.1", 7102)
    assert settings.client_addresses[3] == Address("127.0.0.1", 7203)
    assert settings.http_bind == Address("127.0.0.1", 7302)
    assert settings.data_dir == tmp_path / "data" / "node-2"
    assert settings.durability is Durability.MEMORY
    assert settings.opening_state == TradingState.CLOSED
    instruments, accounts, sessions = settings.reference_data
    assert instruments[0] == Instrument("AAPL", 1, 100, 1, 1_000_000, 1_000, 999_999)
    assert [i.symbol for i in map(Instrument._make, instruments)] == [
        "AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "INTC", "ZVZZT",
    ]  # fmt: skip
    assert Account._make(accounts[8]).account == "ACC9"
    assert sessions[0] == SessionDefinition("CLIENT1", "ACC1")


def test_a_node_that_is_not_in_the_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 is not a node"):
        node_settings(Config(), 4)


def test_gateway_and_market_data_get_what_the_file_says() -> None:
    config = parse_text(
        "allow_plaintext_on_network = true\n"
        "[addresses]\nbind_host = '0.0.0.0'\nfix = 'gw:9001'\nmarketdata_http = 'md:8081'\n"
        "[marketdata]\nfeed_session = 'DAY1'\n"
        "[[fix_sessions]]\ncomp_id = 'A'\naccount = 'ACC2'\nusername = 'u'\npassword = 'p'\n"
        "cancel_on_disconnect = true\n"
    )
    gateway = fix_gateway_settings(config)
    assert gateway.bind == Address("0.0.0.0", 9001)
    assert gateway.nodes[1] == Address("127.0.0.1", 7101)
    assert gateway.sessions["A"].account == "ACC2"
    assert (gateway.sessions["A"].username, gateway.sessions["A"].password) == ("u", "p")
    assert gateway.sessions["A"].cancel_on_disconnect is True
    assert feed_settings(config, 1).session == "DAY1"
    assert line_settings(config).session == marketdata_settings(config).lines.session == "DAY1"
    assert marketdata_settings(config).http_bind == Address("0.0.0.0", 8081)


TWO_GATEWAYS = """
[addresses]
fix = ["a:9001", "b:9002"]
fix_http = ["a:9201", "b:9203"]
[tls]
authority = "tls/ca.pem"
[[fix_sessions]]
comp_id = "A"
account = "ACC1"
[[fix_sessions]]
comp_id = "B"
account = "ACC2"
gateway = 2
"""


def test_each_fix_session_belongs_to_one_gateway() -> None:
    config = parse_text(TWO_GATEWAYS)
    first, second = fix_gateway_settings(config), fix_gateway_settings(config, 2)
    assert (list(first.sessions), list(second.sessions)) == (["A"], ["B"])
    assert first.elsewhere == {"B": "gateway-fix-2 (b:9002)"}
    assert second.elsewhere == {"A": "gateway-fix (a:9001)"}
    assert (first.gateway_id, second.gateway_id) == ("fix-1", "fix-2")
    assert (first.data_dir.name, second.data_dir.name) == ("gateway-fix", "gateway-fix-2")
    assert config.fix_address("B") == second.bind == Address("b", 9002)
    tls = tls_settings(config, "gateway-fix-2")
    assert tls is not None
    assert tls.certificate == Path("tls/client-fix-2.pem")
    with pytest.raises(ConfigError, match="3 is not a FIX gateway"):
        fix_gateway_settings(config, 3)


def test_a_single_gateway_needs_no_list() -> None:
    assert parse_text("[addresses]\nfix = 'a:1'\nfix_http = 'a:2'\n").addresses.fix == (
        Address("a", 1),
    )


def test_an_empty_password_means_that_none_is_checked() -> None:
    session = fix_gateway_settings(Config()).sessions["CLIENT1"]
    assert (session.username, session.password) == (None, None)


ONE_SESSION = "[[fix_sessions]]\ncomp_id = 'A'\naccount = 'ACC1'\n"
ON_A_NETWORK = "[addresses]\nfix = '10.0.0.1:9001'\n"
WITH_TLS = "[fix]\ntls_certificate = 'c'\ntls_key = 'k'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE_SESSION, []),
        (ONE_SESSION + "password = 'secret'\n", []),
        (ON_A_NETWORK + ONE_SESSION, ["whoever reaches it can be A"]),
        (
            ON_A_NETWORK + WITH_TLS + "tls_client_authority = 'a'\n" + ONE_SESSION,
            [],
        ),
        (ON_A_NETWORK + ONE_SESSION + "allowed_addresses = ['10.0.0.0/8']\n", []),
        (
            ON_A_NETWORK + WITH_TLS + ONE_SESSION + "password = 'secret'\n",
            ["password stands in clear for A"],
        ),
        (
            ON_A_NETWORK + ONE_SESSION + f"password_hash = '{HASH}'\n",
            ["the passwords of A cross the network in clear"],
        ),
        (ON_A_NETWORK + WITH_TLS + ONE_SESSION + f"password_hash = '{HASH}'\n", []),
    ],
)
def test_what_is_unwise_on_a_network_is_said(text: str, said: list[str]) -> None:
    found = warnings(parse_text(text))
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
        assert sentence.startswith("gateway-fix listens on 10.0.0.1")


def test_a_gateway_gets_the_hash_of_the_file() -> None:
    config = parse_text(ONE_SESSION + f"password_hash = '{HASH}'\n")
    assert str(fix_gateway_settings(config).sessions["A"].password_hash) == HASH


def test_the_file_of_the_containers_is_right() -> None:
    path = Path(__file__).resolve().parents[2] / "deploy" / "exchange.toml"
    config = load(path)
    assert config.addresses.node_raft[2] == Address("node3", 7003)
    assert node_settings(config, 1).raft_bind == Address("0.0.0.0", 7001)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("fix = '127.0.0.1:7001'", "addresses.fix"),
        ("node_http = ['h:1', 'h:1', 'h:2']", "addresses.node_http"),
        ("line_a = '239.10.10.2:5002'", "addresses.line_b"),
    ],
)
def test_an_address_belongs_to_one_listener(text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: .* is the address of addresses\."):
        parse_text(f"[addresses]\n{text}\n")


def test_init_does_not_write_a_file_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base_port: 60000 moves"):
        write_exchange_folder(tmp_path / "x", base_port=60_000)
    assert not (tmp_path / "x").exists()
