"""Sessions: kept by the server, named by an opaque cookie, ended by the clock. No key is in them."""

import secrets
from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

from partnerbus.console.doorkeeper import Badge
from partnerbus.kernel.clock import Clock

LIFETIME = timedelta(hours=12)
MOST_SESSIONS = 10_000
"""Beyond it the eldest ends."""


class Session(msgspec.Struct, kw_only=True):
    """Somebody who is signed in. `form_token` is in every form; `notice` is shown once, on the next page."""

    badge: Badge
    form_token: str
    ends_at: datetime
    notice: str | None = None

    def take_notice(self) -> str | None:
        notice, self.notice = self.notice, None
        return notice


class Sessions:
    """The sessions of this node; they end with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, badge: Badge) -> str:
        """A new session; the name for the cookie."""
        name = secrets.token_urlsafe(32)
        self._sessions[name] = Session(
            badge=badge, form_token=secrets.token_urlsafe(32), ends_at=self._clock.now() + LIFETIME
        )
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return name

    def find(self, name: str | None) -> Session | None:
        """The session of that name; None if there is none, or it has ended."""
        found = self._sessions.get(name) if name is not None else None
        if found is not None and found.ends_at <= self._clock.now():
            self.end(name)
            return None
        return found

    def end(self, name: str | None) -> None:
        if name is not None:
            self._sessions.pop(name, None)
