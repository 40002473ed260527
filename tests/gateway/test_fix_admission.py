"""Where a FIX client may come from."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import resource
import socket

import pytest
from fake_cluster import FakeCluster
from test_fix_gateway import settings_for, until
from test_fix_passwords import answer_to_logon

from gateway.fix.lobby import _may_come_from
from gateway.fix.passwords import hash_password
from gateway.fix.server import FixGateway


def networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


@pytest.mark.parametrize(
    ("allowed", "peer", "verdict"),
    [
        ([], "192.0.2.7:5000", True),
        ([], "unknown", True),
        (["10.0.0.0/8"], "10.255.0.1:5000", True),
        (["10.0.0.0/8"], "11.0.0.1:5000", False),
        (["10.0.0.0/8", "192.0.2.7/32"], "192.0.2.7:5000", True),
        (["10.0.0.0/8"], "::ffff:10.0.0.1:5000", True),
        (["10.0.0.0/8"], "::1:5000", False),
        (["::1/128"], "::1:5000", True),
        (["::1/128"], "127.0.0.1:5000", False),
        (["0.0.0.0/0"], "unknown", False),
    ],
)
def test_an_address_is_in_one_of_the_networks(allowed: list[str], peer: str, verdict: bool) -> None:
    assert _may_come_from(networks(*allowed), peer) is verdict


async def test_who_comes_from_elsewhere_hears_nothing_and_costs_no_check(tmp_path, caplog) -> None:
    settings = settings_for(tmp_path)
    clients = {
        comp_id: dataclasses.replace(
            settings.sessions[comp_id],
            allowed_addresses=networks(network),
            password_hash=hash_password("secret"),
        )
        for comp_id, network in (("CLIENT1", "127.0.0.0/8"), ("CLIENT2", "10.0.0.0/8"))
    }
    settings = dataclasses.replace(settings, sessions=clients)
    gateway = FixGateway(settings, cluster=FakeCluster(is_automatic=True).client)
    await gateway.start()
    try:
        assert b"\x0135=A\x01" in await answer_to_logon(gateway.address, "CLIENT1", "secret")
        assert await answer_to_logon(gateway.address, "CLIENT2", "secret") == b""
        assert "CLIENT2 does not come from there" in caplog.text
    finally:
        await gateway.close()


async def test_a_gateway_may_open_as_many_files_as_the_system_lets_it(tmp_path) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, allowed[1]))
    gateway = FixGateway(settings_for(tmp_path), cluster=FakeCluster(is_automatic=True).client)
    try:
        await gateway.start()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed[1], allowed[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        await gateway.close()


async def test_a_client_whose_machine_died_does_not_keep_its_place_for_an_hour(tmp_path) -> None:
    gateway = FixGateway(settings_for(tmp_path), cluster=FakeCluster(is_automatic=True).client)
    await gateway.start()
    _, writer = await asyncio.open_connection(*gateway.address)
    try:
        await until(lambda: gateway._fix._lobby.connections, "the connection is made")
        (connection,) = gateway._fix._lobby.connections
        accepted = connection._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        probes = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        every_s = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        assert idle_s + probes * every_s == 60
    finally:
        writer.close()
        await gateway.close()
