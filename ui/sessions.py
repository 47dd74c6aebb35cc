"""The people who are logged in at this screen. Several may be: an executive stays while the administrator acts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hsm_console.domain.events import Seat

if TYPE_CHECKING:  # the client is imported late: the log-in page does not wait for it
    from hsm_console.client.session import Session


class SessionBook:
    """Open sessions, the one acting now first. Only the screen's thread touches it."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []
        self._asked: dict[int, float] = {}  # id of a session → monotonic seconds

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def acting(self) -> Session:
        """Raises LookupError when nobody is logged in."""
        if not self._sessions:
            raise LookupError("nobody is logged in")
        return self._sessions[0]

    @property
    def names(self) -> list[str]:
        return [session.greeting.person.name for session in self._sessions]

    def add(self, session: Session) -> None:
        """She who logs in acts. An older session of the same person gives way."""
        self._sessions.insert(0, session)
        self.touched(session)

    def remove(self, session: Session) -> bool:
        """Whether it was here."""
        if session not in self._sessions:
            return False
        self._sessions.remove(session)
        self._asked.pop(id(session), None)
        return True

    def clear(self) -> list[Session]:
        gone, self._sessions = self._sessions, []
        return gone

    def touched(self, session: Session) -> None:
        """She asked the gateway for something just now."""
        self._asked[id(session)] = time.monotonic()

    def quiet_ms(self, session: Session) -> int:
        """Since when nothing was asked in her name, as far as this screen knows."""
        return int((time.monotonic() - self._asked.get(id(session), time.monotonic())) * 1000)

    def seated(self, seats: tuple[Seat, ...]) -> Session | None:
        """The open session of one of those who may answer: by person, before names are known by role."""
        for session in self._sessions:
            greeting = session.greeting
            for seat in seats:
                if seat.uid == greeting.person.uid or (not seat.uid and seat.role in greeting.roles):
                    return session
        return None
