"""ItchFeed: events of the exchange -> numbered ITCH 5.0 messages. A pure function of the log.

Every node runs one over the same batches, so every node has the same message under the same number,
which is what lets line B go on when the leader dies and lets any node fill any gap.

| event                          | messages                                                   |
|--------------------------------|------------------------------------------------------------|
| SystemEvent                    | S                                                          |
| InstrumentAdded                | R, then H with state H: halted until a TradingAction says T |
| TradingAction                  | H: TRADING is T; HALTED and CLOSED are H; auctions are Q   |
| BookAdded                      | A                                                          |
| OrderExecuted, Liquidity.ADDED | E; at 0 shares left the order is gone, no D follows        |
| the same, ADDED_HIDDEN         | P: of an order that was never displayed                    |
| BookExecuted                   | C, not printable: Q prints the whole auction               |
| AuctionExecuted                | Q                                                          |
| AuctionIndicated               | I                                                          |
| TradeBusted                    | B                                                          |
| CircuitBreakersSet             | V, the index as Price(8): 100 at the close of the day before |
| CircuitBreakerTripped          | W                                                          |
| BookReduced                    | X                                                          |
| BookDeleted                    | D                                                          |
| BookReplaced                   | U                                                          |

All other events are private, or have no message of their own (PriceBandSet: J is the collar of an
auction), and leave no trace. The taking side of a trade never stood in the book, so it is not
shown. The time stamp is the batch's, in ns since midnight UTC. Source: Nasdaq TotalView-ITCH 5.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cluster.interface import AppliedBatch
from matching.types import Side
from oms import events as e
from oms.events import Event, EventKind, Liquidity, SystemEventCode, TradingState
from protocols import itch50
from protocols.itch50_messages import (
    HALT_REASONS,
    BrokenTrade,
    CrossTrade,
    EventCode,
    Message,
    MwcbDeclineLevel,
    MwcbStatus,
    NetOrderImbalance,
    OrderExecutedWithPrice,
    StockDirectory,
    StockTradingAction,
    SystemEvent,
    TradingStateCode,
)

EVENT_CODES = {
    SystemEventCode.START_OF_MESSAGES: EventCode.START_OF_MESSAGES,
    SystemEventCode.START_OF_SYSTEM_HOURS: EventCode.START_OF_SYSTEM_HOURS,
    SystemEventCode.START_OF_MARKET_HOURS: EventCode.START_OF_MARKET_HOURS,
    SystemEventCode.END_OF_MARKET_HOURS: EventCode.END_OF_MARKET_HOURS,
    SystemEventCode.END_OF_SYSTEM_HOURS: EventCode.END_OF_SYSTEM_HOURS,
    SystemEventCode.END_OF_MESSAGES: EventCode.END_OF_MESSAGES,
}
TRADING_STATES = {
    # ITCH has no state "closed"; what a receiver must know of both is that nothing trades.
    TradingState.CLOSED: TradingStateCode.HALTED,
    TradingState.HALTED: TradingStateCode.HALTED,
    TradingState.TRADING: TradingStateCode.TRADING,
    TradingState.PRE_OPEN: TradingStateCode.QUOTATION_ONLY,
    TradingState.OPENING_AUCTION: TradingStateCode.QUOTATION_ONLY,
    TradingState.CLOSING_AUCTION: TradingStateCode.QUOTATION_ONLY,
    TradingState.AUCTION_CALL: TradingStateCode.QUOTATION_ONLY,
    TradingState.EMERGENCY_CLOSED: TradingStateCode.HALTED,
}
CROSS_TYPES = {
    # Orders that were collected before a halt trade when it is over, as those of a call do.
    TradingState.HALTED: "H",
    TradingState.CLOSED: "H",
    TradingState.EMERGENCY_CLOSED: "H",
    TradingState.PRE_OPEN: "O",
    TradingState.OPENING_AUCTION: "O",
    TradingState.CLOSING_AUCTION: "C",
    TradingState.AUCTION_CALL: "H",
}
SIDES = {Side.BUY: b"B", Side.SELL: b"S", Side.SELL_SHORT: b"S", Side.SELL_SHORT_EXEMPT: b"S"}

# Plain integers: events carry those, and looking them up costs less than members of an enumeration.
_SIDES = {int(side): code for side, code in SIDES.items()}
_ADDED = int(Liquidity.ADDED)
_RESTING = (_ADDED, int(Liquidity.ADDED_HIDDEN))
_LAST_QTY = e.OrderExecuted._fields.index("last_qty")
_LAST_PRICE = e.OrderExecuted._fields.index("last_price")
_MATCH_NUMBER = e.OrderExecuted._fields.index("match_number")
_LIQUIDITY = e.OrderExecuted._fields.index("liquidity")
_PRICE_OF_INDEX = 10_000  # parts per million to Price(8), where 1,000,000 is 100.00000000
_SYMBOL = e.OrderExecuted._fields.index("symbol")
_REFERENCE = e.OrderExecuted._fields.index("order_reference_number")


class ItchFeed:
    """Turns batches into messages and counts them. Message numbers start at 1.

    It is the cluster.interface.Derivation of ItchPublisher, too.
    """

    def __init__(self) -> None:
        self.next_sequence_number = 1
        self.ended = False
        """True while the last message is System Event C: the session is over."""
        self._stocks: dict[int, bytes] = {}
        self._locates: dict[str, int] = {}
        # Nearly all that comes on a day, then the rest.
        self._encoders: dict[int, Callable[[Event, bytes, list[bytes]], None]] = {
            int(EventKind.ORDER_EXECUTED): self._order_executed,
            int(EventKind.BOOK_ADDED): self._book_added,
            int(EventKind.BOOK_DELETED): self._book_deleted,
            int(EventKind.BOOK_REPLACED): self._book_replaced,
            int(EventKind.BOOK_REDUCED): self._book_reduced,
        }
        self._rare_encoders: dict[int, Callable[[Event, int], Sequence[Message]]] = {
            int(EventKind.BOOK_EXECUTED): self._book_executed,
            int(EventKind.AUCTION_EXECUTED): self._auction_executed,
            int(EventKind.AUCTION_INDICATED): self._auction_indicated,
            int(EventKind.INSTRUMENT_ADDED): self._instrument_added,
            int(EventKind.TRADING_ACTION): self._trading_action,
            int(EventKind.SYSTEM_EVENT): self._system_event,
            int(EventKind.TRADE_BUSTED): self._trade_busted,
            int(EventKind.CIRCUIT_BREAKERS_SET): self._breakers_set,
            int(EventKind.CIRCUIT_BREAKER_TRIPPED): self._breaker_tripped,
        }
        self._encoders |= dict.fromkeys(self._rare_encoders, self._rare)

    def messages(self, batch: AppliedBatch) -> list[bytes]:
        """The messages of one batch; the first has the number that was `next_sequence_number`."""
        timestamp = itch50.timestamp_field(batch.time_ns % itch50.NS_PER_DAY)
        encoders = self._encoders
        messages: list[bytes] = []
        for event in batch.events:
            encoder = encoders.get(event[0])
            if encoder is not None:
                encoder(event, timestamp, messages)
        if messages:
            self.next_sequence_number += len(messages)
            last = messages[-1]
            self.ended = last[0:1] == b"S" and last[-1:] == EventCode.END_OF_MESSAGES.encode()
        return messages

    def on_batch(self, batch: AppliedBatch) -> None:
        """Count the messages of one batch."""
        self.messages(batch)

    def snapshot(self) -> dict[str, Any]:
        """Where the feed stands: the next number, whether it has ended, (locate, symbol) of every
        instrument."""
        return {
            "next_sequence_number": self.next_sequence_number,
            "ended": self.ended,
            "instruments": [[locate, symbol] for symbol, locate in self._locates.items()],
        }

    def restore(self, state: Any) -> None:
        """Go on from where `snapshot` was taken; None: from the first message."""
        state = state or {"next_sequence_number": 1, "ended": False, "instruments": []}
        self.next_sequence_number = state["next_sequence_number"]
        self.ended = state["ended"]
        self._locates = {symbol: locate for locate, symbol in state["instruments"]}
        self._stocks = {
            locate: itch50.stock_field(symbol) for symbol, locate in self._locates.items()
        }

    def _book_added(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        _, _, locate, reference, side, quantity, price = event
        stock = self._stocks[locate]
        messages.append(
            itch50.encode_add_order(
                locate, timestamp, reference, _SIDES[side], quantity, stock, price
            )
        )

    def _order_executed(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        liquidity = event[_LIQUIDITY]
        if liquidity not in _RESTING:
            return
        locate = self._locates[event[_SYMBOL]]
        reference, quantity, match = event[_REFERENCE], event[_LAST_QTY], event[_MATCH_NUMBER]
        if liquidity != _ADDED:
            # P tells neither the side nor the number of the hidden order (since 2014).
            stock, price = self._stocks[locate], event[_LAST_PRICE]
            messages.append(
                itch50.encode_trade(locate, timestamp, b"B", quantity, stock, price, match)
            )
            return
        messages.append(itch50.encode_order_executed(locate, timestamp, reference, quantity, match))

    def _book_deleted(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        _, _, locate, reference = event
        messages.append(itch50.encode_order_delete(locate, timestamp, reference))

    def _book_reduced(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        _, _, locate, reference, canceled = event
        messages.append(itch50.encode_order_cancel(locate, timestamp, reference, canceled))

    def _book_replaced(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        _, _, locate, original, new, quantity, price = event
        messages.append(
            itch50.encode_order_replace(locate, timestamp, original, new, quantity, price)
        )

    def _rare(self, event: Event, timestamp: bytes, messages: list[bytes]) -> None:
        encoder = self._rare_encoders[event[0]]
        messages += map(itch50.encode, encoder(event, int.from_bytes(timestamp, "big")))

    def _book_executed(self, event: Event, timestamp: int) -> Sequence[Message]:
        _, _, locate, reference, quantity, price, match = event
        head = (locate, 0, timestamp, reference, quantity, match)
        return (OrderExecutedWithPrice(*head, "N", price),)

    def _auction_executed(self, event: Event, timestamp: int) -> Sequence[Message]:
        _, _, locate, symbol, quantity, price, match, auction = event
        cross = CROSS_TYPES[TradingState(auction)]
        return (CrossTrade(locate, 0, timestamp, quantity, symbol, price, match, cross),)

    def _auction_indicated(self, event: Event, timestamp: int) -> Sequence[Message]:
        _, _, locate, symbol, paired, imbalance, price, reference, auction = event
        direction = "B" if imbalance > 0 else "S" if imbalance < 0 else "N" if paired else "O"
        indicated = NetOrderImbalance(
            stock_locate=locate,
            tracking_number=0,
            timestamp=timestamp,
            paired_shares=paired,
            imbalance_shares=abs(imbalance),
            imbalance_direction=direction,
            stock=symbol,
            far_price=price,
            near_price=price,
            current_reference_price=reference,
            cross_type=CROSS_TYPES[TradingState(auction)],
            price_variation_indicator=_price_variation(price, reference),
        )
        return (indicated,)

    def _instrument_added(self, event: Event, timestamp: int) -> Sequence[Message]:
        added = e.InstrumentAdded(*event)
        locate = added.stock_locate
        known = self._locates.get(added.symbol)  # since another day, which names all of them again
        assert known == locate or (known is None and locate not in self._stocks), (
            f"stock_locate {locate} was added twice"
        )
        self._stocks[locate] = itch50.stock_field(added.symbol)
        self._locates[added.symbol] = locate
        halted = TradingStateCode.HALTED
        action = StockTradingAction(locate, 0, timestamp, added.symbol, halted, "", "")
        return _directory(added, timestamp), action

    def _trading_action(self, event: Event, timestamp: int) -> Sequence[Message]:
        action = e.TradingAction(*event)
        state = TRADING_STATES[TradingState(action.trading_state)]
        # Operators write sentences; the feed has four characters and a list of codes.
        reason = action.reason.strip().upper()
        reason = reason if reason in HALT_REASONS else ""
        locate, symbol = action.stock_locate, action.symbol
        return (StockTradingAction(locate, 0, timestamp, symbol, state, "", reason),)

    def _system_event(self, event: Event, timestamp: int) -> Sequence[Message]:
        code = EVENT_CODES[SystemEventCode(e.SystemEvent(*event).code)]
        return (SystemEvent(0, 0, timestamp, code),)

    def _trade_busted(self, event: Event, timestamp: int) -> Sequence[Message]:
        busted = e.TradeBusted(*event)
        return (BrokenTrade(busted.stock_locate, 0, timestamp, busted.match_number),)

    def _breakers_set(self, event: Event, timestamp: int) -> Sequence[Message]:
        _, _, *levels = event
        prices = [level * _PRICE_OF_INDEX for level in levels]
        return (MwcbDeclineLevel(0, 0, timestamp, *prices),)

    def _breaker_tripped(self, event: Event, timestamp: int) -> Sequence[Message]:
        _, _, level, _ = event
        return (MwcbStatus(0, 0, timestamp, str(level)),)


def _price_variation(price: int, reference: int) -> str:
    """How far the price is from the reference price: L below 1 %, then 1 to 9 by the percent, A
    from 10, B from 20, C from 30; blank without a price."""
    if not price:
        return ""
    percent = abs(price - reference) * 100 // reference
    return "L123456789"[percent] if percent < 10 else "ABC"[min(percent // 10, 3) - 1]


def _directory(added: e.InstrumentAdded, timestamp: int) -> StockDirectory:
    """R: what this exchange knows of an instrument; the rest is blank, which means not available.

    Orders must be multiples of the lot, so a lot of more than one share means round lots only.
    """
    return StockDirectory(
        stock_locate=added.stock_locate,
        tracking_number=0,
        timestamp=timestamp,
        stock=added.symbol,
        market_category="",
        financial_status_indicator="",
        round_lot_size=added.lot_size,
        round_lots_only="Y" if added.lot_size > 1 else "N",
        issue_classification="C",  # common stock
        issue_sub_type="Z",  # not applicable
        authenticity="P",  # live, not a test of the feed
        short_sale_threshold_indicator="",
        ipo_flag="",
        luld_reference_price_tier="",
        etp_flag="",
        etp_leverage_factor=0,
        inverse_indicator="N",
    )
