"""Values that stand in clear although the policy in force seals them (AUDIT 7: a log that should be sealed and is not
is a failure, never "nothing to check").

Which classes are sealed is said by the newest `policy-in-force`; that they can be, by `data-key-made`. Rules that come
to seal later find no key in the token: until it is unlocked and the key made, values stand in clear and nobody is to
blame. When the device was unlocked under such rules and the log ends without a key, that is the finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hsm_console.audit.disclosure import MARK, MARKER
from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.lean import Lean
from hsm_console.audit.sealable import CLASSES, MEMBERS, NAMES, Plan
from hsm_console.domain.events import LogPruned

KINDS = frozenset({"policy-in-force", "data-key-made", "device-unlocked"})
SETTING = "log.confidential"
_TAGS = {str(kind.__struct_config__.tag): kind for kind in MEMBERS}
_NAMING = frozenset({"logged-on", "logged-off", "log-on-refused", "device-unlocked", "device-unlock-refused"})
_LOCKED = -1


class Place(msgspec.Struct, frozen=True):
    """What is in force at a place of the log: the classes that policy seals (None: pruned entries said it), whether
    there is a key to seal with, the entry of an unlock that found none (-1: no such)."""

    classes: list[str] | None = None
    sealing: bool = False
    unlocked: int = _LOCKED


class _User(msgspec.Struct, gc=False):
    name: str = ""


class _Extension(msgspec.Struct, gc=False):
    event: dict[str, Any]


class _Entry(msgspec.Struct, gc=False):
    hsm_console: _Extension
    user: _User = msgspec.field(default_factory=_User)


_entry = msgspec.json.Decoder(_Entry)


def classes_of(settings: dict[str, str]) -> list[str]:
    """The classes that a recorded policy seals; those that nobody knows are passed over."""
    named = settings.get(SETTING, "").split(", ")
    return [name for name in CLASSES if name in named]


class InClear:
    """A fold beside the verifier's, which calls `see` for entries of `KINDS`, `step` for all while `watching`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._suspects: dict[str, tuple[int, str]] = {}  # class → first place in clear where policy is not known
        self.begin_at(Place())

    def begin_at(self, place: Place) -> None:
        """Go on as if this were in force."""
        self.place = place
        known = place.classes if place.classes is not None else CLASSES
        self._plan = Plan(known)
        self.watching = place.sealing and bool(known)

    def pass_over(self) -> None:
        """Entries were pruned here: what policy sealed behind them is told by the entry that pruned them."""
        self.begin_at(Place(None, sealing=True))

    def see(self, seq: int, kind: str, body: bytes) -> None:
        """One entry of `KINDS`. What cannot be read is somebody else's finding."""
        classes, sealing, unlocked = self.place.classes, self.place.sealing, self.place.unlocked
        if kind == "policy-in-force":
            try:
                settings = _entry.decode(body).hsm_console.event.get("settings", {})
                sealing = sealing and classes is not None  # else not known: each start makes a data key, where it can
                classes, unlocked = classes_of(settings), _LOCKED
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
                return
        elif kind == "data-key-made":
            sealing, unlocked = True, _LOCKED
        elif classes and not sealing and unlocked == _LOCKED:
            unlocked = seq
        self.begin_at(Place(classes, sealing, unlocked))

    def step(self, seq: int, lean: Lean, body: bytes) -> None:
        """Any entry."""
        kind, digests = lean.hsm_console.event.kind, lean.hsm_console.sd
        actor = lean.actor.user.name if lean.actor.user else ""  # empty where the gateway itself acts
        if actor and self._plan.actor_name and not _is_sealed(actor, digests):
            self._tell(seq, "actor.user.name", (NAMES,))
        members = self._plan.members.get(_TAGS[kind], ()) if kind in _TAGS else ()
        if not members and kind not in _NAMING:
            return
        try:
            entry = _entry.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        event = entry.hsm_console.event
        if self._plan.actor_name and not _is_sealed(entry.user.name, digests):
            self._tell(seq, "user.name", (NAMES,))
        for member in members:
            for name, of, value in self._values(kind, member, event):
                if not _is_sealed(value, digests):
                    self._tell(seq, f"event.{name}", of)

    def _values(self, kind: str, member: str, event: dict[str, Any]) -> Sequence[tuple[str, Sequence[str], Any]]:
        """(name, classes of which any one seals it, value) of what a member holds."""
        value = event.get(member, "")
        if member == "facts" and isinstance(value, dict):
            step = str(event.get("step_kind", ""))
            return [
                (f"facts.{fact}", of, text) for fact, text in value.items() if (of := self._plan.of_fact(step, fact))
            ]
        of = MEMBERS[_TAGS[kind]][member]
        if member == "seats" and isinstance(value, list):
            return [(f"seats.{at}.name", of, seat.get("name", "")) for at, seat in enumerate(value)]
        return [(member, of, value)]

    def _tell(self, seq: int, name: str, of: Sequence[str]) -> None:
        text = f"entry {seq} holds {name} in clear, which the policy in force seals"
        if self.place.classes is not None:
            self._findings.add(Word.SEALED, text, seq)
        else:
            for one in of:
                self._suspects.setdefault(one, (seq, text))

    def finish(self, pruned: LogPruned | None, *, live: bool) -> None:
        """At the end. pruned: the entry that tells what was in force behind pruned entries."""
        known = pruned.sealing if pruned else ()
        for seq, text in sorted({found for of, found in self._suspects.items() if of in known}):
            self._findings.add(Word.SEALED, text, seq)
        if self.place.unlocked != _LOCKED and not live:
            text = (
                f"the policy in force seals {', '.join(self.place.classes or ())}, the device was unlocked at entry "
                f"{self.place.unlocked}, and no key for sealing was put in force"
            )
            self._findings.add(Word.SEALED, text, self.place.unlocked)


def _is_sealed(value: Any, digests: Sequence[str]) -> bool:
    """Whether nothing stands here, or the digest of a value that this entry names."""
    if value == "":
        return True
    found = MARKER.fullmatch(value) if isinstance(value, str) and value.startswith(MARK) else None
    return found is not None and found[1] in digests
