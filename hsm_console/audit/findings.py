"""What a verifier finds, in the words of AUDIT 7, and the line it begins with."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from hsm_console.domain.messages.audit import Finding

EACH = 20


class Word(enum.StrEnum):
    """The vocabulary of both verifiers."""

    REWRITTEN = "REWRITTEN"
    GAP = "GAP"
    CHAIN = "CHAIN"
    TRUNCATED = "TRUNCATED"
    ROLLED_BACK = "ROLLED-BACK"
    BAD_SIGNATURE = "BAD-SIGNATURE"
    FOREIGN = "FOREIGN"
    UNSIGNED = "UNSIGNED"
    DOWNGRADE = "DOWNGRADE"
    CLOCK = "CLOCK"
    UNCLEAN = "UNCLEAN"
    FORK = "FORK"
    BAD_PROOF = "BAD-PROOF"
    INCOMPLETE = "INCOMPLETE"
    DISCLOSURE = "DISCLOSURE"
    SEALED = "SEALED"
    SEGMENT = "SEGMENT"
    SHADOW_OP = "SHADOW-OP"
    PHANTOM_OP = "PHANTOM-OP"
    DEVICE_CHANGED = "DEVICE-CHANGED"
    INTERRUPTED = "INTERRUPTED"
    WITNESS_CONFLICT = "WITNESS-CONFLICT"


class Findings:
    """Collects findings; after 20 of one word only their number grows (a hostile file must not fill the memory)."""

    def __init__(self) -> None:
        self.items: list[Finding] = []
        self._counts: dict[str, int] = {}

    def add(self, word: Word, text: str, entry: int = -1) -> None:
        self._counts[word.value] = count = self._counts.get(word.value, 0) + 1
        if count <= EACH:
            self.items.append(Finding(word=word.value, text=text, entry=entry))

    def words(self) -> list[str]:
        return list(self._counts)

    def all(self) -> tuple[Finding, ...]:
        """The findings, and for each word how many more there are."""
        more = [
            Finding(word=word, text=f"and {count - EACH} more of this kind")
            for word, count in self._counts.items()
            if count > EACH
        ]
        return (*self.items, *more)


def first_line(
    words: Sequence[str],
    counts: tuple[int, int, int],
    anchors: Sequence[str],
    not_checked: Sequence[str],
    *,
    live: bool,
    more: str = "",
) -> str:
    """`OK entries=… signed=… unsigned_tail=… anchors: …; not checked: …` — never a bare OK.

    counts: entries, signed, unsigned tail. more: what else was counted, with a space before each.
    """
    entries, signed, tail = counts
    verdict = "NOT OK " + ", ".join(words) if words else "OK"
    state = " (log is open)" if live else ""
    listed = ", ".join(anchors) or "none"
    return (
        f"{verdict} entries={entries} signed={signed} unsigned_tail={tail}{more}{state} "
        f"anchors: {listed}; not checked: {', '.join(not_checked) or 'nothing'}"
    )
