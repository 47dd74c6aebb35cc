"""Which rows of the log the table holds, and which page of 256 each of them comes from. Pure; no Qt.

A page is named by a number that stays true while the log grows: of the whole log page n holds the entries from 256 n
on; of a selection page n is the n-th from the top, counted from the size the log had when the selection was made.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass

from hsm_console.domain.messages.audit import EntryPage, EntryRow

PAGE = 256
KEPT = 64  # pages in memory: 16,384 rows


@dataclass(frozen=True)
class Filter:
    """What is looked for. kind: an event's tag; who: short name or part of a name; text: part of the sentence;
    status: how it ended; ceremony: its id; since, until: milliseconds since 1970 as text."""

    kind: str = ""
    who: str = ""
    text: str = ""
    status: str = ""
    ceremony: str = ""
    since: str = ""
    until: str = ""

    def __bool__(self) -> bool:
        return any(asdict(self).values())


class Rows:
    """The rows of the whole log (no filter) or of a selection, newest first, least recently used pages forgotten."""

    def __init__(self, size: int, chosen: Filter) -> None:
        """size: entries in the log now."""
        self.size = size
        self.chosen = chosen
        self._pages: OrderedDict[int, tuple[EntryRow, ...]] = OrderedDict()
        self._tops = [size]  # of a selection: the sequence number below which each page begins
        self._counted = 0
        self.more = bool(chosen) and size > 0

    @property
    def count(self) -> int:
        return self._counted if self.chosen else self.size

    @property
    def next_page(self) -> int:
        """Of a selection: the page after the last one that is known."""
        return len(self._tops) - 1

    def at(self, row: int) -> EntryRow | None:
        """The entry of a row, when its page is here."""
        page, offset = self._place(row)
        held = self._pages.get(page)
        if held is None:
            return None
        self._pages.move_to_end(page)
        if not self.chosen and held:
            offset = held[0].seq - (self.size - 1 - row)
        return held[offset] if 0 <= offset < len(held) else None

    def page_of(self, row: int) -> int:
        return self._place(row)[0]

    def before(self, page: int) -> int:
        """What to ask the gateway for: entries below this number."""
        return self._tops[page] if self.chosen else (page + 1) * PAGE

    def row_of(self, seq: int) -> int:
        """Of the whole log: the row of an entry."""
        return self.size - 1 - seq

    def take(self, page: int, came: EntryPage) -> tuple[int, int]:
        """Keep a page that came. Returns the rows it fills: first, last (last < first when it is empty)."""
        first, known = self._span(page), self._counted
        self._pages[page] = came.rows
        self._pages.move_to_end(page)
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)
        if self.chosen and page == self.next_page:
            self._counted += len(came.rows)
            self.more = came.more and bool(came.rows)
            if came.rows:
                self._tops.append(came.rows[-1].seq)
            return known, self._counted - 1
        return first, min(first + len(came.rows), self.count) - 1

    def grow(self, size: int) -> None:
        """The whole log became longer; rows that are known keep their entries."""
        self.size = size

    def _place(self, row: int) -> tuple[int, int]:
        if self.chosen:
            return divmod(row, PAGE)
        return (self.size - 1 - row) // PAGE, 0

    def _span(self, page: int) -> int:
        if self.chosen:
            return page * PAGE
        return max(self.size - (page + 1) * PAGE, 0)
