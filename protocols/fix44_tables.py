"""FIX.4.4: the layouts and enumerations of the messages that we support.

The notation is that of protocols/fix_tables.py. Legs and underlyings, which no share has, are left
out; a message that carries them is rejected. Everything else of the standard's layouts is here.
Source: FIX 4.4 with errata of 2003-06-18, volumes 1 to 6.
"""

from __future__ import annotations

from typing import Final

from protocols import fix42_tables
from protocols.fix42_tables import (
    HEADER,
    LINES_OF_TEXT,
    ROUTING,
    SELF_TRADE,
    SELF_TRADE_ALIASES,
    TEXT,
)
from protocols.fix_tables import VersionTables

SESSION_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    **fix42_tables.SESSION_MESSAGES,
    "A": ("Logon", "98! 108! 95 96 141 789 383 384(372 385) 464 553 554 8013"),
}

# The component blocks that versions after this one use as they are.
QUANTITY: Final = "38 152 516 468 469"
STIPULATIONS: Final = "232(233 234)"
FINANCING: Final = "913 914 915 918 788 916 917 919 898"
SPREAD_AND_YIELD: Final = "218 220 221 222 662 663 699 761 235 236 701 696 697 698"
DISCRETION: Final = "388 389 841 842 843 844 846"
ATTRIBUTES: Final = "668 869 870(871 872)"
SESSIONS: Final = "386(336 625)"
PRE_ALLOCATION: Final = "78(79 661 736 467 539(524 525 538 804(545 805)) 80)"

_PARTIES: Final = "453(448 447 452 802(523 803))"
_INSTRUMENT: Final = """65 48 22 454(455 456) 460 461 167 762 200 541 201 224 225 239 226 227 228
    255 543 470 471 472 240 202 947 206 231 223 207 106 348 349 107 350 351 691 667 875 876
    864(865 866 867 868) 873 874"""

# The terms of an order, in the order itself and in its reports; and what only orders have.
TERMS: Final = f"""526 583 229 75 1 660 581 589 590 591 63 64 544 635 21 18 110 111 854 {QUANTITY}
    423 44 99 {SPREAD_AND_YIELD} 211 835 836 837 838 840 {DISCRETION} 847 848 849 376 377 15 59
    168 432 126 427 12 13 479 497 528 529 582 120 775 {TEXT} 193 192 77 210 480 481 513 494"""
ORDER_REQUIRED: Final = "11! 54! 60! 40!"
ORDER_ONLY: Final = f"70 100 {SESSIONS} 114 121 203 640 {SELF_TRADE_ALIASES}"
NEW_ORDER_ONLY: Final = f"81 140 {STIPULATIONS} 23 117"
REPLACE_ONLY: Final = "37 41! 66 586"
CANCEL: Final = f"41! 37 11! 526 583 66 586 1 660 581 54! 60! {QUANTITY} 376 {TEXT}"
STATUS_REQUEST: Final = "37 11! 526 583 790 1 660 54!"
EXECUTION: Final = f"""37! 198 527 11 41 693 790 584 911 912 66 548 551 549 17! 19 150! 39! 636 103
    378 54! {STIPULATIONS} 40 839 845 850 32 652 31 651 669 194 195 30 336 625 943 29 151! 14! 424
    425 426 60 113 381 157 230 158 159 738 920 921 922 258 259 260 238 237 118 119 155 156 641 442
    483 515 484 485 638 639 851 797"""
CANCEL_REJECT: Final = f"""37! 198 526 11! 583 41! 39! 636 586 66 1 660 581 229 75 60 434! 102
    {TEXT}"""
MASS_CANCEL_REPORT: Final = f"11 526 37! 198 530! 531! 532 533 336 625 54 60 {TEXT}"
_ORDER: Final = f"""{ORDER_REQUIRED} {_PARTIES} {PRE_ALLOCATION} 55! {_INSTRUMENT} {FINANCING}
    {TERMS} {ORDER_ONLY} {SELF_TRADE}"""

MD_REQUEST: Final = f"262! 263! 264! 265 266 286 546 547 267!(269!) {SESSIONS} 815 812"
MD_REQUEST_REJECT: Final = f"262! 281 816(817) {TEXT}"
_MD_ENTRY: Final = f"""269! 270 15 271 272 273 274 275 336 625 276 277 282 283 284 286 59 432 126
    110 18 287 37 299 288 289 346 290 546 811 {TEXT}"""
_LISTED: Final = f"""55 {_INSTRUMENT} {ATTRIBUTES} {FINANCING} 15 {STIPULATIONS}
    {SPREAD_AND_YIELD} 561 562 336 625 827 {TEXT}"""
SECURITY_STATUS: Final = f"""324 {ATTRIBUTES} 15 336 625 325 326 291 292 327 328 329 330 331 332
    333 31 60 334 {TEXT}"""
TRADING_SESSION_STATUS: Final = f"""335 336! 625 338 339 325 340! 567 341 342 343 344 345 387
    {TEXT}"""
NEWS: Final = f"42 61 148! 358 359 {ROUTING} {LINES_OF_TEXT} 149 95 96"

_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    **SESSION_MESSAGES,
    "D": ("NewOrderSingle", f"{_ORDER} {NEW_ORDER_ONLY}"),
    "F": ("OrderCancelRequest", f"{CANCEL} {_PARTIES} 55! {_INSTRUMENT} {FINANCING}"),
    "G": ("OrderCancelReplaceRequest", f"{_ORDER} {REPLACE_ONLY}"),
    "H": ("OrderStatusRequest", f"{STATUS_REQUEST} {_PARTIES} 55! {_INSTRUMENT} {FINANCING}"),
    "AF": (
        "OrderMassStatusRequest",
        f"584! 585! {_PARTIES} 1 660 336 625 55 {_INSTRUMENT} 54",
    ),
    "q": (
        "OrderMassCancelRequest",
        f"11! 526 530! 336 625 55 {_INSTRUMENT} 54 60! {TEXT}",
    ),
    "r": (
        "OrderMassCancelReport",
        f"{MASS_CANCEL_REPORT} 534(41 535 536) 55 {_INSTRUMENT}",
    ),
    "8": (
        "ExecutionReport",
        f"""{EXECUTION} 6! 382(375 337 437 438 655) {_PARTIES} 55! {_INSTRUMENT} {FINANCING}
        {TERMS}""",
    ),
    "9": ("OrderCancelReject", CANCEL_REJECT),
    "V": ("MarketDataRequest", f"{MD_REQUEST} 146!(55! {_INSTRUMENT})"),
    "W": (
        "MarketDataSnapshotFullRefresh",
        f"262 55! {_INSTRUMENT} 291 292 451 268!({_MD_ENTRY}) 813 814",
    ),
    "Y": ("MarketDataRequestReject", MD_REQUEST_REJECT),
    "x": (
        "SecurityListRequest",
        f"320! 559! 55 {_INSTRUMENT} {ATTRIBUTES} {FINANCING} 15 {TEXT} 336 625 263",
    ),
    "y": ("SecurityList", f"320! 322! 560! 393 146({_LISTED})"),
    "e": (
        "SecurityStatusRequest",
        f"324! 55! {_INSTRUMENT} {ATTRIBUTES} 15 263! 336 625",
    ),
    "f": ("SecurityStatus", f"{SECURITY_STATUS} 55! {_INSTRUMENT}"),
    "g": ("TradingSessionStatusRequest", "335! 336 625 338 339 263!"),
    "h": ("TradingSessionStatus", TRADING_SESSION_STATUS),
    "j": fix42_tables.BUSINESS_MESSAGE_REJECT,
    "B": ("News", f"{NEWS} 146(55 {_INSTRUMENT})"),
}

ENUMERATIONS: Final[dict[int, str]] = {
    **{tag: v for tag, v in fix42_tables.ENUMERATIONS.items() if tag not in {20, 204}},
    13: "1 2 3 4 5 6",
    18: """0 1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
        a b c d e""",
    22: "1 2 3 4 5 6 7 8 9 A B C D E F G H I J",
    39: "0 1 2 3 4 6 7 8 9 A B C D E",
    40: "1 2 3 4 6 7 8 9 D E G I J K L M P",
    54: "1 2 3 4 5 6 7 8 9 A B C D E F G",
    59: "0 1 2 3 4 5 6 7",
    77: "O C R F",
    102: "0 1 2 3 4 5 6 99",
    103: "0 1 2 3 4 5 6 7 8 9 10 11 13 14 15 99",
    150: "0 3 4 5 6 7 8 9 A B C D E F G H I",
    269: "0 1 2 3 4 5 6 7 8 9 A B C",
    277: "A B C D E F G H I J K L M N P Q R",
    281: "0 1 2 3 4 5 6 7 8 9 A B C",
    286: "0 1 2 3 4 5",
    326: "1 2 3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20 21 22 23",
    340: "0 1 2 3 4 5 6",
    373: "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99",
    378: "0 1 2 3 4 5 6 7 8 9 10 99",
    380: "0 1 2 3 4 5 6 7",
    388: "0 1 2 3 4 5 6",
    423: "1 2 3 4 5 6 7 8 9 10 11",
    460: "1 2 3 4 5 6 7 8 9 10 11 12 13",
    468: "0 1 2",
    528: "A G I P R W",
    529: "1 2 3 4 5 6 7 8 9 A",
    530: "1 2 3 4 5 6 7",
    531: "0 1 2 3 4 5 6 7",
    532: "0 1 2 3 4 5 6 99",
    544: "1 2 3",
    546: "1 2 3",
    559: "0 1 2 3 4",
    560: "0 1 2 3 4 5",
    567: "1 99",
    581: "1 2 3 4 6 7 8",
    582: "1 2 3 4",
    585: "1 2 3 4 5 6 7 8",
    589: "0 1 2",
    590: "0 1 2",
    591: "0 1",
    775: "0 1 2",
    815: "0 1 2 3",
    851: "1 2 3",
    854: "0 1",
}

TABLES: Final = VersionTables(
    name="FIX.4.4",
    begin_string="FIX.4.4",
    appl_ver_id="",
    defined_tags="""1-19 21-23 25-45 48-50 52-75 77-85 87-91 93-100 102-104 106-108 110-124 126-165
        167-172 188-203 206-218 220-260 262-313 315-318 320-369 371-438 441-448 451-464 466-652
        654-684 686-808 810-830 832-956""",
    fields={},
    enumerations=ENUMERATIONS,
    header=f"{HEADER} 627(628 629 630)",
    trailer=fix42_tables.TRAILER,
    messages=_MESSAGES,
    msg_types="""0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N P Q R S T V W X Y Z
        a b c d e f g h i j k l m n o p q r s t u v w x y z
        AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ
        BA BB BC BD BE BF BG BH""",
)
