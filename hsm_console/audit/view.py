"""What may be read of a log that is open: entries, pages of the audit table, projections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import msgspec

from hsm_console.audit import reading
from hsm_console.audit.checkpoint import Checkpoint
from hsm_console.audit.cose import RootSignature
from hsm_console.audit.disclosure import hide
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages.audit import EntryDetail, EntryPage


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What receipts are made of. signature: COSE over the root; None when the key was locked."""

    body: bytes
    index: int
    head: Checkpoint
    seconds: int
    note: str
    path: tuple[bytes, ...]
    signature: RootSignature | None


class LogView(ABC):
    """The reading half of an open log. Thread-safe."""

    def __init__(self, reader: reading.LogReader) -> None:
        self._reader = reader

    @property
    @abstractmethod
    def size(self) -> int:
        """How many entries are committed."""

    @property
    @abstractmethod
    def signed_size(self) -> int:
        """How many of them a checkpoint covers."""

    def body(self, seq: int) -> bytes:
        """An entry's exact bytes. Raises InputError entry-missing."""
        return self._reader.body(seq)

    def read(self, seq: int) -> Recorded:
        return self._reader.read(seq)

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[Recorded]:
        """Entries start ≤ seq < stop, as they were committed when this was called."""
        return self._reader.scan(start, self.size if stop is None else min(stop, self.size))

    def rows(
        self, before: int | None = None, limit: int = 256, shown: reading.Shown = hide, **filters: str
    ) -> EntryPage:
        """One page of the audit table, newest first. filters: kind, who, text, status, ceremony.

        shown: puts values, or words, in the place of digests.
        """
        rows, more = self._reader.rows(before, limit, self.signed_size, filters, shown)
        return reading.page(rows, self.size, more=more)

    def detail(self, seq: int, opened: reading.Opened = reading.as_it_is) -> EntryDetail:
        """One entry in full. opened: puts values in the place of digests for the sentences, never for the bytes."""
        return self._reader.detail(seq, self.signed_size, opened)

    def query(self) -> reading.LogReader:
        """Read-only access to projections: `with log.query().borrow() as conn: …`."""
        return self._reader
