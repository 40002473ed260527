"""One FIX session of an acceptor, without any I/O: messages in, actions out.

    session.logon(message, now_ns) / opened(...) / receive(message, ...) / on_time(now_ns)

each return a list of actions, to be carried out in order. The session lives as long as the gateway;
connections come and go. It owns the numbers of both directions; whoever carries out the actions
stores the messages. Source: FIX 4.4, volume 2 (session protocol), and the FIX session test cases.

    DISCONNECTED --Logon is fine--> OPENING --cluster has opened it--> ACTIVE
         ^-------------- Logout, connection lost, a broken rule --------------|
"""

from __future__ import annotations

from gateway.fix.actions import (
    ADMIN_MSG_TYPES,
    HEARTBEAT,
    LOGON,
    LOGOUT,
    NEWS,
    RESEND_REQUEST,
    SEQUENCE_RESET,
    TEST_REQUEST,
    Action,
    Deliver,
    Disconnect,
    Open,
    Resend,
    ResetNumbers,
    Send,
    SessionState,
    SetVersion,
)
from gateway.fix.inbound_gap import Early, InboundGap
from gateway.fix.outbound import Outbound
from gateway.fix.rate_limit import RateLimit
from gateway.fix.session_rules import SessionRules, unknown_version, version_of
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from protocols.fix import NS_PER_SECOND, FixMessage, format_utc_timestamp
from protocols.fix_validation import SessionReject, SessionRejectReason, printable


class FixSession(Outbound):
    """The state of one session. `next_in` and `next_out` are the MsgSeqNums that are due next."""

    def __init__(
        self,
        client: FixSessionSettings,
        gateway: FixGatewaySettings,
        *,
        next_in: int = 1,
        next_out: int = 1,
        version: str = "",
        last_version: str = "",
        began_ns: int = 0,
    ) -> None:
        """`version` is the name of the version of FIX that the numbers are in, "" when that is not
        decided yet, and `last_version` what those of before were in. `began_ns` is when the trading
        period of the numbers began, 0: they have none.
        """
        super().__init__(client, gateway, next_out, version, last_version)
        self.client = client
        self.state = SessionState.DISCONNECTED
        self.next_in = next_in
        self._rules = SessionRules(client, gateway)
        self._began_ns = began_ns
        self._logon: FixMessage | None = None
        self._heartbeat_ns = 0
        self._last_received_ns = 0
        self._test_sent_ns = 0  # 0: no TestRequest of ours is open
        self._gap = InboundGap(gateway.max_early_messages)
        self._limit = RateLimit(client.max_messages_per_s)
        self._cancel_on_disconnect = client.cancel_on_disconnect  # of this connection

    def begin_anew(self, began_ns: int) -> None:
        """Numbers begin again at 1, for a trading period that began at `began_ns`."""
        assert self.state is SessionState.DISCONNECTED, f"{self.client.comp_id} is {self.state}"
        self.next_in = self.next_out = 1
        self.version = ""
        self._began_ns = began_ns

    # ---- ending ----

    def _end(self, text: str, now_ns: int) -> list[Action]:
        """Logout with a sentence, then disconnect. Who is logging on reads it in the version of the
        Logon, whatever the session speaks."""
        begin_string = self._logon.begin_string if self._logon is not None else ""
        self.disconnected()
        logout = self._send(LOGOUT, [(58, text)], now_ns)._replace(begin_string=begin_string)
        return [logout, Disconnect(text)]

    def logout(self, text: str, now_ns: int) -> list[Action]:
        """End a session from our side, for no fault in the protocol: News(B), then the Logout.

        The News is an application message: a client that did not hear it gets it at its next Logon.
        """
        if self.state is not SessionState.ACTIVE:
            return self._end(text, now_ns)
        what_becomes_of = "are canceled" if self._cancel_on_disconnect else "stay"
        line = f"Open orders of this session {what_becomes_of}"
        news = self._send(NEWS, [(148, text), (33, 1), (58, line)], now_ns)
        return [news, *self._end(text, now_ns)]

    def disconnected(self) -> None:
        """The connection is gone or about to go."""
        self.state = SessionState.DISCONNECTED
        self._logon = None
        self._gap.forget()
        self._test_sent_ns = 0
        self._cancel_on_disconnect = self.client.cancel_on_disconnect

    # ---- logging on ----

    def logon(self, message: FixMessage, now_ns: int) -> list[Action]:
        """The first message of a connection, a Logon(A) with our CompID and the client's."""
        assert self.state is SessionState.DISCONNECTED, f"{self.client.comp_id} is {self.state}"
        if message.begin_string in self._encoders:
            self._logon = message
        version = version_of(message)
        if version is None:
            return self._end(unknown_version(message), now_ns)
        problem = self._rules.logon_problem(message, version, now_ns) or self._version_problem(
            message, version
        )
        if problem is not None:
            return self._end(problem, now_ns)
        return self._ask_to_open(message, now_ns)

    def _ask_to_open(self, message: FixMessage, now_ns: int) -> list[Action]:
        self.state = SessionState.OPENING
        self._logon = message
        self._last_received_ns = now_ns
        wish = message.get(8013)
        if wish is not None:
            self._cancel_on_disconnect = wish == "Y"
        return [Open(message.get(141) == "Y", self._cancel_on_disconnect)]

    def refused(self, text: str, now_ns: int) -> list[Action]:
        """The cluster did not open the session."""
        return self._end(text, now_ns)

    def opened(self, last_msg_seq_num: int, now_ns: int) -> list[Action]:
        """The cluster has opened the session. Answer the Logon, and close gaps.

        `last_msg_seq_num` is the highest number that became a command (0 after a reset).
        """
        logon = self._logon
        assert self.state is SessionState.OPENING, f"{self.client.comp_id} is {self.state}"
        assert logon is not None, f"{self.client.comp_id} is opening without a Logon"
        version = version_of(logon)
        assert version is not None, f"{self.client.comp_id} opens in no version: {logon!r}"
        actions: list[Action] = []
        is_reset = logon.get(141) == "Y"
        if is_reset:
            self.next_in = self.next_out = 1
            self._gap.forget()
            self.speak(version.name)
            actions.append(ResetNumbers(version.name))
        else:
            self.next_in = max(self.next_in, last_msg_seq_num + 1)
            problem = self._version_problem(logon, version)  # a report may have decided it
            if problem is not None:
                return self._end(problem, now_ns)
            if version.name != self.version:
                self.speak(version.name)
                actions.append(SetVersion(version.name))
        seq = int(logon.get(34) or 0)
        if seq < self.next_in and logon.get(43) != "Y":
            return actions + self._end(self._too_low(seq), now_ns)
        expected_text = logon.get(789)
        expected = self.next_out if expected_text is None else int(expected_text)
        if not 1 <= expected <= self.next_out:
            return actions + self._end(
                f"NextExpectedMsgSeqNum(789) {expected} is not between 1 and {self.next_out},"
                " the number of our next message",
                now_ns,
            )
        self._become_active(int(logon.get(108) or 0), now_ns)
        has_gap = seq > self.next_in
        if seq == self.next_in:
            self.next_in += 1
        actions.append(self._answer_logon(logon, is_reset, now_ns))
        if has_gap:
            self._gap.keep(seq, Early(logon, is_answered=True, is_over_limit=False))
            if expected_text is None:
                actions.append(self._ask_for_gap(seq, now_ns))
            else:  # the client sees our 789 and sends what is missing by itself
                self._gap.asked(self.next_in, seq, now_ns)
        if expected < self.next_out:  # the number that the answer will get
            actions.append(Resend(expected, self.next_out))
        return actions

    def _become_active(self, heartbeat_s: int, now_ns: int) -> None:
        self.state = SessionState.ACTIVE
        self._logon = None
        self._heartbeat_ns = heartbeat_s * NS_PER_SECOND
        self._last_received_ns = now_ns
        self._test_sent_ns = 0

    def _answer_logon(self, logon: FixMessage, is_reset: bool, now_ns: int) -> Send:
        fields: list[tuple[int, object]] = [(98, 0), (108, logon.get(108))]
        if self.dictionary.appl_ver_id:
            fields.append((1137, self.dictionary.appl_ver_id))
        if is_reset:
            fields.append((141, "Y"))
        if logon.get(789) is not None:
            fields.append((789, self.next_in))
        if logon.get(8013) is not None:
            fields.append((8013, logon.get(8013)))
        return self._send(LOGON, fields, now_ns)

    # ---- receiving ----

    def receive(self, message: FixMessage, now_ns: int, received_ns: int) -> list[Action]:
        """The next message of the connection; the session must be ACTIVE. `received_ns` is when it
        came: the gateway may have been too busy to look at it at once."""
        assert self.state is SessionState.ACTIVE, f"{self.client.comp_id} is {self.state}"
        self._last_received_ns = now_ns
        self._test_sent_ns = 0
        get = message.get
        seq_text = get(34)
        begin_string = self.dictionary.begin_string
        if message.begin_string != begin_string:
            found = printable(message.begin_string)
            return self._end(f"BeginString(8) {found} is not {begin_string}", now_ns)
        if seq_text is None or not (seq_text.isascii() and seq_text.isdigit()):
            return self._end("MsgSeqNum(34) is missing or not a number", now_ns)
        if len(seq_text) > 10:
            return self._end("MsgSeqNum(34) has more than 10 digits", now_ns)
        seq = int(seq_text)
        fatal = self._rules.header_problem(message, received_ns)
        if fatal is not None:
            if seq == self.next_in:
                self.next_in += 1
            return [self._reject(message, fatal, now_ns), *self._end(fatal.text, now_ns)]
        msg_type = message.msg_type
        if msg_type == SEQUENCE_RESET and get(123) != "Y":
            return self._sequence_reset(message, now_ns)
        if msg_type == LOGON and get(141) == "Y" and get(43) != "Y":
            return self._reset_in_session(message, now_ns, received_ns)
        is_over_limit = msg_type not in ADMIN_MSG_TYPES and not self._limit.take(received_ns)
        actions = self._receive_numbered(message, seq, is_over_limit, now_ns)
        if is_over_limit and self._limit.is_abused and self.state is SessionState.ACTIVE:
            actions += self.logout(f"{self.limit_text}, and went on beyond that", now_ns)
        return actions

    def _receive_numbered(
        self, message: FixMessage, seq: int, is_over_limit: bool, now_ns: int
    ) -> list[Action]:
        if seq > self.next_in:
            return self._too_high(message, seq, is_over_limit, now_ns)
        if seq < self.next_in:
            if message.get(43) == "Y":
                return []  # it was dealt with when it came first
            return self._end(self._too_low(seq), now_ns)
        actions: list[Action] = []
        self._process(message, seq, is_over_limit, actions, now_ns)
        if self._gap:
            self._process_early(actions, now_ns)
        return actions

    def _reset_in_session(self, logon: FixMessage, now_ns: int, received_ns: int) -> list[Action]:
        if version_of(logon) is not self.dictionary:
            return self._end(unknown_version(logon), now_ns)
        problem = self._rules.logon_problem(logon, self.dictionary, received_ns)
        return self._end(problem, now_ns) if problem else self._ask_to_open(logon, now_ns)

    @property
    def limit_text(self) -> str:
        """What the client is told when it sends too many messages."""
        per_s = self._limit.per_s
        return f"This session may send at most {per_s} application messages per second"

    def _too_low(self, seq: int) -> str:
        return f"MsgSeqNum(34) too low, expecting {self.next_in} but received {seq}"

    def _process(
        self,
        message: FixMessage,
        seq: int,
        is_over_limit: bool,
        actions: list[Action],
        now_ns: int,
    ) -> None:
        """Deal with a message whose turn it is. Uses up its number."""
        self.next_in = seq + 1
        reject = self.dictionary.validate(message) or self._rules.possible_duplicate_problem(
            message, self._began_ns
        )
        if reject is not None:
            actions.append(self._reject(message, reject, now_ns))
            return
        msg_type = message.msg_type
        if msg_type not in ADMIN_MSG_TYPES:
            actions.append(Deliver(message, seq, is_over_limit))
        elif msg_type != SEQUENCE_RESET and message.get(43) == "Y":
            return  # an administrative message that is sent again counts for its number only
        elif msg_type == TEST_REQUEST:
            actions.append(self._send(HEARTBEAT, [(112, message.get(112))], now_ns))
        elif msg_type == RESEND_REQUEST:
            actions.append(self._resend(message, now_ns))
        elif msg_type == SEQUENCE_RESET:
            new_seq = int(message.get(36) or 0)
            if new_seq > seq:
                self._jump(new_seq)
            else:
                text = f"NewSeqNo(36) {new_seq} is not above MsgSeqNum(34) {seq}"
                out_of_range = SessionReject(36, SessionRejectReason.VALUE_OUT_OF_RANGE, text)
                actions.append(self._reject(message, out_of_range, now_ns))
        elif msg_type == LOGOUT:
            actions += self._answer_logout(now_ns)
        elif msg_type == LOGON:
            text = "The session is logged on; a further Logon needs ResetSeqNumFlag(141)=Y"
            other = SessionReject(None, SessionRejectReason.OTHER, text)
            actions.append(self._reject(message, other, now_ns))

    def _answer_logout(self, now_ns: int) -> list[Action]:
        self.disconnected()
        return [self._send(LOGOUT, [], now_ns), Disconnect("the client logged out")]

    # ---- gaps ----

    def _too_high(
        self, message: FixMessage, seq: int, is_over_limit: bool, now_ns: int
    ) -> list[Action]:
        """A message came before its turn: keep it, and ask for those that are missing.

        A ResendRequest is answered at once (two sides that both miss something would wait for each
        other for ever), and so is a Logout.
        """
        actions: list[Action] = []
        is_answered = False
        if (
            message.msg_type in {RESEND_REQUEST, LOGOUT}
            and message.get(43) != "Y"
            and self.dictionary.validate(message) is None
        ):
            if message.msg_type == LOGOUT:
                return self._answer_logout(now_ns)
            actions.append(self._resend(message, now_ns))
            is_answered = True
        self._gap.keep(seq, Early(message, is_answered, is_over_limit))
        if self._gap.is_new(self.next_in):
            actions.append(self._ask_for_gap(seq, now_ns))
        return actions

    def _ask_for_gap(self, seq: int, now_ns: int) -> Send:
        self._gap.asked(self.next_in, seq, now_ns)
        return self._send(RESEND_REQUEST, [(7, self.next_in), (16, 0)], now_ns)

    def _process_early(self, actions: list[Action], now_ns: int) -> None:
        """Deal with the messages that came early and whose turn it is now."""
        while self.state is SessionState.ACTIVE:
            early = self._gap.take(self.next_in)
            if early is None:
                return
            if early.is_answered:
                self.next_in += 1
            else:
                self._process(early.message, self.next_in, early.is_over_limit, actions, now_ns)

    def _jump(self, new_seq: int) -> None:
        self.next_in = new_seq
        self._gap.skip_to(new_seq)

    def _sequence_reset(self, message: FixMessage, now_ns: int) -> list[Action]:
        """SequenceReset in reset mode: its own number does not matter."""
        reject = self.dictionary.validate(message)
        if reject is not None:
            return [self._reject(message, reject, now_ns)]
        new_seq = int(message.get(36) or 0)
        if new_seq < self.next_in:
            text = f"NewSeqNo(36) {new_seq} is below the expected number {self.next_in}"
            out_of_range = SessionReject(36, SessionRejectReason.VALUE_OUT_OF_RANGE, text)
            return [self._reject(message, out_of_range, now_ns)]
        self._jump(new_seq)
        actions: list[Action] = []
        self._process_early(actions, now_ns)
        return actions

    def _resend(self, message: FixMessage, now_ns: int) -> Action:
        first, last = int(message.get(7) or 0), int(message.get(16) or 0)
        sent = self.next_out - 1
        if not 1 <= first <= sent or (last != 0 and last < first):
            text = f"BeginSeqNo(7) {first} to EndSeqNo(16) {last} is not within 1 to {sent}"
            out_of_range = SessionReject(7, SessionRejectReason.VALUE_OUT_OF_RANGE, text)
            return self._reject(message, out_of_range, now_ns)
        return Resend(first, min(last or sent, sent))

    # ---- time ----

    def heard(self, now_ns: int) -> None:
        """Count the client as alive, for we know why nothing is heard of it."""
        self._last_received_ns = now_ns
        self._test_sent_ns = 0

    def on_time(self, now_ns: int) -> list[Action]:
        """Heartbeats, test requests, dead connections. To be called several times a second."""
        if self.state is not SessionState.ACTIVE:
            return []
        actions: list[Action] = []
        patience_ns = self._heartbeat_ns * 6 // 5
        if self._test_sent_ns:
            if now_ns - self._test_sent_ns >= patience_ns:
                self.disconnected()
                return [Disconnect("the client did not answer a TestRequest")]
        elif now_ns - self._last_received_ns >= patience_ns:
            self._test_sent_ns = now_ns
            test_id = f"TEST-{format_utc_timestamp(now_ns)}"
            actions.append(self._send(TEST_REQUEST, [(112, test_id)], now_ns))
        if self._gap.is_overdue(self.next_in, now_ns, self._heartbeat_ns):
            actions.append(self._ask_for_gap(self._gap.until, now_ns))
        if now_ns - self.last_sent_ns >= self._heartbeat_ns:
            actions.append(self._send(HEARTBEAT, [], now_ns))
        return actions
