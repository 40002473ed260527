"""FIX.4.2: the layouts and enumerations of the messages that we support.

The notation is that of protocols/fix_tables.py. Layouts are complete, with the one addition of the
self-trade tags (2362, 2964, 7928, 8000) that orders may carry in any version.
Source: FIX 4.2 with errata of 2001-05-01.
"""

from __future__ import annotations

from typing import Final

from protocols.fix_tables import VersionTables

TEXT: Final = "58 354 355"
HEADER: Final = """8! 9! 35! 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122
    212 213 347 369"""
TRAILER: Final = "93 89 10!"
SELF_TRADE: Final = "2362 2964"
"""SelfMatchPreventionID and SelfMatchPreventionInstruction."""
SELF_TRADE_ALIASES: Final = "7928 8000"
"""The same by the tags that venues used before the standard had any."""

SESSION_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "A": ("Logon", "98! 108! 95 96 141 383 384(372 385) 8013"),
    "0": ("Heartbeat", "112"),
    "1": ("TestRequest", "112!"),
    "2": ("ResendRequest", "7! 16!"),
    "3": ("Reject", f"45! 371 372 373 {TEXT}"),
    "4": ("SequenceReset", "123 36!"),
    "5": ("Logout", TEXT),
}
BUSINESS_MESSAGE_REJECT: Final = ("BusinessMessageReject", f"45 372! 379 380! {TEXT}")
ROUTING: Final = "215(216 217)"
LINES_OF_TEXT: Final = f"33!(58! {TEXT.removeprefix('58 ')})"

_INSTRUMENT: Final = "65 48 22 167 200 205 201 202 206 231 223 207 106 348 349 107 350 351"
_TERMS: Final = """109 76 1 63 64 18 110 111 38 152 44 99 15 376 377 59 168 432 126 427 12 13 47
    120 58 354 355 193 192 77 210 211 388 389 439 440"""
_ORDER: Final = f"""11! 21! 55! {_INSTRUMENT} 54! 60! 40! {_TERMS}
    78(79 80) 100 386(336) 114 121 203 204 {SELF_TRADE} {SELF_TRADE_ALIASES}"""
_MD_ENTRY: Final = f"""269! 270! 15 271 272 273 274 275 336 276 277 282 283 284 286 59 432 126 110
    18 287 37 299 288 289 346 290 {TEXT}"""

_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    **SESSION_MESSAGES,
    "D": ("NewOrderSingle", f"{_ORDER} 81 140 23 117"),
    "F": (
        "OrderCancelRequest",
        f"41! 37 11! 66 1 109 76 55! {_INSTRUMENT} 54! 60! 38 152 376 377 {TEXT}",
    ),
    "G": ("OrderCancelReplaceRequest", f"37 41! 66 {_ORDER}"),
    "H": ("OrderStatusRequest", f"37 11! 109 1 76 55! {_INSTRUMENT} 54!"),
    "8": (
        "ExecutionReport",
        f"""37! 198 11 41 382(375 337 437 438) 66 17! 20! 19 150! 39! 103 378 55! {_INSTRUMENT} 54!
        {_TERMS} 40 32 31 194 195 30 336 29 151! 14! 6! 424 425 426 75 60 113 381 119 155 156
        21 442""",
    ),
    "9": ("OrderCancelReject", f"37! 198 11! 41! 39! 109 76 66 1 60 434! 102 {TEXT}"),
    "V": ("MarketDataRequest", f"262! 263! 264! 265 266 267!(269!) 146!(55! {_INSTRUMENT} 336)"),
    "W": (
        "MarketDataSnapshotFullRefresh",
        f"262 55! {_INSTRUMENT} 291 292 387 268!({_MD_ENTRY})",
    ),
    "Y": ("MarketDataRequestReject", f"262! 281 {TEXT}"),
    "e": ("SecurityStatusRequest", f"324! 55! {_INSTRUMENT} 15 263! 336"),
    "f": (
        "SecurityStatus",
        f"""324 55! {_INSTRUMENT} 15 336 325 326 291 292 327 328 329 330 331 332 333 31 60
        334""",
    ),
    "g": ("TradingSessionStatusRequest", "335! 336 338 339 263!"),
    "h": (
        "TradingSessionStatus",
        f"335 336! 338 339 325 340! 341 342 343 344 345 387 {TEXT}",
    ),
    "j": BUSINESS_MESSAGE_REJECT,
    "B": (
        "News",
        f"42 61 148! 358 359 {ROUTING} 146(46 {_INSTRUMENT}) {LINES_OF_TEXT} 149 95 96",
    ),
}

ENUMERATIONS: Final[dict[int, str]] = {
    13: "1 2 3",
    18: "0 1 2 3 4 5 6 7 8 9 A B C D E F G I L M N O P R S T U V W",
    20: "0 1 2 3",
    21: "1 2 3",
    22: "1 2 3 4 5 6 7 8 9",
    39: "0 1 2 3 4 5 6 7 8 9 A B C D E",
    40: "1 2 3 4 5 6 7 8 9 A B C D E F G H I P",
    54: "1 2 3 4 5 6 7 8 9",
    59: "0 1 2 3 4 5 6",
    61: "0 1 2",
    63: "0 1 2 3 4 5 6 7 8 9",
    77: "O C",
    81: "0 1 2 3 4 5 6",
    98: "0 1 2 3 4 5 6",
    102: "0 1 2 3",
    103: "0 1 2 3 4 5 6 7 8",
    150: "0 1 2 3 4 5 6 7 8 9 A B C D E",
    201: "0 1",
    203: "0 1",
    204: "0 1",
    263: "0 1 2",
    265: "0 1",
    269: "0 1 2 3 4 5 6 7 8 9",
    274: "0 1 2 3",
    276: "A B C D E F G H I",
    277: "A B C D E F G H I J K L M N",
    281: "0 1 2 3 4 5 6 7 8",
    286: "0 1 2",
    326: "1 2 3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20",
    327: "D E I M P X",
    334: "1 2 3",
    338: "1 2 3",
    339: "1 2 3",
    340: "1 2 3 4 5",
    373: "0 1 2 3 4 5 6 7 8 9 10 11",
    378: "0 1 2 3 4 5",
    380: "0 1 2 3 4 5",
    385: "S R",
    388: "0 1 2 3 4 5",
    423: "1 2 3",
    427: "0 1 2",
    434: "1 2",
    442: "1 2 3",
}

_FIELDS: Final = {
    # What later versions named or typed otherwise.
    "STRING": "22 IDSource, 23 IOIid",
    "CHAR": """63 SettlmntTyp, 77 OpenClose, 286 OpenCloseSettleFlag, 291 FinancialStatus,
        292 CorporateAction""",
    "NUMINGROUP": "33 LinesOfText",
    "QTY": "32 LastShares, 80 AllocShares",
    "PRICEOFFSET": "211 PegDifference, 389 DiscretionOffset",
    "LOCALMKTDATE": "64 FutSettDate, 193 FutSettDate2",
}

TABLES: Final = VersionTables(
    name="FIX.4.2",
    begin_string="FIX.4.2",
    appl_ver_id="",
    defined_tags="1-100 102-219 223 231 262-446",
    fields=_FIELDS,
    enumerations=ENUMERATIONS,
    header=f"{HEADER} 370",
    trailer=TRAILER,
    messages=_MESSAGES,
    msg_types="""0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N P Q R S T V W X Y Z
        a b c d e f g h i j k l m""",
)
