"""One user of an OUCH gateway, and who may log in as one."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from pathlib import Path

from gateway.ouch.connection import Connection
from gateway.ouch.outbound import Outbound
from gateway.ouch.settings import OuchUserSettings
from gateway.ouch.stream import MessageStream
from protocols.soupbintcp import LoginRejectReason, LoginRequest, normalized_credential


class ClientSession:
    """One user: its messages so far, and who is logged in."""

    def __init__(self, settings: OuchUserSettings, directory: Path) -> None:
        self.settings = settings
        self.stream = MessageStream(directory)
        self.outbound = Outbound()
        self.connection: Connection | None = None
        self.waiting: Connection | None = None
        """The latest one whose login found no room in the queue."""
        self.opening: int | None = None
        """Number of the OpenSession without an answer."""
        self.holder = ""
        """Gateway at which the session is open, as far as the events tell; "" for none."""
        self.close_is_owed = False
        self.is_shut_out = False
        """A bug has struck it: it is served no more."""


class LoginRefused(Exception):
    """A Login Request that is answered with Login Rejected: `reason` is its code, the text is for
    the gateway's log."""

    def __init__(self, reason: LoginRejectReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Logins:
    """Who may log in to `session`, the SoupBinTCP session of the day."""

    def __init__(self, session: str, users: Iterable[ClientSession]) -> None:
        self._session = session
        self._users = {normalized_credential(user.settings.username): user for user in users}

    def user_of(self, request: LoginRequest) -> ClientSession:
        """The user that a request names and has the password of. Raises LoginRefused."""
        user = self._users.get(normalized_credential(request.username))
        password = "" if user is None else normalized_credential(user.settings.password)
        given = normalized_credential(request.password)
        is_right = hmac.compare_digest(given.encode(), password.encode())
        if user is None or not is_right:
            text = f"wrong user name or password for {request.username!r}"
            raise LoginRefused(LoginRejectReason.NOT_AUTHORIZED, text)
        if request.session not in ("", self._session):
            text = f"session {request.session!r} is not {self._session!r}"
            raise LoginRefused(LoginRejectReason.SESSION_NOT_AVAILABLE, text)
        if user.is_shut_out:
            text = "the session cannot be served; the gateway's log says why"
            raise LoginRefused(LoginRejectReason.SESSION_NOT_AVAILABLE, text)
        return user
