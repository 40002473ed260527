"""Holds a FIX message against a dictionary: what a session-level Reject(3) has to say about it.

A valid message without repeating groups takes one short loop; everything else is looked at again
field by field, in wire order, to name the first thing that is wrong. The tables are in
protocols/fix_dictionary.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from protocols.fix import FixMessage, parse_utc_timestamp


class SessionRejectReason(IntEnum):
    """SessionRejectReason(373) of FIX 4.4."""

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
    OTHER = 99


class SessionReject(NamedTuple):
    """Why a message is rejected on session level. `ref_tag` None: no single tag is to blame."""

    ref_tag: int | None
    reason: SessionRejectReason
    text: str


class Group(NamedTuple):
    """A repeating group: its first field starts each instance; members may be groups themselves."""

    count_tag: int
    first_tag: int
    member_tags: frozenset[int]


Check = Callable[[str], object]
"""True when a value is well-formed (ASCII is checked for the whole message at once)."""

_MAX_SHAPES: Final = 256
_FLOAT: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)").fullmatch
_POSITIVE: Final = re.compile("[0-9]{1,10}").fullmatch
_WORD: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?").fullmatch
_MONTH_DAY: Final = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"


def _is_timestamp(value: str) -> bool:
    return parse_utc_timestamp(value) is not None


TYPE_CHECKS: Final[dict[str, tuple[Check, str]]] = {
    "STRING": (str.isprintable, "printable characters"),
    "CHAR": (re.compile("[!-~]").fullmatch, "one character"),
    "BOOLEAN": (frozenset("YN").__contains__, "Y or N"),
    "INT": (re.compile("-?[0-9]{1,10}").fullmatch, "a whole number"),
    "LENGTH": (_POSITIVE, "a whole number"),
    "SEQNUM": (_POSITIVE, "a whole number"),
    "NUMINGROUP": (_POSITIVE, "a whole number"),
    "FLOAT": (_FLOAT, "a decimal number"),
    "QTY": (_FLOAT, "a decimal number"),
    "PRICE": (_FLOAT, "a decimal number"),
    "CURRENCY": (re.compile("[A-Z]{3}").fullmatch, "three capital letters"),
    "COUNTRY": (re.compile("[A-Z]{2}").fullmatch, "two capital letters"),
    "EXCHANGE": (_WORD, "a market code"),
    "MULTIPLEVALUESTRING": (re.compile("[!-~]+(?: [!-~]+)*").fullmatch, "words and single blanks"),
    "UTCTIMESTAMP": (_is_timestamp, "YYYYMMDD-HH:MM:SS[.sss]"),
    "LOCALMKTDATE": (re.compile("[0-9]{4}" + _MONTH_DAY).fullmatch, "YYYYMMDD"),
    "MONTHYEAR": (re.compile("[0-9]{4}(?:0[1-9]|1[0-2])(?:[0-9w]{2})?").fullmatch, "YYYYMM[DD]"),
    "DATA": (lambda value: True, "any bytes"),
}


class _Rules(NamedTuple):
    """One message type, ready for use: tag -> (section 0 header, 1 body, 2 trailer; check)."""

    name: str
    required: tuple[int, ...]
    required_set: frozenset[int]
    fields: dict[int, tuple[int, Check]]
    plain_fields: dict[int, tuple[int, Check]]
    """The fields outside of repeating groups."""
    shapes: dict[tuple[int, ...], tuple[tuple[int, Check], ...]]
    """Tags of messages that were right -> what remains to be checked: clients send few shapes."""


class FixDictionary:
    """The supported messages of one version of FIX."""

    def __init__(
        self,
        begin_string: str,
        *,
        fields_by_type: Mapping[str, str],
        enumerations: Mapping[int, str],
        groups: Iterable[Group],
        header: str,
        header_required: str,
        trailer: str,
        messages: Mapping[str, tuple[str, str, str]],
        msg_types: str,
    ) -> None:
        """Tags stand in texts, separated by blanks. `fields_by_type`: type -> "number name, ...".
        `messages`: MsgType -> (name, required tags, other tags of the body). `msg_types`: all
        that the version knows, supported or not."""
        self.begin_string = begin_string
        self.msg_types = frozenset(msg_types.split())
        self.groups = {group.count_tag: group for group in groups}
        self._header = _tags(header)
        self._header_required = _tags(header_required)
        self._trailer = _tags(trailer)
        self.names: dict[int, str] = {}
        self.types: dict[int, str] = {}
        for type_name, text in fields_by_type.items():
            for entry in text.split(","):
                number, name = entry.split()
                self.names[int(number)] = name
                self.types[int(number)] = type_name
        self.enumerations = {tag: frozenset(values.split()) for tag, values in enumerations.items()}
        self._rules = {
            msg_type: self._make_rules(name, _tags(required), _tags(optional))
            for msg_type, (name, required, optional) in messages.items()
        }

    def _make_rules(self, name: str, required: list[int], optional: list[int]) -> _Rules:
        fields: dict[int, tuple[int, Check]] = {}
        plain_fields: dict[int, tuple[int, Check]] = {}
        for section, tags in ((1, required + optional), (0, self._header), (2, self._trailer)):
            for tag in self._with_members(tags):
                fields[tag] = (section, self._check_of(tag))
                if tag in tags and tag not in self.groups:
                    plain_fields[tag] = fields[tag]
        all_required = (*self._header_required, *required)
        return _Rules(name, all_required, frozenset(all_required), fields, plain_fields, {})

    def _with_members(self, tags: Iterable[int]) -> Iterator[int]:
        """The tags, and those inside of the groups among them."""
        for tag in tags:
            yield tag
            if tag in self.groups:
                yield from self._with_members(sorted(self.groups[tag].member_tags))

    def _check_of(self, tag: int) -> Check:
        allowed = self.enumerations.get(tag)
        return TYPE_CHECKS[self.types[tag]][0] if allowed is None else allowed.__contains__

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

    def validate(self, message: FixMessage) -> SessionReject | None:
        """What is wrong with a message of a supported MsgType, None when nothing is.

        A MsgType that is not supported is only told from one that does not exist (reason 11).
        """
        rules = self._rules.get(message.msg_type)
        if rules is None:
            if message.msg_type in self.msg_types:
                return None
            if not message.msg_type:
                return SessionReject(
                    35, SessionRejectReason.TAG_WITHOUT_VALUE, "MsgType(35) has no value"
                )
            return SessionReject(
                35,
                SessionRejectReason.INVALID_MSG_TYPE,
                f"MsgType(35) {printable(message.msg_type)} is not one of {self.begin_string}",
            )
        if message.is_plain:
            tags = message.tags
            value_checks = rules.shapes.get(tags)
            if value_checks is None:
                value_checks = self._learn_shape(rules, tags)
            if value_checks is not None:
                values = message.values
                for position, check in value_checks:
                    if not check(values[position]):
                        break
                else:
                    return None
        return self._explain(message, rules)

    def _learn_shape(
        self, rules: _Rules, tags: tuple[int, ...]
    ) -> tuple[tuple[int, Check], ...] | None:
        """What remains to be checked of a plain message with these tags in this order: (position,
        check). None when they are not right by themselves, or there are repeating groups."""
        if len(set(tags)) != len(tags) or not rules.required_set <= set(tags):
            return None
        last_section = 0
        value_checks: list[tuple[int, Check]] = []
        for position, tag in enumerate(tags):
            section, check = rules.plain_fields.get(tag, (-1, _FLOAT))
            if section < last_section:
                return None
            last_section = section
            if self.types[tag] != "STRING" or tag in self.enumerations:
                value_checks.append((position, check))
        if len(rules.shapes) >= _MAX_SHAPES:
            rules.shapes.clear()
        learned = rules.shapes[tags] = tuple(value_checks)
        return learned

    def _explain(self, message: FixMessage, rules: _Rules) -> SessionReject | None:
        """Look at every field in wire order and name the first thing that is wrong."""
        seen: set[int] = set()
        last_section = 0
        fields = message.fields
        position = 0
        while position < len(fields):
            tag, value = fields[position]
            wrong = self._explain_field(tag, value, rules)
            if wrong is not None:
                return wrong
            group = self.groups.get(tag)
            if group is None and tag not in rules.plain_fields:
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
                place = "standard header" if section == 0 else "body"
                return SessionReject(
                    tag,
                    SessionRejectReason.TAG_OUT_OF_ORDER,
                    f"{self.field_name(tag)} belongs into the {place}, before the fields there",
                )
            last_section = section
            position += 1
            if group is not None:
                end = self._walk_group(fields, position, group, int(value), rules)
                if isinstance(end, SessionReject):
                    return end
                position = end
        for tag in rules.required:
            if tag not in seen:
                return SessionReject(
                    tag,
                    SessionRejectReason.REQUIRED_TAG_MISSING,
                    f"{self.field_name(tag)} is required in {rules.name}({message.msg_type})",
                )
        return None

    def _explain_field(self, tag: int, value: str, rules: _Rules) -> SessionReject | None:
        """What is wrong with one field by itself."""
        if tag == 0:
            return SessionReject(
                None,
                SessionRejectReason.INVALID_TAG_NUMBER,
                f"field {printable(value)} does not begin with a tag number and =",
            )
        name = self.field_name(tag)
        if tag not in self.names:
            return SessionReject(
                tag,
                SessionRejectReason.INVALID_TAG_NUMBER,
                f"tag {tag} is not known to this {self.begin_string} session",
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
        is_text = self.types[tag] == "DATA" or tag == 58
        if not (check(value) and (is_text or value.isascii())):
            return SessionReject(
                tag,
                SessionRejectReason.INCORRECT_DATA_FORMAT,
                f"{name} {printable(value)} is not {description}",
            )
        allowed = self.enumerations.get(tag)
        if allowed is not None and value not in allowed:
            return SessionReject(
                tag,
                SessionRejectReason.VALUE_OUT_OF_RANGE,
                f"{name} {printable(value)} is none of {' '.join(sorted(allowed))}",
            )
        return None

    def _walk_group(
        self,
        fields: list[tuple[int, str]],
        position: int,
        group: Group,
        count: int,
        rules: _Rules,
    ) -> int | SessionReject:
        """Position after a repeating group whose first instance begins at `position`."""
        found = 0
        seen: set[int] = set()
        while position < len(fields):
            tag, value = fields[position]
            if tag not in group.member_tags:
                break
            if tag == group.first_tag:
                found += 1
                seen.clear()
            elif found == 0:
                return SessionReject(
                    tag,
                    SessionRejectReason.GROUP_FIELDS_OUT_OF_ORDER,
                    f"{self.field_name(group.first_tag)} must be the first field of each entry of"
                    f" {self.field_name(group.count_tag)}, found {self.field_name(tag)}",
                )
            elif tag in seen:
                return SessionReject(
                    tag,
                    SessionRejectReason.TAG_REPEATED,
                    f"{self.field_name(tag)} appears more than once in an entry of"
                    f" {self.field_name(group.count_tag)}",
                )
            seen.add(tag)
            wrong = self._explain_field(tag, value, rules)
            if wrong is not None:
                return wrong
            position += 1
            inner = self.groups.get(tag)
            if inner is not None:
                end = self._walk_group(fields, position, inner, int(value), rules)
                if isinstance(end, SessionReject):
                    return end
                position = end
        if found != count:
            return SessionReject(
                group.count_tag,
                SessionRejectReason.WRONG_NUM_IN_GROUP,
                f"{self.field_name(group.count_tag)} says {count}, the message has {found}",
            )
        return position


def _tags(text: str) -> list[int]:
    return [int(number) for number in text.split()]


def printable(value: str) -> str:
    """A value as it may stand in Text(58): ASCII, without control characters, not too long."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in value[:40])
    return f"'{shown}...'" if len(value) > 40 else f"'{shown}'"
