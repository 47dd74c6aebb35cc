"""Which members of an entry may be confidential, by the classes that an environment names (AUDIT 2).

A member is listed here only when no fold decides by it: the tables of a log are made from its entries as they stand,
with the digest in the place of the value, so that state stays a fold over the log whether or not a value was erased
(invariant 3). Names of roles, ids, numbers, keys and times are never sealed.
"""

from __future__ import annotations

from collections.abc import Iterable

from hsm_console.domain import events as e

NAMES, FREE_TEXT, DIGESTS, FILE_NAMES = "names", "free-text", "document-digests", "file-names"
CLASSES = (NAMES, FREE_TEXT, DIGESTS, FILE_NAMES)
ACTOR_NAME = "actor.user.name"

# member → classes of which any one seals it; a dict's values and the names in `seats` are sealed one by one
MEMBERS: dict[type[e.Event], dict[str, tuple[str, ...]]] = {
    e.TimeChangeDeclared: {"why": (FREE_TEXT,)},
    e.LogOnRefused: {"text": (NAMES,)},
    e.ActionRefused: {"text": (NAMES, FREE_TEXT)},
    e.DeviceDown: {"text": (NAMES,)},
    e.LogExported: {"what": (FILE_NAMES,)},
    e.PersonEnrolled: {"name": (NAMES,), "certificate": (NAMES,)},
    e.OperationIntended: {"input_sha256": (DIGESTS,), "input_name": (FILE_NAMES,)},
    e.StepDone: {"seats": (NAMES,), "facts": ()},
    e.StepMissed: {"facts": ()},
    e.ApprovalGiven: {"because": (FREE_TEXT,), "statement": (FREE_TEXT,)},
    e.DeviationRecorded: {"expected": (FREE_TEXT,), "happened": (FREE_TEXT,), "decided": (FREE_TEXT,)},
    e.SignedOff: {"because": (FREE_TEXT,), "statement": (FREE_TEXT,)},
    e.CeremonyPaused: {"why": (FREE_TEXT,)},
    e.CeremonyClosed: {"text": (NAMES, FREE_TEXT)},
    e.AlertAcknowledged: {"note": (FREE_TEXT,)},
    e.OrderDecided: {"because": (FREE_TEXT,), "statement": (FREE_TEXT,)},
}
# facts of a step: by the kind of step, and these by their own names
FACTS_OF_STEP = {"presence": (NAMES, FREE_TEXT), "read-aloud": (FREE_TEXT,)}
FACTS = {
    "Quorum": (NAMES,),
    "approved by": (NAMES,),
    "why": (NAMES, FREE_TEXT),
    "document": (FILE_NAMES,),
    "document sha256": (DIGESTS,),
}


class Plan:
    """The members to seal under some classes: for each kind of event a tuple of (member, how)."""

    def __init__(self, classes: Iterable[str]) -> None:
        self.classes = frozenset(classes)
        self.actor_name = NAMES in self.classes
        self.members = {
            kind: names
            for kind, listed in MEMBERS.items()
            if (names := tuple(n for n, of in listed.items() if not of or self.classes & set(of)))
        }

    def seals_fact(self, step_kind: str, fact: str) -> bool:
        return bool(self.of_fact(step_kind, fact))

    def of_fact(self, step_kind: str, fact: str) -> tuple[str, ...]:
        """The classes, of those in force, that seal this fact of such a step."""
        return tuple(sorted(self.classes & {*FACTS.get(fact, ()), *FACTS_OF_STEP.get(step_kind, ())}))
