"""The optional build step: with EXCHANGE_COMPILED=1 what every order passes is compiled by mypyc.

Everything else about the package is in pyproject.toml. Without the variable nothing is compiled,
and everything runs as the Python that it is; with it, the same source does.
"""

from __future__ import annotations

import os

from setuptools import Distribution, setup
from setuptools.command.build_ext import build_ext

COMPILED = [
    "gateway/ouch/outbound.py",
    "gateway/ouch/translate.py",
    "matching/auction.py",
    "matching/instrument_books.py",
    "matching/level_keys.py",
    "matching/order_book.py",
    "matching/order_pool.py",
    "matching/peg_price.py",
    "matching/stop_orders.py",
    "matching/types.py",
    "oms/names.py",
    "oms/numbered_commands.py",
    "oms/order_commands.py",
    "oms/order_state.py",
    "oms/price_protection.py",
    "oms/replace_commands.py",
    "oms/reports.py",
    "oms/risk.py",
    "oms/sessions.py",
    "oms/special_trading.py",
    "oms/state.py",
    "oms/state_machine.py",
    "oms/terms_checks.py",
    "oms/trades.py",
    "oms/trading_state.py",
    "oms/turn_rules.py",
    "protocols/ouch50_outbound.py",
    "protocols/ouch50_tails.py",
    "protocols/soupbintcp.py",
]
"""What an order meets on its way through an OUCH gateway and a node. The rest of oms is for
operators and restarts: it would gain nothing, and cost minutes of the C compiler."""


class CompileModules(build_ext):
    """Makes C of the modules, and extensions of that, when it is time to build them."""

    def finalize_options(self) -> None:
        from mypyc.build import mypycify  # noqa: PLC0415  pip installs it for the build alone

        self.distribution.ext_modules = mypycify(
            COMPILED,
            # One library for all of them, so that calls between modules are direct.
            group_name="exchange_compiled",
            # More than this takes twice as long to build and gains nothing: what is left is memory.
            opt_level="1",
            debug_level="0",
        )
        super().finalize_options()


class CompiledDistribution(Distribution):
    """A distribution that is for one kind of machine."""

    def has_ext_modules(self) -> bool:
        return True


if os.environ.get("EXCHANGE_COMPILED"):
    setup(
        distclass=CompiledDistribution,
        cmdclass={"build_ext": CompileModules},
        setup_requires=["mypy>=1.11"],
    )
else:
    setup()
