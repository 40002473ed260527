"""The versions of FIX that we speak, ready for use: `FIX44.validate(message)`.

`validate` tells what a session-level Reject(3) has to say about a message, or None. The tables are
in protocols/fix42_tables.py, fix44_tables.py and fix50sp2_tables.py; a later version takes over
from an earlier one what the standard left alone.
"""

from __future__ import annotations

from typing import Final

from protocols import fix42_tables, fix44_tables, fix50sp2_tables
from protocols.fix_validation import FixDictionary

FIX42: Final = FixDictionary(fix42_tables.TABLES)
FIX44: Final = FixDictionary(fix44_tables.TABLES)
FIX50SP2: Final = FixDictionary(fix50sp2_tables.TABLES)

VERSIONS: Final[dict[str, FixDictionary]] = {
    dictionary.name: dictionary for dictionary in (FIX42, FIX44, FIX50SP2)
}
"""FIX.4.2, FIX.4.4 and FIX.5.0SP2 by their names."""
