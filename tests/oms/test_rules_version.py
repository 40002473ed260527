"""The same commands lead to the same events and the same state, from release to release.

rules.commands are random commands of all kinds, as they were drawn once. When this test fails, the
rules have changed: nodes with the old and the new program would drift apart on one log. If that is
meant, raise RULES_VERSION (once between two releases), say so in CHANGELOG.md, and put the new
digests here.
"""

import hashlib
from pathlib import Path

from cluster.codec import unpack_commands
from oms.state_machine import ExchangeStateMachine
from oms.version import RULES_VERSION

COMMANDS = Path(__file__).with_name("rules.commands")
DIGESTS = {
    2: (
        "ec545c2337c76e7dc928b588e10c034d074396da55dda4cf4a8e1faccb7ffcef",
        "052d0918fcf4463b41f01378b411b3e46f024480277f90a52574c3087986f286",
    ),
}


def test_the_rules_are_those_of_their_version():
    machine = ExchangeStateMachine()
    digest = hashlib.sha256()
    kinds = set()
    for now_s, command in enumerate(unpack_commands(COMMANDS.read_bytes())):
        events = machine.apply(command, now_s * 1_000_000_000)
        kinds |= {event[0] for event in events}
        digest.update(ascii(events).encode())
    assert len(kinds) > 30, "the commands make too little happen"
    assert (digest.hexdigest(), machine.state_hash()) == DIGESTS[RULES_VERSION]
