"""What a control asks of the entries that answer it, folded over the log in one pass.

Memory grows with the people and the ceremonies, not with the entries.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from hsm_console.audit import siem
from hsm_console.domain import events as e
from hsm_console.domain.events import Recorded


class Item(msgspec.Struct, frozen=True):
    """One entry of the population: the event, its flat form, and whether the control selects it."""

    recorded: Recorded
    row: siem.Row


class Fold(Protocol):
    """One check. `look` sees every entry of the log up to the end of the period, in order; `hold` says why a selected
    entry contradicts the control, empty when it does not; `finish` what contradicts it at the end, with its entry."""

    def look(self, item: Item) -> None: ...

    def hold(self, item: Item) -> str: ...

    def finish(self) -> list[tuple[int, str]]: ...


class _Plain:
    def look(self, item: Item) -> None:
        """Nothing to remember."""

    def hold(self, item: Item) -> str:  # noqa: ARG002 (the checks that look at it override this)
        return ""

    def finish(self) -> list[tuple[int, str]]:
        return []


class Fields(_Plain):
    """Who, what, when, with which result, from where and on what stand in the entry."""

    _WANTED = (
        ("who", ("actor_uid", "actor_name")),
        ("what", ("kind",)),
        ("when", ("time",)),
        ("result", ("status",)),
        ("from where", ("source",)),
        ("on what", ("resources", "device", "kind")),
    )

    def hold(self, item: Item) -> str:
        missing = [what for what, names in self._WANTED if not any(getattr(item.row, name) for name in names)]
        return f"does not say {', '.join(missing)}" if missing else ""


class Person(_Plain):
    """A named person with a session and a certificate, not the workstation."""

    def hold(self, item: Item) -> str:
        return "" if item.recorded.actor else "names no person"


class Attributes(_Plain):
    """A generated key was read back as sensitive and not extractable."""

    def hold(self, item: Item) -> str:
        event = item.recorded.event
        if not isinstance(event, e.OperationSucceeded) or event.operation is not e.Operation.GENERATE:
            return ""
        read = event.attributes
        if read is None:
            return "records no attributes read back from the token"
        if not read.sensitive or read.extractable:
            return "records a key that is not sensitive, or that can be extracted"
        return ""


class DualControl(_Plain):
    """Before the operation, two different people at least approved it: as the quorum of its ceremony, or of the order
    that it carries out (tied to it by the correlation)."""

    def __init__(self) -> None:
        self._quorums: dict[str, int] = {}
        self._orders: dict[str, int] = {}

    def look(self, item: Item) -> None:
        event = item.recorded.event
        if isinstance(event, e.QuorumReached):
            most = max(self._quorums.get(event.ceremony_id, 0), len(set(event.by)))
            self._quorums[event.ceremony_id] = most
        elif isinstance(event, e.OrderReady):
            self._orders[item.recorded.correlation] = len(set(event.by))

    def hold(self, item: Item) -> str:
        event: Any = item.recorded.event
        if not isinstance(event, e.OperationSucceeded):
            return ""
        approved = self._quorums.get(event.ceremony_id, 0) if event.ceremony_id else None
        people = self._orders.get(item.recorded.correlation) if approved is None else approved
        if people is None:
            return "was done outside a ceremony and without an order"
        return "" if people >= 2 else f"had the approval of {people} people before, not of two"


class SeparateSeats(_Plain):
    """Nobody holds two seats of one ceremony."""

    def hold(self, item: Item) -> str:
        event = item.recorded.event
        seats = event.seats if isinstance(event, e.StepDone) else ()
        people = [seat.uid for seat in seats]
        twice = sorted({uid for uid in people if people.count(uid) > 1})
        return f"seats {', '.join(twice)} twice" if twice else ""


class OwnCertificate(_Plain):
    """No certificate speaks for two people."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def look(self, item: Item) -> None:
        actor = item.recorded.actor
        if actor is not None:
            self._owners.setdefault(actor.certificate_sha256, actor.uid)

    def hold(self, item: Item) -> str:
        actor = item.recorded.actor
        if actor is None:
            return ""
        owner = self._owners[actor.certificate_sha256]
        return "" if owner == actor.uid else f"uses the certificate of {owner} as {actor.uid}"


class Closed(_Plain):
    """Every ceremony that was opened came to an end."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def look(self, item: Item) -> None:
        event = item.recorded.event
        if isinstance(event, e.CeremonyOpened):
            self._open[event.ceremony_id] = item.recorded.seq
        elif isinstance(event, e.CeremonyClosed):
            self._open.pop(event.ceremony_id, None)

    def finish(self) -> list[tuple[int, str]]:
        return [(seq, "opened a ceremony that has no end yet") for seq in self._open.values()]


class Whole(_Plain):
    """The log still begins with the entry that created it: nothing was taken away."""

    def __init__(self) -> None:
        self._first: Recorded | None = None

    def look(self, item: Item) -> None:
        self._first = self._first or item.recorded

    def finish(self) -> list[tuple[int, str]]:
        if self._first is None or (self._first.seq == 0 and isinstance(self._first.event, e.LogCreated)):
            return []
        return [(self._first.seq, "is the first entry kept; the log no longer begins with its creation")]


FOLDS: dict[str, type[_Plain]] = {
    "fields": Fields,
    "person": Person,
    "attributes": Attributes,
    "dual-control": DualControl,
    "separate-seats": SeparateSeats,
    "own-certificate": OwnCertificate,
    "closed": Closed,
    "whole": Whole,
}
"""All checks but `verified`, which the verifier answers."""
