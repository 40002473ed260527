"""A whole exchange with a FIX session for each engine that is to be tried at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fix_wire import Wire

from exchange import config as configuration
from exchange.config_text import write_exchange_folder
from exchange.local import LocalExchange, free_base_port

SESSIONS = 60
Result = TypeVar("Result")


class Venue:
    """A context manager; its event loop turns in `run` only, so that tests are plain functions."""

    def __init__(self, folder: Path, changes: dict[str, str] | None = None) -> None:
        path = write_exchange_folder(folder, free_base_port(), changes)
        sessions = [
            f'\n[[fix_sessions]]\ncomp_id = "ENGINE{n}"\naccount = "ACC{1 + n % 9}"\n'
            for n in range(1, SESSIONS + 1)
        ]
        with path.open("a") as file:
            file.writelines(sessions)
        self.exchange = LocalExchange(configuration.load(path))
        self._comp_ids = (f"ENGINE{n}" for n in range(1, SESSIONS + 1))
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

    def next_comp_id(self) -> str:
        """A CompID that nobody has used yet."""
        return next(self._comp_ids)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A recorded way to the gateway."""
        wire = Wire(self.exchange.config.addresses.fix[0])
        await wire.start()
        try:
            yield wire
        finally:
            await wire.close()
