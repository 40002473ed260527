"""Holds a FIX message against a dictionary: what a session-level Reject(3) has to say about it.

A message that is laid out like one before it takes one short loop over its values; everything else
is looked at field by field, in wire order, to name the first thing that is wrong. The dictionaries
are in protocols/fix_dictionary.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from protocols.fix import MAX_LEARNED_FIELDS, FixMessage
from protocols.fix_rules import APPL_VER_ID, HEADER, FieldTypes, Group, MessageRules, make_rules
from protocols.fix_tables import VersionTables, parse_tag_ranges
from protocols.fix_types import FREE_TEXT, TYPE_CHECKS, Check

_MAX_SHAPES: Final = 256
_SESSION_REJECT_REASON: Final = 373
_IS_STRING: Final = TYPE_CHECKS["STRING"][0]


class SessionRejectReason(IntEnum):
    """SessionRejectReason(373) of FIX 4.4 and FIXT 1.1; `reject_reason` says what a version has."""

    INVALID_TAG_NUMBER = 0
    REQUIRED_TAG_MISSING = 1
    TAG_NOT_DEFINED_FOR_MESSAGE = 2
    UNDEFINED_TAG = 3
    TAG_WITHOUT_VALUE = 4
    VALUE_OUT_OF_RANGE = 5
    INCORRECT_DATA_FORMAT = 6
    COMP_ID_PROBLEM = 9
    SENDING_TIME_ACCURACY = 10
    INVALID_MSG_TYPE = 11
    TAG_REPEATED = 13
    TAG_OUT_OF_ORDER = 14
    GROUP_FIELDS_OUT_OF_ORDER = 15
    WRONG_NUM_IN_GROUP = 16
    VALUE_CONTAINS_SOH = 17
    INVALID_APPL_VERSION = 18
    OTHER = 99


class SessionReject(NamedTuple):
    """Why a message is rejected on session level. `ref_tag` None: no single tag is to blame."""

    ref_tag: int | None
    reason: SessionRejectReason
    text: str


class FixDictionary:
    """The supported messages of one version of FIX.

    `name` tells the version, `begin_string` is its BeginString(8) and `appl_ver_id` its
    DefaultApplVerID(1137), "" where there is none.
    """

    def __init__(self, tables: VersionTables) -> None:
        self.name = tables.name
        self.begin_string = tables.begin_string
        self.appl_ver_id = tables.appl_ver_id
        self.msg_types = frozenset(tables.msg_types.split())
        """All that the version has, supported or not."""
        types = FieldTypes(tables)
        self._rules = make_rules(tables, types)
        types.keep_only(frozenset(tag for rules in self._rules.values() for tag in rules.fields))
        self.names = types.names
        self.types = types.types
        self.enumerations = types.enumerations
        self._defined_tags = parse_tag_ranges(tables.defined_tags)
        self._reject_reasons = frozenset(int(v) for v in self.enumerations[_SESSION_REJECT_REASON])

    def supports(self, msg_type: str) -> bool:
        """True when the messages of this type are described here."""
        return msg_type in self._rules

    def message_name(self, msg_type: str) -> str:
        """`NewOrderSingle` for D; the MsgType itself when it is not described here."""
        rules = self._rules.get(msg_type)
        return rules.name if rules else msg_type

    def field_name(self, tag: int) -> str:
        """`Price(44)`, for texts."""
        return f"{self.names[tag]}({tag})" if tag in self.names else f"tag {tag}"

    def reject_reason(self, reason: int) -> int | None:
        """What SessionRejectReason(373) says in this version; None: leave it out.

        FIX 4.2 ends at 11 and has no number for "other": Text(58) says it all there.
        """
        return int(reason) if reason in self._reject_reasons else None

    def validate(self, message: FixMessage) -> SessionReject | None:
        """What is wrong with a message of a supported MsgType, None when nothing is.

        A MsgType that is not supported is only told from one that does not exist (reason 11).
        """
        rules = self._rules.get(message.msg_type)
        if rules is None:
            return self._judge_msg_type(message.msg_type)
        if message.is_plain:
            value_checks = rules.shapes.get(message.tags)
            if value_checks is not None:
                values = message.values
                for position, check in value_checks:
                    if not check(values[position]):
                        break
                else:
                    return None
        reject = self._explain(message, rules)
        if reject is None and message.is_plain and len(message.tags) <= MAX_LEARNED_FIELDS:
            self._learn_shape(message, rules)
        return reject

    def _judge_msg_type(self, msg_type: str) -> SessionReject | None:
        if msg_type in self.msg_types:
            return None
        if not msg_type:
            return SessionReject(
                35, SessionRejectReason.TAG_WITHOUT_VALUE, "MsgType(35) has no value"
            )
        return SessionReject(
            35,
            SessionRejectReason.INVALID_MSG_TYPE,
            f"MsgType(35) {printable(msg_type)} is not one of {self.name}",
        )

    def _learn_shape(self, message: FixMessage, rules: MessageRules) -> None:
        """Remember what is still to be checked of a message with the tags of this right one.

        Any printable value is a STRING. With the same tags in the same order, repeating groups are
        right when they count what they counted here.
        """
        value_checks: list[tuple[int, Check]] = []
        for position, tag in enumerate(message.tags):
            if tag in rules.groups:
                value_checks.append((position, message.values[position].__eq__))
            elif rules.fields[tag][1] is not _IS_STRING:
                value_checks.append((position, rules.fields[tag][1]))
        if len(rules.shapes) >= _MAX_SHAPES:
            rules.shapes.clear()
        rules.shapes[message.tags] = tuple(value_checks)

    def _explain(self, message: FixMessage, rules: MessageRules) -> SessionReject | None:
        """Look at every field in wire order and name the first thing that is wrong."""
        fields = message.fields
        if 0 in message.tags:
            return _without_tag(fields)
        seen: set[int] = set()
        last_section = HEADER
        position = 0
        while position < len(fields):
            tag, value = fields[position]
            wrong = self._explain_field(tag, value, rules)
            if wrong is not None:
                return wrong
            if tag not in rules.top_level:
                return SessionReject(
                    tag,
                    SessionRejectReason.TAG_NOT_DEFINED_FOR_MESSAGE,
                    f"{self.field_name(tag)} stands outside of its repeating group",
                )
            if tag in seen:
                return SessionReject(
                    tag,
                    SessionRejectReason.TAG_REPEATED,
                    f"{self.field_name(tag)} appears more than once",
                )
            seen.add(tag)
            section = rules.fields[tag][0]
            if section < last_section:
                place = "standard header" if section == HEADER else "body"
                return SessionReject(
                    tag,
                    SessionRejectReason.TAG_OUT_OF_ORDER,
                    f"{self.field_name(tag)} belongs into the {place}, before the fields there",
                )
            last_section = section
            position += 1
            if tag in rules.groups:
                end = self._walk_group(fields, position, rules.groups[tag], int(value), rules)
                if isinstance(end, SessionReject):
                    return end
                position = end
        missing = next((tag for tag in rules.required if tag not in seen), None)
        if missing is None:
            return None
        return SessionReject(
            missing,
            SessionRejectReason.REQUIRED_TAG_MISSING,
            f"{self.field_name(missing)} is required in {rules.name}({message.msg_type})",
        )

    def _explain_field(self, tag: int, value: str, rules: MessageRules) -> SessionReject | None:
        """What is wrong with one field by itself."""
        name = self.field_name(tag)
        if tag not in self.names and tag not in self._defined_tags:
            return SessionReject(
                tag,
                SessionRejectReason.INVALID_TAG_NUMBER,
                f"tag {tag} is not known to this {self.name} session",
            )
        if not value:
            return SessionReject(tag, SessionRejectReason.TAG_WITHOUT_VALUE, f"{name} has no value")
        if tag not in rules.fields:
            return SessionReject(
                tag,
                SessionRejectReason.TAG_NOT_DEFINED_FOR_MESSAGE,
                f"{name} is not a field of {rules.name}",
            )
        check, description = TYPE_CHECKS[self.types[tag]]
        is_text = self.types[tag] == "DATA" or tag in FREE_TEXT
        if not (check(value) and (is_text or value.isascii())):
            return SessionReject(
                tag,
                SessionRejectReason.INCORRECT_DATA_FORMAT,
                f"{name} {printable(value)} is not {description}",
            )
        if rules.fields[tag][1](value):
            return None
        if tag == APPL_VER_ID:
            return SessionReject(
                tag,
                SessionRejectReason.INVALID_APPL_VERSION,
                f"{name} {printable(value)} is not {self.appl_ver_id} ({self.name})",
            )
        return SessionReject(
            tag,
            SessionRejectReason.VALUE_OUT_OF_RANGE,
            f"{name} {printable(value)} is none of {' '.join(self.enumerations[tag])}",
        )

    def _walk_group(
        self,
        fields: list[tuple[int, str]],
        position: int,
        group: Group,
        count: int,
        rules: MessageRules,
    ) -> int | SessionReject:
        """Position after a repeating group whose first entry begins at `position`."""
        found = 0
        last_tag = 0
        seen: set[int] = set()
        while position < len(fields):
            tag, value = fields[position]
            if tag not in group.order:
                break
            if tag == group.first_tag:
                missing = self._missing_in_entry(group, seen) if found else None
                if missing is not None:
                    return missing
                found += 1
                seen.clear()
            else:
                wrong = (
                    self._misplaced_in_entry(tag, last_tag, group, seen)
                    if found
                    else (self._not_first_in_entry(tag, group))
                )
                if wrong is not None:
                    return wrong
            seen.add(tag)
            last_tag = tag
            wrong = self._explain_field(tag, value, rules)
            if wrong is not None:
                return wrong
            position += 1
            if tag in rules.groups:
                end = self._walk_group(fields, position, rules.groups[tag], int(value), rules)
                if isinstance(end, SessionReject):
                    return end
                position = end
        if found != count:
            return SessionReject(
                group.count_tag,
                SessionRejectReason.WRONG_NUM_IN_GROUP,
                f"{self.field_name(group.count_tag)} says {count}, the message has {found}",
            )
        return (self._missing_in_entry(group, seen) if found else None) or position

    def _not_first_in_entry(self, tag: int, group: Group) -> SessionReject:
        return SessionReject(
            tag,
            SessionRejectReason.GROUP_FIELDS_OUT_OF_ORDER,
            f"{self.field_name(group.first_tag)} must be the first field of each entry of"
            f" {self.field_name(group.count_tag)}, found {self.field_name(tag)}",
        )

    def _misplaced_in_entry(
        self, tag: int, last_tag: int, group: Group, seen: set[int]
    ) -> SessionReject | None:
        """What is wrong with the place of a field that is not the first of its entry."""
        if tag in seen:
            return SessionReject(
                tag,
                SessionRejectReason.TAG_REPEATED,
                f"{self.field_name(tag)} appears more than once in an entry of"
                f" {self.field_name(group.count_tag)}",
            )
        if group.order[tag] < group.order[last_tag]:
            return SessionReject(
                tag,
                SessionRejectReason.GROUP_FIELDS_OUT_OF_ORDER,
                f"{self.field_name(tag)} must stand before {self.field_name(last_tag)} in an entry"
                f" of {self.field_name(group.count_tag)}",
            )
        return None

    def _missing_in_entry(self, group: Group, seen: set[int]) -> SessionReject | None:
        for tag in group.required:
            if tag not in seen:
                return SessionReject(
                    tag,
                    SessionRejectReason.REQUIRED_TAG_MISSING,
                    f"{self.field_name(tag)} is required in each entry of"
                    f" {self.field_name(group.count_tag)}",
                )
        return None


def _without_tag(fields: list[tuple[int, str]]) -> SessionReject:
    """What is wrong with the first field that does not begin with a tag."""
    position = next(position for position, (tag, _) in enumerate(fields) if tag == 0)
    found = fields[position][1]
    if "=" in found:
        return SessionReject(
            None,
            SessionRejectReason.INVALID_TAG_NUMBER,
            f"field {printable(found)} does not begin with a tag number and =",
        )
    return SessionReject(
        fields[position - 1][0],
        SessionRejectReason.VALUE_CONTAINS_SOH,
        f"{printable(found)} is no field: it has no =, or the value before it contains SOH",
    )


def printable(value: str) -> str:
    """A value as it may stand in Text(58): ASCII, without control characters, not too long."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in value[:40])
    return f"'{shown}...'" if len(value) > 40 else f"'{shown}'"
