"""Which anchors the policy in force asks for, and which of them the log itself shows to be missing (AUDIT 5).

A requirement falls due when a ceremony was completed: from then on the log must say that a receipt was issued since
that ceremony was opened, and that a witness cosigned a head that covers its end. The token's head and the device's own
log leave no entry: they are held against the log, or named as not checked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from hsm_console.audit.anchors import Anchor
from hsm_console.audit.findings import EACH, Word

KINDS = frozenset(
    {"policy-in-force", "ceremony-opened", "ceremony-closed", "receipt-issued", "head-cosigned", "device-log-compared"}
)
_OF_DEVICE = frozenset({Word.SHADOW_OP, Word.PHANTOM_OP, Word.DEVICE_CHANGED})
_ROOTS = 4096  # of newest checkpoints: a cosigned head is that of a checkpoint shortly before
NAMES = {"token": "token", "receipt": "receipts", "witness": "witness", "device-log": "device log", "tpm": "TPM"}


class _Event(msgspec.Struct, gc=False):
    kind: str
    settings: dict[str, str] = {}
    ceremony_id: str = ""
    outcome: str = ""
    size: int = 0
    root: str = ""
    findings: tuple[str, ...] = ()


class _Extension(msgspec.Struct, gc=False):
    event: _Event


class _Entry(msgspec.Struct, gc=False):
    hsm_console: _Extension


_entry = msgspec.json.Decoder(_Entry)


class Required:
    """A fold over the entries of `KINDS`. wanted: anchors of the newest policy."""

    def __init__(self) -> None:
        self.wanted: tuple[str, ...] = ()
        self._roots: OrderedDict[int, str] = OrderedDict()
        self._foreign: list[tuple[int, int]] = []  # (entry, size) of cosigned heads that are not of this log
        self._opened: dict[str, int] = {}
        self._ceremony = (-1, -1)  # the last completed one: (opened, closed)
        self._receipt = -1
        self._covered = 0
        self._device: list[tuple[Word, str]] = []

    def see(self, seq: int, body: bytes) -> None:
        """One entry of `KINDS`, in order. What cannot be read is somebody else's finding."""
        try:
            event = _entry.decode(body).hsm_console.event
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if event.kind == "policy-in-force":
            self.wanted = tuple(name for name in event.settings.get("log.anchors", "").split(", ") if name)
        elif event.kind == "ceremony-opened":
            self._opened[event.ceremony_id] = seq
        elif event.kind == "ceremony-closed":
            opened = self._opened.pop(event.ceremony_id, seq)
            if event.outcome == "completed":
                self._ceremony = (opened, seq)
        elif event.kind == "receipt-issued":
            self._receipt = seq
        elif event.kind == "head-cosigned":
            self._covered = max(self._covered, event.size)
            if self._roots.get(event.size, event.root) != event.root:
                self._foreign.append((seq, event.size))
        elif event.kind == "device-log-compared":
            self._compared(seq, event.findings)

    def _compared(self, seq: int, findings: Sequence[str]) -> None:
        """What the device's own log told against this one when they were held together."""
        for item in findings:
            word, _, text = item.partition(": ")
            if word in _OF_DEVICE and len(self._device) < EACH:
                self._device.append((Word(word), f"{text} (the device's own log, by entry {seq})"))

    @property
    def covered(self) -> int:
        """The largest size that a witness cosigned, as the log has it; -1: none."""
        return self._covered or -1

    @property
    def receipt(self) -> int:
        """Entry of the newest receipt that was issued; -1: none."""
        return self._receipt

    def signed(self, size: int, root: bytes) -> None:
        """A checkpoint that holds: cosigned heads of this size have this root."""
        self._roots[size] = root.hex()
        if len(self._roots) > _ROOTS:
            self._roots.popitem(last=False)

    def findings(self, anchors: Sequence[Anchor], roots: Mapping[int, bytes]) -> Iterator[tuple[Word, str]]:
        """What is wrong with anchors as a whole. roots: this log's own at the anchors' sizes."""
        for text in conflicts(anchors, roots):
            yield Word.WITNESS_CONFLICT, text
        for seq, size in self._foreign:
            yield Word.FORK, f"the head of {size} entries that a witness cosigned (entry {seq}) is not of this log"
        yield from self._device
        newest = max((item.size for item in anchors if item.kind == "witness"), default=0)
        for text in self.missing({item.kind for item in anchors}, newest=newest):
            yield Word.INCOMPLETE, text

    def missing(self, given: Collection[str], *, newest: int = 0) -> list[str]:
        """One sentence for each required anchor that is not there. given: kinds that were held against this log;
        newest: the largest size that a given witness cosigned."""
        opened, closed = self._ceremony
        found = []
        if "tpm" in self.wanted:
            found.append("the policy requires an anchor in a TPM, which nothing here writes")
        if closed < 0:
            return found
        if "receipt" in self.wanted and "receipt" not in given and self._receipt < opened:
            found.append(
                f"the policy requires receipts, and none was issued since the ceremony of entry {opened} was opened"
            )
        if "witness" in self.wanted and max(self._covered, newest) <= closed:
            found.append(
                f"the policy requires a witness, and none cosigned a head that covers entry {closed}, the end of the "
                "last ceremony"
            )
        return found

    def not_checked(self, given: Collection[str]) -> list[str]:
        """Names for the verifier's line; a required anchor says so."""
        extra = [name for name in ("tpm",) if name in self.wanted]
        kinds = [name for name in ("token", "receipt", "witness", "device-log", *extra) if name not in given]
        return [f"{NAMES[kind]} (required)" if kind in self.wanted else NAMES[kind] for kind in kinds]

    def lists(self, anchors: Sequence[Anchor]) -> tuple[list[str], tuple[str, ...]]:
        """(what was held against the log, what was not checked), for the verifier's line."""
        kinds = [anchor.kind for anchor in anchors]
        counted = []
        for kind, noun in (("receipt", "receipt"), ("witness", "witness"), ("sheet", "root sheet")):
            if count := kinds.count(kind):
                plural = "es" if noun == "witness" else "s"
                counted.append(f"{count} {noun}{plural if count > 1 else ''}")
        return ["token"] * ("token" in kinds) + counted, tuple(self.not_checked(set(kinds)))


def conflicts(anchors: Iterable[Anchor], roots: Mapping[int, bytes]) -> list[str]:
    """What cannot both be true of the heads that one witness cosigned. roots: this log's own, by size.

    Two roots at one size; or one head that lies in this log and another that does not.
    """
    found: list[str] = []
    groups: dict[str, list[Anchor]] = {}
    for anchor in anchors:
        if anchor.by:
            groups.setdefault(anchor.by, []).append(anchor)
    for group in groups.values():
        seen: dict[int, bytes] = {}
        for anchor in group:
            if seen.setdefault(anchor.size, anchor.root) != anchor.root:
                found.append(f"the {anchor.name} cosigned two different roots at {anchor.size} entries")
        inside = [item for item in group if roots.get(item.size) == item.root]
        outside = [item for item in group if item.size in roots and roots[item.size] != item.root]
        if inside and outside:
            sizes = f"{inside[0].size} entries is of this log, the one of {outside[0].size} is not"
            found.append(f"the {inside[0].name} cosigned two histories: its head of {sizes}")
    return list(dict.fromkeys(found))
