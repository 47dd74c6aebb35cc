"""The inventory of keys. Raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import urlencode

from hsm_console.client.session import Session
from hsm_console.domain.messages.ceremony import KeyView

PAGE = 500
"""Keys in one answer: reading it stops a screen for less than a picture's time, ten thousand at once do not."""


def listed(session: Session, text: str = "") -> list[KeyView]:
    """Every key that the log knows, newest first, fetched page by page. text: as in `page`."""
    found: list[KeyView] = []
    while True:
        more = page(session, text=text, after=found[-1].object_id if found else "", limit=PAGE)
        found += more
        if len(more) < PAGE:
            return found


def page(session: Session, *, text: str = "", after: str = "", limit: int = 100) -> list[KeyView]:
    """At most `limit` keys (1 to 1000), newest first.

    text: part of a name, an id or a fingerprint; after: id of the last key of the page before.
    """
    wanted = {"text": text, "after": after, "limit": str(limit)}
    query = urlencode({name: value for name, value in wanted.items() if value})
    return session.call("GET", f"/v1/keys?{query}", None, list[KeyView])
