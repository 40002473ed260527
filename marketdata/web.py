"""HTTP of the market-data process: books, trades, health, metrics. All answers but metrics JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any, Protocol, TypeAlias

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from marketdata.depth import MarketDepth
from marketdata.glimpse import GlimpseCounters
from marketdata.instrument_book import InstrumentBook, PriceLevel
from marketdata.reader_share import MAX_WAITING, ReaderShare, TooManyReaders
from marketdata.receiver import FeedReceiver
from marketdata.rerequest import ReRequestCounters
from oms.price import format_price

DEFAULT_DEPTH = 10
MAX_DEPTH = 1_000

_Page: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MarketDataView(Protocol):
    """What the pages show: the market-data process, seen from here."""

    depth: MarketDepth
    receiver: FeedReceiver

    @property
    def rerequest_counters(self) -> ReRequestCounters: ...

    @property
    def glimpse_counters(self) -> GlimpseCounters: ...

    @property
    def query_failures(self) -> int:
        """Questions to the nodes that had no usable answer."""

    def not_ready(self) -> str | None:
        """Why the books are not to be relied on at the moment, None when they are."""


def make_app(view: MarketDataView) -> web.Application:
    """The application with every page."""
    share = ReaderShare()
    pages = _Pages(view, share)
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get("/healthz", pages.healthz),
            web.get("/readyz", pages.readyz),
            web.get("/metrics", pages.metrics),
            web.get("/status", pages.status),
            web.get("/symbols", _in_turn(share, pages.symbols)),
            web.get("/book/{symbol}", _in_turn(share, pages.book)),
            web.get("/trades/{symbol}", _in_turn(share, pages.trades)),
        ]
    )
    return app


def status(view: MarketDataView) -> dict[str, Any]:
    """The /status page: where the stream stands and how it got there."""
    receiver = view.receiver
    counters = asdict(receiver.counters)
    for line in counters["lines"].values():
        del line["last_heard_ns"]  # of a clock that means nothing elsewhere
    silent_ns = receiver.silent_ns()
    return {
        "sequence": receiver.next_sequence_number - 1,
        "missing": receiver.missing,
        "ready": view.not_ready() is None,
        "not_ready": view.not_ready(),
        "system_event": view.depth.system_event,
        "ended": receiver.ended,
        "silent_ms": None if silent_ns is None else silent_ns // 1_000_000,
        "orders": view.depth.order_count,
        "gaps": counters["gaps"],
        "gaps_filled_messages": counters["filled"],
        "lost": counters["lost"],
        "requests": counters["requests"],
        "query_failures": view.query_failures,
        "lines": counters["lines"],
        "rerequests": asdict(view.rerequest_counters),
        "glimpse": asdict(view.glimpse_counters),
    }


class _Pages:
    def __init__(self, view: MarketDataView, share: ReaderShare) -> None:
        self._view = view
        self._registry = CollectorRegistry()
        self._registry.register(_MetricsOfView(view, share))

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        reason = self._view.not_ready()
        if reason is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def metrics(self, _: web.Request) -> web.Response:
        text = generate_latest(self._registry).decode("utf-8")
        return web.Response(text=text, content_type="text/plain", charset="utf-8")

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response(status(self._view))

    async def symbols(self, _: web.Request) -> web.Response:
        books = map(self._book, self._view.depth.symbols)
        return web.json_response(
            {
                "sequence": self._sequence,
                "symbols": [
                    {
                        "symbol": book.symbol,
                        "stock_locate": book.stock_locate,
                        "trading_state": book.trading_state.value,
                        "round_lot_size": book.round_lot_size,
                        "last_price": _price(book.last_price),
                        "volume": book.volume,
                    }
                    for book in books
                ],
            }
        )

    async def book(self, request: web.Request) -> web.Response:
        book = self._book(request.match_info["symbol"])
        depth = _positive(request, "depth", DEFAULT_DEPTH, MAX_DEPTH)
        return web.json_response(
            {
                "symbol": book.symbol,
                "sequence": self._sequence,
                "trading_state": book.trading_state.value,
                "last_price": _price(book.last_price),
                "bids": _levels(book.bids(depth)),
                "asks": _levels(book.asks(depth)),
            }
        )

    async def trades(self, request: web.Request) -> web.Response:
        book = self._book(request.match_info["symbol"])
        kept = book.trades_kept
        limit = _positive(request, "limit", min(100, kept), kept)
        return web.json_response(
            {
                "symbol": book.symbol,
                "sequence": self._sequence,
                "trades": [
                    {
                        "time_ns": trade.timestamp,
                        "price": format_price(trade.price),
                        "quantity": trade.shares,
                        "match_number": trade.match_number,
                    }
                    for trade in book.trades(limit)
                ],
            }
        )

    @property
    def _sequence(self) -> int:
        return self._view.depth.next_sequence_number - 1

    def _book(self, symbol: str) -> InstrumentBook:
        book = self._view.depth.book(symbol)
        if book is None:
            known = ", ".join(self._view.depth.symbols[:20]) or "none yet"
            raise web.HTTPNotFound(
                reason="Not Found", text=f"Unknown symbol {symbol!r}; known symbols: {known}."
            )
        return book


def _price(price: int | None) -> str | None:
    return None if price is None else format_price(price)


def _levels(levels: list[PriceLevel]) -> list[dict[str, Any]]:
    return [
        {"price": format_price(level.price), "quantity": level.shares, "orders": level.orders}
        for level in levels
    ]


def _positive(request: web.Request, name: str, default: int, highest: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    # Four digits are enough for what is allowed, and int() of a megabyte of digits is not.
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= highest):
        raise web.HTTPBadRequest(
            text=f"{name}={text[:40]!r} is not a number from 1 to {highest}; example: {name}=10."
        )
    return int(text)


def _in_turn(share: ReaderShare, page: _Page) -> _Page:
    """A page that is long, and that anybody may ask for again and again."""

    async def in_turn(request: web.Request) -> web.StreamResponse:
        try:
            async with share.turn():
                return await page(request)
        except TooManyReaders:
            text = f"{MAX_WAITING} readers are waiting for a page; ask again later."
            raise web.HTTPServiceUnavailable(text=text) from None

    return in_turn


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Page) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text}, status=error.status)


class _MetricsOfView(Collector):
    """Reads the counters when Prometheus asks, so that counting costs the stream nothing."""

    def __init__(self, view: MarketDataView, share: ReaderShare) -> None:
        self._view = view
        self._share = share

    def collect(self) -> Iterable[Metric]:
        view, counters = self._view, self._view.receiver.counters
        gauges = {
            "next_sequence_number": ("Next message number", view.receiver.next_sequence_number),
            "missing_messages": ("Messages known and missing", view.receiver.missing),
            "ready": ("1 when the books are to be relied on", int(view.not_ready() is None)),
            "orders": ("Orders in all books", view.depth.order_count),
            "waiting_readers": ("Requests for pages that wait", self._share.waiting),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"exchange_marketdata_{name}", text, value)
        totals = {
            "gaps": ("Gaps in both lines together", counters.gaps),
            "gap_requests": ("Requests to the nodes for missing messages", counters.requests),
            "filled_messages": ("Messages that came by request", counters.filled),
            "overflowed_messages": ("Messages ahead without room", counters.overflowed),
            "query_failures": ("Questions to nodes without an answer", view.query_failures),
            "refused_readers": ("Requests for pages beyond the queue", self._share.refused),
        }
        for name, (text, value) in totals.items():
            yield CounterMetricFamily(f"exchange_marketdata_{name}", text, value)
        yield from self._lines()
        outcomes = CounterMetricFamily(
            "exchange_marketdata_rerequests", "Re-requests over UDP", labels=["outcome"]
        )
        for outcome, value in asdict(view.rerequest_counters).items():
            if outcome != "messages":
                outcomes.add_metric([outcome], value)
        yield outcomes
        snapshots = asdict(view.glimpse_counters)
        name, text = "exchange_marketdata_glimpse", "GLIMPSE connections"
        yield GaugeMetricFamily(f"{name}_connections", text, snapshots.pop("connections"))
        outcomes = CounterMetricFamily(name, f"{text} and snapshots", labels=["outcome"])
        for outcome, value in snapshots.items():
            outcomes.add_metric([outcome], value)
        yield outcomes

    def _lines(self) -> Iterable[Metric]:
        texts = {
            "datagrams": "Datagrams of a line",
            "heartbeats": "Heartbeats of a line",
            "malformed": "Datagrams of a line that are no packet of ours",
            "other_session": "Datagrams of another session",
            "received": "Messages of a line",
            "duplicates": "Messages of a line that were there already",
            "missed": "Message numbers that a line left out",
        }
        for name, text in texts.items():
            family = CounterMetricFamily(f"exchange_marketdata_line_{name}", text, labels=["line"])
            for line, counters in self._view.receiver.counters.lines.items():
                family.add_metric([line], getattr(counters, name))
            yield family
