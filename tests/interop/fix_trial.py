"""A test with QuickFIX engines at a venue: it starts them, ends them, and hears their judgement."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from fix_quickfix import VERSIONS, QuickFix
from fix_venue import PLAIN, Venue
from fix_wire import Wire


class Trial:
    """What one test needs. `say` prints the line of what was seen."""

    def __init__(self, venue: Venue, folder: Path, say: Callable[[str], None]) -> None:
        self.venue = venue
        self.exchange = venue.exchange
        self.wires: dict[str, Wire] = {}
        """The way of each CompID to the gateway."""
        self._folder = folder
        self._say = say
        self._engines: dict[str, QuickFix] = {}
        self._stack = AsyncExitStack()

    async def engine(
        self,
        version: str,
        *settings: str,
        kind: str = PLAIN,
        logon: Sequence[tuple[int, str]] = (),
        again: QuickFix | None = None,
        has_forgotten: bool = False,
    ) -> QuickFix:
        """An engine that is not started yet. `logon`: what its Logon says besides the usual.
        `again`: it goes on where that one, stopped by now, has left off, unless it has forgotten
        what it had heard."""
        comp_id = self.venue.next_comp_id(kind) if again is None else again.comp_id
        if again is None:
            self.wires[comp_id] = await self._stack.enter_async_context(self.venue.wire(kind))
        address, folder = self.wires[comp_id].address, self._folder / comp_id
        engine = QuickFix(VERSIONS[version], comp_id, address, folder, *settings, logon=logon)
        if again is not None and not has_forgotten:
            engine.go_on_from(again)
        self._engines[comp_id] = engine
        return engine

    async def log_on(self, version: str, *settings: str, **options: Any) -> QuickFix:
        """The same, and it is logged on."""
        engine = await self.engine(version, *settings, **options)
        await engine.start()
        return engine

    async def log_on_two(self, version: str) -> tuple[QuickFix, QuickFix]:
        """Two of them."""
        one, other = await asyncio.gather(self.log_on(version), self.log_on(version))
        return one, other

    def wire(self, engine: QuickFix) -> Wire:
        """The way of an engine to the gateway."""
        return self.wires[engine.comp_id]

    def run(self, test: Coroutine[Any, Any, None], *, expected_events: Iterable[str] = ()) -> None:
        """Run the test; then every engine logs out, and what they say is judged and told.

        `expected_events`: patterns of what their event logs may tell besides the everyday.
        """

        async def run() -> None:
            async with self._stack:
                try:
                    await test
                finally:
                    await asyncio.gather(*(engine.stop() for engine in self._engines.values()))

        try:
            self.venue.run(run())
        finally:
            self._tell()
        problems = [problem for wire in self.wires.values() for problem in wire.problems()]
        for engine in self._engines.values():
            problems += engine.complaints(expected_events)
            problems += engine.blotter.problems
        assert not problems, "\n".join(problems)

    def _tell(self) -> None:
        heard: Counter[str] = Counter()
        sent: Counter[str] = Counter()
        for wire in self.wires.values():
            heard += wire.heard_types()
            sent += Counter(message.msg_type for message in wire.sent())
        listed = [
            ", ".join(f"{kind} {count}" for kind, count in sorted(types.items()))
            for types in (sent, heard)
        ]
        self._say(f"{len(self.wires)} engines sent {listed[0]}; heard {listed[1]}")
