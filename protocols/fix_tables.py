"""How a version of FIX is written down: one NamedTuple of texts, and the notation of a layout.

A layout lists the fields of a message, tags separated by blanks. `11!` must be there. `453(448)`
counts the entries of a repeating group; in the parentheses are the fields of an entry, which keep
that order, and the first of which begins each entry. `146!(55! 65)` is both.

    >>> parse_layout("11! 453(448 447)")[1].members[0]
    LayoutField(tag=448, is_required=False, members=())
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple


class VersionTables(NamedTuple):
    """One version of the standard, as far as we support it; protocols/fix42_tables.py is one."""

    name: str
    """`FIX.5.0SP2`, while `begin_string` is what BeginString(8) says: `FIXT.1.1`."""
    begin_string: str
    appl_ver_id: str
    """What DefaultApplVerID(1137) says, "" where BeginString(8) says it all."""
    defined_tags: str
    """The tags of the standard, supported or not: `1-100 102-219`."""
    fields: Mapping[str, str]
    """Type -> "tag name, ..." of fields that differ from protocols/fix_fields.py."""
    enumerations: Mapping[int, str]
    """Tag -> the values that it may have; fields without an entry take any value of their type."""
    header: str
    trailer: str
    messages: Mapping[str, tuple[str, str]]
    """MsgType -> (name, layout of the body)."""
    msg_types: str
    """All of the standard, supported or not."""


class LayoutField(NamedTuple):
    """One field of a layout; `members` are the fields of an entry when it counts a group."""

    tag: int
    is_required: bool
    members: tuple[LayoutField, ...]


_TOKEN: Final = re.compile(r"\s*(?:([0-9]+)(!?)(\(?)|(\)))\s*")


def parse_layout(text: str) -> tuple[LayoutField, ...]:
    """The fields of a layout. ValueError when the text is none."""
    return _parse_fields(_tokens(text), "")


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"{text[position : position + 20]!r} is no part of a layout")
        yield token
        position = token.end()


def _parse_fields(tokens: Iterator[re.Match[str]], end: str) -> tuple[LayoutField, ...]:
    """The fields up to `end`: the closing parenthesis of their group, or "" for the whole text."""
    fields: list[LayoutField] = []
    found_end = ""
    for token in tokens:
        tag, required, opens, found_end = token.groups("")
        if found_end:
            break
        members = _parse_fields(tokens, ")") if opens else ()
        fields.append(LayoutField(int(tag), bool(required), members))
    if found_end != end:
        raise ValueError(f"a parenthesis too {'many' if found_end else 'few'} after {fields[-1:]}")
    return tuple(fields)


def parse_tag_ranges(text: str) -> frozenset[int]:
    """`1-3 7` -> the tags 1, 2, 3 and 7."""
    tags: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        tags.update(range(int(first), int(last or first) + 1))
    return frozenset(tags)
