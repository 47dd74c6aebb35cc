"""The gateway's tables: ceremonies, keys, people, operations, and what was issued last. Each is a fold over the log.

They are written in the transaction that appends (invariant 3) and looked at only through the functions below, with
a connection that the log hands out. `apply` looks at nothing but its table and the entry, so that a rebuild gives
the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from hsm_console.audit.opened import DataKeys
from hsm_console.audit.projection import Projection
from hsm_console.ceremony import fold
from hsm_console.ceremony import state as st
from hsm_console.domain import events as ev
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.keys import Custody, Grade, KeyAttributes
from hsm_console.domain.people import Role
from hsm_console.gateway.alert_rows import Alerts
from hsm_console.gateway.member_rows import Members
from hsm_console.gateway.order_rows import Orders

_ENCODER = msgspec.json.Encoder(order="deterministic")


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the log knows it. spki, certificate: base64 DER; purpose: of the console itself, or empty."""

    object_id: str
    label: str
    algorithm: str
    spki: str
    fingerprint: str
    attributes: KeyAttributes
    grade: Grade
    seq: int
    created_ms: int
    ceremony_id: str = ""
    purpose: str = ""
    certificate: str = ""
    state: str = "active"
    custody: Custody = Custody.DEVICE


class PersonRow(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate that was issued to a person. revoked_ms 0: in force."""

    uid: str
    name: str
    roles: tuple[Role, ...]
    spki_sha256: str
    certificate_sha256: str
    serial: str
    seq: int
    revoked_ms: int = 0
    reason: str = ""


class IntentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that was announced. ended: sequence of its ending, -1 while it is open."""

    seq: int
    fingerprint: str
    event: ev.OperationIntended
    correlation: str
    ended: int = -1
    ending: str = ""


class Ceremonies:
    name = "ceremony"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE ceremony(id TEXT PRIMARY KEY, opened_seq INTEGER NOT NULL, revision INTEGER NOT NULL, "
            "status TEXT NOT NULL, state BLOB NOT NULL) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        ceremony_id = fold.ceremony_of(recorded.event)
        if not ceremony_id:
            return
        state = fold.apply(ceremony(conn, ceremony_id), recorded)
        if state is not None:
            conn.execute(
                "INSERT OR REPLACE INTO ceremony VALUES (?,?,?,?,?)",
                (state.id, state.opened_seq, state.revision, state.status, st.encode(state)),
            )


def ceremony(conn: sqlite3.Connection, ceremony_id: str) -> st.State | None:
    row = conn.execute("SELECT state FROM ceremony WHERE id=?", (ceremony_id,)).fetchone()
    return st.decode(row[0]) if row else None


def revision(conn: sqlite3.Connection, ceremony_id: str) -> int:
    """The revision of a ceremony; -1 when there is none with this id."""
    row = conn.execute("SELECT revision FROM ceremony WHERE id=?", (ceremony_id,)).fetchone()
    return int(row[0]) if row else -1


def ceremonies(conn: sqlite3.Connection) -> tuple[st.State, ...]:
    """All, newest first."""
    return tuple(st.decode(row[0]) for row in conn.execute("SELECT state FROM ceremony ORDER BY opened_seq DESC"))


class Keys:
    name = "key"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute("CREATE TABLE key(object_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, row BLOB NOT NULL) STRICT")

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, ev.LogCreated):
            for made in event.keys:
                _put_key(conn, _founding_key(recorded, event, made))
        elif isinstance(event, ev.OperationSucceeded):
            self._operation(conn, recorded, event)
        elif isinstance(event, ev.SealKeyInForce):
            _reserve(conn, event.key_id, "seal")
        elif isinstance(event, ev.RootKeyMade):
            _reserve(conn, event.key_id, "root")
            _reserve(conn, event.wrapping_id, "root")

    def _operation(self, conn: sqlite3.Connection, recorded: Recorded, event: ev.OperationSucceeded) -> None:
        if event.operation in (Operation.GENERATE, Operation.UNWRAP, Operation.AGREE):
            _put_key(conn, _new_key(recorded, event))
            return
        known = key(conn, event.key_id)
        if known is not None and event.operation is Operation.CERTIFY:
            _put_key(conn, msgspec.structs.replace(known, certificate=event.certificate))
        elif known is not None and event.operation is Operation.DESTROY and not event.device:  # a copy's end is not it
            _put_key(conn, msgspec.structs.replace(known, state="destroyed"))


def _reserve(conn: sqlite3.Connection, object_id: str, purpose: str) -> None:
    """From here on the key serves the console itself and nobody else."""
    known = key(conn, object_id) if object_id else None
    if known is not None and not known.purpose:
        _put_key(conn, msgspec.structs.replace(known, purpose=purpose))


def _founding_key(recorded: Recorded, event: ev.LogCreated, made: ev.FoundingKey) -> KeyRow:
    return KeyRow(
        object_id=made.object_id,
        label=made.label,
        algorithm=made.algorithm.value,
        spki=made.spki,
        fingerprint=hashlib.sha256(base64.b64decode(made.spki)).hexdigest(),
        attributes=made.attributes,
        grade=Grade.D if event.device.simulated else Grade.C,
        seq=recorded.seq,
        created_ms=recorded.time_ms,
        purpose=made.purpose,
    )


def _new_key(recorded: Recorded, event: ev.OperationSucceeded) -> KeyRow:
    return KeyRow(
        object_id=event.key_id,
        label=event.label,
        algorithm=event.algorithm.value if event.algorithm else "",
        spki=event.spki,
        fingerprint=event.fingerprint,
        attributes=event.attributes or KeyAttributes(),
        grade=event.grade or Grade.D,
        seq=recorded.seq,
        created_ms=recorded.time_ms,
        ceremony_id=event.ceremony_id,
        custody=event.custody,
    )


def _put_key(conn: sqlite3.Connection, row: KeyRow) -> None:
    conn.execute("INSERT OR REPLACE INTO key VALUES (?,?,?)", (row.object_id, row.seq, _ENCODER.encode(row)))


def key(conn: sqlite3.Connection, object_id: str) -> KeyRow | None:
    row = conn.execute("SELECT row FROM key WHERE object_id=?", (object_id,)).fetchone()
    return msgspec.json.decode(row[0], type=KeyRow) if row else None


def keys(conn: sqlite3.Connection) -> tuple[KeyRow, ...]:
    """All, newest first."""
    return keys_page(conn)


def keys_page(
    conn: sqlite3.Connection, *, after: str = "", most: int = 0, fits: Callable[[KeyRow], bool] = lambda _: True
) -> tuple[KeyRow, ...]:
    """Those that fit, newest first, from the one after the key of this id on; most 0: all of them."""
    where: str = ""
    given: tuple[int | str, ...] = ()
    if after:
        found = conn.execute("SELECT seq FROM key WHERE object_id=?", (after,)).fetchone()
        seq = found[0] if found else -1
        where, given = "WHERE seq < ? OR (seq = ? AND object_id > ?)", (seq, seq, after)
    rows = conn.execute(f"SELECT row FROM key {where} ORDER BY seq DESC, object_id", given)  # noqa: S608 - of two texts
    fitting = filter(fits, (msgspec.json.decode(row[0], type=KeyRow) for row in rows))
    return tuple(itertools.islice(fitting, most or None))


class People:
    name = "person"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE person(spki_sha256 TEXT PRIMARY KEY, uid TEXT NOT NULL, seq INTEGER NOT NULL, "
            "row BLOB NOT NULL) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, ev.PersonEnrolled):
            self._put(
                conn,
                PersonRow(
                    uid=event.uid,
                    name=event.name,
                    roles=event.roles,
                    spki_sha256=event.spki_sha256,
                    certificate_sha256=event.certificate_sha256,
                    serial=event.serial,
                    seq=recorded.seq,
                ),
            )
        elif isinstance(event, ev.PersonRevoked):
            found = conn.execute("SELECT row FROM person WHERE spki_sha256=?", (event.spki_sha256,)).fetchone()
            if found:
                row = msgspec.json.decode(found[0], type=PersonRow)
                self._put(conn, msgspec.structs.replace(row, revoked_ms=recorded.time_ms, reason=event.reason))

    @staticmethod
    def _put(conn: sqlite3.Connection, row: PersonRow) -> None:
        conn.execute(
            "INSERT OR REPLACE INTO person VALUES (?,?,?,?)",
            (row.spki_sha256, row.uid, row.seq, _ENCODER.encode(row)),
        )


def people(conn: sqlite3.Connection) -> tuple[PersonRow, ...]:
    """All certificates ever issued to people, in the order of issue."""
    rows = conn.execute("SELECT row FROM person ORDER BY seq")
    return tuple(msgspec.json.decode(row[0], type=PersonRow) for row in rows)


class Intents:
    name = "intent"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE intent(seq INTEGER PRIMARY KEY, ended INTEGER NOT NULL, key_id TEXT NOT NULL, "
            "row BLOB NOT NULL) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, ev.OperationIntended):
            self._put(
                conn,
                IntentRow(
                    seq=recorded.seq,
                    fingerprint=recorded.fingerprint,
                    event=event,
                    correlation=recorded.correlation or recorded.uid,
                ),
            )
        elif isinstance(event, ev.OperationSucceeded | ev.OperationFailed | ev.OperationInterrupted):
            row = intent(conn, event.intent)
            if isinstance(event, ev.OperationSucceeded) and not event.last:
                return  # one key of a batch; the intent goes on
            if row is not None and row.ended < 0:
                ending = str(event.__struct_config__.tag)
                self._put(conn, msgspec.structs.replace(row, ended=recorded.seq, ending=ending))

    @staticmethod
    def _put(conn: sqlite3.Connection, row: IntentRow) -> None:
        conn.execute(
            "INSERT OR REPLACE INTO intent VALUES (?,?,?,?)",
            (row.seq, row.ended, row.event.key_id, _ENCODER.encode(row)),
        )


def intent(conn: sqlite3.Connection, seq: int) -> IntentRow | None:
    row = conn.execute("SELECT row FROM intent WHERE seq=?", (seq,)).fetchone()
    return msgspec.json.decode(row[0], type=IntentRow) if row else None


def open_intents(conn: sqlite3.Connection) -> tuple[IntentRow, ...]:
    """Operations that were announced and have no ending, oldest first."""
    rows = conn.execute("SELECT row FROM intent WHERE ended < 0 ORDER BY seq")
    return tuple(msgspec.json.decode(row[0], type=IntentRow) for row in rows)


def intents_of(conn: sqlite3.Connection, correlation: str) -> tuple[IntentRow, ...]:
    """Operations that were announced for one order, oldest first."""
    rows = conn.execute("SELECT row FROM intent WHERE instr(row, ?) > 0 ORDER BY seq", (correlation.encode(),))
    found = (msgspec.json.decode(row[0], type=IntentRow) for row in rows)
    return tuple(row for row in found if row.correlation == correlation)


def all_intents(conn: sqlite3.Connection) -> tuple[IntentRow, ...]:
    rows = conn.execute("SELECT row FROM intent ORDER BY seq")
    return tuple(msgspec.json.decode(row[0], type=IntentRow) for row in rows)


class Issued:
    """The newest roster, CRL and policy that the log knows: what the files on disk are held to."""

    name = "issued"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE issued(what TEXT PRIMARY KEY, seq INTEGER NOT NULL, number INTEGER NOT NULL, "
            "sha256 TEXT NOT NULL) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        row = _issued(recorded.event)
        if row is not None:
            what, number, sha256 = row
            conn.execute("INSERT OR REPLACE INTO issued VALUES (?,?,?,?)", (what, recorded.seq, number, sha256))


def _issued(event: Any) -> tuple[str, int, str] | None:
    match event:
        case ev.RosterIssued():
            return "roster", event.version, event.sha256
        case ev.CrlIssued():
            return "crl", event.number, event.sha256
        case ev.PolicyInForce():
            return "policy", 0, event.policy_sha256
    return None


def issued(conn: sqlite3.Connection, what: str) -> tuple[int, str] | None:
    """(number, SHA-256) of the newest `roster`, `crl` or `policy`; None when there is none yet."""
    row = conn.execute("SELECT number, sha256 FROM issued WHERE what=?", (what,)).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def pruned_below(conn: sqlite3.Connection) -> int:
    """Entries under this number were pruned by order, the genesis entries apart; 0 when none were."""
    found = conn.execute("SELECT max(below) FROM pruned").fetchone()[0]
    return int(found or 0)


class Pruned:
    name = "pruned"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute("CREATE TABLE pruned(seq INTEGER PRIMARY KEY, below INTEGER NOT NULL) STRICT")

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        if isinstance(recorded.event, ev.LogPruned):
            conn.execute("INSERT INTO pruned VALUES (?,?)", (recorded.seq, recorded.event.below))


def projections() -> tuple[Projection, ...]:
    """Every projection of the gateway, for opening the log and for `hsm-console rebuild`."""
    return Ceremonies(), Keys(), People(), Intents(), Issued(), Orders(), Alerts(), Members(), DataKeys(), Pruned()
