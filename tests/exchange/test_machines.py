"""Machines whose cables can be pulled: who hears whom, and what is left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from exchange.machines import EDGE, Machines, machines, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

PORT = 9
SILENCE_S = 0.1
LISTEN = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.bind((sys.argv[1], int(sys.argv[2])))
    print("listening", flush=True)
    while True:
        print(listening.recv(100).decode(), flush=True)
"""
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
    sending.sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])))
"""


class Lab:
    """A listener on each machine."""

    def __init__(self, net: Machines) -> None:
        self.net = net
        self._numbers = itertools.count()
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listeners = [
            subprocess.Popen(
                net.line(machine, [sys.executable, "-c", LISTEN, net.host(machine), str(PORT)]),
                stdout=subprocess.PIPE,
                text=True,
            )
            for machine in (EDGE, *net.nodes)
        ]
        for listener in self._listeners:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "listening\n"
            threading.Thread(target=self._collect, args=(listener.stdout,), daemon=True).start()

    def _collect(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._heard.put(line.strip())

    def hears(self, target: int, source: int) -> bool:
        """Whether what `source` sends gets to `target`. A datagram or two may wait for, or get lost
        in, the search for an Ethernet address."""
        word = f"word {next(self._numbers)}"
        address = (self.net.host(target), str(PORT))
        line = self.net.line(source, [sys.executable, "-c", SEND, *address, word])
        for _ in range(5):
            subprocess.run(line, check=True)
            with contextlib.suppress(queue.Empty):
                while self._heard.get(timeout=SILENCE_S) != word:
                    pass
                return True
        return False

    def close(self) -> None:
        for listener in self._listeners:
            listener.kill()
            listener.wait()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with machines() as net:
        made = Lab(net)
        yield made
        made.close()


def test_all_machines_hear_each_other(lab: Lab) -> None:
    for source, target in itertools.permutations((EDGE, 1, 2, 3), 2):
        assert lab.hears(target, source)


def test_an_unplugged_machine_is_heard_by_nobody_until_it_is_plugged_in_again(lab: Lab) -> None:
    assert lab.hears(1, 2)
    lab.net.unplug(2)
    assert not lab.hears(1, 2)
    assert not lab.hears(2, 1)
    assert not lab.hears(EDGE, 2)
    assert lab.hears(1, 3)
    lab.net.plug_in(2)
    assert lab.hears(1, 2)
    assert lab.hears(2, EDGE)


def test_a_blocked_way_is_cut_in_one_direction_only(lab: Lab) -> None:
    lab.net.block(1, 2)
    lab.net.block(EDGE, 3)
    assert not lab.hears(2, 1)
    assert lab.hears(1, 2)
    assert lab.hears(3, 1)
    assert not lab.hears(3, EDGE)
    assert lab.hears(EDGE, 3)
    lab.net.heal()
    assert lab.hears(2, 1)
    assert lab.hears(3, EDGE)


def test_separated_machines_hear_everybody_else(lab: Lab) -> None:
    lab.net.separate(1, 2)
    assert not lab.hears(1, 2)
    assert not lab.hears(2, 1)
    assert lab.hears(3, 1)
    assert lab.hears(2, 3)


def test_the_network_of_the_host_is_left_as_it_was() -> None:
    def namespace() -> str:
        return os.readlink("/proc/thread-self/ns/net")

    here, interfaces = namespace(), socket.if_nameindex()
    with machines():
        assert namespace() != here
        assert {name for _, name in socket.if_nameindex()} == {"lo", "eth0"}
    assert namespace() == here
    assert socket.if_nameindex() == interfaces
