"""Facts: what the log said before, in a form that a rule can ask for. A fold over the entries, nothing else.

Each entry is given the facts that concern it under `facts.`, as they stood before it; then it is folded in. Whole
numbers, texts, true and false. docs/detection.md lists them all; a test holds that list and this module together.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from hsm_console.detect.baseline import Subject, Subjects, SubjectState
from hsm_console.detect.entry import ACTOR, EVENT, Flat
from hsm_console.detect.steady import ClockState, SteadyClock

MANY = 4096
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GUARDS = {"sensitive": True, "always_sensitive": True, "never_extractable": True, "extractable": False}
_DEVICE = ("serial", "firmware", "model", "hardware")

NAMES = (
    "hour", "weekday", "production", "ceremonies_open", "clock_step_s", "clock_step_way", "clock_step_declared",
    "mechanism", "mechanism_new", "key_unknown", "key_name", "key_rate_now", "key_rate_peak", "key_rate_days",
    "key_rate_minutes", "key_rate_surprise", "key_hour_share", "key_hour_times", "key_hour_days", "person_rate_now",
    "person_rate_peak", "person_rate_days", "person_rate_minutes", "person_rate_surprise", "person_hour_share",
    "person_hour_times", "person_hour_days", "key_weaker", "device_changed", "two_seats", "receipt_missing",
    "heartbeat_gap_s",
)  # fmt: skip


class CeremonyState(msgspec.Struct, frozen=True):
    """A ceremony under way, at rest."""

    uid: str
    made: int
    receipts: int
    seats: dict[str, list[str]]


class FactsState(msgspec.Struct, frozen=True, kw_only=True):
    """`Facts` at rest. intents: entry → extractable was asked for; beat: run, when, seconds until the next."""

    clock: ClockState
    production: bool
    ceremonies: list[CeremonyState]
    mechanisms: list[str]
    keys: dict[str, str]
    intents: list[tuple[int, bool]]
    devices: dict[str, dict[str, str]]
    beat: tuple[str, int, int]
    by_key: list[SubjectState]
    by_person: list[SubjectState]


class Facts:
    """The fold. Not thread-safe: one engine owns it."""

    def __init__(self) -> None:
        self.clock = SteadyClock()
        self.production = False
        self._ceremonies: OrderedDict[str, _Ceremony] = OrderedDict()
        self._mechanisms: set[str] = set()
        self._keys: dict[str, str] = {}
        self._intents: OrderedDict[int, bool] = OrderedDict()  # extractable was asked for
        self._devices: dict[str, dict[str, str]] = {}
        self._beat = ("", 0, 0)
        self._by_key, self._by_person = Subjects(), Subjects()
        self._see: dict[str, Callable[[Flat, int], None]] = {
            "log-created": self._created,
            "policy-in-force": self._policy,
            "time-change-declared": self._declared,
            "ceremony-opened": self._opened,
            "ceremony-closed": self._closed,
            "step-done": self._step,
            "receipt-issued": self._receipt,
            "operation-intended": self._intended,
            "operation-succeeded": self._succeeded,
            "operation-failed": self._ended,
            "operation-interrupted": self._ended,
            "device-unlocked": self._unlocked,
            "device-added": self._member,
            "device-member-unlocked": self._member,
            "logged-on": self._logged_on,
            "heartbeat": self._heartbeat,
        }

    def state(self) -> FactsState:
        """Everything that it knows; `restore` of a new one goes on from there."""
        now = self.clock.now_ms
        return FactsState(
            clock=self.clock.state(),
            production=self.production,
            ceremonies=[CeremonyState(uid, c.made, c.receipts, c.seats) for uid, c in self._ceremonies.items()],
            mechanisms=sorted(self._mechanisms),
            keys=dict(self._keys),
            intents=list(self._intents.items()),
            devices=dict(self._devices),
            beat=self._beat,
            by_key=self._by_key.state(now),
            by_person=self._by_person.state(now),
        )

    def restore(self, state: FactsState) -> None:
        """Of a new one only."""
        self.clock.restore(state.clock)
        self.production = state.production
        for kept in state.ceremonies:
            found = self._ceremonies[kept.uid] = _Ceremony()
            found.made, found.receipts, found.seats = kept.made, kept.receipts, kept.seats
        self._mechanisms.update(state.mechanisms)
        self._keys.update(state.keys)
        self._intents.update(state.intents)
        self._devices.update(state.devices)
        self._beat = state.beat
        self._by_key.restore(state.by_key)
        self._by_person.restore(state.by_person)

    def subjects(self) -> tuple[list[tuple[str, Subject]], list[tuple[str, Subject]]]:
        """(keys, people) by their ids, who was seen last first."""
        return self._by_key.items(), self._by_person.items()

    def key_label(self, key_id: str) -> str:
        """The label under which the log knows the key; empty when it does not."""
        return self._keys.get(key_id, "")

    def see(self, kind: str, flat: Flat) -> int:
        """Give the entry its facts and fold it in; the steady time of it in ms."""
        now = self.clock.see(flat)
        clock = time.localtime(flat.get("time", 0) / 1000)
        flat["facts.hour"], flat["facts.weekday"] = clock.tm_hour, _DAYS[clock.tm_wday]
        flat["facts.production"], flat["facts.ceremonies_open"] = self.production, len(self._ceremonies)
        actor = flat.get(ACTOR)
        if actor:
            _put(flat, "person_rate", self._by_person.of(actor, now).rate.see(now))
        seen = self._see.get(kind)
        if seen is not None:
            seen(flat, now)
        return now

    # -- the log itself -----------------------------------------------------------------------------------

    def _created(self, flat: Flat, _now: int) -> None:
        for key in flat.get(EVENT + "keys", ()):
            self._keys[key.get("object_id", "")] = key.get("label", "")
            self._mechanisms.add(f"generate {key.get('algorithm', '')}")
        self._devices["own"] = _device(flat, EVENT + "device.")

    def _policy(self, flat: Flat, _now: int) -> None:
        self.production = flat.get(EVENT + "production") is True

    def _declared(self, flat: Flat, _now: int) -> None:
        self.clock.declare(flat.get(EVENT + "shift_ms", 0))

    def _heartbeat(self, flat: Flat, now: int) -> None:
        run, due_s = str(flat.get(EVENT + "run_uid", "")), int(flat.get(EVENT + "next_s", 0))
        last, last_ms, last_due_s = self._beat
        if run == last and last_due_s:
            flat["facts.heartbeat_gap_s"] = max(0, (now - last_ms) // 1000 - last_due_s)
        self._beat = (run, now, due_s)

    # -- ceremonies ---------------------------------------------------------------------------------------

    def _opened(self, flat: Flat, _now: int) -> None:
        self._ceremonies[flat[EVENT + "ceremony_id"]] = _Ceremony()
        if len(self._ceremonies) > MANY:
            self._ceremonies.popitem(last=False)

    def _closed(self, flat: Flat, _now: int) -> None:
        found = self._ceremonies.pop(flat[EVENT + "ceremony_id"], None)
        completed = flat.get(EVENT + "outcome") == "completed"
        flat["facts.receipt_missing"] = bool(found and completed and found.made and not found.receipts)

    def _step(self, flat: Flat, _now: int) -> None:
        found = self._ceremonies.get(flat[EVENT + "ceremony_id"])
        seats = flat.get(EVENT + "seats")
        if found is None or not seats:
            return
        if flat.get(EVENT + "step_kind") == "presence":
            found.seats = {}
        for seat in seats:
            found.seats.setdefault(str(seat.get("uid")), []).append(str(seat.get("role")))
        twice = [f"{uid} ({' and '.join(sorted(roles))})" for uid, roles in found.seats.items() if len(roles) > 1]
        if twice:
            flat["facts.two_seats"] = ", ".join(sorted(twice))

    def _receipt(self, flat: Flat, _now: int) -> None:
        found = self._ceremonies.get(flat.get(EVENT + "ceremony_id", ""))
        if found is not None:
            found.receipts += 1

    # -- operations ---------------------------------------------------------------------------------------

    def _intended(self, flat: Flat, now: int) -> None:
        operation, key_id = flat.get(EVENT + "operation", ""), flat.get(EVENT + "key_id", "")
        if operation == "record-head":
            return
        how = flat.get(EVENT + "mechanism") or flat.get(EVENT + "algorithm") or ""
        if how:
            name = f"{operation} {how}"
            flat["facts.mechanism"], flat["facts.mechanism_new"] = name, name not in self._mechanisms
            self._mechanisms.add(name)
        if key_id:
            flat["facts.key_unknown"] = key_id not in self._keys
            self._use(flat, key_id, now)
        self._intents[flat["metadata.sequence"]] = flat.get(EVENT + "extractable") is True
        if len(self._intents) > MANY:
            self._intents.popitem(last=False)

    def _use(self, flat: Flat, key_id: str, now: int) -> None:
        subject = self._by_key.of(key_id, now)
        _put(flat, "key_rate", subject.rate.see(now))
        hour, weekend = flat["facts.hour"], flat["facts.weekday"] in _DAYS[5:]
        _put(flat, "key_hour", subject.hours.see(now, hour, weekend=weekend))
        name = flat.get(EVENT + "label") or self._keys.get(key_id)
        flat["facts.key_name"] = f"“{name}”" if name else key_id

    def _succeeded(self, flat: Flat, _now: int) -> None:
        operation, key_id = flat.get(EVENT + "operation", ""), flat.get(EVENT + "key_id", "")
        asked = self._intents.get(flat.get(EVENT + "intent", -1), False)
        if flat.get(EVENT + "last", True):
            self._ended(flat, 0)
        if operation not in ("generate", "unwrap"):
            return
        self._keys[key_id] = flat.get(EVENT + "label", "")
        weaker = _weaker(flat, asked_extractable=asked, made=operation == "generate")
        if weaker:
            flat["facts.key_weaker"] = ", ".join(weaker)
        found = self._ceremonies.get(flat.get(EVENT + "ceremony_id", ""))
        if found is not None:
            found.made += 1

    def _ended(self, flat: Flat, _now: int) -> None:
        self._intents.pop(flat.get(EVENT + "intent", -1), None)

    # -- people and devices -------------------------------------------------------------------------------

    def _logged_on(self, flat: Flat, now: int) -> None:
        subject = self._by_person.of(flat.get(ACTOR, ""), now)
        weekend = flat["facts.weekday"] in _DAYS[5:]
        _put(flat, "person_hour", subject.hours.see(now, flat["facts.hour"], weekend=weekend))

    def _unlocked(self, flat: Flat, _now: int) -> None:
        self._compare(flat, "own", _device(flat, EVENT + "device."))

    def _member(self, flat: Flat, _now: int) -> None:
        self._compare(flat, f"member {flat.get(EVENT + 'name', '')}", _device(flat, EVENT))

    def _compare(self, flat: Flat, name: str, device: dict[str, str]) -> None:
        known = self._devices.get(name, {})
        changed = [
            f"{what} was {known[what]}, is {device[what]}"
            for what in _DEVICE
            if known.get(what) and device.get(what) and known[what] != device[what]
        ]
        if changed:
            flat["facts.device_changed"] = "; ".join(changed)
        self._devices[name] = known | device


class _Ceremony:
    """What a ceremony under way did so far. made: keys."""

    __slots__ = ("made", "receipts", "seats")

    def __init__(self) -> None:
        self.made = 0
        self.receipts = 0
        self.seats: dict[str, list[str]] = {}


def _put(flat: Flat, prefix: str, found: Any) -> None:
    for name in found.__struct_fields__:
        flat[f"facts.{prefix}_{name}"] = getattr(found, name)


def _device(flat: Flat, prefix: str) -> dict[str, str]:
    return {what: str(flat[prefix + what]) for what in _DEVICE if flat.get(prefix + what)}


def _weaker(flat: Flat, *, asked_extractable: bool, made: bool) -> list[str]:
    """The attributes of a new key that guard less than was asked for. A key that was brought in was outside before."""
    names = ["sensitive"] + (["always_sensitive"] if made else [])
    if not asked_extractable:
        names += ["extractable"] + (["never_extractable"] if made else [])
    found = {name: flat.get(f"{EVENT}attributes.{name}") for name in names}
    return [
        f"{name.replace('_', ' ')}: {'yes' if value else 'no'}"
        for name, value in found.items()
        if value is (not _GUARDS[name])
    ]
