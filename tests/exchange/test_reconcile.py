"""Reconciliation finds what is wrong: each test spoils one thing in a story that is right."""

from __future__ import annotations

from collections import Counter

from exchange.ledger import Ledger, Report, Request
from exchange.reconcile import (
    check_executions_on_feed,
    check_log,
    check_sessions,
    check_trades,
    lost_and_duplicated,
)

PRICE = 1_000_000
BLANK = Report("8", "", "", "", "", "", "", "AAPL", "1", 100, 0, 0, 0, 0, 0, "", 0)


def order(name: str, side: str) -> Request:
    return Request("D", name, "", "AAPL", side, 100, PRICE, 0)


def story() -> tuple[Ledger, Ledger]:
    """A buys 100, B sells 40 to it, A cancels the rest; B is refused a second order."""
    a, b = Ledger("A"), Ledger("B")
    a.requests = {
        "a1": order("a1", "1"),
        "a2": Request("F", "a2", "a1", "AAPL", "1", 0, None, 0),
    }
    b.requests = {"b1": order("b1", "2")._replace(quantity=40), "b2": order("b2", "2")}
    of_a = BLANK._replace(order_id="1", cl_ord_id="a1")
    of_b = BLANK._replace(order_id="2", cl_ord_id="b1", side="2", quantity=40)
    fill = {"exec_type": "F", "last_qty": 40, "last_price": PRICE, "match_number": 7, "cum_qty": 40}
    a.reports = [
        of_a._replace(exec_id="1", exec_type="0", ord_status="0", leaves_qty=100),
        of_a._replace(exec_id="3", ord_status="1", leaves_qty=60, **fill),
        of_a._replace(
            exec_id="5", exec_type="4", ord_status="4", cl_ord_id="a2", orig_cl_ord_id="a1",
            cum_qty=40,
        ),
    ]  # fmt: skip
    b.reports = [
        of_b._replace(exec_id="2", exec_type="0", ord_status="0", leaves_qty=40),
        of_b._replace(exec_id="4", ord_status="2", leaves_qty=0, **fill),
        BLANK._replace(exec_id="6", exec_type="8", ord_status="8", cl_ord_id="b2", side="2"),
    ]
    return a, b


def test_a_story_that_is_right_has_no_problem() -> None:
    ledgers = story()
    assert check_sessions(ledgers) == []
    assert check_trades(ledgers) == []
    assert check_executions_on_feed(ledgers, [(7, 40, PRICE, "AAPL")]) == []
    assert check_log(ledgers, Counter({("A", "a1"): 1, ("B", "b1"): 1})) == []
    assert lost_and_duplicated(ledgers) == (0, 0)


def test_an_order_without_an_answer_is_lost() -> None:
    a, b = story()
    del b.reports[2]
    assert check_sessions((a, b)) == ["B: D b2 was never answered"]
    assert lost_and_duplicated((a, b)) == (1, 0)


def test_an_order_acknowledged_twice_is_duplicated() -> None:
    a, b = story()
    b.reports.append(b.reports[2]._replace(exec_id="9"))
    assert "B: D b2 was answered twice" in check_sessions((a, b))
    assert lost_and_duplicated((a, b)) == (0, 1)


def test_an_exec_id_that_comes_twice_is_found_across_sessions() -> None:
    a, b = story()
    b.reports[0] = b.reports[0]._replace(exec_id="1")
    assert check_sessions((a, b)) == ["ExecID 1 came 2 times"]
    assert lost_and_duplicated((a, b)) == (0, 1)


def test_an_answer_to_nothing_is_found() -> None:
    a, b = story()
    b.reports.append(b.reports[2]._replace(exec_id="9", cl_ord_id="b9"))
    assert "B: an answer to b9, never sent" in check_sessions((a, b))


def test_a_message_that_was_refused_as_such_is_found() -> None:
    a, b = story()
    b.reports[2] = BLANK._replace(msg_type="j", cl_ord_id="b2", text="no such message")
    assert check_sessions((a, b)) == ["B: refused as a message: no such message"]


def test_fills_that_do_not_add_up_are_found() -> None:
    a, b = story()
    a.reports[1] = a.reports[1]._replace(cum_qty=50)
    problems = check_sessions((a, b))
    assert "A: order 1 (a1): CumQty 50, but the fills add up to 40" in problems
    assert any("OrderQty 100 is not CumQty 50 + LeavesQty 60" in text for text in problems)


def test_a_fill_that_is_missing_is_found_by_the_next_report() -> None:
    a, b = story()
    del a.reports[1]
    assert check_sessions((a, b)) == ["A: order 1 (a2): CumQty 40, but the fills add up to 0"]
    assert check_trades((a, b)) == ["match 7 is not one buyer and one seller: b1 side 2"]


def test_leaves_of_an_order_that_is_over_must_be_zero() -> None:
    a, b = story()
    a.reports[2] = a.reports[2]._replace(leaves_qty=60)
    assert check_sessions((a, b)) == ["A: order 1 (a2): LeavesQty 60 in status 4"]


def test_two_sides_of_a_trade_that_differ_are_found() -> None:
    a, b = story()
    b.reports[1] = b.reports[1]._replace(last_price=PRICE + 100)
    assert len(check_trades((a, b))) == 1
    a, b = story()
    b.reports[1] = b.reports[1]._replace(side="1")
    assert len(check_trades((a, b))) == 1


def test_a_fill_without_a_match_number_is_found() -> None:
    a, b = story()
    b.reports[1] = b.reports[1]._replace(match_number=0)
    assert "1 fills without a match number" in check_trades((a, b))


def test_feed_and_reports_must_tell_of_the_same_trades() -> None:
    ledgers = story()
    assert check_executions_on_feed(ledgers, []) != []
    assert check_executions_on_feed(ledgers, [(7, 41, PRICE, "AAPL")]) != []
    assert check_executions_on_feed(ledgers, [(7, 40, PRICE, "MSFT")]) != []
    good = (7, 40, PRICE, "AAPL")
    assert check_executions_on_feed(ledgers, [good, good]) == ["match 7 is on the feed twice"]
    assert check_executions_on_feed(ledgers, [good, (8, 1, PRICE, "AAPL")]) != []


def test_an_acknowledged_order_must_be_in_the_log_exactly_once() -> None:
    ledgers = story()
    twice = Counter({("A", "a1"): 2, ("B", "b1"): 1})
    missing = Counter({("A", "a1"): 1})
    untold = Counter({("A", "a1"): 1, ("B", "b1"): 1, ("B", "b7"): 1})
    assert check_log(ledgers, twice) == ["A: a1 was acknowledged; it is in the log 2 x"]
    assert check_log(ledgers, missing) == ["B: b1 was acknowledged; it is in the log 0 x"]
    assert check_log(ledgers, untold) == ["B: b7 is live in the log, but nobody was told"]
