"""Acts of a device: as its own log tells them, and as this log does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Custody

USES = frozenset({"sign", "decrypt", "encrypt", "wrap", "unwrap"})
COMPARED = USES | {"generate", "destroy", "login", "so-login", "login-failed", "initialise", "change-pin"}
_OPERATIONS = {
    Operation.GENERATE: "generate",
    Operation.SIGN: "sign",
    Operation.DESTROY: "destroy",
    Operation.ENCRYPT: "encrypt",
    Operation.DECRYPT: "decrypt",
    Operation.DERIVE: "decrypt",  # opening an envelope is one or the other, by the kind of key
    Operation.WRAP: "wrap",
    Operation.UNWRAP: "unwrap",
}
_SAME = {"derive": "decrypt", "decapsulate": "decrypt", "oaep-decrypt": "decrypt"}
_TRIED = ("pin-incorrect", "pin-locked")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the device. index: its own number; operation: one of COMPARED, others are passed over; key_id: hex
    CKA_ID, empty when the device does not say; time_ms: by the device's clock, 0 when it has none."""

    index: int
    operation: str
    key_id: str = ""
    time_ms: int = 0


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act that this log tells of. seq: its entry; certain: the device must know it."""

    operation: str
    key_id: str = ""
    seq: int = -1
    time_ms: int = 0
    certain: bool = True


def records(rows: Sequence[Mapping[str, str]]) -> tuple[Record, ...]:
    """Rows as `Hsm.native_log` gives them, or of a file. Raises InputError `device-log-unreadable`.

    Members: index, operation, key_id, time_ms, result (`ok`, or what the device answered).
    """
    found = []
    for number, row in enumerate(rows):
        try:
            operation, good = str(row["operation"]), row.get("result", "ok") == "ok"
            if operation == "login" and not good:
                operation, good = "login-failed", True
            record = Record(
                index=int(row["index"]),
                operation=_SAME.get(operation, operation) if good else f"failed {operation}",
                key_id=str(row.get("key_id", "")).lower(),
                time_ms=int(row.get("time_ms") or 0),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as fault:
            raise unreadable(f"row {number + 1} lacks index or operation, or they are no numbers") from fault
        found.append(record)
    return tuple(sorted(found, key=lambda record: record.index))


def unreadable(why: str) -> InputError:
    return InputError(
        Problem(
            code="device-log-unreadable",
            what=f"The device's log cannot be read: {why}.",
            todo="Give a CSV or JSON file with the members index, operation, key_id, time_ms and result.",
            exit_code=ExitCode.USAGE,
        )
    )


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the log by their ids: labels; which are software keys; the authority's and the log's own."""

    names: dict[str, str] = {}
    software: frozenset[str] = frozenset()
    authority: str = ""
    log: str = ""


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures of the log key that the device has not told of yet. made: (size, Unix seconds) of those that this log
    holds; certain: the device must know them; uncertain: how many more it may have made."""

    made: tuple[tuple[int, int], ...] = ()
    certain: bool = True
    uncertain: int = 0


def _elsewhere(event: ev.OperationIntended | ev.OperationSucceeded) -> bool:
    """A copy that was destroyed in a further device: this device has no part in that."""
    return event.operation is Operation.DESTROY and bool(event.device)


class Acts:
    """A fold over the entries from `since` on (and over those that name service keys, from the beginning)."""

    def __init__(self, since: int, keys: Keys) -> None:
        """since: acts announced before this entry belong to an earlier comparison; the device may know them already."""
        self._since = since
        self._keys = keys
        self._open: dict[int, tuple[Recorded, ev.OperationIntended]] = {}
        self.acts: list[Act] = []
        self._software = set(keys.software)
        self.free: set[tuple[str, str]] = set()
        self.allowed: Counter[tuple[str, str]] = Counter()
        self.ceremonies: dict[str, tuple[int, int]] = {}
        self._crashes = 0  # each of them may have lost one signature of the log key

    def see(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case ev.OperationIntended() | ev.OperationSucceeded() if _elsewhere(event):
                pass
            case ev.OperationIntended():
                self._open[recorded.seq] = (recorded, event)
                self._between_devices(recorded, event)
            case ev.OperationSucceeded():
                self._succeeded(recorded, event)
            case ev.OperationFailed() | ev.OperationInterrupted():
                self._uncertain(event.intent)
            case ev.DeviceUnlocked():
                self._add("login", "", recorded)
            case ev.DeviceUnlockRefused() if event.reason in _TRIED:
                self._add("login-failed", "", recorded)
            case ev.DeviceUnlockRefused():
                self._allow("login", "", recorded)  # the PIN may have been right, and the token not the right one
            case ev.PersonEnrolled() | ev.RosterIssued() | ev.CrlIssued():
                self._allow("sign", self._keys.authority, recorded)
            case ev.GatewayStarted() if event.previous_end == "unclean" and recorded.seq >= self._since:
                self._crashes += 1
            case ev.SealKeyInForce() | ev.RootKeyMade():
                self._service_key(event)
            case ev.CeremonyOpened() | ev.CeremonyClosed():
                self._ceremony(recorded, event)

    def _ceremony(self, recorded: Recorded, event: ev.CeremonyOpened | ev.CeremonyClosed) -> None:
        begin, _ = self.ceremonies.get(event.ceremony_id, (recorded.time_ms, 0))
        if isinstance(event, ev.CeremonyOpened):
            self.ceremonies[event.ceremony_id] = (begin, 2**53)
        elif event.ceremony_id in self.ceremonies:
            self.ceremonies[event.ceremony_id] = (begin, recorded.time_ms)

    def finish(self, heads: Heads) -> None:
        """What is still open may or may not have been done."""
        for intent in list(self._open):
            self._uncertain(intent)
        for size, seconds in heads.made:
            self._head(size - 1, seconds * 1000, certain=heads.certain)
        for _ in range(heads.uncertain + self._crashes):
            self._head(-1, 0, certain=False)

    def _head(self, seq: int, time_ms: int, *, certain: bool) -> None:
        """A signature of the log key: a checkpoint's, or that of its root for receipts."""
        self.acts.append(Act(operation="sign", key_id=self._keys.log, seq=seq, time_ms=time_ms, certain=certain))

    def _succeeded(self, recorded: Recorded, event: ev.OperationSucceeded) -> None:
        intended = self._open.get(event.intent)
        if event.last:
            self._open.pop(event.intent, None)
        if event.custody is not Custody.DEVICE:
            self._software.add(event.key_id)
        # Encryption for a key pair needs no device; an act found out after a crash may lack its record.
        # One that a further device did may have been tried here first.
        sure = not event.recovered and not event.device and event.operation is not Operation.ENCRYPT
        certain = sure and event.intent >= self._since
        time_ms = intended[0].time_ms if intended else recorded.time_ms
        self._done(event.operation, event.key_id, event.intent, time_ms, recorded, certain=certain)

    def _done(
        self, operation: Operation, key_id: str, seq: int, time_ms: int, recorded: Recorded, *, certain: bool
    ) -> None:
        name = _OPERATIONS.get(operation)
        if operation is Operation.CERTIFY:
            self._allow("sign", self._keys.authority, recorded)
        if name is None:
            return
        if key_id in self._software:
            self._inside(key_id, recorded)
        elif recorded.seq >= self._since:
            self.acts.append(Act(operation=name, key_id=key_id, seq=seq, time_ms=time_ms, certain=certain))

    def _inside(self, key_id: str, recorded: Recorded) -> None:
        """A software key lies encrypted in the token: making and using it are acts with its wrapping key."""
        if recorded.seq >= self._since:
            for operation in ("generate", "encrypt", "decrypt", "destroy"):
                self.allowed[operation, key_id] += 2

    def _between_devices(self, recorded: Recorded, event: ev.OperationIntended) -> None:
        """Two devices agree on a key, or one gives a copy: pairs that live for a moment, and a proof of use."""
        if event.operation not in (Operation.AGREE, Operation.REPLICATE) or recorded.seq < self._since:
            return
        ids = [object_id(bytes.fromhex(recorded.fingerprint), index).hex() for index in range(3)]  # pair, key, trial
        for key_id in (*ids, event.key_id, event.under):
            for operation in (*USES, "generate", "destroy"):
                self.allowed[operation, key_id] += 2

    def _uncertain(self, intent: int) -> None:
        found = self._open.pop(intent, None)
        if found is None:
            return
        recorded, event = found
        name = _OPERATIONS.get(event.operation)
        if event.operation is Operation.CERTIFY:
            self._allow("sign", self._keys.authority, recorded)
        elif name is not None:
            print_ = bytes.fromhex(recorded.fingerprint)
            made = [object_id(print_, index).hex() for index in range(event.count)]
            self.acts += [
                Act(operation=name, key_id=key_id, seq=intent, time_ms=recorded.time_ms, certain=False)
                for key_id in ([event.key_id] if event.key_id else made)
            ]

    def _add(self, operation: str, key_id: str, recorded: Recorded) -> None:
        if recorded.seq >= self._since:
            act = Act(operation=operation, key_id=key_id, seq=recorded.seq, time_ms=recorded.time_ms)
            self.acts.append(act)

    def _allow(self, operation: str, key_id: str, recorded: Recorded) -> None:
        if recorded.seq >= self._since:
            self.allowed[operation, key_id] += 1

    def _service_key(self, event: ev.SealKeyInForce | ev.RootKeyMade) -> None:
        """Keys that the console uses for itself, without an entry for each use."""
        keys = [event.key_id] + ([event.wrapping_id] if isinstance(event, ev.RootKeyMade) else [])
        self.free |= {(operation, key) for key in keys if key for operation in USES}


def fold(entries: Iterable[Recorded], since: int, keys: Keys, heads: Heads) -> Acts:
    """The acts that these entries, and the heads that were signed, tell of."""
    acts = Acts(since, keys)
    for recorded in entries:
        acts.see(recorded)
    acts.finish(heads)
    return acts
