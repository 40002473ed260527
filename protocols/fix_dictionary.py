"""The FIX.4.4 messages that we support: their tags, types, enumerations, required fields, groups.

`FIX44.validate(message)` tells what a session-level Reject(3) has to say about a message, or None.
Source: FIX 4.4, volumes 1 to 6 and the field dictionary. Instrument blocks leave out legs and
underlyings, which no share has. A later version of the standard is another set of tables.
"""

from __future__ import annotations

from typing import Final

from protocols.fix_validation import FixDictionary, Group

_FIELDS_BY_TYPE: Final = {
    "STRING": """8 BeginString, 35 MsgType, 49 SenderCompID, 56 TargetCompID, 115 OnBehalfOfCompID,
        128 DeliverToCompID, 50 SenderSubID, 142 SenderLocationID, 57 TargetSubID,
        143 TargetLocationID, 116 OnBehalfOfSubID, 144 OnBehalfOfLocationID, 129 DeliverToSubID,
        145 DeliverToLocationID, 347 MessageEncoding, 628 HopCompID, 10 CheckSum,
        1 Account, 11 ClOrdID, 17 ExecID, 19 ExecRefID, 23 IOIID, 37 OrderID, 41 OrigClOrdID,
        48 SecurityID, 55 Symbol, 58 Text, 65 SymbolSfx, 66 ListID, 70 AllocID, 79 AllocAccount,
        106 Issuer, 107 SecurityDesc, 112 TestReqID, 117 QuoteID, 198 SecondaryOrderID,
        336 TradingSessionID, 372 RefMsgType, 376 ComplianceID, 379 BusinessRejectRefID,
        448 PartyID, 455 SecurityAltID, 456 SecurityAltIDSource, 461 CFICode,
        467 IndividualAllocID, 494 Designation, 513 RegistID, 523 PartySubID, 524 NestedPartyID,
        497 FundRenewWaiv, 167 SecurityType, 385 MsgDirection, 526 SecondaryClOrdID,
        527 SecondaryExecID, 545 NestedPartySubID, 553 Username,
        554 Password, 583 ClOrdLinkID, 625 TradingSessionSubID, 691 Pool,
        762 SecuritySubType, 790 OrdStatusReqID, 848 TargetStrategyParameters""",
    "CHAR": """13 CommType, 21 HandlInst, 22 SecurityIDSource, 39 OrdStatus, 40 OrdType,
        54 Side, 59 TimeInForce, 63 SettlType, 77 PositionEffect, 81 ProcessCode, 150 ExecType,
        388 DiscretionInst, 434 CxlRejResponseTo, 447 PartyIDSource,
        480 CancellationRights, 481 MoneyLaunderingStatus, 525 NestedPartyIDSource,
        528 OrderCapacity, 544 CashMargin, 589 DayBookingInst, 590 BookingUnit,
        591 PreallocMethod, 635 ClearingFeeIndicator""",
    "BOOLEAN": """43 PossDupFlag, 97 PossResend, 114 LocateReqd, 121 ForexReq, 123 GapFillFlag,
        141 ResetSeqNumFlag, 377 SolicitedFlag, 464 TestMessageIndicator, 636 WorkingIndicator""",
    "INT": """98 EncryptMethod, 102 CxlRejReason, 103 OrdRejReason, 108 HeartBtInt,
        203 CoveredOrUncovered, 371 RefTagID, 373 SessionRejectReason, 378 ExecRestatementReason,
        380 BusinessRejectReason, 423 PriceType, 427 GTBookingInst,
        452 PartyRole, 460 Product, 468 RoundingDirection, 538 NestedPartyRole, 581 AccountType,
        582 CustOrderCapacity, 660 AcctIDSource, 661 AllocAcctIDSource, 775 BookingType,
        803 PartySubIDType, 805 NestedPartySubIDType, 835 PegMoveType, 836 PegOffsetType,
        837 PegLimitType, 838 PegRoundDirection, 840 PegScope, 841 DiscretionMoveType,
        842 DiscretionOffsetType, 843 DiscretionLimitType, 844 DiscretionRoundDirection,
        846 DiscretionScope, 847 TargetStrategy, 851 LastLiquidityInd, 854 QtyType""",
    "LENGTH": """9 BodyLength, 90 SecureDataLen, 93 SignatureLength, 95 RawDataLength,
        212 XmlDataLen, 354 EncodedTextLen, 383 MaxMessageSize""",
    "SEQNUM": """7 BeginSeqNo, 16 EndSeqNo, 34 MsgSeqNum, 36 NewSeqNo, 45 RefSeqNum,
        369 LastMsgSeqNumProcessed, 630 HopRefID, 789 NextExpectedMsgSeqNum""",
    "NUMINGROUP": """78 NoAllocs, 384 NoMsgTypes, 386 NoTradingSessions, 453 NoPartyIDs,
        454 NoSecurityAltID, 539 NoNestedPartyIDs, 627 NoHops, 802 NoPartySubIDs,
        804 NoNestedPartySubIDs""",
    "FLOAT": """12 Commission, 152 CashOrderQty, 211 PegOffsetValue, 389 DiscretionOffsetValue,
        516 OrderPercent, 849 ParticipationRate""",
    "QTY": """14 CumQty, 32 LastQty, 38 OrderQty, 80 AllocQty, 110 MinQty,
        111 MaxFloor, 151 LeavesQty, 192 OrderQty2, 210 MaxShow, 469 RoundingModulus""",
    "PRICE": """6 AvgPx, 31 LastPx, 44 Price, 99 StopPx, 140 PrevClosePx, 640 Price2""",
    "CURRENCY": "15 Currency, 120 SettlCurrency, 479 CommCurrency, 736 AllocSettlCurrency",
    "EXCHANGE": "30 LastMkt, 100 ExDestination, 207 SecurityExchange",
    "MULTIPLEVALUESTRING": "18 ExecInst, 529 OrderRestrictions",
    "UTCTIMESTAMP": """52 SendingTime, 60 TransactTime, 122 OrigSendingTime, 126 ExpireTime,
        168 EffectiveTime, 586 OrigOrdModTime, 629 HopSendingTime""",
    "LOCALMKTDATE": """64 SettlDate, 75 TradeDate, 193 SettlDate2, 229 TradeOriginationDate,
        432 ExpireDate, 541 MaturityDate""",
    "MONTHYEAR": "200 MaturityMonthYear",
    "DATA": "89 Signature, 91 SecureData, 96 RawData, 213 XmlData, 355 EncodedText",
}

_ENUMERATIONS: Final[dict[int, str]] = {
    13: "1 2 3 4 5 6",
    21: "1 2 3",
    22: "1 2 3 4 5 6 7 8 9 A B C D E F G H I J",
    39: "0 1 2 3 4 5 6 7 8 9 A B C D E",
    40: "1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M P",
    54: "1 2 3 4 5 6 7 8 9 A B C D E F G",
    59: "0 1 2 3 4 5 6 7",
    63: "0 1 2 3 4 5 6 7 8 9",
    77: "O C R F",
    98: "0 1 2 3 4 5 6",
    102: "0 1 2 3 4 5 6 99",
    103: "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 99",
    150: "0 3 4 5 6 7 8 9 A B C D E F G H I",
    203: "0 1",
    373: "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99",
    378: "0 1 2 3 4 5 6 7 8",
    380: "0 1 2 3 4 5 6 7",
    385: "S R",
    388: "0 1 2 3 4 5 6 7",
    423: "1 2 3 4 5 6 7 8 9 10 11",
    427: "0 1 2",
    434: "1 2",
    460: "1 2 3 4 5 6 7 8 9 10 11 12 13",
    528: "A G I P R W",
    544: "1 2 3",
    581: "1 2 3 4 6 7 8",
    582: "1 2 3 4",
    589: "0 1 2",
    590: "0 1 2",
    591: "0 1",
    775: "0 1 2",
    851: "1 2 3",
    854: "0 1",
}

_GROUPS: Final = (
    Group(78, 79, frozenset((79, 661, 736, 467, 539, 80))),
    Group(384, 372, frozenset((372, 385))),
    Group(386, 336, frozenset((336, 625))),
    Group(453, 448, frozenset((448, 447, 452, 802))),
    Group(454, 455, frozenset((455, 456))),
    Group(539, 524, frozenset((524, 525, 538, 804))),
    Group(627, 628, frozenset((628, 629, 630))),
    Group(802, 523, frozenset((523, 803))),
    Group(804, 545, frozenset((545, 805))),
)

_HEADER: Final = """8 9 35 49 56 115 128 90 91 34 50 142 57 143 116 144 129 145 43 97 52 122 212 213
    347 369 627"""
_TRAILER: Final = "93 89 10"
_HEADER_REQUIRED: Final = "8 9 35 49 56 34 52"
_INSTRUMENT: Final = "55 65 48 22 454 460 461 167 762 200 541 207 106 107 691"
_QUANTITY: Final = "38 152 516 468 469"
_TEXT: Final = "58 354 355"
_ORDER: Final = f"""11 526 583 453 229 75 1 660 581 589 590 591 70 78 63 64 544 635 21 18 110 111
    100 386 {_INSTRUMENT} 54 114 60 854 {_QUANTITY} 40 423 44 99 15 376 377 59 168 432 126 427
    12 13 479 497 528 529 582 121 120 775 {_TEXT} 193 192 640 77 203 210 211 835 836 837 838 840
    388 389 841 842 843 844 846 847 848 849 480 481 513 494"""

_MESSAGES: Final[dict[str, tuple[str, str, str]]] = {
    # MsgType: (name, required, all others that are allowed); header and trailer come on top
    "A": ("Logon", "98 108", "95 96 141 789 383 384 464 553 554"),
    "0": ("Heartbeat", "", "112"),
    "1": ("TestRequest", "112", ""),
    "2": ("ResendRequest", "7 16", ""),
    "3": ("Reject", "45", f"371 372 373 {_TEXT}"),
    "4": ("SequenceReset", "36", "123"),
    "5": ("Logout", "", _TEXT),
    "D": ("NewOrderSingle", "11 55 54 60 40", f"{_ORDER} 81 140 23 117"),
    "F": (
        "OrderCancelRequest",
        "41 11 55 54 60",
        f"37 526 583 66 586 1 660 581 453 {_INSTRUMENT} {_QUANTITY} 376 {_TEXT}",
    ),
    "G": ("OrderCancelReplaceRequest", "41 11 55 54 60 40", f"{_ORDER} 37 66 586"),
    "H": (
        "OrderStatusRequest",
        "11 55 54",
        f"37 526 583 453 790 1 660 {_INSTRUMENT}",
    ),
    "8": (
        "ExecutionReport",
        "37 17 150 39 55 54 151 14 6",
        f"{_ORDER} 198 527 41 19 66 790 636 103 378 32 31 30 336 625 851",
    ),
    "9": (
        "OrderCancelReject",
        "37 11 41 39 434",
        f"198 526 583 636 586 66 1 660 581 229 75 60 102 {_TEXT}",
    ),
    "j": ("BusinessMessageReject", "372 380", f"45 379 {_TEXT}"),
}

_MSG_TYPES: Final = """
    0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N P Q R S T V W X Y Z
    a b c d e f g h i j k l m n o p q r s t u v w x y z
    AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ
    BA BB BC BD BE BF BG BH"""

FIX44: Final = FixDictionary(
    "FIX.4.4",
    fields_by_type=_FIELDS_BY_TYPE,
    enumerations=_ENUMERATIONS,
    groups=_GROUPS,
    header=_HEADER,
    header_required=_HEADER_REQUIRED,
    trailer=_TRAILER,
    messages=_MESSAGES,
    msg_types=_MSG_TYPES,
)
