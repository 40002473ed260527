"""A whole exchange with a FIX session for each engine that is to be tried at it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fix_wire import Wire

from exchange import config as configuration
from exchange.config_text import write_exchange_folder
from exchange.local import LocalExchange, free_base_port

USERNAME, PASSWORD = "trader1", "open sesame"
MESSAGES_PER_S = 5
PLAIN, LOCKED, LIMITED, FLEETING, COPY = "ENGINE", "LOCKED", "LIMITED", "FLEETING", "COPY"
"""Kinds of sessions: usual ones, with a password, with a rate limit, with cancel on disconnect, and
drop copies of all the others."""
_SESSIONS = {
    PLAIN: (160, "fix_sessions", ""),
    LOCKED: (6, "fix_sessions", f'username = "{USERNAME}"\npassword = "{PASSWORD}"\n'),
    LIMITED: (6, "fix_sessions", f"max_messages_per_s = {MESSAGES_PER_S}\n"),
    FLEETING: (6, "fix_sessions", "cancel_on_disconnect = true\n"),
    COPY: (6, "drop_copy_sessions", ""),
}
"""Kind -> how many, the table of exchange.toml, what else is said in it."""
Result = TypeVar("Result")


def _tables() -> Iterator[str]:
    for kind, (count, table, more) in _SESSIONS.items():
        for number in range(1, count + 1):
            account = f'account = "ACC{1 + number % 9}"\n' if kind != COPY else ""
            yield f'\n[[{table}]]\ncomp_id = "{kind}{number}"\n{account}{more}'


class Venue:
    """A context manager; its event loop turns in `run` only, so that tests are plain functions."""

    def __init__(self, folder: Path, changes: dict[str, str] | None = None) -> None:
        path = write_exchange_folder(folder, free_base_port(), changes)
        with path.open("a") as file:
            file.writelines(_tables())
        self.exchange = LocalExchange(configuration.load(path))
        self._comp_ids = {
            kind: iter([f"{kind}{number}" for number in range(1, count + 1)])
            for kind, (count, *_) in _SESSIONS.items()
        }
        self._runner = asyncio.Runner()

    def __enter__(self) -> Venue:
        try:
            self.run(self.exchange.start())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self.exchange.stop())
        self._runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run to its end."""
        return self._runner.run(coroutine)

    def next_comp_id(self, kind: str = PLAIN) -> str:
        """A CompID of that kind that nobody has used yet."""
        return next(self._comp_ids[kind])

    @asynccontextmanager
    async def wire(self, kind: str = PLAIN) -> AsyncIterator[Wire]:
        """A recorded way to the gateway."""
        addresses = self.exchange.config.addresses
        wire = Wire(addresses.drop_copy if kind == COPY else addresses.fix[0])
        await wire.start()
        try:
            yield wire
        finally:
            await wire.close()

    async def market(self, verb: str, symbol: str) -> None:
        """`exchange market halt AAPL`."""
        line = [sys.executable, "-m", "exchange", "market", verb, symbol]
        child = await asyncio.create_subprocess_exec(
            *line, "--config", str(self.exchange.config.source), stdout=asyncio.subprocess.DEVNULL
        )
        assert await child.wait() == 0, f"exchange market {verb} {symbol}"
