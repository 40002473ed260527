"""After a load: every request was answered once, and as it must be; every trade has two sides."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

from exchange.bench.answers import Answer, Told, read_answers
from exchange.bench.flow import Kind
from exchange.bench.session import LoadSession

_ANSWER_TO: Final = {
    Kind.NEW: Told.ACCEPTED,
    Kind.CROSS: Told.ACCEPTED,
    Kind.REPLACE: Told.REPLACED,
    Kind.CANCEL: Told.CANCELED,
}
PROBLEMS_TOLD: Final = 20
_ANSWERED_OFTEN: Final = 255


class Audit:
    """What a load got, and what is wrong with it. Times are of time.perf_counter_ns.

    Memory: 24 bytes per request, and a few dozen per trade of which one side was not read yet.
    """

    def __init__(self, begun_ns: int, ended_ns: int) -> None:
        """Figures are of what was sent, or answered, in [begun_ns, ended_ns)."""
        self.latencies_ns = array("q")
        """Of the requests that were sent in that time."""
        self.sent_offsets_ns = array("q")
        """When each of these was sent, after `begun_ns`."""
        self.answered = 0
        """Requests that were answered in that time, whenever sent."""
        self.all_answered = 0
        self.lost = 0
        self.duplicated = 0
        self.mix: Counter[str] = Counter()
        self.executions = 0
        self.problems: list[str] = []
        self.problem_count = 0
        self._begun_ns = begun_ns
        self._ended_ns = ended_ns
        self._trades: dict[int, tuple[str, str, int, int] | None] = {}
        """By match number: side, symbol, quantity and price that one side told; None: both did."""

    def read(self, sessions: Iterable[LoadSession], entry: str) -> None:
        """Read what all sessions were told; `entry` is "fix" or "ouch"."""
        for session in sessions:
            self._read_session(session, entry)
        for match_number, one_side in self._trades.items():
            if one_side is not None:
                self._problem(f"match {match_number}: only one side was told: {one_side}")

    def _read_session(self, session: LoadSession, entry: str) -> None:
        answers = bytearray(session.sent)
        filled = array("I", bytes(4 * session.sent))
        for time_ns, answer in read_answers(session, entry):
            number = answer.number
            if number is None or not 0 <= number < session.sent:
                self._problem(f"{session.name}: {answer} fits no request")
            elif answer.told is Told.EXECUTED:
                self._execution(session, answer, number, filled)
            else:
                answers[number] = min(_ANSWERED_OFTEN, answers[number] + 1)
                self._answer(session, answer, number, time_ns)
        lost = answers.count(0)
        self.lost += lost
        if lost:
            first = answers.index(0)
            step = session.flow.step(first)
            self._problem(f"{session.name}: {lost} requests without an answer, first {step}")
        self.duplicated += sum(answers) - (session.sent - lost)
        for number in range(session.sent):
            self.mix[session.flow.step(number).kind.value] += 1

    def _answer(self, session: LoadSession, answer: Answer, number: int, time_ns: int) -> None:
        step = session.flow.step(number)
        self.all_answered += 1
        if answer.told is not _ANSWER_TO[step.kind]:
            self._problem(f"{session.name}: request {number}, {step}, was answered {answer}")
        elif step.quantity and answer.quantity != step.quantity:
            self._problem(f"{session.name}: request {number}, {step}: other terms in {answer}")
        sent_ns = session.sent_ns[number]
        if self._begun_ns <= time_ns < self._ended_ns:
            self.answered += 1
        if self._begun_ns <= sent_ns < self._ended_ns:
            self.latencies_ns.append(time_ns - sent_ns)
            self.sent_offsets_ns.append(sent_ns - self._begun_ns)

    def _execution(
        self, session: LoadSession, answer: Answer, number: int, filled: array[int]
    ) -> None:
        step = session.flow.step(number)
        self.executions += 1
        filled[number] += answer.quantity
        if answer.quantity < 1 or filled[number] > step.quantity:
            self._problem(f"{session.name}: {step} is filled with {filled[number]} by {answer}")
        told = step.side, step.symbol, answer.quantity, answer.price
        match_number = answer.match_number
        if match_number not in self._trades:
            self._trades[match_number] = told
            return
        other = self._trades[match_number]
        if other is None:
            self.duplicated += 1
            self._problem(f"match {match_number} was told to more than two sides")
        elif other[0] == told[0] or other[1:] != told[1:]:
            self._problem(f"match {match_number}: the sides differ: {other}, {told}")
        self._trades[match_number] = None

    def _problem(self, text: str) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(text)


def all_problems(audit: Audit) -> list[str]:
    """The first problems, and how many more there are."""
    more = audit.problem_count - len(audit.problems)
    return [*audit.problems, *([f"... and {more} more"] if more else [])]
