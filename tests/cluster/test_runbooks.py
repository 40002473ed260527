"""cluster/RUNBOOKS.md, done literally: the commands of each runbook on real nodes under load, and
the sentences that it quotes.

What other files exercise already is named in the runbooks and not repeated here.
"""

import asyncio
import hashlib
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from local_cluster import ROOT, Load, LocalCluster, until
from test_rescue import node_folder

from cluster.client import ClusterClient, EventBatch
from cluster.disk import RealDisk
from cluster.segment import JournalError
from cluster.storage import NodeFolders, NodeStorage
from cluster.tls import dial_options
from cluster.verify import verify
from cluster.voting import FILE_NAME as VOTER
from exchange.certificates import Issued, issue, save
from exchange.config import Config
from exchange.config import load as load_config
from exchange.config_text import write_exchange_folder
from exchange.fix_client import FixClient
from exchange.ledger import Ledger
from exchange.local import LocalExchange, free_base_port
from exchange.reconcile import check_sessions
from exchange.report import check_running, settle
from exchange.settings import client_tls, node_addresses
from gateway.fix.store import ProgressFile

RUNBOOKS = " ".join((ROOT / "cluster" / "RUNBOOKS.md").read_text().split())
AFTER_BYTES = 128 << 10
PATIENCE_S = 30.0


def quoted(sentence: str) -> str:
    """A sentence that RUNBOOKS.md has word for word: what an operator looks for."""
    assert sentence in RUNBOOKS, f"RUNBOOKS.md does not say: {sentence}"
    return sentence


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


async def exchange_command(folder: Path, command: str, answer: str = "") -> Answer:
    """Type `exchange ...` in a folder; `answer` is typed when it asks."""
    program, *words = command.split()
    assert program == "exchange", command
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchange", *words,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(answer.encode()), 60)
    assert child.returncode is not None
    return Answer(child.returncode, out.decode(), err.decode())


async def exchange_says(folder: Path, command: str, code: int, sentence: str = "") -> str:
    """Type a command again until it ends with this code and prints this sentence; what it prints.
    On a busy machine a leader may be lost, or an answer late, at any moment."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        answer = await exchange_command(folder, command)
        if answer.code == code and sentence in answer.out:
            return answer.out
        assert time.monotonic() < deadline_s, answer


class Operator:
    """Types commands, in the folder of the exchange."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.folder = cluster.data_dir.parent
        config = f'base_port = {cluster.offset}\ndata_dir = "{cluster.data_dir.name}"\n'
        (self.folder / "exchange.toml").write_text(config)

    async def types(self, command: str, answer: str = "") -> Answer:
        """Run `exchange ...`; `answer` is typed when it asks."""
        return await exchange_command(self.folder, command, answer)

    async def sees(self, command: str, code: int, sentence: str = "") -> str:
        """Type a command until it ends with this code and prints this sentence."""
        return await exchange_says(self.folder, command, code, sentence)

    async def sees_everything_equal(self) -> None:
        """The last step of most runbooks."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (found := await self.types("exchange hash")).code != 0:
            assert "NOT EQUAL" not in found.out, found
            assert time.monotonic() < deadline_s, found
        assert found.out.splitlines()[0] == quoted("equal")


@pytest.fixture
def cluster(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    local = LocalCluster(data, AFTER_BYTES)
    yield local
    local.close()
    report = verify([data / f"node-{node}" for node in local.processes])
    assert not report.problems, report


async def trading(cluster: LocalCluster) -> Load:
    load = Load(cluster)
    await load.start()
    await load.new_order_is_answered()
    return load


async def leader_of(load: Load) -> int:
    """On a busy machine there may be none for a moment."""
    await until(lambda: load.client.leader_id is not None, "a node leads")
    assert load.client.leader_id is not None
    return load.client.leader_id


async def follower_of(cluster: LocalCluster, load: Load) -> int:
    leader = await leader_of(load)
    return next(node for node in cluster.processes if node != leader)


async def stop(cluster: LocalCluster, *nodes: int) -> None:
    for node in nodes:
        cluster.send_signal(node, signal.SIGTERM)
    for node in nodes:
        assert await cluster.ended(node) == 0


def move_away(folder: Path) -> Path:
    return folder.rename(folder.with_name(f"{folder.name}.kept"))


async def replaced(cluster: LocalCluster, node: int) -> None:
    """Runbook "A node or its disk is lost", from the folder that was moved away on."""
    cluster.start(node)
    await cluster.votes(node)
    await cluster.caught_up(node)


def test_every_test_and_file_that_the_runbooks_name_exists():
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"\btest_\w+", RUNBOOKS))
    assert len(named) > 20
    tests = {name for name in named if f"{name}.py" not in sources}
    assert tests <= set(re.findall(r"def (test_\w+)", "".join(sources.values())))


# --- a disk ---------------------------------------------------------------------------------------


def test_a_node_with_a_damaged_segment_refuses_and_is_replaced(cluster):
    async def run() -> None:
        operator, load = Operator(cluster), await trading(cluster)
        node = await follower_of(cluster, load)
        folder = cluster.data_dir / f"node-{node}"
        await stop(cluster, node)
        segment = min(folder.glob("wal/*.seg"))
        content = bytearray(segment.read_bytes())
        content[len(content.rstrip(b"\0")) // 2] ^= 1
        segment.write_bytes(content)

        cluster.start(node)
        assert await cluster.ended(node) != 0
        assert quoted("and synced data follows it") in cluster.log(node)
        assert quoted("Nothing was changed on disk. The other nodes hold the data") in cluster.log(
            node
        )
        status = await operator.types("exchange status")
        assert status.code == 0
        assert [line.split()[:2] for line in status.out.splitlines()].count(
            [str(node), quoted("down")]
        ) == 1
        assert (
            quoted(f"; no answer from node {node}".replace(str(node), "2")).replace("2", str(node))
            in (await operator.types("exchange hash")).out
        )
        verified = await operator.types(f"exchange verify data/node-{node}")
        assert verified.code == 1
        assert "PROBLEM" in verified.out

        move_away(folder)
        await replaced(cluster, node)
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


def test_a_full_disk_stops_one_node_which_goes_on_where_it_was(cluster):
    async def run() -> None:
        operator, load = Operator(cluster), await trading(cluster)
        node = await leader_of(load)
        cluster.fault(node, "full")
        assert await cluster.ended(node) != 0
        assert quoted("No space left on device") in cluster.log(node)
        assert f"node {node} stops at log index" in cluster.log(node)
        await load.new_order_is_answered()

        cluster.heal(node)
        cluster.start(node)
        await cluster.caught_up(node)
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


def test_a_leader_whose_disk_hangs_leads_no_more_and_holds_nobody_up(cluster):
    async def run() -> None:
        operator, load = Operator(cluster), await trading(cluster)
        for _ in range(5):  # a busy machine may depose a leader before its disk has hung for long
            node = await leader_of(load)
            cluster.fault(node, "hang")
            await load.new_order_is_answered(20.0)
            assert load.client.leader_id != node
            facts = await cluster.answers(node)
            assert facts["durable_index"] < facts["last_log_index"]
            cluster.heal(node)
            await cluster.caught_up(node)
            if quoted("a write to the journal hangs: no longer leading") in cluster.log(node):
                break
        else:
            pytest.fail("no leader has noticed that its disk hangs")
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


# --- upgrades -------------------------------------------------------------------------------------


def test_every_node_is_upgraded_in_turn_and_the_leader_hands_over_before_its_turn(cluster):
    async def run() -> None:
        operator, load = Operator(cluster), await trading(cluster)
        waiting = set(cluster.processes)
        while waiting:
            leader = await leader_of(load)
            if waiting == {leader}:
                await operator.sees("exchange transfer", 0, quoted("has handed over"))
                await load.new_order_is_answered()
                continue
            node = min(waiting - {leader})
            await stop(cluster, node)
            await load.new_order_is_answered()
            cluster.start(node)
            await cluster.caught_up(node)
            waiting.remove(node)
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


def set_version(path: Path) -> None:
    """Both magics are eight bytes; the version follows."""
    content = bytearray(path.read_bytes())
    content[8] = 9
    path.write_bytes(content)


def newer_segment(folder: Path) -> None:
    set_version(max(folder.glob("wal/*.seg")))


def newer_snapshot(folder: Path) -> None:
    (path,) = folder.glob("snapshots/*.snapshot")
    set_version(path)
    body = path.read_bytes()[:-32]
    path.write_bytes(body + hashlib.sha256(body).digest())


def newer_voter(folder: Path) -> None:
    path = folder / "wal" / VOTER
    path.write_bytes(path.read_bytes()[:-4])
    set_version(path)
    body = path.read_bytes()
    path.write_bytes(body + crc32c(body).to_bytes(4, "little"))


def start_on(folder: Path) -> None:
    """What a node does first."""
    NodeStorage(RealDisk(), NodeFolders(folder, {}), node_id=1, segment_bytes=1 << 16).close()


@pytest.mark.parametrize(
    ("make_newer", "sentence"),
    [
        (newer_segment, "format version 9, this program knows versions up to 1"),
        (newer_snapshot, "format version 9, this program reads 1"),
        (newer_voter, "format b'EXCHVOTE' 9; this program knows 1"),
    ],
)
def test_an_old_program_refuses_what_a_newer_one_wrote_and_leaves_it_as_it_is(
    tmp_path: Path, make_newer: Callable[[Path], None], sentence: str
):
    folder = node_folder(tmp_path / "node-1", 1, snapshot_after=30)
    start_on(folder)
    make_newer(folder)
    before = contents_of(folder)
    with pytest.raises(JournalError) as refusal:
        start_on(folder)
    assert quoted(sentence) in str(refusal.value)
    assert contents_of(folder) == before


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- state hashes differ --------------------------------------------------------------------------


def test_the_node_whose_state_differs_is_named_stopped_and_replaced(cluster):
    async def run() -> None:
        operator, load = Operator(cluster), await trading(cluster)
        odd = await follower_of(cluster, load)
        cluster.fault(odd, "perturb")
        await load.new_order_is_answered()
        _, *table = (await operator.sees("exchange hash", 1, quoted("NOT EQUAL"))).splitlines()
        hashes = {line.split()[0]: line.split()[-1] for line in table[2:] if line.strip()}
        assert [n for n in hashes if list(hashes.values()).count(hashes[n]) == 1] == [str(odd)]

        if cluster.processes[odd].poll() is None:  # it has taken no snapshot by itself meanwhile
            await operator.types(f"exchange snapshot --node {odd}")
        assert await cluster.ended(odd) != 0
        assert quoted("ReplicaDiverged") in cluster.log(odd)
        assert quoted("Nothing that it says can be trusted") in cluster.log(odd)
        await load.new_order_is_answered()

        move_away(cluster.data_dir / f"node-{odd}")
        await replaced(cluster, odd)
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


# --- quorum lost for good -------------------------------------------------------------------------


async def events_from_the_first(cluster: LocalCluster, last: int) -> dict[int, tuple]:
    """Events 1 to `last`, as the leader tells them."""
    seen: dict[int, tuple] = {}

    def on_batch(batch: EventBatch) -> None:
        seen.update((seq, event) for seq, event in batch.events if seq <= last)

    reader = ClusterClient("admin-reader", cluster.addresses, on_batch=on_batch, owners=None)
    await reader.start()
    await until(lambda: last in seen, f"event {last} is read")
    await reader.close()
    return seen


class Disaster:
    """A follower that was behind survives; the leader and the other follower are destroyed, with
    orders that were acknowledged."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.operator = Operator(cluster)
        self.survivor = 0
        self.told: dict[int, tuple] = {}
        """Events by number, as the client heard of them."""

    @property
    def destroyed(self) -> list[int]:
        return [node for node in self.cluster.processes if node != self.survivor]

    def folder(self, node: int) -> Path:
        return self.cluster.data_dir / f"node-{node}"

    async def happens(self) -> None:
        cluster, load = self.cluster, await trading(self.cluster)
        self.survivor = await follower_of(cluster, load)
        cluster.send_signal(self.survivor, signal.SIGSTOP)
        await load.new_order_is_answered()
        await load.new_order_is_answered()
        load.stop_sending()
        await until(lambda: len(load.answers) == len(load.sent), "every order is answered")
        self.told = await events_from_the_first(cluster, load.event_seqs[-1])
        await load.client.close()
        for node in (self.survivor, *self.destroyed):
            cluster.send_signal(node, signal.SIGKILL)
        for node in self.destroyed:
            move_away(self.folder(node))
        gateway = cluster.data_dir / "gateway-fix"
        gateway.mkdir()
        progress = ProgressFile(gateway / "progress")
        progress.write(load.event_seqs[-1])
        progress.close()


def test_a_majority_is_destroyed_and_the_survivor_is_made_a_majority_again(cluster):
    async def run() -> None:
        disaster = Disaster(cluster)
        await disaster.happens()
        operator, survivor = disaster.operator, disaster.survivor
        second, third = disaster.destroyed
        cluster.start(survivor)
        await cluster.answers(survivor)
        await operator.sees("exchange status", 4, quoted("NO QUORUM"))
        await stop(cluster, survivor)

        before = contents_of(disaster.folder(survivor))
        made = await operator.types(
            f"exchange rescue data/node-{survivor} --as {second} --json", answer="y\n"
        )
        assert made.code == 0, made
        facts = json.loads(made.out)
        assert contents_of(disaster.folder(survivor)) == before
        last, told = facts["event_seq"], max(disaster.told)
        assert facts["gateway_event_seq"] == told > last
        assert f"{told - last} {quoted('events that clients may have been told are LOST')}" in (
            made.err
        )

        cluster.start(survivor)
        cluster.start(second)
        load = Load(cluster, "fix-2", "CLIENT2")
        await load.start()
        await load.new_order_is_answered()
        assert min(load.event_seqs) > last
        kept = await events_from_the_first(cluster, last)
        assert all(kept[seq] == disaster.told[seq] for seq in range(1, last + 1))

        # An old disk turns up, and at the worst moment: it is half of the majority.
        await stop(cluster, survivor)
        disaster.folder(third).with_suffix(".kept").rename(disaster.folder(third))
        cluster.start(third)
        assert await cluster.ended(third) != 0
        assert quoted("A19: entry") in cluster.log(third)
        cluster.start(survivor)
        await load.new_order_is_answered()

        move_away(disaster.folder(third))
        await replaced(cluster, third)
        # Any one of them may die now, as in every cluster.
        cluster.send_signal(await leader_of(load), signal.SIGKILL)
        await load.new_order_is_answered()
        killed = next(n for n, p in cluster.processes.items() if p.poll() is not None)
        cluster.start(killed)
        await cluster.caught_up(killed)
        await operator.sees_everything_equal()
        await load.finish()

    asyncio.run(run())


# --- a whole exchange, with FIX clients -----------------------------------------------------------


class Trade:
    """A FIX client that buys and sells without pause while it is told to."""

    def __init__(self, config: Config) -> None:
        self.ledger = Ledger("CLIENT1")
        self.client = FixClient(config.addresses.fix[0], "CLIENT1", self.ledger.receive)
        self.ledger.attach(self.client)
        self._entered = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Trade":
        await self.client.start()
        self._task = asyncio.create_task(self._run())
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.settles()
        await self.client.stop()

    async def _run(self) -> None:
        while True:
            self._entered += 1
            self.ledger.enter(f"o{self._entered}", "AAPL", "12"[self._entered % 2], 10, "100.00")
            await asyncio.sleep(0.005)

    async def goes_on(self) -> None:
        """An order that is sent after now is answered."""
        wanted = f"o{self._entered + 1}"
        await until(
            lambda: any(report.cl_ord_id == wanted for report in self.ledger.reports),
            "a new order is answered",
        )

    async def settles(self) -> None:
        """No new orders; all are answered."""
        assert self._task is not None
        self._task.cancel()
        await settle([self.ledger])


async def a_day(config: Config, trade: Trade, story: Callable[..., Any] | None = None) -> None:
    """Start the exchange, trade while the story happens, reconcile, stop."""
    exchange = LocalExchange(config)
    try:
        await exchange.start()
        async with trade:
            if story is not None:
                await story(exchange)
                await trade.goes_on()
            await trade.settles()
            found = await check_running(exchange, [trade.ledger], None)
            assert not any(found.values()), found
    finally:
        assert await exchange.stop() == 0


def test_an_exchange_is_rescued_with_its_gateway_and_then_begun_anew(tmp_path: Path):
    config = load_config(write_exchange_folder(tmp_path, free_base_port()))
    data = tmp_path / "data"

    async def rescue(trade: Trade) -> None:
        for node in (2, 3):
            move_away(data / f"node-{node}")
        made = await exchange_command(tmp_path, "exchange rescue data/node-1 --as 2 --yes")
        assert made.code == 0, made
        assert quoted("all that it told its clients is in the log. Keep its folder.") in made.out
        await a_day(config, trade)
        await exchange_says(tmp_path, "exchange status", 3)

    async def begin_anew() -> Trade:
        assert not list((data / "run").glob("*.pid"))
        (tmp_path / "before").mkdir()
        for folder in (*data.glob("node-?"), data / "gateway-fix"):
            folder.rename(tmp_path / "before" / folder.name)
        trade = Trade(config)
        await a_day(config, trade)
        return trade

    async def run() -> None:
        trade = Trade(config)
        await a_day(config, trade)
        reports = len(trade.ledger.reports)
        await rescue(trade)
        assert len(trade.ledger.reports) > reports
        assert check_sessions([trade.ledger]) == []
        again = await begin_anew()
        assert check_sessions([again.ledger]) == []
        first = [report for report in again.ledger.reports if report.cl_ord_id == "o1"]
        assert first[0].order_id == "1"

    asyncio.run(run())


def sign_new_pairs(folder: Path) -> None:
    """What an operator asks the authority for; here it is the development authority."""
    authority = Issued(
        x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()),
        load_pem_private_key((folder / "ca.key").read_bytes(), None),
    )
    for path in sorted(folder.glob("*.key")):
        if path.stem != "ca":
            path.unlink()
            path.with_suffix(".pem").unlink()
            save(issue(authority, path.stem), folder, path.stem)


async def serial_number(config: Config, node: int) -> int:
    """Of the certificate that a node shows now."""
    options = dial_options(client_tls(config), node)
    _, writer = await asyncio.open_connection(*node_addresses(config)[node], **options)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


def test_certificates_are_replaced_under_load_one_process_after_the_other(tmp_path: Path):
    config = load_config(write_exchange_folder(tmp_path, free_base_port(), tls=True))
    tls = tmp_path / "tls"

    async def replace(exchange: LocalExchange) -> None:
        sign_new_pairs(tls)
        assert (await exchange_command(tmp_path, "exchange check-config")).code == 0
        for node in config.node_ids:
            name = f"node-{node}"
            if node == await exchange.leader():
                await exchange_says(tmp_path, "exchange transfer", 0)
            await exchange.terminate(name)
            await exchange.restart(name)
            await exchange.wait_until_whole()
        for name in ("marketdata", "gateway-fix"):
            await exchange.terminate(name)
            await exchange.restart(name)
        for node in config.node_ids:
            pem = (tls / f"node-{node}.pem").read_bytes()
            replaced = x509.load_pem_x509_certificate(pem).serial_number
            assert await serial_number(config, node) == replaced

    asyncio.run(a_day(config, Trade(config), replace))
