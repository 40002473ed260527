"""What a node has promised to keep: its log and its vote, as far as flushes have returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster.journal import Journal
from cluster.segment import RecordKind, _records

_read_records = _records
"""The function as it is now: mutations.py replaces the one that the journal uses."""


class DiskLog(NamedTuple):
    """Terms of the entries from `first_index` on, and the vote of `term`. Never changed."""

    first_index: int = 1
    terms: tuple[int, ...] = ()
    term: int = 0
    voted_for: str | None = None

    @staticmethod
    def of(journal: Journal) -> DiskLog:
        """What a journal holds that was just opened."""
        indexes = range(journal.first_index, journal.last_index + 1)
        return DiskLog(
            journal.first_index,
            tuple(journal.term_at(index) or 0 for index in indexes),
            journal.getCurrentTerm(),
            journal.getVotedForNodeId(),
        )

    @property
    def last_index(self) -> int:
        """Index of the last entry."""
        return self.first_index + len(self.terms) - 1

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is there, or in the snapshot that the log goes on from."""
        position = index - self.first_index
        if position < 0:
            return True
        return position < len(self.terms) and self.terms[position] == term

    def after(self, flushed: bytes) -> DiskLog:
        """What it is once all records of a flush are on the disk."""
        *_, last = self.on_the_way(flushed)
        return last

    def on_the_way(self, flushed: bytes) -> Iterator[DiskLog]:
        """What it may be when only some of the records are: these, and no others."""
        first, terms, term, voted_for = (
            self.first_index,
            list(self.terms),
            self.term,
            self.voted_for,
        )
        yield self
        for kind, index, record_term, payload, _ in _read_records(flushed, 0, len(flushed)):
            if kind == RecordKind.ENTRY:
                first = first if terms else index
                terms.append(record_term)
            elif kind == RecordKind.TRUNCATE:
                del terms[index - first :]
            elif kind == RecordKind.VOTE:
                term, voted_for = record_term, payload.decode() if index else None
            elif kind == RecordKind.HEAD:
                del terms[: index - first]
                first = index
            elif kind == RecordKind.CLEAR:
                first, terms = 1, []
            else:
                continue
            yield DiskLog(first, tuple(terms), term, voted_for)
