"""The full check in the background: every body hashed again and held against the signed tree, tile by tile.

A round may be interrupted at any tile; the next one begins where it stopped, reaches the end, and then reads what lies
before as well. So the place that is kept decides nothing but the order: whoever edits it gains nothing, and nothing
that an earlier run saw is taken for granted when a round calls itself complete.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from hsm_console.audit import tiles
from hsm_console.audit.findings import Findings
from hsm_console.audit.log import AuditLog
from hsm_console.audit.startup import Checked, Leaves, check_note, check_parents, expected_leaves, rows_of
from hsm_console.audit.vkey import Vkey
from hsm_console.crypto.files import write_durably

PLACE = "check.json"


class Place:
    """Where the last round stopped, in a file beside the log. Untrusted, and harmless."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PLACE

    def read(self, tiles_now: int) -> int:
        """The tile to begin with; 0 when the file says nothing of use."""
        try:
            found = json.loads(self._path.read_bytes()[:256])["tile"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return found if type(found) is int and 0 <= found < tiles_now else 0

    def keep(self, tile: int) -> None:
        write_durably(self._path, json.dumps({"tile": tile}).encode() + b"\n")

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


class Round:
    """One round over a log of `size` entries. `legs` yields after each tile; it ends when all were read."""

    def __init__(self, log: AuditLog, vkey: Vkey, start: int, *, below: int = 0) -> None:
        self._log = log
        self._vkey = vkey
        self._below = below
        self.size = log.size
        self._tiles = -(-self.size // tiles.WIDTH)
        self.start = start if start < self._tiles else 0
        self.at = self.start
        self.done = 0
        self._findings = Findings()
        self._began = 0.0

    @property
    def findings(self) -> Findings:
        return self._findings

    def legs(self) -> Iterator[tuple[int, int] | Checked]:
        """(entries read, of) after each tile, and a `Checked` at the end of each leg: from the place to the end, then
        from entry 0 to the place."""
        for first, stop in ((self.start, self._tiles), (0, self.start)):
            if first == stop:
                continue
            self._findings, self._began = Findings(), time.monotonic()
            for n in range(first, stop):
                self.at = n
                self._tile(n)
                self.done = min(self.size, self.done + tiles.WIDTH)
                yield self.done, self.size
            self.at = 0
            yield self._checked(first, stop)

    def _checked(self, first: int, stop: int) -> Checked:
        return Checked(
            first=first * tiles.WIDTH,
            end=min(self.size, stop * tiles.WIDTH),
            size=self.size,
            anchored=-1,
            findings=self._findings.all(),
            took_ms=int((time.monotonic() - self._began) * 1000),
        )

    def _tile(self, n: int) -> None:
        nodes, first = self._log.nodes(), n * tiles.WIDTH
        end = min(first + tiles.WIDTH, self.size)
        expected = expected_leaves(nodes, n, self.size)
        if first >= self._below:
            rows = rows_of(self._log, max(0, first - 1), end)
            before = rows.pop(0)[1] if rows and rows[0][0] == first - 1 else None
            Leaves(self._findings).tile(n, rows, expected, before)
        check_parents(self._findings, nodes, n, expected, self.size)
        with self._log.query().borrow() as conn:
            query = "SELECT size, CAST(note AS TEXT) FROM checkpoint WHERE size > ? AND size <= ? ORDER BY size"
            notes = conn.execute(query, (first, end)).fetchall()
        for note in notes:
            check_note(self._findings, self._vkey, note, self.size, nodes)
