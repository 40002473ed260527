"""FIX.5.0SP2 on FIXT.1.1: the layouts and enumerations of the messages that we support.

The notation is that of protocols/fix_tables.py. Session messages, header and trailer are those of
FIXT.1.1. Legs and underlyings are left out, and the terms of an instrument that only derivatives
have; of the extension packs there is what an exchange for shares has a use for.
Source: FIXT 1.1, FIX 5.0 SP2 and its extension packs.
"""

from __future__ import annotations

from typing import Final

from protocols import fix42_tables, fix44_tables
from protocols.fix42_tables import SELF_TRADE, TEXT
from protocols.fix44_tables import ATTRIBUTES, FINANCING, SPREAD_AND_YIELD, STIPULATIONS
from protocols.fix_tables import VersionTables

_REFERRED_VERSION: Final = "1130 1406 1131"
_SESSION_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    **fix44_tables.SESSION_MESSAGES,
    "A": (
        "Logon",
        f"""98! 108! 95 96 141 789 383 384(372 385 {_REFERRED_VERSION} 1410) 464 553 554
        925 1400 1401 1402 1403 1404 1409 1137! 1407 1408 {TEXT} 8013""",
    ),
    "3": ("Reject", f"45! 371 372 {_REFERRED_VERSION} 373 {TEXT}"),
    "5": ("Logout", f"1409 {TEXT}"),
}

_MARKET: Final = "1301 1300"
_APPLICATION_SEQUENCE: Final = "1180 1181 1350 1352"
_PARTIES: Final = "453(448 447 452 2376 802(523 803))"
_INSTRUMENT: Final = """65 48 22 454(455 456) 460 1227 1151 461 167 762 200 541 1079 966 1049 965
    224 225 239 226 227 228 255 543 470 471 472 240 202 947 967 968 206 231 969 1146 996 1147 1191
    1192 1193 1194 1195 1196 1197 1198 1199 1200 201 1244 1242 997 223 207 970 971 106 348 349 107
    350 351 691 667 875 876 864(865 866 867 868) 873 874"""
_TRIGGER: Final = "1100 1101 1102 1103 1104 1105 1106 1107 1108 1109 1110 1111 1112 1113 1114"
_DISPLAY: Final = "1138 1082 1083 1084 1085 1086 1087 1088"
_TERMS: Final = f"""{fix44_tables.TERMS} 1089 1090 {_DISPLAY} 1300 1133 1092 {_TRIGGER}
    1094 1096 1097 1098 1099 957(958 959 960) 1091 1028 1029 1030 1031 1032
    768(769 770 771) {SELF_TRADE}"""
_ORDER: Final = f"""{fix44_tables.ORDER_REQUIRED} {_PARTIES} {fix44_tables.PRE_ALLOCATION} 55!
    {_INSTRUMENT} {FINANCING} {_TERMS}
    {fix44_tables.ORDER_ONLY}"""
_MD_ENTRY: Final = f"""269! 278 270 423 40 15 271 1093 272 273 274 275 336 625 276 277 282 283 284
    286 59 432 126 110 18 287 37 198 299 288 289 346 290 546 811 {TEXT} 1023 528 1024 332 333 1020
    1070 83 1048 1026 1027"""
_TRADING_RULES: Final = """1205(1206 1207 1208 1209) 1234(1093 1231) 1306 1148 1149 1150 827 562
    1140 1143 1144 1245 561 1377 1378 423"""
_LISTED: Final = f"""55 {_INSTRUMENT} {ATTRIBUTES} {FINANCING} {_TRADING_RULES} 15 {STIPULATIONS}
    {SPREAD_AND_YIELD} {TEXT}"""

_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    **_SESSION_MESSAGES,
    "D": ("NewOrderSingle", f"{_ORDER} {fix44_tables.NEW_ORDER_ONLY} 1080 1081"),
    "F": (
        "OrderCancelRequest",
        f"{fix44_tables.CANCEL} 1300 1133 100 {_PARTIES} 55! {_INSTRUMENT} {FINANCING}",
    ),
    "G": (
        "OrderCancelReplaceRequest",
        f"{_ORDER} {fix44_tables.REPLACE_ONLY} {STIPULATIONS}",
    ),
    "H": (
        "OrderStatusRequest",
        f"{fix44_tables.STATUS_REQUEST} 1300 {_PARTIES} 55! {_INSTRUMENT} {FINANCING}",
    ),
    "AF": (
        "OrderMassStatusRequest",
        f"584! 585! {_PARTIES} 1 660 336 625 55 {_INSTRUMENT} 54",
    ),
    "q": (
        "OrderMassCancelRequest",
        f"11! 526 530! 336 625 {_PARTIES} 55 {_INSTRUMENT} {_MARKET} 54 60! {TEXT}",
    ),
    "r": (
        "OrderMassCancelReport",
        f"""{fix44_tables.MASS_CANCEL_REPORT} 1369! 534(1824 535 536) {_PARTIES} 55 {_INSTRUMENT}
        {_MARKET}""",
    ),
    "8": (
        "ExecutionReport",
        f"""{_APPLICATION_SEQUENCE} {fix44_tables.EXECUTION} 6 278 961 1166 880 1328 828 829 855
        570 70 {fix44_tables.PRE_ALLOCATION} 100 574 1115 1093 1095 1057 1056 1071 631 1430 84 1361
        893 1080 1081 1385 1380 1188 1189 1190 382(375 337 437 438 655) {_PARTIES} 55! {_INSTRUMENT}
        {FINANCING} {_TERMS}""",
    ),
    "9": ("OrderCancelReject", f"{fix44_tables.CANCEL_REJECT} 1328 100 1133 {_PARTIES}"),
    "V": (
        "MarketDataRequest",
        f"{fix44_tables.MD_REQUEST} {_PARTIES} 146!(55! {_INSTRUMENT}) 1070",
    ),
    "W": (
        "MarketDataSnapshotFullRefresh",
        f"""{_APPLICATION_SEQUENCE} 911 963 715 1021 1173 264 1022 1187 75 262 {_MARKET} 55!
        {_INSTRUMENT} 779! 291 292 451 268!({_MD_ENTRY}) 813 814""",
    ),
    "Y": ("MarketDataRequestReject", f"{fix44_tables.MD_REQUEST_REJECT} {_PARTIES}"),
    "x": (
        "SecurityListRequest",
        f"""320! 559! 1465 1470 1471 {_MARKET} 55 {_INSTRUMENT} {ATTRIBUTES} {FINANCING} 15 {TEXT}
        336 625 263""",
    ),
    "y": (
        "SecurityList",
        f"""{_APPLICATION_SEQUENCE} 964 715 1465 1466 1467 1468 1469 1470 1471 320 322 560 60 393
        {_MARKET} 893 146({_LISTED})""",
    ),
    "e": (
        "SecurityStatusRequest",
        f"324! 55! {_INSTRUMENT} {ATTRIBUTES} 15 263! {_MARKET} 336 625",
    ),
    "f": (
        "SecurityStatus",
        f"""{_APPLICATION_SEQUENCE} {fix44_tables.SECURITY_STATUS} 1174 {_MARKET} 75 1021 264 730
        731 1025 55! {_INSTRUMENT}""",
    ),
    "g": ("TradingSessionStatusRequest", f"335! {_MARKET} 336 625 338 339 263! 207"),
    "h": (
        "TradingSessionStatus",
        f"""{_APPLICATION_SEQUENCE} {fix44_tables.TRADING_SESSION_STATUS} {_MARKET} 75 1368 60 55
        {_INSTRUMENT}""",
    ),
    "j": (
        "BusinessMessageReject",
        f"45 372! {_REFERRED_VERSION} 379 380! {TEXT}",
    ),
    "B": (
        "News",
        f"""{_APPLICATION_SEQUENCE} 1472 1475(1476 1477) 1473 1474 {fix44_tables.NEWS} {_MARKET}
        146(55 {_INSTRUMENT})""",
    ),
}

_ENUMERATIONS: Final[dict[int, str]] = {
    **fix44_tables.ENUMERATIONS,
    13: "1 2 3 4 5 6 7 8",
    18: """0 1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
        a b c d e f g h i j k l m n o p q r s t u v w x y z""",
    22: "1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M N P Q R S T U V W X Y",
    39: "0 1 2 3 4 5 6 7 8 9 A B C D E",
    40: "1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M P Q R S",
    54: "1 2 3 4 5 6 7 8 9 A B C D E F G H",
    59: "0 1 2 3 4 5 6 7 8 9 A B C",
    63: "0 1 2 3 4 5 6 7 8 9 B C",
    77: "C F O R N D",
    102: "0 1 2 3 4 5 6 7 8 18 99",
    103: """0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18 19 20 21 22 23 24 25 26 27 28 29
        99""",
    150: "0 3 4 5 6 7 8 9 A B C D E F G H I J K L M N",
    201: "0 1 2 3",
    269: """0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N O P Q R S T U V W X Y Z
        a b c d e g h i t""",
    276: """A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
        a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7""",
    277: """A B C D E F G H I J K L M N P Q R S T U V W X Y Z
        a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6
        AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ
        BA BB BC BD BE""",
    281: "0 1 2 3 4 5 6 7 8 9 A B C D",
    326: "1 2 3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27",
    327: "0 1 2 3 4 5",
    338: "1 2 3 4",
    373: "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99",
    378: "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 99",
    380: "0 1 2 3 4 5 6 7 8 9 10 18",
    388: "0 1 2 3 4 5 6 7",
    423: "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25",
    528: "A G I P R W M",
    529: "1 2 3 4 5 6 7 8 9 A B C D E F G H I",
    530: "1 2 3 4 5 6 7 8 9 A B C",
    531: "0 1 2 3 4 5 6 7 8 9 A B C",
    532: "0 1 2 3 4 5 6 7 8 9 10 11 99",
    559: "0 1 2 3 4 5",
    581: "1 2 3 4 6 7 8 9 10 11 12 13",
    582: "1 2 3 4 5",
    585: "1 2 3 4 5 6 7 8 9 10",
    851: "0 1 2 3 4 5 6 7 8 9 10 11",
    854: "0 1 2",
    1083: "1 2",
    1092: "0 1 2 3",
    1094: "1 2 3 4 5 7 8 9 10",
    1100: "1 2 3 4 5",
    1101: "1 2 3",
    1133: "B C D E G",
    1137: "0 1 2 3 4 5 6 7 8 9 10",
    1306: "0 1 2",
    1409: "0 1 2 3 4 5 6 7 8 9 10",
    2964: "1 2 3",
}

_FIELDS: Final = {
    # Types that this version changed.
    "STRING": "63 SettlType",
    "INT": "327 HaltReason, 532 MassCancelRejectReason",
}

TABLES: Final = VersionTables(
    name="FIX.5.0SP2",
    begin_string="FIXT.1.1",
    appl_ver_id="9",
    defined_tags="""1-19 21-23 25-45 48-50 52-75 77-85 87-91 93-100 102-104 106-108 110-124 126-165
        167-172 188-203 206-218 220-260 262-313 315-318 320-369 371-438 441-448 451-464 466-652
        654-684 686-830 832-994 996-1003 1005-1009 1011-1075 1079-1306 1308-1358 1361-2849 2851
        2862-2874 2876-2964""",
    fields=_FIELDS,
    enumerations=_ENUMERATIONS,
    header=f"{fix42_tables.HEADER} 627(628 629 630) 1128 1156 1129",
    trailer=fix42_tables.TRAILER,
    messages=_MESSAGES,
    msg_types=f"""{fix44_tables.TABLES.msg_types} BI BJ BK BL BM BN BO BP BQ BR BS BT BU BV BW BX BY
        BZ CA CB CC CD CE CF CG CH CI CJ CK CL CM CN CO CQ CR CS CT CU CV CW CX CY CZ DA DB DC DD
        DE DF DG DH DI DJ DK DL DM DN DO DP DQ DR DS DT DU DV DW DX DY DZ EA EB""",
)
