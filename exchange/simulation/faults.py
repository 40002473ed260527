"""What is done to a run: single faults by chance, and plots, in which several follow each other."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from exchange.simulation.checks import Checks
from exchange.simulation.disk import PowerLoss
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import Member
from exchange.simulation.network import Fabric
from exchange.simulation.options import FAULT_KINDS, Options
from exchange.simulation.world import World


class Nemesis:
    """Does faults. Every one of them ends by itself, or in heal()."""

    def __init__(
        self,
        world: World,
        options: Options,
        fabric: Fabric,
        checks: Checks,
        members: list[Member],
        gateways: list[Gateway],
    ) -> None:
        self.world = world
        self.fabric = fabric
        self.checks = checks
        self.members = members
        self.gateways = gateways
        self._options = options
        self._kinds: dict[str, Callable[[Member], None]] = {
            "kill": lambda member: self.crash(member, power_loss=world.rng.random() < 0.3),
            "power loss": lambda member: self.crash(member, power_loss=True),
            "kill leader": lambda member: self.crash(
                self.leader or member, power_loss=world.rng.random() < 0.3
            ),
            "power loss of all": self._power_loss_of_all,
            "power loss in a call": self._power_loss_in_a_call,
            "crash twice": self._crash_twice,
            "pause": self._pause,
            "break link": lambda member: fabric.break_link(member.node_id, self._peer(member)),
            "hold link": self._hold_link,
            "isolate": lambda member: self._cut(member, both=True),
            "one way": lambda member: self._cut(member, both=False),
            "bridge": self._bridge,
            "flapping": self._flap,
            "slow disk": self._slow_disk,
            "full disk": lambda member: self._fail_disk(member, errno.ENOSPC, None),
            "failing disk": lambda member: self._fail_disk(member, errno.EIO, "sync"),
            "hung disk": self._hang_disk,
            "lost disk": self._lose_disk,
            "flipped bit": self._flip_bit,
            "clock jump": self._jump_clock,
            "kill gateway": lambda _: world.rng.choice(gateways).crash(),
            "transfer": self._hand_over,
        }
        assert tuple(self._kinds) == FAULT_KINDS

    def by_chance(self) -> None:
        """One fault, at one node."""
        rng = self.world.rng
        kind = rng.choices(FAULT_KINDS, self._options.fault_weights)[0]
        member = rng.choice(self.members)
        self.world.count(f"fault: {kind}")
        self.world.note("fault: %s (node %d)", kind, member.node_id)
        self._kinds[kind](member)

    def heal(self) -> None:
        """Every node up, every link whole, every disk quick; one disk may go on hanging."""
        self.fabric.faults.end()
        for member in self.members:
            self.let_clients_reach(member)
            member.disk.heal()
            member.slow_disk_until_s = 0.0
            self._restart(member)
        if not all(
            member.core is not None and member.core.raft.may_vote for member in self.members
        ):
            for member in self.members:  # who lost a disk needs all the others
                member.disk_hangs = False
        self.fabric.heal()

    # --- who is who ---

    @property
    def leader(self) -> Member | None:
        """The leader that takes orders; of two that both believe to, the later one."""
        leaders = [member for member in self.members if member.is_leader]
        return max(leaders, key=lambda member: member.core.term if member.core else 0, default=None)

    def others(self, *members: Member) -> list[Member]:
        """All but these."""
        return [other for other in self.members if other not in members]

    def _peer(self, member: Member) -> int:
        return self.world.rng.choice(self.others(member)).node_id

    # --- processes ---

    def crash(self, member: Member, *, power_loss: bool) -> None:
        """It starts again after a while."""
        if member.is_up:
            member.crash(power_loss=power_loss)
            member.start_after(self.world.rng.uniform(0.01, 0.5))

    @staticmethod
    def _restart(member: Member) -> None:
        if not member.is_up:
            member.start()

    def _power_loss_of_all(self, _: Member) -> None:
        for member in self.members:
            self.crash(member, power_loss=True)

    def _power_loss_in_a_call(self, member: Member) -> None:
        """Of the disk; by chance one that is made during the next start."""
        rng = self.world.rng
        if member.is_up and rng.random() < 0.5:
            self.crash(member, power_loss=rng.random() < 0.5)
        member.disk.failure = PowerLoss()
        member.disk.fail_in = rng.randrange(12)

    def _crash_twice(self, member: Member) -> None:
        """What the first start found must not be lost by the second crash."""
        rng = self.world.rng
        if not member.is_up:
            return
        member.crash(power_loss=rng.random() < 0.5)
        self.world.after(rng.uniform(0.001, 0.05), self._restart, member)
        self.world.after(0.05 + 0.03 * rng.random(), lambda: self.crash(member, power_loss=True))

    def _pause(self, member: Member) -> None:
        if member.runtime is not None and member.is_up:
            member.runtime.pause(self.world.rng.choice((0.01, 0.1, 0.3, 1.0)))

    def _jump_clock(self, member: Member) -> None:
        member.clock_offset_ns += self.world.rng.randrange(-(10**10), 10**10)

    def transfer(self, to: Member | None) -> bool:
        """Whoever leads hands over, if that is possible; whether it tries."""
        if self.leader is not None and self.leader.core is not None:
            with contextlib.suppress(ValueError):  # refused: nobody is connected, say
                self.leader.core.transfer(None if to is None else to.node_id)
                self.world.count("transfers")
                return True
        return False

    def _hand_over(self, _: Member) -> None:
        self.transfer(None)

    # --- links ---

    def cut(self, some: list[Member], others: list[Member], *, both: bool = True) -> None:
        """Nothing passes from the ones to the others, nor back if `both`."""
        for one in some:
            for other in others:
                self.fabric.block(one.node_id, other.node_id)
                if both:
                    self.fabric.block(other.node_id, one.node_id)

    def _cut(self, member: Member, *, both: bool) -> None:
        rng = self.world.rng
        self.cut([member], [m for m in self.others(member) if rng.random() < 0.8], both=both)
        if both and rng.random() < 0.5:
            Gateway.unreachable[member.node_id] = None
        self.world.after(rng.choice((0.05, 0.2, 0.7)) * (0.5 + rng.random()), self.join, member)

    def join(self, member: Member) -> None:
        """Everything reaches a node again."""
        self.let_clients_reach(member)
        self.fabric.pass_again(member.node_id)

    def let_clients_reach(self, member: Member) -> None:
        """Connections of clients that stalled are given up and made anew."""
        if member.node_id in Gateway.unreachable:
            del Gateway.unreachable[member.node_id]
            for gateway in self.gateways:
                gateway.reset_stalled(member.node_id)

    def _hold_link(self, member: Member) -> None:
        rng, sender, receiver = self.world.rng, member.node_id, self._peer(member)
        self.fabric.hold(sender, receiver)
        self.world.after(rng.choice((0.02, 0.1, 0.5)), self.fabric.release, sender, receiver)

    def _bridge(self, member: Member) -> None:
        """Two halves that only one node can reach both of."""
        others = self.others(member)
        half = len(others) // 2
        self.cut(others[:half], others[half:])
        for other in others[:half]:
            self.world.after(self.world.rng.uniform(0.05, 0.8), self.join, other)

    def _flap(self, member: Member) -> None:
        peer, at_s = self._peer(member), 0.0
        for _ in range(6):
            self.world.after(at_s, self.fabric.break_link, member.node_id, peer)
            at_s += self.world.rng.uniform(0.0, 0.07)

    # --- disks ---

    def _slow_disk(self, member: Member) -> None:
        member.slow_disk_until_s = self.world.now_s + self.world.rng.uniform(0.1, 0.7)

    def _fail_disk(self, member: Member, code: int, call: str | None) -> None:
        """One of the next calls fails, and all after it, until the node has stopped."""
        if not member.is_up:
            return
        member.disk.failure = OSError(code, "simulated")
        member.disk.failing_call = call
        member.disk.fail_in = self.world.rng.randrange(8)

        def restart_when_down() -> None:
            if member.is_up:
                member.disk.heal()
            else:
                self._restart(member)

        self.world.after(self.world.rng.uniform(0.1, 0.4), restart_when_down)

    def _hang_disk(self, member: Member) -> None:
        """One disk at a time; it may go on hanging while everything else is healed."""
        if any(each.disk_hangs for each in self.members):
            return
        member.disk_hangs = True
        if self.world.rng.random() < 0.7:
            self.world.after(self.world.rng.uniform(0.2, 2.0), self._free_disk, member)

    @staticmethod
    def _free_disk(member: Member) -> None:
        member.disk_hangs = False

    def may_lose_disk(self, member: Member) -> bool:
        """A minority of the nodes may be without what they promised: until they vote again."""
        replaced = [m for m in self.others(member) if not m.is_voter or m.flipped]
        return len(replaced) + 1 <= (len(self.members) - 1) // 2

    def wipe(self, member: Member) -> bool:
        """Take a disk away, if that leaves what is promised; whether it was done."""
        if not self.may_lose_disk(member):
            return False
        member.wipe()
        return True

    def _lose_disk(self, member: Member) -> None:
        if self.wipe(member):
            member.start_after(self.world.rng.uniform(0.01, 0.3))

    def _flip_bit(self, member: Member) -> None:
        if member.flipped or not self.may_lose_disk(member):
            return
        if member.is_up:
            member.crash(power_loss=self.world.rng.random() < 0.5)
        member.flip_bit()
        member.start_after(self.world.rng.uniform(0.01, 0.3))
