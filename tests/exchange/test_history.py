"""The folders that the recovery bench starts nodes on are those of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from cluster.codec import batch_payload
from cluster.disk import RealDisk
from cluster.storage import NodeFolders, NodeStorage
from cluster.verify import verify
from exchange.bench.history import OrderFlow, write_history
from exchange.bench.recovery import measure_load
from exchange.local import new_local_exchange
from exchange.settings import node_settings
from oms.events import EventKind

OPEN_ORDERS, COMMANDS = 700, 1_200


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    return new_local_exchange(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def history(exchange):
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(write_history, exchange.config.source, OPEN_ORDERS, COMMANDS).result()


@pytest.fixture(params=[1, 2, 3])
def storage(exchange, history, request) -> Iterator[NodeStorage]:
    settings = node_settings(exchange.config, request.param)
    folders = NodeFolders(settings.data_dir, {})
    opened = NodeStorage(
        RealDisk(), folders, segment_bytes=settings.segment_bytes, node_id=request.param
    )
    yield opened
    opened.close()


def test_every_node_has_the_snapshot_and_the_journal_after_it(storage, history):
    journal = storage.journal
    assert storage.base_index == history.snapshot_index
    assert journal.first_index == history.snapshot_index
    assert journal.last_index == journal.recovered_commit_index == history.last_index
    assert journal.last_index - journal.first_index == COMMANDS / 100
    assert storage.replica.next_event_seq == history.event_seq + 1
    assert storage.events.next_event_seq == history.event_seq + 1
    sessions = storage.replica.state_machine.state.sessions.values()
    assert sum(len(session.open_orders) for session in sessions) == OPEN_ORDERS
    assert not len(list(sessions)[-1].names)
    storage.replica.state_machine.check_invariants()


def test_the_folders_pass_for_those_of_a_cluster(exchange, history):
    folders = [exchange.config.data_dir / f"node-{node_id}" for node_id in (1, 2, 3)]
    report = verify(folders)
    assert report.lines()[-1].startswith("no problem found"), report.lines()
    assert report.agreed_index == history.last_index


def test_the_journal_brings_every_kind_of_order_event(storage, history):
    kinds: Counter[int] = Counter()
    for entry in storage.journal[1:]:
        payload = batch_payload(entry[0])
        assert payload is not None
        batch = storage.replica.apply(entry[1], entry[2], payload)
        kinds.update(event[0] for event in batch.events)
    storage.replica.state_machine.check_invariants()
    accepted = kinds[EventKind.ORDER_ACCEPTED]
    assert 0.75 * COMMANDS < accepted < 0.85 * COMMANDS
    assert 0.2 * accepted < kinds[EventKind.ORDER_EXECUTED] / 2 < 0.7 * accepted
    assert min(kinds[EventKind.ORDER_CANCELED], kinds[EventKind.ORDER_REPLACED]) > 0.02 * COMMANDS
    assert kinds[EventKind.ORDER_REJECTED] == 0


def test_a_load_is_measured(exchange, history):
    loaded = measure_load(Path(exchange.config.data_dir) / "node-1" / "snapshots")
    assert min(loaded.read_s, loaded.restore_s) > 0


def test_the_same_flow_is_made_each_time():
    flows = [OrderFlow(["S1", "S2"], ["AAPL"]) for _ in range(2)]
    first, second = ([flow.mixed() for _ in range(300)] for flow in flows)
    assert first == second
