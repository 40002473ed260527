"""The tables of a version, made ready for use: per message, which field may stand where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from protocols.fix_fields import FIELDS
from protocols.fix_tables import LayoutField, VersionTables, parse_layout
from protocols.fix_types import TYPE_CHECKS, Check, one_of

HEADER: Final = 0
BODY: Final = 1
TRAILER: Final = 2

APPL_VER_ID: Final = 1128


class Group(NamedTuple):
    """A repeating group of one message. Its first field starts each entry; members may be groups
    themselves. `order`: tag -> place within an entry."""

    count_tag: int
    first_tag: int
    order: dict[int, int]
    required: tuple[int, ...]


class MessageRules(NamedTuple):
    """One message type, header and trailer included."""

    name: str
    required: tuple[int, ...]
    fields: dict[int, tuple[int, Check]]
    """Each field, also those inside of groups -> (section, check)."""
    top_level: frozenset[int]
    """The fields that may stand outside of repeating groups."""
    groups: dict[int, Group]
    """The tag that counts the entries -> the group."""
    shapes: dict[tuple[int, ...], tuple[tuple[int, Check], ...]]
    """Tags of messages that were right -> what remains to be checked: clients send few shapes."""


class FieldTypes:
    """Names, types, enumerations and checks of the fields of one version."""

    def __init__(self, tables: VersionTables) -> None:
        self.names: dict[int, str] = {}
        self.types: dict[int, str] = {}
        for fields in (FIELDS, tables.fields):
            for type_name, text in fields.items():
                for entry in text.split(","):
                    number, name = entry.split()
                    self.names[int(number)] = name
                    self.types[int(number)] = type_name
        self.enumerations = {tag: tuple(text.split()) for tag, text in tables.enumerations.items()}
        self._checks = {
            tag: one_of(text, self.types[tag]) for tag, text in tables.enumerations.items()
        }
        if tables.appl_ver_id:
            self._checks[APPL_VER_ID] = frozenset((tables.appl_ver_id,)).__contains__

    def check_of(self, tag: int) -> Check:
        """The strictest check of a field's value: the list of its values, or else its type."""
        return self._checks.get(tag) or TYPE_CHECKS[self.types[tag]][0]

    def keep_only(self, tags: frozenset[int]) -> None:
        """Forget the fields that no message of the version has."""
        self.enumerations = {tag: v for tag, v in self.enumerations.items() if tag in tags}
        self.names = {tag: name for tag, name in self.names.items() if tag in tags}
        self.types = {tag: type_name for tag, type_name in self.types.items() if tag in tags}


def make_rules(tables: VersionTables, types: FieldTypes) -> dict[str, MessageRules]:
    """MsgType -> rules of all messages of a version."""
    header, trailer = parse_layout(tables.header), parse_layout(tables.trailer)
    return {
        msg_type: _rules_of(
            name, ((HEADER, header), (BODY, parse_layout(body)), (TRAILER, trailer)), types
        )
        for msg_type, (name, body) in tables.messages.items()
    }


def _rules_of(
    name: str, sections: Iterable[tuple[int, tuple[LayoutField, ...]]], types: FieldTypes
) -> MessageRules:
    rules = MessageRules(name, (), {}, frozenset(), {}, {})
    required: list[int] = []
    top_level: list[int] = []
    for section, layout in sections:
        top_level += [field.tag for field in layout]
        if section != TRAILER:  # without a CheckSum(10) there is no message
            required += [field.tag for field in layout if field.is_required]
        for field in _with_members(layout):
            rules.fields[field.tag] = section, types.check_of(field.tag)
            if field.members:
                rules.groups[field.tag] = _group_of(field)
    assert len(set(top_level)) == len(top_level), f"{name} has a field twice: {sorted(top_level)}"
    return rules._replace(required=tuple(required), top_level=frozenset(top_level))


def _with_members(layout: Iterable[LayoutField]) -> Iterator[LayoutField]:
    """The fields, and those inside of the groups among them."""
    for field in layout:
        yield field
        yield from _with_members(field.members)


def _group_of(field: LayoutField) -> Group:
    tags = [member.tag for member in field.members]
    required = tuple(member.tag for member in field.members if member.is_required)
    return Group(field.tag, tags[0], {tag: place for place, tag in enumerate(tags)}, required)
